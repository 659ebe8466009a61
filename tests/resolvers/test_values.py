"""Conflicts are the same on every node."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Actor, Dot, Timestamp
from holdfast.resolvers import ConflictKind, Version, canonical, conflict_id

from .strategies import ACTORS, conflict_of, dots, siblings

ONE = Version(dot=Dot(ACTORS[0], 1), clock=Timestamp(1), value=1, text="1")


@given(siblings(), st.randoms())
def test_canonical_order_forgets_the_order_of_arrival(found: list[Version], rng: random.Random) -> None:
    shuffled = rng.sample(found, len(found))
    assert canonical(shuffled) == canonical(found)


@given(siblings())
def test_canonical_order_is_by_clock_then_actor_then_sequence(found: list[Version]) -> None:
    ranks = [(version.clock, version.dot.actor, version.dot.seq) for version in canonical(found)]
    assert ranks == sorted(ranks)


def test_one_dot_with_two_values_still_has_one_order() -> None:
    other = replace(ONE, value=2, text="2")
    assert canonical([other, ONE]) == canonical([ONE, other]) == (ONE, other)


def test_versions_compare_by_their_text() -> None:
    assert replace(ONE, value=1.0, text="1.0") != ONE
    assert hash(replace(ONE, value=[1], text="[1]"))


@given(st.lists(dots, min_size=1, max_size=6), st.randoms())
def test_a_conflict_id_depends_on_the_set_of_dots_only(found: list[Dot], rng: random.Random) -> None:
    expected = conflict_id("tasks", "t1", "title", found)
    assert conflict_id("tasks", "t1", "title", rng.sample(found, len(found)) + found[:1]) == expected
    assert len(expected) == 16
    assert set(expected) <= set("0123456789abcdef")


def test_a_conflict_id_changes_with_each_of_its_parts() -> None:
    one, two = Dot(Actor("a" * 32), 1), Dot(Actor("b" * 32), 2)
    ids = [
        conflict_id("tasks", "t1", "title", [one, two]),
        conflict_id("task", "st1", "title", [one, two]),
        conflict_id("tasks", "t2", "title", [one, two]),
        conflict_id("tasks", "t1", "null", [one, two]),
        conflict_id("tasks", "t1", None, [one, two]),
        conflict_id("tasks", "t1", "title", [one]),
        conflict_id("tasks", "t1", "title", [Dot(one.actor, 2), two]),
    ]
    assert len(set(ids)) == len(ids)


def test_a_conflict_out_of_canonical_order_is_a_programming_error() -> None:
    conflict = conflict_of([ONE, replace(ONE, clock=Timestamp(2))])
    with pytest.raises(AssertionError):
        replace(conflict, siblings=conflict.siblings[::-1])


def test_kinds_are_written_in_kebab_case() -> None:
    assert [kind.value for kind in ConflictKind] == [kind.name.lower().replace("_", "-") for kind in ConflictKind]
