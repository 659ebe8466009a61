"""Mutants of the engine in watched fleets: each is caught at a known seed, and by the checker whose matter it is."""

from __future__ import annotations

import pytest

from holdfast.errors import Violation
from tests.engine.mutants import MUTANTS

from .fleet import FleetError, run

SPEAKERS = {
    "the join keeps what the other side has superseded": (0, "I9"),
    "the join takes back what this side has superseded": (2, "I9"),
    "a state that is not newer replaces ours": (0, "I1"),
    "a state that knows less is taken for nothing new": (0, "I7"),
    "delete clears the cells": (0, "I3"),
    "a reborn record keeps its hidden cells": (0, "I5"),
    "put leaves the fields that it does not name": (0, "I5"),
    "an update does not write the frontier": (0, "I5"),
    "a removed field is not superseded": (0, "I5"),
    "records of a cut session carry no extra context": (0, "I7"),
    "records that are new carry no extra context": (0, "I7"),
    "records are passed on without their extra context": (2, "I5"),
    "a local write drops the extra context": (2, "I7"),
    "a conflict that ended stays in the inbox": (4, "I10"),
    "siblings are discarded without the ledger": (4, "I1"),
    "equal values are a conflict": (0, "I3"),
    "the digest forgets the old value": (0, "I13"),
    "the clock is not saved": (0, "I8"),
    "the clock does not follow the stamps that it accepts": (0, "I8"),
}


@pytest.mark.parametrize("name", SPEAKERS)
def test_a_mutant_is_named_by_the_checker_whose_matter_it_is(name, monkeypatch):
    seed, invariant = SPEAKERS[name]
    MUTANTS[name].plant(monkeypatch)
    with pytest.raises(FleetError) as caught:
        run(seed)
    violation = caught.value.__cause__
    assert isinstance(violation, Violation), repr(violation)
    assert violation.invariant.split()[0] == invariant, str(violation)
    assert violation.evidence["node"] in "abc"
