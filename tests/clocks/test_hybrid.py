"""The hybrid clock under time sources and peers that do their worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clocks import DRIFT_MS_MAX, HybridClock, Observation, Timestamp, logical, millis, pack

NOW_MS = 1_750_000_000_000
DAY_MS = 86_400_000
BOUND = 2**63


@dataclass(slots=True)
class WallClock:
    """A time source that shows what it is set to."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms


@dataclass(frozen=True, slots=True)
class Set:
    """The wall clock jumps to a time."""

    ms: int


@dataclass(frozen=True, slots=True)
class Observe:
    """A peer's stamp arrives, so far ahead of the wall clock."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A write."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The clock is rebuilt from what it saved."""


Step = Set | Observe | Tick | Restart

SANE_MS = st.integers(NOW_MS - DAY_MS, NOW_MS + DAY_MS)
WILD_MS = st.one_of(SANE_MS, st.integers(-(2**70), 2**70))
AHEAD = st.one_of(st.integers(-(2**20), 2**20), st.integers(-(2**63), 2**63))
STEPS = st.lists(
    st.one_of(st.builds(Set, WILD_MS), st.builds(Observe, AHEAD), st.just(Tick()), st.just(Tick()), st.just(Restart())),
    max_size=40,
)


@settings(max_examples=300)
@given(STEPS)
def test_every_tick_exceeds_all_earlier_ticks_and_accepted_stamps(steps: list[Step]) -> None:
    wall = WallClock()
    clock = HybridClock(wall)
    floor = 0
    for step in [*steps, Tick()]:
        match step:
            case Set(ms):
                wall.ms = ms
            case Observe(ahead):
                remote = Timestamp((wall.ms << 16) + ahead)
                if clock.observe(remote) is Observation.ACCEPTED:
                    floor = max(floor, remote)
            case Tick():
                stamp = clock.tick()
                assert floor < stamp < BOUND
                assert stamp == clock.last
                floor = stamp
            case Restart():
                clock = HybridClock(wall, last=clock.last)
            case _:
                assert_never(step)


@given(WILD_MS, st.integers(0, 2**62), st.integers(-(2**70), 2**70))
def test_a_stamp_is_accepted_exactly_up_to_the_horizon(ms: int, last: int, remote: int) -> None:
    clock = HybridClock(WallClock(ms), last=last)
    accepted = 0 <= remote <= clock.horizon()
    assert clock.observe(Timestamp(remote)) is (Observation.ACCEPTED if accepted else Observation.SUSPECT)
    assert clock.last == (max(last, remote) if accepted else last)


@given(st.lists(st.integers(1, 2**62), min_size=1), st.integers(0, 100))
def test_suspect_stamps_never_move_the_clock(aheads: list[int], ticks: int) -> None:
    clock, undisturbed = HybridClock(WallClock()), HybridClock(WallClock())
    for ahead in aheads:
        assert clock.observe(Timestamp(clock.horizon() + ahead)) is Observation.SUSPECT
    assert clock.last == undisturbed.last
    assert [clock.tick() for _ in range(ticks)] == [undisturbed.tick() for _ in range(ticks)]


def test_the_drift_is_measured_from_the_wall_clock_not_from_earlier_stamps() -> None:
    """Else peers could drag the clock into the future in small steps."""
    clock = HybridClock(WallClock(), drift_ms_max=1_000)
    edge = pack(NOW_MS + 1_000, 0)
    assert clock.observe(edge) is Observation.ACCEPTED
    assert clock.observe(pack(NOW_MS + 1_001, 0)) is Observation.SUSPECT
    assert clock.tick() == edge + 1


def test_five_minutes_ahead_are_accepted_by_default_and_a_millisecond_more_is_not() -> None:
    clock = HybridClock(WallClock())
    assert clock.observe(pack(NOW_MS + 300_000, 65_535)) is Observation.ACCEPTED
    assert clock.observe(pack(NOW_MS + 300_001, 0)) is Observation.SUSPECT
    assert DRIFT_MS_MAX == 300_000


def test_a_tick_shows_wall_time_when_wall_time_leads() -> None:
    wall = WallClock()
    clock = HybridClock(wall)
    clock.tick()
    wall.ms += 5
    assert clock.tick() == pack(NOW_MS + 5, 0)


def test_a_wall_clock_that_goes_back_holds_no_stamp_back() -> None:
    wall = WallClock()
    clock = HybridClock(wall)
    first = clock.tick()
    wall.ms -= 10 * 365 * DAY_MS
    assert clock.tick() == first + 1


def test_more_ticks_than_the_counter_holds_carry_into_the_milliseconds() -> None:
    clock = HybridClock(WallClock())
    stamps = [clock.tick() for _ in range(65_538)]
    assert stamps == sorted(set(stamps))
    assert stamps[65_535] == pack(NOW_MS, 65_535)
    assert stamps[65_536] == pack(NOW_MS + 1, 0)
    assert stamps[65_537] == pack(NOW_MS + 1, 1)


def test_a_full_counter_that_was_observed_carries_as_well() -> None:
    clock = HybridClock(WallClock())
    clock.observe(pack(NOW_MS, 65_535))
    assert clock.tick() == pack(NOW_MS + 1, 0)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=40), st.lists(SANE_MS, min_size=3, max_size=3)
)
def test_stamps_never_contradict_causality_between_nodes(sends: list[tuple[int, int]], walls: list[int]) -> None:
    """Three nodes within the drift: what is written after a message exceeds what was sent in it."""
    clocks = [HybridClock(WallClock(ms), drift_ms_max=2 * DAY_MS + 1) for ms in walls]
    for sender, receiver in sends:
        sent = clocks[sender].tick()
        assert clocks[receiver].observe(sent) is Observation.ACCEPTED
        assert clocks[receiver].tick() > sent


@pytest.mark.parametrize("ms", [-1, -(2**70), 2**47, 2**70])
def test_stamps_stay_in_range_under_an_absurd_wall_clock(ms: int) -> None:
    clock = HybridClock(WallClock(ms), drift_ms_max=2**45)
    assert clock.observe(clock.horizon()) is Observation.ACCEPTED
    for _ in range(3):
        assert 0 < clock.tick() < BOUND


def test_the_highest_stamp_a_clock_can_reach_restores_it() -> None:
    wall = WallClock(2**70)
    clock = HybridClock(wall, drift_ms_max=2**45)
    clock.observe(clock.horizon())
    last = clock.tick()
    assert HybridClock(wall, last=last).tick() == last + 1


@pytest.mark.parametrize("last", [-1, 2**63 - 1, 2**63])
def test_a_saved_stamp_that_no_clock_reaches_is_refused(last: int) -> None:
    with pytest.raises(ValueError, match="no clock"):
        HybridClock(WallClock(), last=last)


@pytest.mark.parametrize("drift_ms_max", [-1, 2**45 + 1])
def test_a_drift_outside_its_range_is_refused(drift_ms_max: int) -> None:
    with pytest.raises(ValueError, match="drift"):
        HybridClock(WallClock(), drift_ms_max=drift_ms_max)


def test_a_fresh_clock_has_given_nothing() -> None:
    assert HybridClock(WallClock()).last == 0


@given(st.integers(0, 2**47 - 1), st.integers(0, 65_535))
def test_pack_keeps_both_parts_and_their_order(ms: int, counter: int) -> None:
    stamp = pack(ms, counter)
    assert (millis(stamp), logical(stamp)) == (ms, counter)
    assert 0 <= stamp < BOUND


@given(st.tuples(st.integers(0, 9), st.integers(0, 65_535)), st.tuples(st.integers(0, 9), st.integers(0, 65_535)))
def test_stamps_sort_by_milliseconds_then_by_counter(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (pack(*one) < pack(*other)) == (one < other)


@pytest.mark.parametrize(("ms", "counter"), [(-1, 0), (2**47, 0), (0, -1), (0, 65_536)])
def test_parts_outside_their_range_make_no_stamp(ms: int, counter: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        pack(ms, counter)
