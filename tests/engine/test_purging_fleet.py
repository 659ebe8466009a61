"""The hostile fleets of the purging model, with the engine's files, judged by the model's oracle."""

from __future__ import annotations

import pytest

from ..model.fleets import Fleet, FormerFleet, RestlessFleet
from .purging_member import EngineMember, closed

FEW = (*range(10), 665, 2302)
"""Seeds of every run, with those that once failed."""


def live(seed: int) -> None:
    fleet = (Fleet, RestlessFleet, Fleet, FormerFleet)[seed % 4](seed, EngineMember)
    try:
        fleet.run()
    finally:
        closed(fleet)


@pytest.mark.parametrize("seed", FEW)
def test_nothing_deleted_comes_back_and_nothing_written_is_lost(seed: int):
    live(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10_000, 14_000))
def test_more_of_them(seed: int):
    live(seed)
