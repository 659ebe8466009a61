"""Mutants: the rules of the merge model, each broken on purpose by replacing one function.

A test suite that lets one of them live does not test its rule. Each has a fleet that catches it; their seeds and rules
are the table of docs/reference/mutants.md, whose rows `python -m tests.engine.mutants` finds anew. Simulated worlds are
to catch them as well (`tests/simulation/zoo`): so what a fleet does in place of the engine is broken in both.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from holdfast.clocks import EMPTY, Actor, HybridClock, VersionVector, node_of
from holdfast.engine import detector, edits, join, opening, replica
from holdfast.engine.cells import Record
from holdfast.engine.delta import FeedBatch
from holdfast.engine.edits import Delete, Put, Update
from holdfast.engine.join import ValueLeftOutError
from holdfast.engine.storage import apply, birth, bulk, feed, follow, holes, inbox, peers, rows, store, write
from holdfast.engine.storage.carry import Carried
from holdfast.engine.storage.names import Names
from holdfast.engine.storage.rows import Records
from holdfast.engine.storage.store import Tx, vector_of
from holdfast.resolvers import values

from . import fleet, member, planting
from .fleet import FleetError, run

Patch = pytest.MonkeyPatch
SEARCH_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken rule: how it is broken, which rule that is, and how to plant it."""

    name: str
    rule: str
    plant: Callable[[Patch], None]


MUTANTS: dict[str, Mutant] = {}


def mutant(name: str, rule: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function that plants a mutant."""

    def register(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[name] = Mutant(name, rule, plant)
        return plant

    return register


def _plant(patch: Patch, name: str, changed: Callable[..., object]) -> None:
    """Replace a function of the engine wherever a session finds it, of a fleet or of an engine."""
    for module in (fleet, member, replica, opening):
        if hasattr(module, name):
            patch.setattr(module, name, changed)


# -- the join ----------------------------------------------------------------------------------------------------------


@mutant("the join keeps what the other side has superseded", "Join")
def _(patch: Patch) -> None:
    patch.setattr(apply, "join", lambda ours, have, theirs, _: join.join(ours, have, theirs, join.Memory(EMPTY)))


@mutant("the join takes back what this side has superseded", "Join")
def _(patch: Patch) -> None:
    patch.setattr(apply, "join", lambda ours, _, theirs, have: join.join(ours, join.Memory(EMPTY), theirs, have))


@mutant("a state that is not newer replaces ours", "Join")
def _(patch: Patch) -> None:
    original = follow.Follower.__post_init__

    def hasty(self) -> None:
        original(self)
        self._encounter.context.vector = self._encounter.context.vector.join(self.tx.vector)

    patch.setattr(follow.Follower, "__post_init__", hasty)


@mutant("a state that knows less is taken for nothing new", "Join")
def _(patch: Patch) -> None:
    original = follow.Follower.settle

    def lazy(self, rows, found) -> list[int]:
        delta, rest = self.batch.delta, []
        for at in original(self, rows, found):
            row = found[delta.collections[delta.collection[at]]].get(delta.key[at])
            if row is None or not row.is_settled() or row.extra in self.tx.names.unsettled() or at in delta.extra:
                rest.append(at)
            else:
                self.carried.note(row.id, EMPTY, changed=False)
        return rest

    patch.setattr(follow.Follower, "settle", lazy)


@mutant("a value that was left out counts as superseded", "Sessions 2")
def _(patch: Patch) -> None:
    def lenient(ours: Record, have: VersionVector, theirs: Record, theirs_have: VersionVector) -> Record:
        try:
            return join.join(ours, have, theirs, theirs_have)
        except ValueLeftOutError:
            there = {
                name: {dot: s for dot, s in cell.items() if s.value is not None or dot in ours.cells.get(name, {})}
                for name, cell in theirs.cells.items()
            }
            return join.join(ours, have, Record(theirs.existence, there), theirs_have)

    patch.setattr(apply, "join", lenient)


@mutant("a record that lacks a value lets the checkpoint pass", "Sessions 2")
def _(patch: Patch) -> None:
    original = apply._Merge._merge

    def forgetful(self, rows, follower) -> None:
        original(self, rows, follower)
        if self.lacking:
            self.peer.feed = self.batch.feed
            peers.advance_checkpoint(self.tx, self.peer, self.batch, completed=False)

    patch.setattr(apply._Merge, "_merge", forgetful)


# -- writes ------------------------------------------------------------------------------------------------------------


def _edit(patch: Patch, changed: Callable[..., Record]) -> None:
    patch.setattr(write, "edited", changed)
    patch.setattr(bulk, "edited", changed)


@mutant("delete clears the cells", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        after = edits.edited(record, edit, stamp, seen)
        return Record(after.existence, {}) if isinstance(edit, Delete) else after

    _edit(patch, changed)


@mutant("a reborn record keeps its hidden cells", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        after = edits.edited(record, edit, stamp, seen)
        hidden = record.cells if isinstance(edit, Put) and record.existence and not record.alive else {}
        return Record(after.existence, {**hidden, **after.cells})

    _edit(patch, changed)


@mutant("put leaves the fields that it does not name", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        return edits.edited(record, Update(edit.fields) if isinstance(edit, Put) else edit, stamp, seen)

    _edit(patch, changed)


@mutant("a decision supersedes siblings that its author never saw", "Writes")
def _(patch: Patch) -> None:
    _edit(patch, lambda record, edit, stamp, seen=None: edits.edited(record, edit, stamp))


@mutant("a decision supersedes nothing", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        return edits.edited(record, edit, stamp, None if seen is None else frozenset())

    _edit(patch, changed)


@mutant("an update does not write the frontier", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        after = edits.edited(record, edit, stamp, seen)
        return Record(record.existence, after.cells) if isinstance(edit, Update) and record.existence else after

    _edit(patch, changed)


@mutant("a removed field is not superseded", "Writes")
def _(patch: Patch) -> None:
    def changed(record, edit, stamp, seen=None):
        return edits.edited(record, Update(edit.fields) if isinstance(edit, Update) else edit, stamp, seen)

    _edit(patch, changed)


# -- contexts and vectors ----------------------------------------------------------------------------------------------


@mutant("the vector advances on a cut", "Sessions 4")
def _(patch: Patch) -> None:
    def advance(tx, peer, batch, *, completed):
        peers.advance_checkpoint(tx, peer, batch, completed=completed)
        tx.take_in(batch.vector)

    patch.setattr(apply, "advance_checkpoint", advance)


@mutant("records of a cut session carry no extra context", "Sessions 3")
def _(patch: Patch) -> None:
    patch.setattr(Carried, "base", lambda self: None)
    patch.setattr(Carried, "write", lambda self, *, completed: None)


@mutant("records that are new carry no extra context", "Sessions 3")
def _(patch: Patch) -> None:
    patch.setattr(Carried, "base", lambda self: None)


@mutant("records are passed on without their extra context", "Sessions 2")
def _(patch: Patch) -> None:
    patch.setattr(feed, "_contexts", lambda connection, numbers: {})


@mutant("a record that came keeps only the sender's vector", "Sessions 2")
def _(patch: Patch) -> None:
    original = Carried.write

    def write(self, *, completed) -> None:
        self._beyond = [(number, EMPTY) for number, _ in self._beyond]
        original(self, completed=completed)

    patch.setattr(Carried, "write", write)


@mutant("a local write drops the extra context", "Sessions 3")
def _(patch: Patch) -> None:
    original = Records.change

    def change(self, stored, after, lsn, *, merged=False):
        original(self, stored, after, lsn, merged=merged)
        if not merged:
            stored.extra = EMPTY

    patch.setattr(Records, "change", change)


@mutant("any completed session settles every extra context", "Sessions 4")
def _(patch: Patch) -> None:
    original = Names.settle

    def settle(self, covering):
        for vector in list(self.unsettled().values()):
            covering = covering.join(vector)
        original(self, covering)

    patch.setattr(Names, "settle", settle)


@mutant("what a node had told before it was put back settles as well", "Sessions 4")
def _(patch: Patch) -> None:
    original = Names._orphans

    def orphans(self):
        lives = Counter(node_of(Actor(actor)) for (actor,) in self._connection.execute("SELECT actor FROM actor"))
        have = vector_of(self._connection)
        moved_on = [
            number
            for number, vector in self.unsettled().items()
            if all(lives[node_of(actor)] > 1 for actor, _ in vector.changes_since(have).items())
        ]
        return [*dict.fromkeys((*original(self), *moved_on))]

    patch.setattr(Names, "_orphans", orphans)


@mutant("a hole goes with any completed session", "Sessions 6")
def _(patch: Patch) -> None:
    patch.setattr(apply, "close_holes", lambda tx, actor: tx.connection.execute("DELETE FROM hole"))


@mutant("a record that could not be joined takes the sender's context", "Sessions 6")
def _(patch: Patch) -> None:
    original = apply._Merge._join

    def joined(self, arrival, stored):
        try:
            original(self, arrival, stored)
        except Exception:
            self.carried.note(stored.number, stored.extra.join(arrival.extra), changed=False)
            raise

    patch.setattr(apply._Merge, "_join", joined)


# -- sessions ----------------------------------------------------------------------------------------------------------


@mutant("drained is judged at the end of the session", "Sessions 4")
def _(patch: Patch) -> None:
    original = fleet.Fleet.deliver

    def deliver(self, letter):
        if letter.batch.drained:
            letter = replace(letter, batch=replace(letter.batch, vector=letter.session.source.vector))
        return original(self, letter)

    patch.setattr(fleet.Fleet, "deliver", deliver)
    read = replica.Replica.read

    async def read_twice(self, start, held):
        batch = await read(self, start, held)
        return replace(batch, vector=await self._node.readers.run(vector_of)) if batch.drained else batch

    patch.setattr(replica.Replica, "read", read_twice)


@mutant("any batch moves the checkpoint", "Sessions 3")
def _(patch: Patch) -> None:
    def careless(tx, batch, peer, **how):
        moves = batch.start >= 0
        stood = replace(peer, feed=batch.feed, checkpoint=batch.start, stretch=batch.start_stretch) if moves else peer
        return apply.apply_batch(tx, batch, stood)

    _plant(patch, "apply_batch", careless)


@mutant("a gap in the feed moves the checkpoint", "Sessions 3")
def _(patch: Patch) -> None:
    def hopeful(tx, batch, peer, **how):
        gap = 0 <= peer.checkpoint_in(batch.feed) < batch.start
        stood = replace(peer, feed=batch.feed, checkpoint=batch.start, stretch=batch.start_stretch) if gap else peer
        return apply.apply_batch(tx, batch, stood)

    _plant(patch, "apply_batch", hopeful)


@mutant("a batch goes on where another session has come to", "Sessions 3")
def _(patch: Patch) -> None:
    def unaware(tx, batch, peer, **how):
        return apply.apply_batch(tx, batch, peer, **{**how, "follows": True})

    _plant(patch, "apply_batch", unaware)


@mutant("checkpoints are kept without incarnation and feed", "Terms; Identity")
def _(patch: Patch) -> None:
    def find(connection, actor):
        known = [peer for peer in peers.all_peers(connection) if node_of(peer.actor) == node_of(actor)]
        return replace(max(known, key=lambda p: p.checkpoint), actor=actor) if known else peers.Peer(actor=Actor(actor))

    _plant(patch, "find_peer", find)
    patch.setattr(peers.Peer, "checkpoint_in", lambda self, feed: self.checkpoint)


@mutant("a hole lets the vector advance", "Sessions 6")
def _(patch: Patch) -> None:
    patch.setattr(apply, "holes_of", lambda tx, feed: 0)


@mutant("an old state fills a newer hole", "Sessions 6")
def _(patch: Patch) -> None:
    def fill(tx, feed, place, context):
        missing = holes._context(tx, feed, place)
        holes.fill_hole(tx, feed, place, missing or context)

    patch.setattr(apply, "fill_hole", fill)


@mutant("records are skipped against the sender's own vector", "Sessions 2")
def _(patch: Patch) -> None:
    def read(connection, *, start: int, held: VersionVector, **options: object) -> FeedBatch:
        mine = VersionVector({actor: seq - 1 for actor, seq in vector_of(connection).items()})
        return feed.read_batch(connection, start=start, held=held.join(mine), **options)

    _plant(patch, "read_batch", read)


@mutant("a record is skipped when part of it is held", "Sessions 2")
def _(patch: Patch) -> None:
    patch.setattr(feed, "_is_held", lambda covered: covered[0])


@mutant("a batch ends inside a transaction", "Sessions 7")
def _(patch: Patch) -> None:
    original = feed._groups

    def groups(cursor) -> Iterator[tuple[list[feed.FeedRow], bool]]:
        for group, more in original(cursor):
            yield from (([row], more or row is not group[-1]) for row in group)

    patch.setattr(feed, "_groups", groups)


@mutant("a batch carries the sender's own entry instead of its vector", "Sessions 4")
def _(patch: Patch) -> None:
    def vector(connection):
        (actor, seq) = connection.execute("SELECT a.actor, n.seq FROM node n JOIN actor a ON a.id = n.actor").fetchone()
        return VersionVector({Actor(actor): seq})

    patch.setattr(feed, "vector_of", vector)


@mutant("a new incarnation forgets what the old one wrote", "Identity")
def _(patch: Patch) -> None:
    def forgetful(tx, label):
        old, actor = tx.own, birth.begin_incarnation(tx, label)
        tx.connection.execute("DELETE FROM vector WHERE actor = ?", (old,))
        tx.store.forget()
        return actor

    _plant(patch, "begin_incarnation", forgetful)


# -- reading -----------------------------------------------------------------------------------------------------------


@mutant("the last writer wins by clock alone", "Reading")
def _(patch: Patch) -> None:
    patch.setattr(values, "_rank", lambda version: version.clock)


@mutant("the last writer wins by name alone", "Reading")
def _(patch: Patch) -> None:
    patch.setattr(values, "_rank", lambda version: version.dot)


@mutant("a conflict that ended stays in the inbox", "Reading")
def _(patch: Patch) -> None:
    patch.setattr(inbox, "_close", lambda tx, number, state, lsn: None)


@mutant("siblings are discarded without the ledger", "Reading")
def _(patch: Patch) -> None:
    patch.setattr(rows, "note_discarded", lambda *arguments: None)


@mutant("equal values are a conflict", "Reading")
def _(patch: Patch) -> None:
    original = detector.agreed
    patch.setattr(detector, "agreed", lambda cell: original(cell) if len(cell) == 1 else None)


# -- digests and clocks ------------------------------------------------------------------------------------------------


@mutant("the digest forgets the old value", "Verify and repair")
def _(patch: Patch) -> None:
    original = Records.flush

    def flush(self):
        for stored in self._changed.values():
            if stored.row is not None:
                stored.row = stored.row._replace(digest=0)
        return original(self)

    patch.setattr(Records, "flush", flush)


@mutant("the clock is not saved", "Clocks")
def _(patch: Patch) -> None:
    original = Tx.save

    def save(self) -> None:
        self.clock = HybridClock(self.store.seams.time, self._loaded[4])
        original(self)

    patch.setattr(Tx, "save", save)


@mutant("the clock does not follow the stamps that it accepts", "Clocks")
def _(patch: Patch) -> None:
    patch.setattr(Tx, "observe", lambda self, clocks: 0)


@mutant("a rolled-back transaction keeps what it remembered", "Terms")
def _(patch: Patch) -> None:
    patch.setattr(store.Store, "forget", lambda self: None)


# -- the hunt ----------------------------------------------------------------------------------------------------------


def catches(seed: int, planted: Mutant) -> bool:
    """Whether the fleet of this seed fails with the mutant planted.

    Raises:
        BrokenMutantError: The mutant failed by itself.
    """
    try:
        with planting.planted(planted.name, planted.plant):
            run(seed)
    except FleetError:
        return True
    return False


def hunt(planted: Mutant, first: int = 0) -> int | None:
    """The first seed, from `first` on, that catches the mutant.

    Raises:
        FleetError: That fleet fails without the mutant too.
    """
    for seed in range(first, first + SEARCH_MAX):
        if catches(seed, planted):
            run(seed)
            return seed
    return None


if __name__ == "__main__":
    for found in MUTANTS.values():
        sys.stdout.write(f"| {found.name} | {found.rule} | fleet {hunt(found)} |\n")
