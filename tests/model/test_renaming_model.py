"""The specification of giving up names holds, and shows why records are passed over less than merge.md says."""

from __future__ import annotations

import pytest

from .renaming_model import CAUGHT_AT, Renamer, run


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_nodes_whose_operations_get_new_names_agree_and_lose_nothing(first: int):
    for seed in range(first, first + 100):
        run(seed)


@pytest.mark.parametrize("mutant", CAUGHT_AT, ids=lambda mutant: mutant.__name__)
def test_a_planted_mutant_is_caught(mutant: type[Renamer]):
    with pytest.raises(AssertionError, match=r"diverged|not the maximal writes"):
        run(CAUGHT_AT[mutant], mutant)
    run(CAUGHT_AT[mutant])


@pytest.mark.soak
def test_such_fleets_hold_for_long():
    for seed in range(100_000, 120_000):
        run(seed)
