"""Every rule of purging that is broken on purpose is noticed: by a known fleet, a story, or a new search."""

from __future__ import annotations

import re

import pytest

from tests.sources import ROOT

from .planting import planted
from .purging_member import live_returning
from .purging_mutants import MUTANTS, catches, hunt
from .purging_stories import STORIES, Story, tell

TABLE = (ROOT / "docs" / "reference" / "mutants.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<name>.+) \| (?P<rule>.+) \| purging fleet (?P<seed>\d+) \|$", re.MULTILINE)
OPEN = re.compile(r"^\| (?P<name>.+) \| (?P<rule>.+) \| none of (?P<seeds>[\d,]+) \| .+ \|$", re.MULTILINE)
TOLD = re.compile(r"^\| (?P<name>.+) \| (?P<rule>.+) \| the story `(?P<story>\w+)` \|$", re.MULTILINE)
SEEDS = {row["name"]: int(row["seed"]) for row in ROW.finditer(TABLE)}
ELSEWHERE = 500_000
"""The search begins where no known seed is."""


def test_the_tables_list_every_mutant_with_its_rule():
    listed = [(row["name"], row["rule"]) for pattern in (ROW, TOLD, OPEN) for row in pattern.finditer(TABLE)]
    assert sorted(listed) == sorted((name, planted.rule) for name, planted in MUTANTS.items())


@pytest.mark.parametrize("name", SEEDS)
def test_its_fleet_catches_the_mutant(name: str):
    assert catches(SEEDS[name], MUTANTS[name])


@pytest.mark.parametrize("seed", sorted(set(SEEDS.values())))
def test_the_fleet_holds_without_the_mutant(seed: int):
    live_returning(seed)


def test_the_table_names_the_stories():
    assert {row["name"]: row["story"] for row in TOLD.finditer(TABLE)} == {n: s.__name__ for n, s in STORIES.items()}


@pytest.mark.parametrize("name", STORIES)
def test_its_story_catches_the_mutant(name: str):
    with pytest.raises(AssertionError), planted(name, MUTANTS[name].plant):
        tell(STORIES[name])


@pytest.mark.parametrize("story", dict.fromkeys(STORIES.values()), ids=lambda story: story.__name__)
def test_the_story_holds_without_the_mutant(story: Story):
    tell(story)


@pytest.mark.soak
@pytest.mark.parametrize("name", SEEDS)
def test_a_new_search_catches_the_mutant(name: str):
    assert hunt(MUTANTS[name], ELSEWHERE) is not None
