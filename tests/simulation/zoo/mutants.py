"""The zoo: every mutant that simulated worlds are to catch, and the world in which each is hunted.

A mutant is a patched function. The rules of the merge model are broken as for the fleets of tests/engine (same
definitions); the others are what only a world can notice: crashes, power cuts, disks, clocks, copies, programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.engine import planting

from .worlds import WORLDS, HangsError, verdict

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken rule.

    Attributes:
        name: How it is broken.
        rule: Which rule, or class of bugs (`B` and its number), that is.
        world: Where it is hunted.
        plant: Plants it.
    """

    name: str
    rule: str
    world: str
    plant: Callable[[Patch], None]


ZOO: dict[str, Mutant] = {}


def mutant(name: str, rule: str, world: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function that plants a mutant."""
    assert world in WORLDS, world

    def register(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        assert name not in ZOO, name
        ZOO[name] = Mutant(name, rule, world, plant)
        return plant

    return register


def caught(planted: Mutant, seed: int) -> str:
    """The invariant that the world of this seed says is broken when the mutant is planted; "" if it holds.

    What is no violation (a world that does not end, an error that is no verdict) catches nothing.

    Raises:
        BrokenMutantError: The mutant failed by itself: it says nothing of its rule.
    """
    with planting.planted(planted.name, planted.plant) as patch:
        try:
            violation = verdict(WORLDS[planted.world].outcome(seed))
        except HangsError:
            return ""
        patch.look(violation)
    return violation.invariant if violation is not None else ""
