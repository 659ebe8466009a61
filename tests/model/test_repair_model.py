"""The specification of repair holds, and each of its rules is needed."""

from __future__ import annotations

import pytest

from .repair_model import CAUGHT_AT, Mender, run, run_diverged


@pytest.mark.parametrize("first", range(0, 200, 100))
@pytest.mark.parametrize("fleet", [run, run_diverged])
def test_what_anybody_still_holds_comes_back_and_nothing_that_was_replaced(fleet, first: int):
    for seed in range(first, first + 100):
        fleet(seed)


@pytest.mark.parametrize("mutant", CAUGHT_AT, ids=lambda mutant: mutant.__name__)
def test_a_planted_mutant_is_caught(mutant: type[Mender]):
    fleet, seed = CAUGHT_AT[mutant]
    with pytest.raises(AssertionError, match=r"diverged|lost|came back"):
        fleet(seed, mutant)
    fleet(seed)


@pytest.mark.soak
def test_such_fleets_hold_for_long():
    for seed in range(100_000, 120_000):
        run(seed)
        run_diverged(seed)
