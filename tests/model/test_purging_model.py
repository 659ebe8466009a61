"""The specification of purging, membership and seals holds, and its generator finds what it is meant to find."""

from __future__ import annotations

import random

import pytest

from .fleets import Fleet, FormerFleet, RestlessFleet, SealingFleet, run
from .former_rules import FormerCitizen
from .membership_model import Citizen
from .mutants import CAUGHT_AT, RARELY_CAUGHT, SEALS_CAUGHT_AT
from .observer import Observer, Violation
from .sealing_model import Sealer


def run_all(seeds, member, fleet=Fleet):
    for seed in seeds:
        run(seed, member, fleet)


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_hostile_fleets_end_in_what_an_observer_predicts(first: int):
    run_all(range(first, first + 100), Citizen)


def test_fleets_of_the_former_generator_do_so_too():
    run_all([3380, *range(100)], Citizen, FormerFleet)


def test_fleets_on_bad_links_and_disks_do_so_too():
    run_all(range(50), Citizen, RestlessFleet)


def test_sealed_identities_leave_the_vectors_and_change_nothing_else():
    run_all(range(50), Sealer, SealingFleet)


def test_vectors_stay_short_while_identities_come_and_go():
    truth = Observer()
    hub = Sealer("H", truth)
    hub.found(["H"])
    rng = random.Random(0)
    for number in range(50):
        guest = hub.sponsor(f"G{number}")
        guest.pull(hub, rng, may_cut=False)
        guest.put(f"k{number % 5}", "fg")
        hub.pull(guest, rng, may_cut=False)
        hub.purge()
        hub.expire(guest.name)
        hub.seal(guest.name)
    assert len(hub.pasts) == 51
    assert hub.vv.keys() == {"H", *(f"G{number}" for number in range(50))}
    assert max(len(hub.kept(vector)[1]) for vector in [hub.vv, hub.fence, hub.horizon, *hub.known.values()]) <= 2
    guest.put("k0", "f")  # one that was sealed comes back
    hub.pull(guest, rng, may_cut=False)
    assert hub.vv[guest.name] == guest.seq
    assert guest.name in hub.counted()
    assert len(hub.kept(hub.vv)[1]) == 2


def test_the_former_rules_fail_in_such_fleets():
    with pytest.raises(Violation, match="resurrected"):
        run(498, FormerCitizen)
    run(498, Citizen)


@pytest.mark.parametrize("mutant", CAUGHT_AT, ids=lambda mutant: mutant.__name__)
def test_a_planted_mutant_is_caught(mutant: type[Citizen]):
    fleet, seed = CAUGHT_AT[mutant]
    with pytest.raises(Violation):
        run(seed, mutant, fleet)
    run(seed, Citizen, fleet)


@pytest.mark.parametrize("mutant", SEALS_CAUGHT_AT, ids=lambda mutant: mutant.__name__)
def test_a_planted_mutant_of_seals_is_caught(mutant: type[Sealer]):
    seed = SEALS_CAUGHT_AT[mutant]
    with pytest.raises(Violation):
        run(seed, mutant, SealingFleet)
    run(seed, Sealer, SealingFleet)


@pytest.mark.soak
def test_hostile_fleets_hold_for_long():
    run_all(range(100_000, 200_000), Citizen)


@pytest.mark.soak
def test_fleets_of_the_former_generator_hold_for_long():
    run_all(range(50_000), Citizen, FormerFleet)


@pytest.mark.soak
def test_sealing_fleets_hold_for_long():
    run_all(range(100_000, 120_000), Sealer, SealingFleet)


@pytest.mark.soak
@pytest.mark.parametrize("mutant", RARELY_CAUGHT, ids=lambda mutant: mutant.__name__)
def test_a_mutant_that_shows_rarely_is_caught(mutant: type[Citizen]):
    with pytest.raises(Violation):
        run_all(range(50_000), mutant, RestlessFleet)
