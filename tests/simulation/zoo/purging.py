"""Rules of purging: those mutants of the purging fleets that worlds are to catch as well.

The fleets know no crash, no copy and no wire; worlds have all of it, and a model that purges nothing. Those that are
not listed here are the fleets' (tests/engine/purging_mutants.py).
"""

from __future__ import annotations

from tests.engine.purging_mutants import MUTANTS

from .mutants import ZOO, Mutant

_HUNTED = (
    "the fence rises without waiting for what members know",
    "what is dead beyond the fence is dropped",
    "the horizon does not rise when a record goes",
    "cells are judged by the vector",
    "existence is forgotten like other cells",
    "absences are heard and not heeded",
    "what stands at its sender counts as absent",
)

_AWAY = frozenset(
    {
        "the horizon does not rise when a record goes",
        "cells are judged by the vector",
        "absences are heard and not heeded",
    }
)
"""Those that a small world shows too rarely: they need records that are deleted while one who holds them is away."""

for _name in _HUNTED:
    _world = "away" if _name in _AWAY else "purges"
    ZOO[_name] = Mutant(_name, f"Purging; {MUTANTS[_name].rule}", _world, MUTANTS[_name].plant)
