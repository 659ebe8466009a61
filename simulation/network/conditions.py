"""The state of the ways between nodes: what each lets pass, how fast, and what goes wrong on it.

A way is an ordered pair: the bytes that flow from one node to another, over whatever connection. Knows nothing of
connections or frames. Invariant: a way that is blocked loses nothing by itself; what was under way waits, as TCP sends
it again, until the way is open or an end gives up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..kernel.choices import Choices, between

Milliseconds = tuple[int, int]
"""From, to; both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How a way behaves while it is open. Shares are of the exchanges that its source begins, per thousand.

    Attributes:
        latency_ms: Between sending and arrival, drawn for each piece; pieces of one stream never overtake each other.
        bytes_per_s: What passes in a second, shared by all connections on the way; 0 for no limit.
        loss_per_mille: Connections that break off after a drawn number of bytes, in either direction.
        reset_after_bytes: How many bytes, from and to; drawn so that every order of magnitude is met.
        silent_per_mille: Of what breaks, the share that nobody is told of: both ends wait for their deadlines.
        duplicate_per_mille: Requests that are delivered once more at about the same time, their answer to nobody.
        replay_per_mille: Exchanges beside which an old request of the pair is delivered once more.
        corrupt_per_mille: Exchanges in which one bit of what is sent in one direction arrives as the other.
        near_per_mille: Of connections over a blocked way, the share that something on this side (a proxy) accepts.
    """

    latency_ms: Milliseconds = (1, 40)
    bytes_per_s: int = 0
    loss_per_mille: int = 0
    reset_after_bytes: tuple[int, int] = (0, 100_000)
    silent_per_mille: int = 300
    duplicate_per_mille: int = 0
    replay_per_mille: int = 0
    corrupt_per_mille: int = 0
    near_per_mille: int = 300


PERFECT = Quality(latency_ms=(1, 1), silent_per_mille=0, near_per_mille=0)
"""Nothing goes wrong and nothing takes long."""


@dataclass(slots=True)
class Way:
    """The bytes that flow from `source` to `target`; nothing passes while it is `blocked`."""

    source: str
    target: str
    quality: Quality = field(default_factory=Quality)
    blocked: bool = False
    _free_at: float = 0.0
    _held: list[Callable[[], None]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Name of the stream of choices for everything that is drawn about it."""
        return f"net:{self.source}>{self.target}"

    def latency_s(self, choices: Choices) -> float:
        """How long the next piece takes."""
        low, high = self.quality.latency_ms
        return between(choices, self.label, low, high) / 1000

    def arrival(self, choices: Choices, size: int, now: float) -> float:
        """When a piece that is sent now arrives: behind all that was sent before it, and then the latency."""
        start = max(now, self._free_at)
        if self.quality.bytes_per_s:
            start += size / self.quality.bytes_per_s
        self._free_at = start
        return start + self.latency_s(choices)

    def hold(self, resume: Callable[[], None]) -> None:
        """Call `resume` when the way opens."""
        self._held.append(resume)

    def open(self) -> None:
        """Let pass what waits, in the order in which it came to wait."""
        self.blocked = False
        held, self._held = self._held, []
        for resume in held:
            resume()


def magnitude(choices: Choices, label: str, bounds: tuple[int, int]) -> int:
    """A number within bounds: first how many bits, then which of them, so that small ones are as likely as large."""
    low, high = bounds
    bits = between(choices, label, 0, max(0, high - low).bit_length())
    return min(high, low + between(choices, label, (1 << bits) >> 1, (1 << bits) - 1))
