"""What readers, watchers and operators see, when a rule of reading is broken."""

from __future__ import annotations

from dataclasses import replace

from holdfast.engine import detector, fleet, opening, projection
from holdfast.engine import status as statuses
from holdfast.engine.cells import BIRTH, Life, Record
from holdfast.engine.join import join
from holdfast.engine.storage import apply, follow, reading, rows, write
from holdfast.engine.storage.arrival import Arrival
from holdfast.engine.storage.names import Names
from holdfast.engine.storage.write import write_all
from holdfast.engine.transaction import Committing
from holdfast.errors import DamagedFile
from holdfast.resolvers import settle

from .mutants import Patch, mutant


@mutant("a decision is no decision any more after a merge", "Reading", "network")
def _(patch: Patch) -> None:
    original = Arrival.record

    def record(self):
        found = original(self)
        lives = {dot: Life(_plain(life.stamp), life.alive) for dot, life in found.existence.items()}
        cells = {
            name: {dot: sibling._replace(stamp=_plain(sibling.stamp)) for dot, sibling in cell.items()}
            for name, cell in found.cells.items()
        }
        return Record(lives, cells)

    patch.setattr(Arrival, "record", record)
    patch.setattr(follow.Follower, "settle", lambda self, numbers, found: [*numbers])


def _plain(stamp):
    return stamp._replace(flags=stamp.flags & BIRTH)


@mutant("of two nodes that create one record the first is kept", "Join; B12; B13", "network")
def _(patch: Patch) -> None:
    def first(ours, our_context, theirs, their_context):
        apart = ours.existence and not (ours.existence.keys() & theirs.existence.keys())
        born = apart and any(life.stamp.flags & BIRTH for life in ours.existence.values())
        if born and not all(our_context.knows(dot) for dot in theirs.existence):
            return ours
        return join(ours, our_context, theirs, their_context)

    patch.setattr(apply, "join", first)


@mutant("tombstones are collected at a restart", "Purging; B15", "crashes")
def _(patch: Patch) -> None:
    original = opening._check_space

    def collect(connection, asked) -> None:
        dead = "FROM record WHERE live = 0"
        (digest,) = connection.execute(f"SELECT coalesce(sum(digest), 0) {dead}").fetchone()
        connection.execute(f"DELETE FROM log WHERE record IN (SELECT id {dead})")
        connection.execute(f"DELETE FROM ledger WHERE record IN (SELECT id {dead})")
        connection.execute(f"DELETE FROM conflict WHERE record IN (SELECT id {dead})")
        connection.execute(f"DELETE FROM quarantine WHERE record IN (SELECT id {dead})")
        connection.execute(f"DELETE {dead}")
        connection.execute("UPDATE node SET digest = (digest - ?) & ?", (digest, (1 << 62) - 1))
        original(connection, asked)

    patch.setattr(opening, "_check_space", collect)


@mutant("a delete and an update of one record are no conflict", "Reading", "network")
def _(patch: Patch) -> None:
    patch.setattr(detector, "disputed", lambda existence: False)


@mutant("a conflict is shown as settled though nobody has decided", "Reading", "network")
def _(patch: Patch) -> None:
    patch.setattr(projection, "settle", lambda resolver, conflict: replace(settle(resolver, conflict), open=False))


@mutant("a resolver that raises stops the record", "Reading; B16; B24", "crooked")
def _(patch: Patch) -> None:
    def strict(resolver, conflict):
        found = settle(resolver, conflict)
        if found.error and "hurry" in found.error:
            raise DamagedFile(found.error, subject=conflict.key, remedy="Mend the resolver.")
        return found

    patch.setattr(projection, "settle", strict)


@mutant("a resolver's answer is not checked", "Reading; B16", "crooked")
def _(patch: Patch) -> None:
    def trusting(resolver, conflict):
        found = settle(resolver, conflict)
        first = conflict.siblings[0]
        return replace(found, text=first.text, deleted=first.deleted, winner=0) if found.error else found

    patch.setattr(projection, "settle", trusting)


@mutant("a write drops the fields that its node does not declare", "B22", "network")
def _(patch: Patch) -> None:
    original = rows.Records.change

    def change(self, stored, after, lsn, *, merged=False):
        declared = self.tx.policy(stored.collection).fields
        if declared and not merged:
            after = Record(after.existence, {name: cell for name, cell in after.cells.items() if name in declared})
        original(self, stored, after, lsn, merged=merged)

    patch.setattr(rows.Records, "change", change)


@mutant("compare-and-set does not compare", "Writes", "busy")
def _(patch: Patch) -> None:
    original = write._check

    def check(tx, stored, before, asked) -> None:
        original(tx, stored, before, replace(asked, if_version=None))

    patch.setattr(write, "_check", check)


@mutant("a transaction does not look again at what it has read", "Writes", "busy")
def _(patch: Patch) -> None:
    patch.setattr(Committing, "__call__", lambda self, tx: write_all(tx, self.writes))


@mutant("a watch passes over all but the first of several changes", "Watches", "network")
def _(patch: Patch) -> None:
    original = reading.changes

    def hasty(*arguments):
        found, position = original(*arguments)
        return found[:1], position

    patch.setattr(reading, "changes", hasty)


@mutant("the digest of a space does not follow merges", "Verify and repair", "network")
def _(patch: Patch) -> None:
    original = apply._Merge._take_lsn

    def take(self, followed):
        self.tx.digest = self.tx._loaded[5]
        return original(self, followed)

    patch.setattr(apply._Merge, "_take_lsn", take)


@mutant("vectors that nobody refers to are kept for ever", "B26", "network")
def _(patch: Patch) -> None:
    patch.setattr(Names, "free", lambda self, numbers: None)
    patch.setattr(Names, "free_unsettled", lambda self, *, drained: None)


def _status(patch: Patch, **wrong) -> None:
    original = statuses._status
    patch.setattr(statuses, "_status", lambda *asked: replace(original(*asked), **wrong))


@mutant("status says that no session was cut", "Status; B25", "trickle")
def _(patch: Patch) -> None:
    _status(patch, whole=True, blockers=())


@mutant("status says that nothing is pending", "Status; B25", "network")
def _(patch: Patch) -> None:
    patch.setattr(fleet, "pending", lambda connection, start, held: (0, 0))


@mutant("status counts the dead among the living", "Status", "network")
def _(patch: Patch) -> None:
    original = statuses._status

    def status(*asked):
        said = original(*asked)
        return replace(said, records=said.records + said.deleted)

    patch.setattr(statuses, "_status", status)


@mutant("status keeps quiet about holes", "Status; B24", "attacks")
def _(patch: Patch) -> None:
    _status(patch, holes=0)


@mutant("status does not know when it met a peer", "Status; B25", "network")
def _(patch: Patch) -> None:
    original = statuses._status

    def status(*asked):
        said = original(*asked)
        return replace(said, peers=tuple(replace(peer, synced_ms=None) for peer in said.peers))

    patch.setattr(statuses, "_status", status)
