"""One exchange under way: two streams between a caller and the node that it calls, and who learns when it is lost.

Knows nothing of frames. Invariant: an end is told of a loss at most once, and only as the network could tell it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .conditions import Way
from .stream import NOBODY, Clockwork, End, Stream

RECORDED_BYTES_MAX: Final = 256 * 1024
"""Of a longer request only the start is kept, to be delivered once more as one that was cut there."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was delivered; not complete: the start of one."""

    body: bytes
    complete: bool


@dataclass(slots=True, eq=False)
class Connection:
    """An exchange between two ends.

    Attributes:
        caller, callee: The ends.
        up: What the caller sends; down: what it gets.
    """

    caller: End
    callee: End
    up: Stream
    down: Stream
    _request: bytearray = field(default_factory=bytearray)

    @classmethod
    def between(cls, clockwork: Clockwork, to: Way, back: Way) -> Connection:
        """A connection over these two ways."""
        caller, callee = End(to.source), End(to.target)
        made = cls(caller, callee, Stream(clockwork, to, caller, callee), Stream(clockwork, back, callee, caller))
        made.up.on_arrival = made._record
        return made

    @classmethod
    def repeating(cls, clockwork: Clockwork, to: Way, back: Way, request: Request) -> Connection:
        """A connection on which an old request has arrived, and whose answer nobody reads."""
        caller, callee = End(NOBODY), End(to.target)
        made = cls(caller, callee, Stream(clockwork, to, caller, callee), Stream(clockwork, back, callee, caller))
        made.up.preload(request.body, complete=request.complete)
        return made

    @property
    def request(self) -> Request:
        """What has been delivered so far."""
        body = bytes(self._request)
        return Request(body, complete=self.up.ended and len(body) == self.up.passed)

    @property
    def passed(self) -> str:
        """How much arrived, for people."""
        return f"{self.up.passed} bytes to, {self.down.passed} bytes from"

    def has(self, name: str) -> bool:
        """Whether this node is one of the ends."""
        return name in {self.caller.name, self.callee.name}

    def outgoing(self, end: End) -> Stream:
        """What this end sends."""
        return self.up if end is self.caller else self.down

    def break_off(self, *told: End) -> None:
        """Lose what is under way and all that would follow; only these ends learn of it."""
        self.up.drop()
        self.down.drop()
        for end in told:
            end.reset()

    def lose(self, end: End, *, silent: bool) -> None:
        """This end is no more; the other is reset a latency later, or (silent) waits for what does not come."""
        end.vanish()
        stream, other = self.outgoing(end), self.callee if end is self.caller else self.caller
        if silent or stream.way.blocked:
            self.break_off()
        else:
            stream.hang_up(other)

    def _record(self, piece: bytes) -> None:
        self._request += piece[: RECORDED_BYTES_MAX - len(self._request)]
