"""The wall clock of a node: virtual time as a machine in the field would show it.

Clocks are wrong in ways that last: they are ahead or behind, drift, jump when somebody sets them, stand still, or tick
coarsely. Knows nothing of what reads it. Invariant: what it shows follows from virtual time and from what was done to
it, and lies in what an engine accepts as time (0 to `MAX_MS`); the engine's own clock copes with the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .choices import Choices, between

START_MS: Final = 1_767_225_600_000
"""The wall time at which every world begins: 2026-01-01 00:00 UTC."""

MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class NodeClock:
    """A time source that can be set, frozen and made coarse.

    Args:
        now_us: Virtual microseconds since the world began, as the loop tells them.
        skew_ms: How far the clock is ahead of true time; negative: behind.
        drift_ppm: Microseconds that it gains in each second.
        granularity_ms: It shows multiples of this.
    """

    def __init__(
        self, now_us: Callable[[], int], *, skew_ms: int = 0, drift_ppm: int = 0, granularity_ms: int = 1
    ) -> None:
        self._now_us = now_us
        self._skew_us = skew_ms * 1000
        self._drift_ppm = drift_ppm
        self._drifts_from_us = now_us()
        self._granularity_ms = granularity_ms
        self._frozen_us: int | None = None

    def now_ms(self) -> int:
        """Milliseconds since 1970, as this clock shows them."""
        shown_ms = self._shown_us() // 1000
        return min(max(shown_ms - shown_ms % self._granularity_ms, 0), MAX_MS)

    def error_ms(self) -> int:
        """How far it is ahead of true time; negative: behind."""
        return self.now_ms() - (START_MS + self._now_us() // 1000)

    def jump(self, ms: int) -> None:
        """Set it forward, or back if negative; a frozen clock shows the jump as well."""
        self._skew_us += ms * 1000
        if self._frozen_us is not None:
            self._frozen_us += ms * 1000

    def correct(self) -> None:
        """Set it right, as a time server does: it runs, shows true time, and drifts on from there."""
        self._frozen_us = None
        self._skew_us = 0
        self._drifts_from_us = self._now_us()

    def freeze(self) -> None:
        """Stand still from now on."""
        self._frozen_us = self._shown_us()

    def thaw(self) -> None:
        """Run on from where it stood: what it missed is lost, as on a machine that was suspended."""
        if self._frozen_us is not None:
            frozen, self._frozen_us = self._frozen_us, None
            self._skew_us += frozen - self._shown_us()

    def drift(self, ppm: int) -> None:
        """Run faster (or slower, if negative) from now on; what was gained until now stays."""
        self._skew_us += self._gained_us()
        self._drifts_from_us = self._now_us()
        self._drift_ppm = ppm

    def tick_by(self, granularity_ms: int) -> None:
        """Show multiples of so many milliseconds from now on."""
        self._granularity_ms = granularity_ms

    def _gained_us(self) -> int:
        return (self._now_us() - self._drifts_from_us) * self._drift_ppm // 1_000_000

    def _shown_us(self) -> int:
        if self._frozen_us is not None:
            return self._frozen_us
        return START_MS * 1000 + self._now_us() + self._skew_us + self._gained_us()


def drawn_clock(
    choices: Choices, node: str, now_us: Callable[[], int], *, skew_ms_max: int = 60_000, drift_ppm_max: int = 200
) -> NodeClock:
    """A clock as wrong as clocks are: ahead or behind, and drifting; drawn from the stream of the node's clock."""
    stream = f"clock:{node}"
    return NodeClock(
        now_us,
        skew_ms=_either_way(choices, stream, skew_ms_max),
        drift_ppm=_either_way(choices, stream, drift_ppm_max),
    )


def _either_way(choices: Choices, stream: str, bound: int) -> int:
    """A number from -bound to bound whose plainest draw is 0: 0, 1, -1, 2, -2, ..."""
    drawn = between(choices, stream, 0, 2 * bound)
    return -(drawn // 2) if drawn % 2 == 0 else drawn // 2 + 1
