"""Every mutant of the zoo is caught by the world that the table names, and searched anew in long runs."""

from __future__ import annotations

import re

import pytest

from holdfast.engine import opening

from ..engine.mutants import MUTANTS
from ..gate import only
from .zoo import ZOO
from .zoo.exempt import BUGS, EQUIVALENT, OPEN
from .zoo.hunt import SEEDS_MAX, hunt
from .zoo.mutants import caught
from .zoo.table import PAGE, WORLD_ROWS, rows, world_rows
from .zoo.worlds import holds

KNOWN = rows()
ELSEWHERE = 500_000
"""The search begins where no known seed is."""

LONG = {"a peer that holds more of this identity is no sign", "a vector note is resolved against whatever is held"}
"""Mutants that keep their world busy for seconds before it is noticed."""

BY_WORLDS = [name for name in KNOWN if name not in MUTANTS and name not in LONG]
"""What is planted at each push: mutants that no fleet of tests/engine catches there."""


def test_the_table_lists_every_mutant_with_its_rule_and_world():
    listed = {name: (row.rule, row.world) for name, row in KNOWN.items()}
    assert listed == {name: (each.rule, each.world) for name, each in ZOO.items() if name not in OPEN}
    assert list(listed) == [name for name in ZOO if name in listed]


def test_the_page_says_what_the_worlds_are():
    assert WORLD_ROWS.findall(PAGE.read_text(encoding="utf-8")) == world_rows()


def test_every_class_of_bugs_has_a_mutant_or_a_reason():
    text = PAGE.read_text(encoding="utf-8")
    mutants = {bug for each in ZOO.values() for bug in re.findall(r"\bB\d+\b", each.rule)}
    assert mutants | BUGS.keys() == {f"B{number}" for number in range(1, 45)}
    assert not mutants & BUGS.keys()
    for name, reason in {**BUGS, **EQUIVALENT, **OPEN}.items():
        assert f"| {name} | {reason} |" in text


@pytest.mark.parametrize("name", only(BY_WORLDS, KNOWN))
def test_its_world_catches_the_mutant(name: str):
    assert caught(ZOO[name], KNOWN[name].seed) == KNOWN[name].invariant


@pytest.mark.thorough
@pytest.mark.parametrize(("world", "seed"), sorted({(row.world, row.seed) for row in KNOWN.values()}))
def test_the_world_holds_without_the_mutant(world: str, seed: int):
    assert holds(world, seed)


def test_a_file_that_no_power_cut_leaves_is_a_verdict_and_no_error_of_the_world(monkeypatch):
    monkeypatch.setattr(opening, "_settle_birth", lambda *_: None)  # which would make its name certain
    assert caught(ZOO["commits are not synced to the disk"], 500_000)


@pytest.mark.soak
@pytest.mark.parametrize("name", ZOO)
def test_a_new_search_catches_the_mutant(name: str):
    assert hunt(ZOO[name], range(ELSEWHERE, ELSEWHERE + SEEDS_MAX)) is not None
