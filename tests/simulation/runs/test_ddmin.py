"""Delta debugging finds small parts and tries nothing else than parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.simulation.runs.ddmin import ddmin


@given(st.integers(0, 60), st.sets(st.integers(0, 59), max_size=5))
def test_what_is_needed_is_left_and_nothing_else(size, wanted):
    needed = {item for item in wanted if item < size}
    assert ddmin(range(size), lambda kept: needed <= {*kept}) == sorted(needed)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_what_is_left_holds_and_no_single_item_can_be_spared(items):
    def holds(kept):
        return sum(kept) >= sum(items) / 2

    kept = ddmin(items, holds)
    assert holds(kept)
    assert not [at for at in range(len(kept)) if holds(kept[:at] + kept[at + 1 :])]
