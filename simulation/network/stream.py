"""One direction of a connection: bytes in order, some under way, some arrived and not read yet.

Knows nothing of frames or exchanges. Invariants: bytes arrive in the order in which they were sent, each once, and what
was read before a break is a prefix of what was sent; an end that is gone is never woken again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from holdfast.errors import HoldfastError

from ..kernel.choices import Choices, between, chance
from .conditions import Way

NOBODY: Final = ""
"""The end that stands where no node does: it takes in everything and reads nothing."""

WINDOW_BYTES: Final = 64 * 1024
"""What an end sends before its peer has read: a sender waits for a reader, as TCP makes it."""

PIECE_BYTES: Final = 16 * 1024
"""What arrives at once at most."""

SPLIT_PER_MILLE: Final = 100
"""Pieces that arrive in two, at a place that is drawn: no reader may count on whole frames."""


class Timers(Protocol):
    """What the network needs of an event loop."""

    def time(self) -> float:
        """Virtual seconds."""
        ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:  # noqa: ANN401 - as asyncio
        """Call later; gives a handle with `cancel`."""
        ...

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Clockwork:
    """What moves every stream: the choices, the timers, and the context in which they run (that of no node)."""

    choices: Choices
    timers: Timers
    context: Context

    def later(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call after so many virtual seconds, whoever is alive then."""
        self.timers.call_at(self.timers.time() + delay_s, callback, context=self.context)

    def happens(self, label: str, per_mille: int) -> bool:
        """Whether something happens that has this share."""
        return chance(self.choices, label, per_mille)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a stream, in order behind its bytes; `error`: what the sender says instead of a whole answer."""

    error: HoldfastError | None = None


@dataclass(slots=True, eq=False)
class End:
    """One side of a connection.

    Attributes:
        name: The node, or NOBODY.
        broken: It has learned that the connection is lost.
        gone: Its process is no more: it is never woken again.
    """

    name: str
    broken: bool = False
    gone: bool = False
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def check(self) -> None:
        """Raise ConnectionResetError if this end knows that the connection is lost."""
        if self.broken:
            raise ConnectionResetError("the connection was reset")

    def wake(self) -> None:
        """Let everything that waits at this end look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, timers: Timers) -> None:
        """Wait until something has changed."""
        waiter = timers.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def reset(self) -> None:
        """Let this end learn that the connection is lost."""
        if not self.gone:
            self.broken = True
            self.wake()

    def vanish(self) -> None:
        """Forget this end: its process is gone, and nothing of it runs again."""
        self.gone = True
        self._waiters = []


class Stream:
    """One direction of a connection.

    Args:
        clockwork: What moves it.
        way: The way that its bytes take.
        sender, reader: Its ends.
    """

    def __init__(self, clockwork: Clockwork, way: Way, sender: End, reader: End) -> None:
        self.way = way
        self.sender, self.reader = sender, reader
        self.passed = 0
        self.silent = False
        self.fuse: tuple[int, Callable[[], None]] | None = None
        self.flip: tuple[int, Callable[[bytes], bytes]] | None = None
        self._taken = 0
        self.on_arrival: Callable[[bytes], None] | None = None
        self._clockwork = clockwork
        self._under_way: deque[tuple[float, bytes | Ending]] = deque()
        self._inbox: deque[bytes | Ending] = deque()
        self._unread = 0
        self._last = 0.0
        self._moving = False

    async def send(self, data: bytes) -> None:
        """Send, as fast as the reader takes it.

        Raises:
            ConnectionResetError: this end has learned that the connection is lost.
        """
        for piece in self._pieces(data):
            self.sender.check()
            while self._unread >= WINDOW_BYTES:
                await self.sender.wait(self._clockwork.timers)
                self.sender.check()
            self._post(piece)

    def finish(self, error: HoldfastError | None = None) -> None:
        """Nothing follows; or, with `error`, the answer failed."""
        self.sender.check()
        self._post(Ending(error))

    async def read(self) -> bytes:
        """The next bytes in order; b"" at the end.

        Raises:
            ConnectionResetError: this end has learned that the connection is lost.
            HoldfastError: what the sender said instead of an answer.
        """
        while not self._inbox:
            self.reader.check()
            await self.reader.wait(self._clockwork.timers)
        item = self._inbox[0]
        if isinstance(item, Ending):
            if item.error is not None:
                raise item.error
            return b""
        self._inbox.popleft()
        self._unread -= len(item)
        self.sender.wake()
        return item

    def preload(self, data: bytes, *, complete: bool) -> None:
        """Let everything have arrived already; not complete: and then the connection was lost."""
        self._inbox.append(data)
        self._unread += len(data)
        self.passed += len(data)
        if complete:
            self._inbox.append(Ending())
        else:
            self.reader.broken = True

    @property
    def ended(self) -> bool:
        """Whether the reader has come to the end."""
        return bool(self._inbox) and isinstance(self._inbox[0], Ending)

    def drop(self) -> None:
        """Lose what is under way, and all that follows."""
        self.silent = True
        self._under_way.clear()

    def hang_up(self, reader: End) -> None:
        """The sender is gone: the reader is reset when the news arrives, behind what is under way by then or not."""
        self._clockwork.later(self.way.latency_s(self._clockwork.choices), reader.reset)

    def _pieces(self, data: bytes) -> list[bytes]:
        pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
        choices, label = self._clockwork.choices, self.way.label
        if pieces and self._clockwork.happens(label, SPLIT_PER_MILLE):
            last = pieces.pop()
            at = between(choices, label, 0, len(last))
            pieces += [part for part in (last[:at], last[at:]) if part]
        return pieces

    def _post(self, item: bytes | Ending) -> None:
        size = len(item) if isinstance(item, bytes) else 0
        self._unread += size
        if self.silent:
            return
        arrival = self.way.arrival(self._clockwork.choices, size, self._clockwork.timers.time())
        self._last = max(self._last, arrival)
        self._under_way.append((self._last, item))
        self._move()

    def _move(self) -> None:
        """See to it that the first piece under way arrives at its time."""
        if self._under_way and not self._moving:
            self._moving = True
            now = self._clockwork.timers.time()
            self._clockwork.later(max(0.0, self._under_way[0][0] - now), self._arrive)

    def _arrive(self) -> None:
        self._moving = False
        if self.way.blocked:
            self._moving = True
            self.way.hold(self._sent_again)
            return
        if self._under_way:
            _, item = self._under_way.popleft()
            self._take(item)
        self._move()

    def _sent_again(self) -> None:
        """The way is open again: the sender's next attempt gets through."""
        self._clockwork.later(self.way.latency_s(self._clockwork.choices), self._arrive)

    def _take(self, item: bytes | Ending) -> None:
        if isinstance(item, bytes):
            item = self._up_to_fuse(item)
            if not item:
                return
            item = self._flipped(item)
            self.passed += len(item)
            if self.on_arrival is not None:
                self.on_arrival(item)
        if self.reader.name == NOBODY:
            self._unread -= len(item) if isinstance(item, bytes) else 0
            self.sender.wake()
        elif not self.reader.gone:
            self._inbox.append(item)
            self.reader.wake()

    def _flipped(self, piece: bytes) -> bytes:
        """The piece as it arrives: damaged, if it is its turn."""
        turn, self._taken = self._taken, self._taken + 1
        if self.flip is None or turn != self.flip[0]:
            return piece
        return self.flip[1](piece)

    def _up_to_fuse(self, piece: bytes) -> bytes:
        if self.fuse is None or self.passed + len(piece) <= self.fuse[0]:
            return piece
        limit, blow = self.fuse
        self.fuse = None
        self.drop()
        # What arrives with the break is read first: an end looks for a break only when it has nothing to read.
        blow()
        return piece[: max(0, limit - self.passed)]
