"""Records as rows, and the records that one transaction works on.

Knows nothing of sessions or of what an edit means. Invariant: a row is a function of the record's cells and the
policy (plus local numbers); within a transaction there is one `Stored` per record, and `flush` writes each row once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from holdfast.clocks import EMPTY, NO_DOTS, Actor, Dot, DotRanges, Timestamp, VersionVector
from holdfast.resolvers import Policy

from ..cells import ABSENT, Record, Stamp, plain_record
from ..digest import packed_digest, plain_digest
from ..documents import compose, is_name, split
from ..outline import outline
from ..packing import decode, lay_out, record_of
from ..projection import Projection, project
from ..turns import turn
from .inbox import Inbox
from .journal import Journal, Kind
from .ledger import note_discarded
from .purge import forget
from .quarantine import Quarantine
from .returned import forgotten_at, leave_stub, number_of, stub_context, take_place
from .store import Tx

COLUMNS: Final = (
    "r.id, r.live, r.node, r.seq, r.clock, r.flags, r.digest, r.conflicts, r.extra, r.cells, r.doc, r.returned"
)
_BY_KEY: Final = (
    f"SELECT {COLUMNS}, r.key FROM json_each(?) j CROSS JOIN record r ON r.collection = ? AND r.key = j.value"  # noqa: S608 - constants only
)
_INSERT: Final = (
    "INSERT INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, conflicts, extra, cells, doc,"
    " returned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE record SET lsn = ?, live = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, conflicts = ?,"
    " extra = ?, cells = ?, doc = ?, returned = ? WHERE id = ?"
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
    returned: int | None

    def is_settled(self) -> bool:
        """Whether it is alive by one operation, in no conflict, and was never forgotten anywhere."""
        return bool(self.live) and self.node is not None and not self.conflicts and self.returned is None

    def plain(self, actors: Mapping[int, Actor]) -> Stamp | None:
        """The stamp of the one write that made the record, or None if there were several."""
        if self.cells is not None or self.node is None or self.seq is None:
            return None
        return Stamp(Dot(actors[self.node], self.seq), Timestamp(self.clock), self.flags)

    def record(self, actors: Mapping[int, Actor]) -> Record:
        """The record with all its cells."""
        if self.cells is not None:
            cells = decode(self.cells)
            return record_of(cells.shape.outline.split(self.doc), cells, actors)
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


@dataclass(slots=True)
class Stored:
    """A record within a transaction: as it was stored, and as it is to be stored.

    Attributes:
        collection, key: Which record.
        row: As stored before the transaction; None if there was none.
        after: As it is to be stored; None while unchanged.
        extra: The extra context it carries; empty for none.
        touched: The lsn of its last change.
        read: Whether `before` was read from the row.
        merged: Whether the change came from a peer, so that flushing logs it.
        returned: Whether it came back after it was forgotten somewhere; forgotten: what its context does not speak for.
    """

    collection: str
    key: str
    row: Row | None
    number: int
    after: Record | None = None
    extra: VersionVector = EMPTY
    before: Record = ABSENT
    touched: int = 0
    read: bool = False
    merged: bool = False
    returned: bool = False
    forgotten: DotRanges = NO_DOTS


@dataclass(slots=True)
class _Writing:
    """What a flush writes: rows of statements, and the sums of their changes."""

    inbox: Inbox
    quarantine: Quarantine
    inserts: list[tuple[Any, ...]] = field(default_factory=list)
    updates: list[tuple[Any, ...]] = field(default_factory=list)
    opened: int = 0
    digest: int = 0


@dataclass(slots=True)
class Records:
    """The records that one transaction works on (unit of work)."""

    tx: Tx
    journal: Journal
    _loaded: dict[tuple[str, str], Stored] = field(default_factory=dict)
    _changed: dict[tuple[str, str], Stored] = field(default_factory=dict)
    _emptied: list[tuple[Stored, VersionVector]] = field(default_factory=list)
    written: int = 0

    def load(self, collection: str, keys: Sequence[str]) -> None:
        """Read records in one query, so that `at` finds them."""
        missing = [key for key in keys if (collection, key) not in self._loaded]
        found = self.find(collection, missing) if missing else {}
        for key in missing:
            self.know(collection, key, found.get(key))

    def find(self, collection: str, keys: Sequence[str]) -> dict[str, Row]:
        """The rows of these records, those that there are, in one query."""
        number = self.tx.names.known_collection(collection)
        if number is None:
            return {}
        rows = self.tx.connection.execute(_BY_KEY, (json.dumps(keys), number)).fetchall()
        return {found[-1]: Row._make(found[:-1]) for found in rows}

    def know(self, collection: str, key: str, row: Row | None) -> Stored:
        """Take up a record whose row was read in this transaction."""
        unsettled = self.tx.names.unsettled()
        extra = row.extra if row is not None else stub_context(self.tx, collection, key)
        stored = Stored(collection, key, row, row.id if row else 0)
        if extra is not None:
            stored.extra = unsettled.get(extra, EMPTY)
        if row is not None and row.returned is not None:
            stored.returned, stored.forgotten = True, forgotten_at(self.tx, row.returned)
        self._loaded[collection, key] = stored
        return stored

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

    def reborn(self, stored: Stored) -> None:
        """A put on a dead record has seen all that the node has taken in, also of what was forgotten."""
        if stored.forgotten and not self.current(stored).alive:
            stored.forgotten = stored.forgotten.beyond(self.tx.vector)

    def empty(self, stored: Stored, lsn: int, taken_in: VersionVector) -> None:
        """Let nothing be left of a record that stands here; what it has `taken_in` stands until that is covered."""
        stored.touched = lsn
        self._emptied.append((stored, taken_in))

    def flush(self) -> int:
        """Write what changed; gives the number of conflicts that are new."""
        self._forget_emptied()
        writing = _Writing(Inbox(self.tx), Quarantine(self.tx))
        have = self.tx.vector
        for stored in self._changed.values():
            assert stored.after is not None, "only what changed is written"
            self._put(stored, stored.after, self._extra_number(stored.extra, have), writing)
        self.written += sum(len(doc) + len(cells or b"") for *_, cells, doc, _ in writing.inserts)
        self.written += sum(len(doc) + len(cells or b"") for *_, cells, doc, _, _ in writing.updates)
        connection = self.tx.connection
        connection.executemany(_INSERT, writing.inserts)
        connection.executemany(_UPDATE, writing.updates)
        writing.inbox.flush()
        self.tx.change_digest(writing.digest)
        self._loaded.clear()
        self._changed.clear()
        return writing.opened

    def _forget_emptied(self) -> None:
        emptied, self._emptied = self._emptied, []
        for stored, taken_in in emptied:
            row = stored.row
            assert row is not None, "what stands here can be emptied"
            before = self.current(stored)
            names = outline(tuple(sorted(before.cells)))
            turned = turn((bool(row.live), names.split(row.doc)), (False, {}))
            self.journal.note(Kind.MERGE, stored.touched, row.id, latest_stamp(before), turned=turned)
            self.journal.flush()
            forget(self.tx, [row.id], stored.extra, lsn=stored.touched)
            context = self._extra_number(taken_in, self.tx.vector)
            if context is not None:
                leave_stub(self.tx, self.tx.names.collection(stored.collection), stored.key, context)

    def _put(self, stored: Stored, after: Record, extra: int | None, writing: _Writing) -> None:
        tx, row, lsn = self.tx, stored.row, stored.touched
        values, projection = row_values(
            stored.collection, stored.key, after, tx.policy(stored.collection), tx.names.number
        )
        had = row.conflicts if row else 0
        standing = len(projection.settled) if projection else 0
        if had:
            note_discarded(tx, stored.number, stored.before, after, lsn)
        if had or standing:
            writing.opened += writing.inbox.note(stored.number, after, projection, lsn, had=had > 0)
        unreadable = projection.unreadable if projection else ()
        writing.quarantine.note(stored.number, unreadable, lsn, hidden=not is_name(stored.collection))
        writing.digest += values.digest - (row.digest if row else 0)
        if stored.merged:
            names = outline(tuple(sorted(after.cells)))
            before = (bool(row.live), names.split(row.doc)) if row else (False, {})
            turned = turn(before, (bool(values.live), names.split(values.doc)))
            self.journal.note(Kind.MERGE, lsn, stored.number, latest_stamp(after), turned=turned)
        returned = number_of(tx, stored.forgotten) if stored.returned else None
        written = (*values[:6], standing, extra, values.cells, values.doc, returned)
        if row is None:
            place = (tx.names.collection(stored.collection), stored.key)
            take_place(tx, *place)
            writing.inserts.append((stored.number, *place, lsn, *written))
        else:
            writing.updates.append((lsn, *written, row.id))

    def _extra_number(self, extra: VersionVector, have: VersionVector) -> int | None:
        if not extra or have.dominates(extra):
            return None
        return self.tx.names.extra(extra)


def row_values(
    collection: str, key: str, record: Record, policy: Policy, number: Callable[[Actor], int]
) -> tuple[RowValues, Projection | None]:
    """The row of a record, and its projection if it has cells beyond a plain write."""
    stamp = record.plain()
    if stamp is not None:
        doc = compose({name: _text(next(iter(cell.values())).value) for name, cell in record.cells.items()})
        digest = plain_digest(collection, key, stamp, doc)
        live, dot = int(is_name(collection)), stamp.dot
        return RowValues(live, number(dot.actor), dot.seq, stamp.clock, stamp.flags, digest, None, doc), None
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
