"""What each field rule answers."""

from __future__ import annotations

from hypothesis import given

from holdfast.clocks import Dot, Timestamp
from holdfast.resolvers import (
    JSON,
    Conflict,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Version,
    encode,
    settle,
)

from .strategies import ACTORS, conflict_of, conflicts


def written(value: JSON, clock: int, actor: int = 0, seq: int = 1) -> Version:
    return Version(dot=Dot(ACTORS[actor], seq), clock=Timestamp(clock), value=value, text=encode(value))


def removed(clock: int, actor: int = 0) -> Version:
    return Version(dot=Dot(ACTORS[actor], 1), clock=Timestamp(clock), value=None, text="", deleted=True)


@given(conflicts())
def test_last_and_first_writer_are_the_ends_of_the_order(conflict: Conflict) -> None:
    last, first = settle(LastWriterWins(), conflict), settle(FirstWriterWins(), conflict)
    ranks = [(version.clock, version.dot.actor, version.dot.seq) for version in conflict.siblings]
    assert last.winner is not None
    assert first.winner is not None
    assert ranks[last.winner] == max(ranks)
    assert ranks[first.winner] == min(ranks)
    assert not last.open
    assert not first.open


def test_the_last_writer_is_found_by_clock_then_actor_then_sequence() -> None:
    by_clock = conflict_of([written("old", 1, actor=2), written("new", 2, actor=0)])
    by_actor = conflict_of([written("low", 1, actor=0, seq=9), written("high", 1, actor=1)])
    by_seq = conflict_of([written("early", 1, seq=9), written("late", 1, seq=10)])
    assert [settle(LastWriterWins(), conflict).value for conflict in (by_clock, by_actor, by_seq)] == [
        "new",
        "high",
        "late",
    ]


def test_a_removal_wins_by_its_own_clock() -> None:
    settlement = settle(LastWriterWins(), conflict_of([written("x", 1), removed(2)]))
    assert settlement.deleted
    assert (settlement.value, settlement.text) == (None, "")
    assert settle(LastWriterWins(), conflict_of([written("x", 3), removed(2)])).value == "x"


def test_taking_a_sibling_keeps_its_text_to_the_letter() -> None:
    spaced = Version(dot=Dot(ACTORS[0], 1), clock=Timestamp(9), value=[1, 2], text="[1, 2]")
    assert settle(LastWriterWins(), conflict_of([written(0, 1), spaced])).text == "[1, 2]"


def test_multi_value_shows_each_distinct_value_once_in_order() -> None:
    found = [written("b", 1), written("a", 2), removed(3), written("b", 4), written(1, 5), written(1.0, 6)]
    settlement = settle(MultiValue(), conflict_of(found))
    assert settlement.text == '["b","a",1,1.0]'
    assert settlement.value == ["b", "a", 1, 1.0]
    assert (settlement.winner, settlement.open, settlement.deleted) == (None, False, False)


def test_multi_value_of_removals_is_a_removal() -> None:
    settlement = settle(MultiValue(), conflict_of([removed(1), removed(2, actor=1)]))
    assert settlement.deleted
    assert not settlement.open


@given(conflicts())
def test_manual_leaves_open_and_shows_the_newest(conflict: Conflict) -> None:
    settlement = settle(Manual(), conflict)
    assert settlement.open
    assert settlement.error is None
    assert settlement.winner == len(conflict.siblings) - 1
