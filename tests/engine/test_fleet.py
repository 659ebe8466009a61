"""Random fleets end in exactly what an observer of every write foretells, and never claim more on the way."""

from __future__ import annotations

import pytest

from ..gate import first
from .fleet import run

GROUPS, PER_GROUP = 24, 25
SOAK_GROUPS, PER_SOAK_GROUP = 60, 500


@pytest.mark.parametrize("group", first(8, range(GROUPS)))
def test_a_fleet_agrees_on_the_maximal_writes(group: int):
    for seed in range(group * PER_GROUP, (group + 1) * PER_GROUP):
        run(seed)


@pytest.mark.soak
@pytest.mark.parametrize("group", range(SOAK_GROUPS))
def test_many_fleets_agree_on_the_maximal_writes(group: int):
    first = 1_000_000 + group * PER_SOAK_GROUP
    for seed in range(first, first + PER_SOAK_GROUP):
        run(seed)
