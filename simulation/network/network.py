"""The network of a world: named nodes, the ways between them, and every exchange that is under way.

Knows nothing of engines or frames: bytes come in and go out. Invariants: what happens follows from conditions and
choices; bytes of one stream are never reordered, because no network that carries TCP does that; whoever is cut off
learns of it as over HTTP (transport/links/http.py), and nobody is told what he could not know.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from holdfast.errors import Unreachable
from holdfast.transport.links.link import Link

from ..kernel.choices import Choices
from .answering import Answer, Responder
from .conditions import Quality, Way, magnitude
from .connection import Connection, Request
from .link import Deadlines, SimLink
from .repeats import Repeats
from .stream import NOBODY, Clockwork, Timers

OnEvent = Callable[[float, str, str, str, str], None]
"""Told of everything that happens: virtual time, from, to, what, detail."""

Direction = Literal["both", "to", "from"]

MUTE_PER_MILLE = 500
"""Crashes after which the machine does not say either that nobody listens."""

LEFT_SILENTLY_PER_MILLE = 150
"""Callers that leave early and of whom the other side does not hear: it has a half-open connection."""

TOLD_OF_CUT_PER_MILLE = 300
"""Connections of which one end learns at once that its way was cut: an interface went down."""

FORGOTTEN_PER_MILLE = 300
"""Connections over a way that was cut which do not go on when it is healed, and nobody is told."""


CORRUPTED_PIECES: Final = (0, 63)
"""Which piece of a stream is damaged, about a frame: so that the hello, batches and what follows them are all met."""


class Scheduler(Timers, Protocol):
    """What the network needs of the loop: timers, and tasks that belong to a node."""

    def spawn(self, node: str, coroutine: Coroutine[Any, Any, None], /) -> asyncio.Task[None]:
        """Run a coroutine as a task of this node."""
        ...


@dataclass(slots=True)
class Traffic:
    """What passed from a caller to another node and back.

    Attributes:
        exchanges: Begun; repeated: requests that were delivered once more.
        bytes_to, bytes_from: Frames that arrived at the other end, whole or in part.
        cuts: How often what went wrong.
    """

    exchanges: int = 0
    repeated: int = 0
    bytes_to: int = 0
    bytes_from: int = 0
    cuts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Port:
    """Where a node is reached.

    Attributes:
        responder: What answers; None while nobody listens.
        life: Counts the starts of the process.
        mute: The machine is off: nothing says that nobody listens.
        answers: Answers that are being made; the loop itself keeps tasks only weakly.
    """

    responder: Responder | None = None
    life: int = 0
    mute: bool = False
    answers: set[asyncio.Task[None]] = field(default_factory=set)


class Network:
    """Named nodes and the ways between them.

    Args:
        choices: Decide everything that conditions leave open.
        loop: Virtual time, and tasks that belong to nodes.
        on_event: Told of everything that happens.
        deadlines: How long ends wait.

    Attributes:
        traffic: By caller and callee.
        faults: What responders raised that is no error of the tree; the world must look at it.
    """

    def __init__(
        self,
        choices: Choices,
        loop: Scheduler,
        *,
        on_event: OnEvent | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.traffic: dict[tuple[str, str], Traffic] = {}
        self.faults: list[BaseException] = []
        self._deadlines = deadlines or Deadlines()
        self._loop = loop
        self._on_event = on_event
        self._clockwork = Clockwork(choices, loop, copy_context())
        self._repeats = Repeats(self._clockwork, self._deliver_again)
        self._ways: dict[tuple[str, str], Way] = {}
        self._ports: dict[str, Port] = {}
        self._open: list[Connection] = []

    # ------------------------------------------------------------------------------------------------------ nodes

    def register(self, name: str, responder: Responder | None) -> None:
        """Let `responder` answer for a node from now on; None: nobody listens there, and its machine says so."""
        port = self._port(name)
        port.responder, port.mute = responder, False
        port.life += 1

    def crash(self, name: str) -> None:
        """End everything that is under way to or from a node; nobody listens there until it is registered anew.

        Whether its machine still says so (peers are reset, and refused) or is off (they wait) is drawn.
        """
        port = self._port(name)
        port.responder, port.mute = None, self._clockwork.happens(f"net:{name}", MUTE_PER_MILLE)
        port.life += 1
        port.answers.clear()
        for connection in [connection for connection in self._open if connection.has(name)]:
            self._lose(connection, name, "crash", silent=port.mute)

    def names(self) -> list[str]:
        """Every node that was registered, in that order."""
        return list(self._ports)

    def life(self, name: str) -> int:
        """Which start of its process a node is at: connections do not outlive it."""
        return self._port(name).life

    def link(self, caller: str, callee: str) -> Link:
        """A link for one node to call another; it carries one exchange at a time."""
        return SimLink(self, caller, callee, self._deadlines)

    # ------------------------------------------------------------------------------------------------- conditions

    def way(self, source: str, target: str) -> Way:
        """The way of the bytes from one node to another."""
        return self._ways.setdefault((source, target), Way(source, target))

    def quality(self, source: str, target: str, **fields: Any) -> None:  # noqa: ANN401 - those of Quality
        """Let what `source` sends to `target`, and the exchanges that it begins there, fare like this from now on.

        Args:
            source: Of the ordered pair.
            target: Of the ordered pair.
            fields: Those of `Quality`; what is not named is as usual again.
        """
        self.way(source, target).quality = Quality(**fields)
        self._note(source, target, "quality", ", ".join(f"{name}={value}" for name, value in fields.items()))

    def cut(self, source: str, target: str, direction: Direction = "both") -> None:
        """Block what `source` sends to `target` ("to"), what it gets from there ("from"), or both.

        Of some connections under way one end learns at once; the others stand still until the way is healed or an end
        gives up. Cutting twice is cutting once.
        """
        for way in self._ways_of(source, target, direction):
            way.blocked = True
        self._note(source, target, "cut", direction)
        for connection in self._between(source, target):
            if self._clockwork.happens(connection.up.way.label, TOLD_OF_CUT_PER_MILLE):
                told = connection.caller if self._clockwork.happens(connection.up.way.label, 500) else connection.callee
                self._count(connection, "cut", told.name)
                connection.break_off(told)

    def heal(self, source: str, target: str, direction: Direction = "both") -> None:
        """Open the ways again. Some connections that stood still go on, the others are dead and nobody is told."""
        ways = [way for way in self._ways_of(source, target, direction) if way.blocked]
        for connection in self._between(source, target) if ways else ():
            if self._clockwork.happens(connection.up.way.label, FORGOTTEN_PER_MILLE):
                self._count(connection, "forgotten", "")
                connection.break_off()
        for way in ways:
            way.open()
        self._note(source, target, "heal", direction)

    def calm(self) -> None:
        """Open all ways, and let nothing more go wrong on them."""
        for way in self._ways.values():
            if way.blocked:
                self.heal(way.source, way.target, "to")
            way.quality = Quality()

    def is_cut(self, source: str, target: str) -> bool:
        """Whether something is blocked between the two."""
        return self.way(source, target).blocked or self.way(target, source).blocked

    def requests(self, caller: str, callee: str) -> tuple[Request, ...]:
        """The latest requests of a pair, the oldest first."""
        return self._repeats.kept(caller, callee)

    def replay(self, caller: str, callee: str) -> bool:
        """Deliver an old request of the pair once more; False if there is none or nobody listens."""
        return self._repeats.replay(caller, callee)

    def _ways_of(self, source: str, target: str, direction: Direction) -> list[Way]:
        to, back = self.way(source, target), self.way(target, source)
        return {"both": [to, back], "to": [to], "from": [back]}[direction]

    def _between(self, one: str, other: str) -> list[Connection]:
        return [connection for connection in self._open if connection.has(one) and connection.has(other)]

    def _port(self, name: str) -> Port:
        return self._ports.setdefault(name, Port())

    # -------------------------------------------------------------------------------------------------- exchanges

    async def connect(self, caller: str, callee: str) -> Connection:
        """A new connection, and an exchange on it.

        Raises:
            Unreachable: nobody listens there, or nothing comes back from there; nothing was delivered.
        """
        to, back = self.way(caller, callee), self.way(callee, caller)
        # Without a way back there is no connection, unless something near (a proxy) accepts it on the other's behalf.
        cut = self.is_cut(caller, callee) and not self._clockwork.happens(to.label, to.quality.near_per_mille)
        if cut or self._port(callee).mute:
            await asyncio.sleep(self._deadlines.connect_s)
            raise self._unreachable(caller, callee, "no connection: it took too long")
        await asyncio.sleep(to.latency_s(self._clockwork.choices) + back.latency_s(self._clockwork.choices))
        if self._port(callee).responder is None:
            raise self._unreachable(caller, callee, "no connection: nobody listens there")
        return self.begin(caller, callee)

    def begin(self, caller: str, callee: str) -> Connection:
        """An exchange on a connection that stands, or is believed to."""
        to = self.way(caller, callee)
        connection = Connection.between(self._clockwork, to, self.way(callee, caller))
        self._open.append(connection)
        self._tally(caller, callee).exchanges += 1
        self._note(caller, callee, "exchange", "")
        self._draw_loss(connection, to)
        self._draw_corruption(connection, to)
        self._repeats.draw(connection, to)
        self._answer(connection)
        return connection

    def leave(self, connection: Connection) -> None:
        """The caller is done with it. If that was too early, the other end learns of it, or does not, by draw."""
        if connection not in self._open:
            return
        if connection.down.ended or connection.caller.broken:
            self._forget(connection)
        else:
            silent = self._clockwork.happens(connection.up.way.label, LEFT_SILENTLY_PER_MILLE)
            self._lose(connection, connection.caller.name, "left", silent=silent)

    def _answer(self, connection: Connection) -> None:
        """Let the other node answer, in a task of its own."""
        port, name = self._port(connection.callee.name), connection.callee.name
        if port.responder is None:
            connection.break_off(*(() if port.mute else (connection.caller,)))
            return
        answer = Answer(connection, port.responder, self._deadlines.hub, lambda error: self._fault(name, error))
        task = self._loop.spawn(name, self._run(connection, answer))
        port.answers.add(task)
        task.add_done_callback(port.answers.discard)

    async def _run(self, connection: Connection, answer: Answer) -> None:
        await answer.run()
        self._repeats.keep(connection)
        if connection.caller.name == NOBODY or connection.caller.gone or connection.caller.broken:
            self._forget(connection)

    def _deliver_again(self, caller: str, callee: str, request: Request) -> bool:
        """Deliver a request once more; nobody reads the answer."""
        to = self.way(caller, callee)
        if to.blocked or self._port(callee).responder is None or not request.body:
            return False
        self._tally(caller, callee).repeated += 1
        self._note(caller, callee, "again", f"{len(request.body)} bytes{'' if request.complete else ', cut'}")
        connection = Connection.repeating(self._clockwork, to, self.way(callee, caller), request)
        self._open.append(connection)
        self._answer(connection)
        return True

    def _draw_loss(self, connection: Connection, way: Way) -> None:
        happens, label, quality = self._clockwork.happens, way.label, way.quality
        if not happens(label, quality.loss_per_mille):
            return
        stream = connection.up if happens(label, 500) else connection.down
        told = () if happens(label, quality.silent_per_mille) else (connection.caller, connection.callee)

        def blow() -> None:
            self._count(connection, "loss", "silent" if not told else "")
            connection.break_off(*told)

        stream.fuse = magnitude(self._clockwork.choices, label, quality.reset_after_bytes), blow

    def _draw_corruption(self, connection: Connection, way: Way) -> None:
        share, label = way.quality.corrupt_per_mille, way.label
        if not share or not self._clockwork.happens(label, share):  # ways that change nothing draw nothing for it
            return
        stream = connection.up if self._clockwork.happens(label, 500) else connection.down
        choices = self._clockwork.choices

        def flipped(piece: bytes) -> bytes:
            at, bit = choices.draw(label, len(piece)), choices.draw(label, 8)
            self._count(connection, "corrupted", f"bit {bit} of byte {at} of {len(piece)} to {stream.reader.name}")
            return piece[:at] + bytes((piece[at] ^ 1 << bit,)) + piece[at + 1 :]

        stream.flip = magnitude(choices, label, CORRUPTED_PIECES), flipped

    def _lose(self, connection: Connection, name: str, cause: str, *, silent: bool) -> None:
        self._count(connection, cause, "silent" if silent else "")
        connection.lose(connection.caller if connection.caller.name == name else connection.callee, silent=silent)
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            if connection.caller.name != NOBODY:
                traffic = self._tally(connection.caller.name, connection.callee.name)
                traffic.bytes_to += connection.up.passed
                traffic.bytes_from += connection.down.passed

    # ---------------------------------------------------------------------------------------------------- reports

    def _unreachable(self, caller: str, callee: str, what: str) -> Unreachable:
        self._tally(caller, callee).cuts["unreachable"] += 1
        self._note(caller, callee, "unreachable", what)
        return Unreachable(what, subject=f"http://{callee}", remedy="Local work goes on; sync again later.")

    def _tally(self, caller: str, callee: str) -> Traffic:
        return self.traffic.setdefault((caller, callee), Traffic())

    def _count(self, connection: Connection, cause: str, detail: str) -> None:
        caller, callee = connection.caller.name, connection.callee.name
        self._tally(caller, callee).cuts[cause] += 1
        self._note(caller, callee, cause, f"{connection.passed}; {detail}".rstrip("; "))

    def _note(self, source: str, target: str, what: str, detail: str) -> None:
        if self._on_event is not None:
            self._on_event(self._loop.time(), source, target, what, detail)

    def _fault(self, node: str, error: BaseException) -> None:
        self.faults.append(error)
        self._note(node, node, "fault", repr(error))
