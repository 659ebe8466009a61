"""The executable specification of the merge model still holds; a change of the model is tried there first."""

from __future__ import annotations

import pytest

from .merge_model import run

PER_GROUP = 100


@pytest.mark.parametrize("first", range(0, 4 * PER_GROUP, PER_GROUP))
def test_the_model_ends_in_what_an_observer_predicts(first: int):
    for seed in range(first, first + PER_GROUP):
        run(seed)


@pytest.mark.soak
def test_the_model_holds_for_long():
    for seed in range(100_000, 150_000):
        run(seed)
