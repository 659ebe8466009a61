"""Delete against update, under each policy."""

from __future__ import annotations

import pytest
from hypothesis import given

from holdfast.clocks import Dot, Timestamp
from holdfast.resolvers import AskOnDelete, Conflict, DeleteWins, LastWriterWins, Resolver, UpdateWins, Version, settle

from .strategies import ACTORS, conflict_of, conflicts


def sibling(clock: int, *, dead: bool) -> Version:
    return Version(dot=Dot(ACTORS[0], clock), clock=Timestamp(clock), value=None, text="", deleted=dead)


ALIVE_THEN_DEAD = conflict_of([sibling(1, dead=False), sibling(2, dead=True)], existence=True)
DEAD_THEN_ALIVE = conflict_of([sibling(1, dead=True), sibling(2, dead=False)], existence=True)
ALL_DEAD = conflict_of([sibling(1, dead=True), sibling(2, dead=True)], existence=True)
ALL_ALIVE = conflict_of([sibling(1, dead=False), sibling(2, dead=False)], existence=True)


@pytest.mark.parametrize("conflict", [ALIVE_THEN_DEAD, DEAD_THEN_ALIVE])
@pytest.mark.parametrize(
    ("resolver", "dead", "left_open"),
    [(UpdateWins(), False, False), (DeleteWins(), True, False), (AskOnDelete(), False, True)],
)
def test_the_policy_decides_whatever_the_clocks_say(
    resolver: Resolver, dead: bool, left_open: bool, conflict: Conflict
) -> None:
    settlement = settle(resolver, conflict)
    assert (settlement.deleted, settlement.open, settlement.error) == (dead, left_open, None)
    assert settlement.winner is not None
    assert conflict.siblings[settlement.winner].deleted is dead


@pytest.mark.parametrize("resolver", [UpdateWins(), DeleteWins(), AskOnDelete()])
@pytest.mark.parametrize(("conflict", "dead"), [(ALL_DEAD, True), (ALL_ALIVE, False)])
def test_siblings_that_agree_are_settled_by_the_newest(resolver: Resolver, conflict: Conflict, dead: bool) -> None:
    settlement = settle(resolver, conflict)
    assert (settlement.deleted, settlement.winner, settlement.open) == (dead, 1, False)


@given(conflicts(existence=True))
def test_the_newest_of_the_winning_side_is_taken(conflict: Conflict) -> None:
    for resolver, wanted in ((UpdateWins(), False), (DeleteWins(), True)):
        side = [index for index, version in enumerate(conflict.siblings) if version.deleted is wanted]
        assert settle(resolver, conflict).winner == (side or range(len(conflict.siblings)))[-1]


def test_alive_beats_dead_when_no_rule_can_be_asked() -> None:
    settlement = settle(None, ALIVE_THEN_DEAD)
    assert (settlement.deleted, settlement.open, settlement.winner) == (False, True, 0)


def test_the_last_writer_may_rule_existence_too() -> None:
    assert settle(LastWriterWins(), ALIVE_THEN_DEAD).deleted
    assert not settle(LastWriterWins(), DEAD_THEN_ALIVE).deleted
