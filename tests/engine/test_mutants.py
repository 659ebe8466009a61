"""Every rule of the merge model that is broken on purpose is noticed: by a known fleet, and by a new search."""

from __future__ import annotations

import re

import pytest

from tests.sources import ROOT

from .fleet import run
from .mutants import MUTANTS, catches, hunt

TABLE = ROOT / "docs" / "reference" / "mutants.md"
ROW = re.compile(r"^\| (?P<name>.+) \| (?P<rule>.+) \| fleet (?P<seed>\d+) \|$", re.MULTILINE)
SEEDS = {row["name"]: int(row["seed"]) for row in ROW.finditer(TABLE.read_text(encoding="utf-8"))}
ELSEWHERE = 500_000
"""The search begins where no known seed is."""


def test_the_table_lists_every_mutant_with_its_rule():
    listed = {row["name"]: row["rule"] for row in ROW.finditer(TABLE.read_text(encoding="utf-8"))}
    assert listed == {name: planted.rule for name, planted in MUTANTS.items()}


@pytest.mark.parametrize("name", MUTANTS)
def test_its_fleet_catches_the_mutant(name: str):
    assert catches(SEEDS[name], MUTANTS[name])


@pytest.mark.parametrize("seed", sorted(set(SEEDS.values())))
def test_the_fleet_holds_without_the_mutant(seed: int):
    run(seed)


@pytest.mark.soak
@pytest.mark.parametrize("name", MUTANTS)
def test_a_new_search_catches_the_mutant(name: str):
    assert hunt(MUTANTS[name], ELSEWHERE) is not None
