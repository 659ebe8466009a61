"""Records as rows, and the records that one transaction works on.

Knows nothing of sessions or of what an edit means. Invariant: a row is a function of the record's cells and the
policy (plus local numbers); within a transaction there is one `Stored` per record, and `flush` writes each row once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from holdfast.clocks import EMPTY, Actor, Dot, Timestamp, VersionVector
from holdfast.resolvers import Policy

from ..cells import ABSENT, Record, Stamp, plain_record
from ..digest import packed_digest, plain_digest
from ..documents import compose, split
from ..packing import lay_out, unpack
from ..projection import Projection, project
from .inbox import note_conflicts
from .journal import Journal, Kind, replaced
from .ledger import note_discarded
from .store import Tx

COLUMNS: Final = "r.id, r.live, r.node, r.seq, r.clock, r.flags, r.digest, r.conflicts, r.extra, r.cells, r.doc"
_BY_KEY: Final = (
    f"SELECT {COLUMNS}, r.key FROM json_each(?) j CROSS JOIN record r ON r.collection = ? AND r.key = j.value"  # noqa: S608 - constants only
)
_INSERT: Final = (
    "INSERT INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, conflicts, extra, cells, doc)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE record SET lsn = ?, live = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, conflicts = ?,"
    " extra = ?, cells = ?, doc = ? WHERE id = ?"
)


class Row(NamedTuple):
    """A record's row as `COLUMNS` reads it."""

    id: int
    live: int
    node: int | None
    seq: int | None
    clock: int
    flags: int
    digest: int
    conflicts: int
    extra: int | None
    cells: bytes | None
    doc: str

    def plain(self, actors: Mapping[int, Actor]) -> Stamp | None:
        """The stamp of the one write that made the record, or None if there were several."""
        if self.cells is not None or self.node is None or self.seq is None:
            return None
        return Stamp(Dot(actors[self.node], self.seq), Timestamp(self.clock), self.flags)

    def record(self, actors: Mapping[int, Actor]) -> Record:
        """The record with all its cells."""
        if self.cells is not None:
            return unpack(split(self.doc), self.cells, actors)
        stamp = self.plain(actors)
        assert stamp is not None, "a row without cells has its only dot in its columns"
        return plain_record(stamp, split(self.doc))


class RowValues(NamedTuple):
    """The columns of a record's row that follow from its cells."""

    live: int
    node: int | None
    seq: int | None
    clock: int
    flags: int
    digest: int
    cells: bytes | None
    doc: str


class Ready(NamedTuple):
    """A row that a merge has made without looking inside, the values it replaced (JSON), and the clocks that came."""

    values: RowValues
    old: str | None
    clocks: Sequence[int]


@dataclass(slots=True)
class Stored:
    """A record within a transaction: as it was stored, and as it is to be stored.

    Attributes:
        collection, key: Which record.
        row: As stored before the transaction; None if there was none.
        after: As it is to be stored; None while unchanged.
        extra: The extra context it is to carry; empty for none.
        touched: The lsn of its last change; None while only `extra` changed.
        read: Whether `before` was read from the row.
        merged: Whether the change came from a peer, so that flushing logs it.
        ready: The row as it is to be stored, where it is known without a `Record`.
    """

    collection: str
    key: str
    row: Row | None
    number: int
    after: Record | None = None
    extra: VersionVector = EMPTY
    before: Record = ABSENT
    touched: int | None = None
    read: bool = False
    merged: bool = False
    ready: Ready | None = None


@dataclass(slots=True)
class Records:
    """The records that one transaction works on (unit of work)."""

    tx: Tx
    journal: Journal
    _loaded: dict[tuple[str, str], Stored] = field(default_factory=dict)
    _changed: dict[tuple[str, str], Stored] = field(default_factory=dict)
    written: int = 0

    def load(self, collection: str, keys: Sequence[str]) -> None:
        """Read records in one query, so that `at` finds them."""
        missing = [key for key in keys if (collection, key) not in self._loaded]
        if not missing:
            return
        number = self.tx.names.collection(collection)
        rows = self.tx.connection.execute(_BY_KEY, (json.dumps(missing), number)).fetchall()
        found = {row[-1]: Row._make(row[:-1]) for row in rows}
        unsettled = self.tx.names.unsettled()
        for key in missing:
            row = found.get(key)
            extra = unsettled.get(row.extra, EMPTY) if row is not None and row.extra is not None else EMPTY
            self._loaded[collection, key] = Stored(collection, key, row, row.id if row else 0, extra=extra)

    def at(self, collection: str, key: str) -> Stored:
        """The record under this key; it may be absent."""
        found = self._loaded.get((collection, key))
        if found is None:
            self.load(collection, [key])
            found = self._loaded[collection, key]
        return found

    def current(self, stored: Stored) -> Record:
        """The record as it stands in this transaction."""
        if stored.after is not None:
            return stored.after
        if not stored.read:
            stored.before = stored.row.record(self.tx.names) if stored.row is not None else ABSENT
            stored.read = True
        return stored.before

    def change(self, stored: Stored, after: Record, lsn: int, *, merged: bool = False) -> None:
        """Let the record become `after`."""
        self.current(stored)
        stored.merged = merged
        if stored.number == 0:
            stored.number = self.tx.next_record()
        stored.after, stored.touched = after, lsn
        self._changed[stored.collection, stored.key] = stored

    def replace(self, stored: Stored, ready: Ready, lsn: int) -> None:
        """Let the record, free of conflicts before and after, have this row."""
        assert stored.row is not None, "only a record that exists has a successor"
        stored.ready, stored.touched = ready, lsn
        self._changed[stored.collection, stored.key] = stored

    def carry(self, stored: Stored, extra: VersionVector) -> None:
        """Let the record carry this extra context."""
        if extra != stored.extra:
            stored.extra = extra
            self._changed[stored.collection, stored.key] = stored

    def flush(self) -> int:
        """Write what changed; gives the number of conflicts that are new."""
        inserts, updates, extras = [], [], []
        have = self.tx.vector
        opened = change = 0
        for stored in self._changed.values():
            extra = self._extra_number(stored.extra, have)
            if stored.ready is not None and stored.row is not None:
                values, lsn = stored.ready.values, stored.touched or 0
                node, seq, clock = values.node, values.seq, values.clock
                self.journal.note_merge(lsn, stored.number, (node, seq, clock), stored.ready.old)
                change += values.digest - stored.row.digest
                updates.append((lsn, *values[:6], 0, extra, values.cells, values.doc, stored.number))
                continue
            if stored.after is None:
                if stored.row is not None:
                    extras.append((extra, stored.row.id))
                continue
            policy = self.tx.policy(stored.collection)
            values, projection = row_values(stored.collection, stored.key, stored.after, policy, self.tx.names.number)
            had = stored.row.conflicts if stored.row else 0
            standing = len(projection.settled) if projection else 0
            if had:
                note_discarded(self.tx, stored.number, stored.before, stored.after, stored.touched or 0)
            if had or standing:
                opened += note_conflicts(
                    self.tx, stored.number, stored.after, projection, stored.touched or 0, had=had > 0
                )
            if projection is not None or (stored.row is not None and stored.row.cells is not None):
                self._quarantine(stored, projection)
            change += values.digest - (stored.row.digest if stored.row else 0)
            lsn = stored.touched or 0
            if stored.merged:
                old = replaced(stored.row.doc, values.doc) if stored.row else None
                self.journal.note(Kind.MERGE, lsn, stored.number, latest_stamp(stored.after), old=old)
            head = (values.live, values.node, values.seq, values.clock, values.flags, values.digest, standing, extra)
            if stored.row is None:
                place = (stored.number, self.tx.names.collection(stored.collection), stored.key, lsn)
                inserts.append((*place, *head, values.cells, values.doc))
            else:
                updates.append((lsn, *head, values.cells, values.doc, stored.number))
        self.written += sum(len(row[-1]) + len(row[-2] or b"") for row in inserts)
        self.written += sum(len(row[-2]) + len(row[-3] or b"") for row in updates)
        connection = self.tx.connection
        connection.executemany(_INSERT, inserts)
        connection.executemany(_UPDATE, updates)
        connection.executemany("UPDATE record SET extra = ? WHERE id = ?", extras)
        self.tx.change_digest(change)
        self._loaded.clear()
        self._changed.clear()
        return opened

    def _extra_number(self, extra: VersionVector, have: VersionVector) -> int | None:
        if not extra or have.dominates(extra):
            return None
        return self.tx.names.extra(extra)

    def _quarantine(self, stored: Stored, projection: Projection | None) -> None:
        unreadable = projection.unreadable if projection else ()
        if unreadable:
            self.tx.connection.execute(
                "INSERT INTO quarantine (record, fields, reason, since) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (record) DO UPDATE SET fields = excluded.fields",
                (stored.number, json.dumps(unreadable), "a type that this version does not know", stored.touched),
            )
        else:
            self.tx.connection.execute("DELETE FROM quarantine WHERE record = ?", (stored.number,))


def row_values(
    collection: str, key: str, record: Record, policy: Policy, number: Callable[[Actor], int]
) -> tuple[RowValues, Projection | None]:
    """The row of a record, and its projection if it has cells beyond a plain write."""
    stamp = record.plain()
    if stamp is not None:
        doc = compose({name: _text(next(iter(cell.values())).value) for name, cell in record.cells.items()})
        digest = plain_digest(collection, key, stamp, doc)
        return RowValues(1, number(stamp.dot.actor), stamp.dot.seq, stamp.clock, stamp.flags, digest, None, doc), None
    projection = project(collection, key, record, policy)
    singles, packed = lay_out(record)
    digest = packed_digest(collection, key, packed, compose(singles))
    latest = latest_stamp(record)
    alone = len(record.existence) == 1
    values = RowValues(
        int(projection.live),
        number(latest.dot.actor) if alone else None,
        latest.dot.seq if alone else None,
        latest.clock,
        latest.flags,
        digest,
        packed.renamed(number).encoded(),
        projection.doc,
    )
    return values, projection


def _text(value: str | bytes | None) -> str:
    assert isinstance(value, str), "a stored register has JSON text"
    return value


def latest_stamp(record: Record) -> Stamp:
    """The latest stamp of the record's frontier, by clock."""
    return max((life.stamp for life in record.existence.values()), key=lambda stamp: (stamp.clock, stamp.dot))
