"""The hostile fleets of the purging model, with the engine's files, judged by the model's oracle."""

from __future__ import annotations

import pytest

from .purging_member import live, live_returning, live_sealing

FEW = (*range(10), 665, 2302)
"""Seeds of every run, with those that once failed."""


@pytest.mark.parametrize("seed", FEW)
def test_nothing_deleted_comes_back_and_nothing_written_is_lost(seed: int):
    live(seed)


@pytest.mark.parametrize("seed", range(20))
def test_who_was_away_meets_what_is_gone(seed: int):
    live_returning(seed)


@pytest.mark.parametrize("seed", range(10))
def test_identities_leave_the_vectors_and_nothing_else_changes(seed: int):
    live_sealing(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10_000, 12_000))
def test_more_of_those_that_seal(seed: int):
    live_sealing(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 14_000, 100))
def test_more_of_them(first: int):
    for seed in range(first, first + 100):
        live(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 20_000, 100))
def test_more_who_were_away_meet_what_is_gone(first: int):
    for seed in range(first, first + 100):
        live_returning(seed)
