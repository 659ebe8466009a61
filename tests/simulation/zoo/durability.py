"""What crashes, power cuts and bad disks take when a rule about files is broken."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, nullcontext

from holdfast.engine import node, opening, replica, writer
from holdfast.engine.storage import connection
from holdfast.engine.storage.apply import apply_batch
from holdfast.engine.storage.peers import advance_checkpoint, find_peer
from holdfast.engine.storage.store import Store, Tx
from holdfast.engine.storage.write import write_all
from holdfast.engine.transaction import Committing
from holdfast.errors import StorageError
from holdfast.simulation.disk import power

from .mutants import Patch, mutant


@mutant("a write is acknowledged before its commit", "Promise 1; B31", "crashes")
def _(patch: Patch) -> None:
    @contextmanager
    def lazy(self):
        """What one transaction wrote is committed by the next."""
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            tx = Tx(self)
            yield tx
            tx.save()
        except BaseException:
            self.forget()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    patch.setattr(Store, "transaction", lazy)


class _Weaker:
    def __init__(self, prepare, level) -> None:
        self.prepare, self.level = prepare, level

    def __call__(self, raw, durability) -> None:
        self.prepare(raw, durability)
        raw.execute(f"PRAGMA synchronous = {self.level}")


@mutant("commits are not synced to the disk", "Promise 1; B31", "power")
def _(patch: Patch) -> None:
    patch.setattr(power, "prepare_writer", _Weaker(connection.prepare_writer, "OFF"))


@mutant("commits are synced at checkpoints alone", "Promise 1; B31", "power")
def _(patch: Patch) -> None:
    patch.setattr(power, "prepare_writer", _Weaker(connection.prepare_writer, "NORMAL"))


@mutant("a commit for which the disk had no space counts as done", "B30", "disk")
def _(patch: Patch) -> None:
    def commit(self, jobs, _connection):
        outcomes, lsn = [], 0
        try:
            with self._store.transaction() as tx:
                outcomes = [jobs[0](tx)] if len(jobs) == 1 else self._parts(tx, jobs)
                lsn = tx.lsn
        except sqlite3.Error:
            if len(outcomes) < len(jobs):
                raise
        return outcomes, lsn

    patch.setattr(writer.Writer, "_commit", commit)


@mutant("a transaction that failed leaves what it had written so far", "B6; B19", "disk")
def _(patch: Patch) -> None:
    @contextmanager
    def transaction(self):
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            tx = Tx(self)
            yield tx
            tx.save()
        finally:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")

    patch.setattr(Store, "transaction", transaction)


@mutant("a file that cannot be read is replaced by an empty one", "B30", "disk")
def _(patch: Patch) -> None:
    original = node.open_store

    async def hasty(asked, witness):
        try:
            return await original(asked, witness)
        except StorageError:
            for suffix in ("", "-wal", "-shm", "-witness"):
                asked.path.with_name(asked.path.name + suffix).unlink(missing_ok=True)
            return await original(asked, witness)

    patch.setattr(node, "open_store", hasty)


@mutant("a job that fails undoes nothing of its part", "B4; B6", "queues")
def _(patch: Patch) -> None:
    patch.setattr(Tx, "part", lambda self: nullcontext())


@mutant("operation numbers are kept in memory and stored now and then", "B3", "crashes")
def _(patch: Patch) -> None:
    load, save = Tx.__init__, Tx.save

    def init(self, owner) -> None:
        load(self, owner)
        self.seq = max(self.seq, getattr(owner, "kept", {}).get(self.own, 0))

    def saved(self) -> None:
        self.store.kept = {self.own: self.seq}
        stored = self._loaded[1]
        seq, self.seq = self.seq, self.seq if self.seq > stored + 3 else stored
        save(self)
        self.seq = seq

    patch.setattr(Tx, "__init__", init)
    patch.setattr(Tx, "save", saved)


@mutant("a restart takes the last operation number back", "B4", "crashes")
def _(patch: Patch) -> None:
    original = opening._check_space

    def check(raw, asked) -> None:
        raw.execute("UPDATE node SET seq = max(seq - 1, 0)")
        original(raw, asked)

    patch.setattr(opening, "_check_space", check)


@mutant("the vector is stored before the records that it claims", "Sessions 4; B19", "network")
def _(patch: Patch) -> None:
    original = replica.Replica.apply

    async def apply(self, batch, actor, **how):
        if batch.drained:
            await self._node.write(lambda tx: tx.take_in(batch.vector))
        return await original(self, batch, actor, **how)

    patch.setattr(replica.Replica, "apply", apply)


@mutant("the checkpoint is stored before the records", "Sessions 3; B19; B21", "disk")
def _(patch: Patch) -> None:
    async def apply(self, batch, actor, **how):
        stood = []

        def advance(tx) -> None:
            peer = find_peer(tx.connection, actor)
            stood.append(find_peer(tx.connection, actor))
            if peer.checkpoint_in(batch.feed) == batch.start:
                advance_checkpoint(tx, peer, batch, completed=False)

        await self._node.write(advance)
        return await self._node.write(lambda tx: apply_batch(tx, batch, stood[0], **how))

    patch.setattr(replica.Replica, "apply", apply)


@mutant("a transaction commits its writes one by one", "Sessions 7; B19", "network")
def _(patch: Patch) -> None:
    original = Committing.__call__

    def each(self, tx):
        (first, *rest) = self.writes
        receipts = original(Committing(self.read, [first]), tx)
        return receipts + [receipt for one in rest for receipt in write_all(tx, [one])]

    patch.setattr(Committing, "__call__", each)
