"""Mutants of purging: the rules by which deleted records go and what returns is met, each broken in one function.

Each has a fleet of purging nodes that catches it (purging_member.py); their seeds are the table of
docs/reference/mutants.md, whose rows `python -m tests.engine.purging_mutants` finds anew. Those that no fleet
has shown yet stand there as well, with what was searched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from holdfast.clocks import EMPTY, NO_DOTS, DotRanges
from holdfast.engine import forgetting, join
from holdfast.engine.cells import Record
from holdfast.engine.join import Memory
from holdfast.engine.storage import absence, apply, feed, follow, purge, roster, rows
from holdfast.engine.storage.rows import Records, Row
from holdfast.engine.storage.store import Tx

from . import planting, purging_member
from .mutants import Mutant, Patch
from .purging_member import EngineMember, live_returning

SEARCH_MAX = 20_000
MUTANTS: dict[str, Mutant] = {}
Merge = apply._Merge


def mutant(name: str, rule: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function that plants a mutant."""

    def register(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[name] = Mutant(name, rule, plant)
        return plant

    return register


def _plant_forget(patch: Patch, raised: Callable[..., None]) -> None:
    """What the horizon rises to when records go."""
    original = purge.forget

    def forget(tx, records, beyond=EMPTY, **named):
        with Patch.context() as inner:
            inner.setattr(Tx, "raise_horizon", raised)
            original(tx, records, beyond, **named)

    for module in (purge, rows):
        patch.setattr(module, "forget", forget)


def _plant_hear(patch: Patch, changed: Callable[[absence.Absences], absence.Absences]) -> None:
    """What an absence is taken to say."""
    original = absence.apply_absences
    for module in (purging_member, forgetting):
        patch.setattr(module, "apply_absences", lambda tx, theirs, places: original(tx, changed(theirs), places))


# -- fence and drop ----------------------------------------------------------------------------------------------------


@mutant("the fence rises without waiting for what members know", "I5")
def _(patch: Patch) -> None:
    patch.setattr(roster, "_waits_for", lambda tx: ())
    patch.setattr(EngineMember, "_known_of", lambda self, name: self.vv)


@mutant("what is dead beyond the fence is dropped", "Rule 7")
def _(patch: Patch) -> None:
    patch.setattr(purge._Fence, "covers_death", lambda self, cells: bool(cells))


@mutant("a record with an unsettled extra context is dropped", "Rule 7; I1")
def _(patch: Patch) -> None:
    for name in ("_DEAD", "_AT"):
        patch.setattr(purge, name, getattr(purge, name).replace("lsn, extra", "lsn, NULL"))


@mutant("the fence is heard of by nobody but who decides", "Rule 8")
def _(patch: Patch) -> None:
    original = EngineMember.pull

    def pull(self, *arguments, **named):
        with Patch.context() as inner:
            inner.setattr(Tx, "raise_fence", lambda self, fence: None)
            original(self, *arguments, **named)

    patch.setattr(EngineMember, "pull", pull)


@mutant("the fence is not met before absences", "Rule 8")
def _(patch: Patch) -> None:
    original = absence.apply_absences

    def hear(tx, theirs, places):
        with Patch.context() as inner:
            inner.setattr(Tx, "raise_fence", lambda self, fence: None)
            return original(tx, theirs, places)

    patch.setattr(EngineMember, "_meet_fence", lambda self, source: None)
    for module in (purging_member, forgetting):
        patch.setattr(module, "apply_absences", hear)


# -- the horizon -------------------------------------------------------------------------------------------------------


@mutant("the horizon does not rise when a record goes", "Rule 7; I2")
def _(patch: Patch) -> None:
    _plant_forget(patch, lambda self, horizon: None)


@mutant("the horizon rises to the fence alone", "Rule 7; I2")
def _(patch: Patch) -> None:
    original = Tx.raise_horizon
    _plant_forget(patch, lambda self, horizon: original(self, self.purging.fence))


@mutant("the horizon leaves out the extra context of what goes", "Rule 7; I2")
def _(patch: Patch) -> None:
    original = Tx.raise_horizon
    _plant_forget(patch, lambda self, horizon: original(self, self.vector))


@mutant("what was emptied while it stood nowhere does not raise the horizon", "Rule 9; I2")
def _(patch: Patch) -> None:
    original = Merge._empty

    def empty(self, stored, context):
        with Patch.context() as inner:
            if stored.row is None:
                inner.setattr(Tx, "raise_horizon", lambda self, horizon: None)
            original(self, stored, context)

    patch.setattr(Merge, "_empty", empty)


@mutant("the horizon stays at home", "Rule 8; I2")
def _(patch: Patch) -> None:
    original = feed.fence_and_horizon
    patch.setattr(feed, "fence_and_horizon", lambda connection: (original(connection)[0], EMPTY))


# -- the join of what was forgotten ------------------------------------------------------------------------------------


@mutant("an absent record joins as if nothing had been forgotten", "Rule 2")
def _(patch: Patch) -> None:
    patch.setattr(apply, "replace", lambda known, forgotten: known)


@mutant("cells are judged by the vector", "Rule 2")
def _(patch: Patch) -> None:
    patch.setattr(Memory, "remembers", Memory.knows)


@mutant("existence is forgotten like other cells", "Rule 1; I1")
def _(patch: Patch) -> None:
    patch.setattr(Memory, "knows", Memory.remembers)


@mutant("an absent record is taken whole, its existence too", "Rule 1; I1")
def _(patch: Patch) -> None:
    def adopt(ours, mine, theirs, others) -> Record:
        news = not ours.existence and not all(map(mine.knows, theirs.existence))
        return join.join(ours, Memory(EMPTY) if news else mine, theirs, others)

    patch.setattr(apply, "join", adopt)


@mutant("who covers the fence brings an absent record's cells in parts", "Rule 3")
def _(patch: Patch) -> None:
    merging: list[Merge] = []
    original = Merge._join

    def remember(self, arrival, stored) -> None:
        merging[:] = [self]
        original(self, arrival, stored)

    def joined(ours, mine, theirs, others) -> Record:
        covers = others.context.dominates(merging[0].tx.purging.fence) and not others.forgotten
        return join.join(ours, Memory(mine.context) if covers and not ours.existence else mine, theirs, others)

    patch.setattr(Merge, "_join", remember)
    patch.setattr(apply, "join", joined)


@mutant("whoever joins a record drops what was forgotten of it", "Rule 3; I4")
def _(patch: Patch) -> None:
    patch.setattr(Memory, "still_forgotten", lambda self, other: NO_DOTS)


@mutant("what both have forgotten counts as remembered", "Rule 3; I4")
def _(patch: Patch) -> None:
    def still_forgotten(self, other) -> DotRanges:
        return self.forgotten.beyond(other.context) | other.forgotten.beyond(self.context)

    patch.setattr(Memory, "still_forgotten", still_forgotten)


@mutant("what the other side never took in counts as remembered", "Rule 3; I4")
def _(patch: Patch) -> None:
    patch.setattr(Memory, "still_forgotten", lambda self, other: self.forgotten & other.forgotten)


@mutant("who covers the fence remembers, whatever he says that he forgot", "Rule 3; I3")
def _(patch: Patch) -> None:
    original = Merge._taken_back

    def taken_back(self, stored, known, theirs, others) -> Memory:
        return original(self, stored, known, theirs, Memory(others.context))

    patch.setattr(Merge, "_taken_back", taken_back)


@mutant("who is behind the fence remembers as well", "Rule 3; I3")
def _(patch: Patch) -> None:
    def taken_back(self, stored, known, theirs, others) -> Memory:
        stored.returned = any(known.knows(stamp.dot) for stamp in theirs.stamps())
        return Memory(known.context)

    patch.setattr(Merge, "_taken_back", taken_back)


@mutant("a put on a dead record keeps what was forgotten of it", "Rule 5")
def _(patch: Patch) -> None:
    patch.setattr(Records, "reborn", lambda self, stored: None)


@mutant("a put on a dead record makes it an ordinary one", "Rule 5")
def _(patch: Patch) -> None:
    def reborn(self, stored) -> None:
        if not self.current(stored).alive:
            stored.returned, stored.forgotten = False, NO_DOTS

    patch.setattr(Records, "reborn", reborn)


# -- returned records --------------------------------------------------------------------------------------------------


@mutant("a record that returned is passed on as ordinary", "Rule 4")
def _(patch: Patch) -> None:
    original = Merge._change

    def change(self, stored, joined, forgotten, *, returned) -> bool:
        return original(self, stored, joined, forgotten, returned=False)

    patch.setattr(Merge, "_change", change)


@mutant("a record that returned is ordinary once nothing of it is forgotten", "Rule 4")
def _(patch: Patch) -> None:
    original = Merge._change

    def change(self, stored, joined, forgotten, *, returned) -> bool:
        stored.returned = False
        return original(self, stored, joined, forgotten, returned=False)

    patch.setattr(Merge, "_change", change)


@mutant("a record that comes back where a part of it is known is ordinary", "Rule 4")
def _(patch: Patch) -> None:
    original = Merge._taken_back

    def taken_back(self, stored, known, theirs, others) -> Memory:
        memory = original(self, stored, known, theirs, others)
        stored.returned = bool(memory.forgotten)
        return memory

    patch.setattr(Merge, "_taken_back", taken_back)


@mutant("a returned record is skipped by its frontier", "Rule 4")
def _(patch: Patch) -> None:
    patch.setattr(feed, "_BEHIND", feed._BEHIND.replace(" OR r.returned IS NOT NULL", ""))


@mutant("a returned record is skipped and shortened by what is held of it", "Rule 4")
def _(patch: Patch) -> None:
    original = feed._Sent._pack

    def pack(self, rows) -> None:
        first = len(self.rows)
        original(self, [(*row[: feed._RETURNED], None) for row in rows])
        whole = {row[1:3]: row for row in rows}
        self.rows[first:] = [whole[row[1:3]] for row in self.rows[first:]]

    patch.setattr(feed._Sent, "_pack", pack)


@mutant("a returned record here is settled without the join", "Rule 4")
def _(patch: Patch) -> None:
    original = Row.is_settled
    patch.setattr(Row, "is_settled", lambda self: original(self._replace(returned=None)))


@mutant("a returned record that came is settled without the join", "Rule 4")
def _(patch: Patch) -> None:
    original = follow.Follower._simple

    def simple(self, rows, found):
        batch = self.batch
        self.batch = replace(batch, delta=replace(batch.delta, returned={}))
        try:
            return original(self, rows, found)
        finally:
            self.batch = batch

    patch.setattr(follow.Follower, "_simple", simple)


@mutant("a returned record that came is inserted without the join", "Rule 4")
def _(patch: Patch) -> None:
    original = apply.unseen_rows
    patch.setattr(apply, "unseen_rows", lambda delta, ours, sent: original(replace(delta, returned={}), ours, sent))


@mutant("records of who is behind the fence are inserted without the join", "Rule 4; I3")
def _(patch: Patch) -> None:
    patch.setattr(Merge, "_knows_what_went", lambda self: not self.tx.has_stubs)


@mutant("records are inserted in the place of a stub without the join", "Rule 9")
def _(patch: Patch) -> None:
    patch.setattr(Merge, "_knows_what_went", lambda self: self.batch.vector.dominates(self.tx.purging.fence))


# -- absences ----------------------------------------------------------------------------------------------------------


@mutant("absences are heard and not heeded", "Rule 9")
def _(patch: Patch) -> None:
    for module in (purging_member, forgetting):
        patch.setattr(module, "apply_absences", lambda tx, theirs, places: 0)


@mutant("an absence speaks for the fence", "Rule 9; I1")
def _(patch: Patch) -> None:
    _plant_hear(patch, lambda theirs: replace(theirs, vector=theirs.fence))


@mutant("an absence remembers the cells of what went", "Rule 9; I2")
def _(patch: Patch) -> None:
    _plant_hear(patch, lambda theirs: replace(theirs, horizon=EMPTY))


@mutant("what stands at its sender counts as absent", "Rule 9")
def _(patch: Patch) -> None:
    original = absence.absent_here
    nothing = {"buckets": (*range(absence.BUCKETS),), "keys": frozenset[int]()}
    for module in (purging_member, forgetting):
        patch.setattr(
            module, "absent_here", lambda connection, theirs: original(connection, replace(theirs, **nothing))
        )


@mutant("what an absence leaves stays ordinary", "Rule 9")
def _(patch: Patch) -> None:
    class Unmoved(Records):
        def change(self, *arguments, **named) -> None:
            pass

    patch.setattr(absence, "Records", Unmoved)


@mutant("the vector is taken in before absences were heard", "Rule 9")
def _(patch: Patch) -> None:
    patch.setattr(Merge, "_is_behind", lambda self: False)


@mutant("what came since the question was asked counts as asked for", "Rule 9")
def _(patch: Patch) -> None:
    patch.setattr(Merge, "_is_behind", lambda self: self.heard is None and not self.ours.dominates(self.batch.fence))


@mutant("no stub stands for what was emptied", "Rule 9; I1")
def _(patch: Patch) -> None:
    for module in (apply, rows):
        patch.setattr(module, "leave_stub", lambda *arguments: None)


@mutant("the context of a stub is not that of what comes in its place", "Rule 9; I1")
def _(patch: Patch) -> None:
    patch.setattr(rows, "stub_context", lambda *arguments: None)


# -- the hunt ----------------------------------------------------------------------------------------------------------


def catches(seed: int, planted: Mutant) -> bool:
    """Whether the fleet of this seed fails with the mutant planted.

    Raises:
        BrokenMutantError: The mutant failed by itself.
    """
    try:
        with planting.planted(planted.name, planted.plant):
            live_returning(seed)
    except AssertionError:
        return True
    return False


def hunt(planted: Mutant, first: int = 0, count: int = SEARCH_MAX) -> int | None:
    """The first seed, from `first` on, that catches the mutant.

    Raises:
        AssertionError: That fleet fails without the mutant too.
    """
    for seed in range(first, first + count):
        if catches(seed, planted):
            live_returning(seed)
            return seed
    return None


if __name__ == "__main__":
    for found in MUTANTS.values():
        at = hunt(found)
        caught = f"none of {SEARCH_MAX:,}" if at is None else f"purging fleet {at}"
        sys.stdout.write(f"| {found.name} | {found.rule} | {caught} |\n")
