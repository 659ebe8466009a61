"""A member of the fleets of tests/model whose records, vectors and sessions are the engine's own.

So the hostile fleets of the purging model, and the oracle that judges them, judge the engine's storage. Who counts and
who purges is what the model says (membership_model.py); the engine's own members have tests of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from holdfast.clocks import VersionVector
from holdfast.engine.delta import FeedBatch
from holdfast.engine.edits import Delete, Edit, Put, Update
from holdfast.engine.storage.absence import absent_here, apply_absences, key_sums, read_absences
from holdfast.engine.storage.apply import Applied, apply_batch
from holdfast.engine.storage.feed import read_batch, read_keys
from holdfast.engine.storage.pasts import restored
from holdfast.engine.storage.purge import drop_dead
from holdfast.engine.storage.retiring import retire
from holdfast.engine.storage.rows import COLUMNS, Row
from holdfast.engine.storage.write import Write, write_all

from ..model.fleets import Fleet, FormerFleet, RestlessFleet, SealingFleet
from ..model.membership_model import Citizen, Decision
from ..model.merge_model import EXISTS, vv_leq, vv_max
from .member import Member, Wall, new_member
from .purging_fleets import ReturningFleet

COLLECTION = "c"


class Names(dict):
    """Identities of the engine by the names that the model knows them by, and numbers for the files of one fleet."""

    def __init__(self):
        super().__init__()
        self.files = itertools.count()


@dataclass
class Shown:
    """A record as the oracle looks at it."""

    cells: dict
    extra: dict

    @property
    def alive(self) -> bool:
        return any(self.cells.get(EXISTS, {}).values())

    def visible(self) -> dict:
        return self.cells if self.alive else {}


class EngineMember(Citizen):
    """A citizen of the model with an engine's file."""

    def __init__(self, name, truth, file: Member | None = None):
        self.name, self.truth = name, truth
        truth.nodes[name] = self
        if not hasattr(truth, "names"):
            truth.names = Names()
        self.file = file or self._new_file()
        truth.names[self.file.actor] = name
        self.known, self.marked, self.roster, self.decision = {}, None, {}, Decision()

    def _new_file(self) -> Member:
        return new_member(self.name, Wall(1_750_000_000_000), next(self.truth.names.files))

    # -- what the fleets and their oracle look at ----------------------------------------------------------------------

    def named(self, vector: VersionVector) -> dict:
        return {self.truth.names[actor]: seq for actor, seq in vector.items()}

    def dot(self, dot):
        return self.truth.names[dot.actor], dot.seq

    @property
    def vv(self):
        return self.named(self.file.vector)

    @property
    def seq(self):
        return self.file.connection.execute("SELECT seq FROM node").fetchone()[0]

    @property
    def lsn(self):
        return self.file.connection.execute("SELECT lsn FROM node").fetchone()[0]

    @property
    def fence(self):
        return self.named(self._purging("fence"))

    def _purging(self, column: str) -> VersionVector:
        connection = self.file.connection
        return restored(connection, connection.execute(f"SELECT {column} FROM purging").fetchone()[0])

    @property
    def records(self):
        with self.file.store.transaction() as tx:
            unsettled = tx.names.unsettled()
            found = {}
            for *columns, key in tx.connection.execute(f"SELECT {COLUMNS}, r.key FROM record r"):
                row = Row._make(columns)
                record = row.record(tx.names)
                lives = {self.dot(dot): life.alive for dot, life in record.existence.items()}
                cells = {n: {self.dot(dot): s.value for dot, s in cell.items()} for n, cell in record.cells.items()}
                extra = self.named(unsettled[row.extra]) if row.extra in unsettled else {}
                found[key] = Shown({EXISTS: lives, **cells}, extra)
            return found

    def context(self, key):
        record = self.records.get(key)
        return vv_max(self.vv, record.extra) if record else self.vv

    # -- writes --------------------------------------------------------------------------------------------------------

    def put(self, key, fields):
        before, seen = self.records.get(key), self.vv
        self._write(key, before, Put(dict.fromkeys("fg", f'"{self.name}{self.seq}"')), "fg")
        if before is None or not before.alive:
            self.truth.reborn(key, (self.name, self.seq), seen=seen)

    def update(self, key, fields):
        before = self.records.get(key)
        if before and before.alive:
            self._write(key, before, Update(dict.fromkeys(fields, f'"{self.name}{self.seq}"')), fields)

    def delete(self, key):
        before = self.records.get(key)
        if before and before.alive:
            self._write(key, before, Delete(), ())
            self.truth.delete((self.name, self.seq))

    def increment(self, key):
        """Counters are a later issue's."""

    def add(self, key, element):
        """So are sets."""

    def discard(self, key, element):
        """As `add`."""

    def fold(self, members):
        """Nothing to fold yet."""

    def _write(self, key, before, edit: Edit, fields):
        with self.file.store.transaction() as tx:
            write_all(tx, [Write(collection=COLLECTION, key=key, edit=edit)])
        dot = (self.name, self.seq)
        for name in (EXISTS, *fields):
            self.truth.write(key, name, dot, seen=set(before.cells.get(name, {})) if before else set())

    # -- files ---------------------------------------------------------------------------------------------------------

    def _enroll(self, name, sponsor):
        with self.file.store.transaction() as tx:
            tx.seq += 1
        self.roster = {**self.roster, name: sponsor}

    def image(self):
        file = self._new_file()
        self.file.connection.backup(file.connection)
        file.store.forget()
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.file, twin.known = file, dict(self.known)
        return twin

    def reopened(self, name):
        twin = self.image()
        twin.known[self.name] = self.vv
        twin.name, twin.marked = name, None
        twin.file.reincarnate()
        self.truth.names[twin.file.actor] = name
        twin._enroll(name, "")
        self.truth.nodes[name] = twin
        return twin

    # -- sessions ------------------------------------------------------------------------------------------------------

    def pull(self, source, rng, may_cut):
        """One session, batch by batch: records, then absences, then the vector."""
        self.decision = max(self.decision, source.decision, key=lambda decision: decision.rank)
        mine, theirs = self.file, source.file
        if not mine.vector.dominates(source._purging("fence")):
            self._meet_fence(source)
        patience = rng.randint(0, 3) if may_cut and rng.random() < 0.5 else None
        held, follows = mine.vector, True
        with theirs.store.transaction() as tx:
            tx.shared = tx.seq
        while patience is None or patience > 0:
            start = mine.peer(theirs).checkpoint_in(theirs.feed)
            batch = read_batch(theirs.connection, start=start, held=held, records_max=rng.choice((1, 1, 2, 100)))
            applied = self._deliver(theirs, batch, follows=follows)
            follows = follows and applied.moved
            patience = None if patience is None else patience - 1
            if batch.drained:
                break
        else:
            return
        known, vv = source.known, source.vv
        if not applied.completed:
            if patience == 0:
                return
            asked = self.lsn
            self._hear(theirs, rng)
            end = {"start": batch.end, "start_stretch": batch.end_stretch, "end": batch.end}
            last = FeedBatch(
                feed=batch.feed, **end, end_stretch=batch.end_stretch, drained=True, vector=batch.vector,
                fence=batch.fence, horizon=batch.horizon,
            )  # fmt: skip
            applied = self._apply_batch(theirs, last, follows=follows, heard=asked)
        assert applied.completed
        self.roster = {**self.roster, **source.roster}
        for peer, vector in [*known.items(), (source.name, vv)]:
            self.known[peer] = vv_max(self.known.get(peer, {}), vector)
        self._follow()

    def _meet_fence(self, source):
        with self.file.store.transaction() as tx:
            tx.raise_fence(source._purging("fence"))

    def _deliver(self, theirs: Member, batch: FeedBatch, *, follows: bool) -> Applied:
        applied = self._apply_batch(theirs, batch, follows=follows)
        if applied.need_whole:
            self._apply_batch(theirs, read_keys(theirs.connection, applied.need_whole), follows=follows)
            applied = self._apply_batch(theirs, batch, follows=follows)
            assert not applied.need_whole
        return applied

    def _apply_batch(self, theirs: Member, batch: FeedBatch, *, follows: bool, heard: int | None = None) -> Applied:
        with self.file.store.transaction() as tx:
            return apply_batch(tx, batch, self.file.peer(theirs), follows=follows, heard=heard)

    def _hear(self, theirs: Member, rng):
        said = read_absences(theirs.connection, key_sums(self.file.connection))
        places = absent_here(self.file.connection, said)
        rng.shuffle(places)
        for place in places:
            with self.file.store.transaction() as tx:
                apply_absences(tx, said, [place])

    # -- purging -------------------------------------------------------------------------------------------------------

    def purge(self, members=None):
        if not self.has_authority:
            self.marked = None
            return
        self._count_again()
        members = self.counted() if members is None else members
        if self.marked is not None and all(vv_leq(self.named(self.marked), self._known_of(name)) for name in members):
            with self.file.store.transaction() as tx:
                tx.raise_fence(self.marked)
            self.truth.raise_fence(self, members)
            self._follow()
            self.marked = None
        if self.marked is None:
            self.marked = self.file.vector

    def _follow(self):
        before = self._keys()
        more = True
        while more:
            with self.file.store.transaction() as tx:
                more = drop_dead(tx, 1).more
        for key in before - self._keys():
            self.truth.drop(self, key)

    def _keys(self) -> set[str]:
        return {key for (key,) in self.file.connection.execute("SELECT key FROM record")}


class EngineSealer(EngineMember):
    """One that takes identities for retired, and gives members up (sealing_model.py); rightly or not."""

    AGES = 1_000_000_000_000
    """Milliseconds: whoever moved in this test moved since."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.sealed = frozenset()

    def retire(self, names):
        actors = {name: actor for actor, name in self.truth.names.items()}
        with self.file.store.transaction() as tx:
            numbers = [(tx.names.number(actors[name]),) for name in names if name != self.name]
            tx.connection.executemany("UPDATE vector SET moved_ms = 0 WHERE actor = ?", numbers)
            before = tx.vector, tx.purging.fence, tx.purging.horizon, dict(tx.names.unsettled())
            retire(tx, at_once=1, after_ms=self.AGES)
            assert before == (tx.vector, tx.purging.fence, tx.purging.horizon, tx.names.unsettled())
        self.file.store.forget()  # what was kept before is read over the past that it names

    def seal(self, name):
        if self.has_authority and name in self.decision.left_out:
            self._decide({n: vv for n, vv in self.decision.left_out.items() if n != name})
            self.known.pop(name, None)
            self.sealed |= {name}
            self.retire([name] if name in self.vv else [])

    def left_out(self):
        return super().left_out() | (self.sealed - self.known.keys() - {self.name})


def live_sealing(seed: int) -> None:
    """As `live`, with members that seal."""
    _live(SealingFleet(seed, EngineSealer))


def live(seed: int) -> None:
    """Let a fleet of the kind that this seed stands for live over the engine's files."""
    _live((Fleet, RestlessFleet, Fleet, FormerFleet)[seed % 4](seed, EngineMember))


def live_returning(seed: int) -> None:
    """Let a fleet that does little else than purge live over the engine's files."""
    _live(ReturningFleet(seed, EngineMember))


def _live(fleet: Fleet) -> None:
    try:
        fleet.run()
    finally:
        for node in [*fleet.nodes, *(image for _, image in fleet.backups)]:
            node.file.close()
