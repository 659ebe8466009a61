"""A mutant that no longer fits the code ends the run by its name, and catches nothing."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress

import pytest

from holdfast.engine.storage import apply
from holdfast.engine.storage.store import Tx
from tests.simulation.zoo import mutants as zoo

from . import mutants, purging_mutants
from .mutants import Mutant
from .planting import BrokenMutantError, planted

JOIN = apply.join


def _calls_what_is_gone(patch):
    patch.setattr(apply, "join", lambda ours, mine, theirs, others: JOIN(ours, mine, theirs))


def _asks_for_what_is_gone(patch):
    patch.setattr(Tx, "observe", lambda self, clocks: self.no_such_attribute)


def _takes_what_nobody_gives(patch):
    patch.setattr(Tx, "save", lambda self, more: None)


BROKEN = (_calls_what_is_gone, _asks_for_what_is_gone, _takes_what_nobody_gives)
SAID = r"^the mutant 'of yesterday' does not fit the code: (Type|Attribute)Error"


@pytest.mark.parametrize("plant", BROKEN)
@pytest.mark.parametrize("catches", [mutants.catches, purging_mutants.catches])
def test_a_mutant_that_does_not_fit_is_caught_by_no_fleet(catches, plant):
    with pytest.raises(BrokenMutantError, match=SAID):
        [catches(seed, Mutant("of yesterday", "Join", plant)) for seed in range(20)]


@pytest.mark.parametrize("plant", BROKEN)
def test_a_mutant_that_does_not_fit_is_caught_by_no_world(plant):
    with pytest.raises(BrokenMutantError, match=SAID):
        [zoo.caught(zoo.Mutant("of yesterday", "Join", "network", plant), seed) for seed in range(20)]


def _swallows():
    with planted("silent", lambda patch: patch.setattr(*SILENT)), suppress(LookupError):
        Spoken.found()


def test_an_error_of_its_own_is_noted_also_where_somebody_passes_over_it():
    with pytest.raises(BrokenMutantError, match="KeyError"):
        _swallows()


async def test_an_error_in_a_coroutine_of_its_own_is_noted():
    async def found():
        return {}["gone"]

    async def swallows():
        with planted("late", lambda patch: patch.setattr(Spoken, "found", found)), suppress(LookupError):
            await Spoken.found()

    with pytest.raises(BrokenMutantError, match="KeyError"):
        await swallows()


def test_statements_that_do_not_fit_the_tables_are_its_own():
    with pytest.raises(BrokenMutantError, match="no such column: gone"), planted("sql", lambda patch: None):
        sqlite3.connect(":memory:").execute("SELECT gone")


def test_what_others_raise_under_a_mutant_is_its_doing_and_no_error_of_its_own():
    with pytest.raises(TypeError), planted("honest", lambda patch: patch.setattr(Spoken, "found", lambda: 5)):
        re.compile(Spoken.found())
    with pytest.raises(sqlite3.OperationalError), planted("full", lambda patch: None):
        raise sqlite3.OperationalError("database or disk is full")


class Spoken:
    """Something to patch."""

    @staticmethod
    def found():
        return ""


SILENT = (Spoken, "found", lambda: {}["gone"])
