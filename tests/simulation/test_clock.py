"""The clock of a node: wrong in the ways that clocks are wrong, and never outside of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import DRIFT_MS_MAX, HybridClock
from holdfast.simulation.choices import SeededChoices
from holdfast.simulation.clock import MAX_MS, START_MS, NodeClock, drawn_clock

from .loops import FirstInLine

DAY_MS = 86_400_000


class Virtual:
    """Virtual time that a test moves."""

    def __init__(self):
        self.us = 0

    def __call__(self):
        return self.us

    def sleep(self, ms):
        self.us += ms * 1000


@pytest.fixture
def virtual():
    return Virtual()


def test_a_true_clock_shows_virtual_time(virtual):
    clock = NodeClock(virtual)
    assert clock.now_ms() == START_MS
    virtual.sleep(1234)
    assert clock.now_ms() == START_MS + 1234
    assert clock.error_ms() == 0


@pytest.mark.parametrize("skew_ms", [-DAY_MS, 500])
def test_a_skewed_clock_stays_ahead_or_behind(virtual, skew_ms):
    clock = NodeClock(virtual, skew_ms=skew_ms)
    virtual.sleep(DAY_MS)
    assert clock.error_ms() == skew_ms


def test_a_clock_jumps_both_ways(virtual):
    clock = NodeClock(virtual)
    clock.jump(10 * DAY_MS)
    assert clock.error_ms() == 10 * DAY_MS
    clock.jump(-11 * DAY_MS)
    assert clock.error_ms() == -DAY_MS


def test_a_frozen_clock_stands_and_goes_on_from_there(virtual):
    clock = NodeClock(virtual, drift_ppm=300)
    virtual.sleep(DAY_MS)
    clock.freeze()
    stood = clock.now_ms()
    virtual.sleep(5_000)
    assert clock.now_ms() == stood
    clock.jump(100)
    assert clock.now_ms() == stood + 100
    clock.thaw()
    clock.thaw()
    assert clock.now_ms() == stood + 100
    virtual.sleep(7)
    assert clock.now_ms() == stood + 107


def test_a_clock_drifts_and_keeps_what_it_gained(virtual):
    clock = NodeClock(virtual, drift_ppm=100)
    virtual.sleep(DAY_MS)
    assert clock.error_ms() == 8_640
    clock.drift(-100)
    assert clock.error_ms() == 8_640
    virtual.sleep(DAY_MS)
    assert clock.error_ms() == 0


def test_a_corrected_clock_is_right_and_drifts_on(virtual):
    clock = NodeClock(virtual, skew_ms=-400, drift_ppm=1000)
    virtual.sleep(DAY_MS)
    clock.freeze()
    virtual.sleep(DAY_MS)
    clock.correct()
    assert clock.error_ms() == 0
    virtual.sleep(10_000)
    assert clock.error_ms() == 10


def test_a_coarse_clock_shows_multiples(virtual):
    clock = NodeClock(virtual, granularity_ms=100)
    virtual.sleep(199)
    assert clock.now_ms() == START_MS + 100
    clock.tick_by(1)
    assert clock.now_ms() == START_MS + 199


@pytest.mark.parametrize("jump_ms", [-(10**15), 10**15])
def test_a_clock_stays_inside_of_time_and_the_engine_can_live_with_it(virtual, jump_ms):
    clock = NodeClock(virtual)
    hybrid = HybridClock(clock)
    before = hybrid.tick()
    clock.jump(jump_ms)
    assert 0 <= clock.now_ms() <= MAX_MS
    assert hybrid.tick() > before


@given(st.integers(0, 10_000))
def test_drawn_clocks_are_wrong_within_bounds_and_follow_from_the_choices(seed):
    virtual = Virtual()
    clock, same = (
        drawn_clock(SeededChoices(seed), "a", virtual, skew_ms_max=DRIFT_MS_MAX, drift_ppm_max=50) for _ in range(2)
    )
    assert abs(clock.error_ms()) <= DRIFT_MS_MAX
    virtual.sleep(DAY_MS)
    assert clock.now_ms() == same.now_ms()
    assert abs(clock.error_ms()) <= DRIFT_MS_MAX + 50 * 86.4 + 1


def test_the_plainest_clock_is_right(virtual):
    clock = drawn_clock(FirstInLine(), "a", virtual)
    virtual.sleep(DAY_MS)
    assert clock.error_ms() == 0
