"""The hybrid logical clock: stamps near wall time that never contradict causality.

A stamp is one integer, milliseconds since the Unix epoch << 16 | logical counter. Comparing two stamps
is comparing two integers, and a counter that runs over carries into the milliseconds, so a burst of
writes in one millisecond (or a wall clock that stands still) cannot fail. Stamps rank concurrent writes
and date the log; they never decide what has seen what. This module must not read a wall clock: time
enters through `TimeSource`.

Invariant: each tick exceeds every earlier tick and every accepted observation, whatever the time source
does. A peer whose clock is far ahead cannot drag this clock along.
Paper: Kulkarni et al., "Logical Physical Clocks" (2014).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NewType, Protocol

Timestamp = NewType("Timestamp", int)
"""Milliseconds since the Unix epoch << 16 | logical counter; 0 to 2**63 - 1."""

DRIFT_MS_MAX: Final = 300_000
"""How far ahead of us a peer's clock may be before we stop believing it: five minutes."""

_LOGICAL_BITS: Final = 16
_LOGICAL_MAX: Final = 2**_LOGICAL_BITS - 1
_MILLIS_MAX: Final = 2 ** (63 - _LOGICAL_BITS) - 1

# A wall clock is believed up to the year 4199 and a drift up to half of that. Above the highest stamp
# that the two can yield, 2**61 ticks remain before 2**63: that bound needs no check at each tick. A
# saved stamp may have used up half of them, so a clock that ran can always be restored.
_PHYSICAL_MS_MAX: Final = 2**46 - 1
_DRIFT_MS_LIMIT: Final = 2**45
_LAST_MAX: Final = 2**63 - 2**60


class TimeSource(Protocol):
    """Where physical time comes from."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch; it may jump, stand still or be wrong."""
        ...


class Observation(Enum):
    """What became of a remote stamp."""

    ACCEPTED = "accepted"
    SUSPECT = "suspect"


def pack(ms: int, logical: int) -> Timestamp:
    """Build a stamp.

    Args:
        ms: milliseconds since the Unix epoch, 0 to 2**47 - 1.
        logical: counter within the millisecond, 0 to 65,535.

    Raises:
        ValueError: one of the two is outside its range.
    """
    if not 0 <= ms <= _MILLIS_MAX:
        raise ValueError(f"{ms} milliseconds are outside 0 to {_MILLIS_MAX}")
    if not 0 <= logical <= _LOGICAL_MAX:
        raise ValueError(f"logical counter {logical} is outside 0 to {_LOGICAL_MAX}")
    return Timestamp(ms << _LOGICAL_BITS | logical)


def millis(timestamp: Timestamp) -> int:
    """Return the milliseconds since the Unix epoch of a stamp."""
    return timestamp >> _LOGICAL_BITS


def logical(timestamp: Timestamp) -> int:
    """Return the logical counter of a stamp, 0 to 65,535."""
    return timestamp & _LOGICAL_MAX


class HybridClock:
    """Gives the stamps of one node. It has one owner at a time: the holder of the write transaction.

    Args:
        source: physical time; values below 0 or beyond the year 4199 count as those limits.
        last: the highest stamp given or accepted before, from `last` of the clock that this one goes on
            from. The owner saves it in the transaction of the write that it stamps.
        drift_ms_max: how many milliseconds a remote stamp may lie ahead of `source`, 0 to 2**45.

    Raises:
        ValueError: `last` or `drift_ms_max` is outside its range.
    """

    __slots__ = ("_drift_ms_max", "_last", "_source")

    def __init__(self, source: TimeSource, last: int = 0, drift_ms_max: int = DRIFT_MS_MAX) -> None:
        if not 0 <= last <= _LAST_MAX:
            raise ValueError(f"{last} was saved by no clock: it is outside 0 to {_LAST_MAX}")
        if not 0 <= drift_ms_max <= _DRIFT_MS_LIMIT:
            raise ValueError(f"a drift of {drift_ms_max} ms is outside 0 to {_DRIFT_MS_LIMIT}")
        self._source = source
        self._last = Timestamp(last)
        self._drift_ms_max = drift_ms_max

    @property
    def last(self) -> Timestamp:
        """The highest stamp given or accepted so far, 0 if none."""
        return self._last

    def tick(self) -> Timestamp:
        """Return the stamp of a new write: above every earlier tick and every accepted observation."""
        self._last = Timestamp(max(self._last + 1, self._physical_ms() << _LOGICAL_BITS))
        return self._last

    def horizon(self) -> Timestamp:
        """Return the highest remote stamp that would be accepted now.

        A batch is observed once, by the highest of its stamps that do not lie beyond the horizon.
        """
        return pack(self._physical_ms() + self._drift_ms_max, _LOGICAL_MAX)

    def observe(self, remote: Timestamp) -> Observation:
        """Take note of a stamp from another node.

        A stamp beyond the allowed drift, or below 0, is SUSPECT and leaves the clock alone: the write it
        belongs to is kept and reported, never refused. Any other stamp is ACCEPTED, and later ticks
        exceed it.
        """
        if not 0 <= remote <= self.horizon():
            return Observation.SUSPECT
        self._last = max(self._last, remote)
        return Observation.ACCEPTED

    def _physical_ms(self) -> int:
        return min(max(self._source.now_ms(), 0), _PHYSICAL_MS_MAX)
