"""The laws of a resolver, held against every built-in one."""

from __future__ import annotations

import copy
import random
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resolvers import (
    AskOnDelete,
    Conflict,
    DeleteWins,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Resolver,
    UpdateWins,
    Version,
    rule_of,
    settle,
)

from .strategies import conflict_of, conflicts, siblings

FOR_FIELDS: list[Resolver] = [LastWriterWins(), FirstWriterWins(), MultiValue(), Manual()]
FOR_EXISTENCE: list[Resolver] = [UpdateWins(), DeleteWins(), AskOnDelete()]
FOR_BOTH: list[Resolver] = [LastWriterWins(), FirstWriterWins(), Manual(), *FOR_EXISTENCE]
CASES = [(resolver, False) for resolver in FOR_FIELDS + FOR_EXISTENCE] + [(resolver, True) for resolver in FOR_BOTH]

every_rule = pytest.mark.parametrize(
    ("resolver", "existence"),
    CASES,
    ids=[f"{resolver.name}-{'existence' if existence else 'field'}" for resolver, existence in CASES],
)


@every_rule
@given(data=st.data(), rng=st.randoms())
def test_the_order_of_siblings_changes_nothing(
    resolver: Resolver, existence: bool, data: st.DataObject, rng: random.Random
) -> None:
    found: list[Version] = data.draw(siblings(existence=existence))
    shuffled = rng.sample(found, len(found))
    expected = settle(resolver, conflict_of(found, existence=existence))
    assert settle(resolver, conflict_of(shuffled, existence=existence)) == expected


@every_rule
@given(data=st.data())
def test_repetition_changes_nothing(resolver: Resolver, existence: bool, data: st.DataObject) -> None:
    conflict: Conflict = data.draw(conflicts(existence=existence))
    first = resolver.resolve(conflict)
    assert resolver.resolve(conflict) == first
    assert settle(resolver, conflict) == settle(resolver, conflict)


@every_rule
@given(data=st.data())
def test_every_conflict_has_a_legal_answer(resolver: Resolver, existence: bool, data: st.DataObject) -> None:
    settlement = settle(resolver, data.draw(conflicts(existence=existence)))
    assert settlement.error is None
    assert settlement.rule == rule_of(resolver)


@every_rule
@given(data=st.data())
def test_the_input_is_left_as_it_was(resolver: Resolver, existence: bool, data: st.DataObject) -> None:
    conflict: Conflict = data.draw(conflicts(existence=existence))
    before = copy.deepcopy(conflict)
    resolver.resolve(conflict)
    assert conflict == before
    assert [sibling.value for sibling in conflict.siblings] == [sibling.value for sibling in before.siblings]


@pytest.mark.parametrize("resolver", FOR_FIELDS + FOR_EXISTENCE, ids=lambda resolver: resolver.name)
def test_built_in_rules_are_values(resolver: Resolver) -> None:
    assert type(resolver)() == resolver
    assert hash(type(resolver)()) == hash(resolver)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        resolver.version = 2  # type: ignore[misc]


def test_built_in_rules_have_different_names() -> None:
    names = {resolver.name for resolver in FOR_FIELDS + FOR_EXISTENCE}
    assert len(names) == len(FOR_FIELDS + FOR_EXISTENCE)
