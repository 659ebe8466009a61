"""Dots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Dot
from tests.strategies import dots


@given(st.lists(dots(seq_max=300)))
def test_dots_sort_by_actor_then_by_number(some: list[Dot]) -> None:
    assert sorted(some) == sorted(some, key=lambda dot: (dot.actor, dot.seq))
