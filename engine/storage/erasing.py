"""Erases values for good: out of a record, and out of all that this file has kept of it.

Knows nothing of who asks. Invariants: the erasure itself is two ordinary operations of one transaction, one that
supersedes the values and one that enters it in a register, a collection like any other; so it travels, and every node
that takes the entry in clears its own history of the record, once then and once more when nothing of before can stand
here any more. Names of operations stay; values go.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from holdfast.clocks import EMPTY, Dot
from holdfast.errors import NoSuchRecord, UsageError
from holdfast.resolvers.canonical import encode

from ..delta import Delta
from ..documents import compose, decode_object, split
from ..edits import Edit, Erase, Put
from ..reached import reached
from .journal import Kind
from .letting_go import Gone, Pins, let_go
from .reading import all_actors
from .retained import ROW_SIZE
from .rows import COLUMNS, Row
from .store import Tx
from .write import Receipt, Write, write_all

REGISTER: Final = "holdfast-erasures"
"""The collection in which every erasure stands: what was erased where, without values."""

ENTRY_BYTES: Final = 16
"""Random bytes that name an entry: none is ever written twice."""

_PLACES: Final = (
    "SELECT r.id, r.live, r.collection, EXISTS (SELECT 1 FROM buried b WHERE b.id = r.id) FROM place r"
    " JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.key = ? ORDER BY r.id DESC"
)
"""A record, and those of its key that are gone for good and that the log still tells of; the latest first."""

_TRIMMED: Final = (
    "SELECT 1 FROM place r JOIN retained t ON t.collection = r.collection WHERE r.id = ? AND r.id <= t.newest"
)
_NAMES: Final = (
    "SELECT old, added FROM log WHERE record = ?1"
    " UNION ALL SELECT NULL, json_array(field) FROM ledger WHERE record = ?1"
    " UNION ALL SELECT NULL, json_array(field) FROM conflict WHERE record = ?1"
    " UNION ALL SELECT doc, NULL FROM place WHERE id = ?1"
)
"""Documents and lists of names in which a field of a record may stand."""

_ENTRIES: Final = (
    "SELECT r.doc, r.node, r.seq FROM json_each(?1) j CROSS JOIN collection c ON c.name = ?2"
    " CROSS JOIN record r ON r.collection = c.id AND r.key = j.value WHERE r.lsn > ?3 AND r.live = 1"
)
_ALL: Final = (
    "SELECT r.key, r.doc FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.live = 1"
)
_ERASED: Final = (
    "SELECT 1 FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.lsn > ? LIMIT 1"
)
_ROWS: Final = (
    "SELECT l.id, l.lsn, l.kind, l.node, l.seq, l.context, l.record, l.old, l.added, l.was,"  # noqa: S608 - constants only
    f" {ROW_SIZE} FROM log l WHERE l.record = ? AND l.stub IS NULL AND l.id <> ?"
)
_BOUNDARY: Final = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, note, was) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_UNCOUNT: Final = "UPDATE retained SET entries = max(0, entries - ?), size = max(0, size - ?) WHERE collection = ?"
_LEDGER: Final = "DELETE FROM ledger WHERE record = ?1 AND (?2 IS NULL OR field IN (SELECT value FROM json_each(?2)))"
_INBOX: Final = (
    "DELETE FROM conflict WHERE record = ?1 AND standing = 0"
    " AND (?2 IS NULL OR field IN (SELECT value FROM json_each(?2)))"
)


class Entry(NamedTuple):
    """What is to be cleared: a place, and the fields, or all of the record."""

    collection: str
    key: str
    fields: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class EraseRecord:
    """A job that erases a record, or fields of it.

    Attributes:
        collection, key: Which record; it may be deleted already.
        fields: Their names; None for all of it.
        author, note: For the log.
    """

    collection: str
    key: str
    fields: frozenset[str] | None
    author: str
    note: str

    def __call__(self, tx: Tx) -> Receipt:
        """Erase; raises NoSuchRecord, UsageError."""
        place = f"{self.collection}/{self.key}"
        if self.collection == REGISTER:
            what, remedy = "an entry of the register of erasures says no value", "Delete it, if it must go."
            raise UsageError(what, subject=place, remedy=remedy)
        rows = tx.connection.execute(_PLACES, (self.collection, self.key)).fetchall()
        if not rows:
            raise NoSuchRecord("there never was such a record here", subject=place, remedy="Check the key.")
        if self.fields is not None:
            _check_known(tx.connection, [row[0] for row in rows], self.fields, place)
        fields = None if self.fields is None else sorted(self.fields)
        entry = {"collection": encode(self.collection), "key": encode(self.key), "fields": encode(fields)}
        entry |= {name: encode(text) for name, text in (("author", self.author), ("note", self.note)) if text}
        name = tx.store.seams.entropy(ENTRY_BYTES).hex()
        alive = any(live for _, live, *_ in rows) and self.fields is not None
        receipt, _ = write_all(
            tx,
            [
                self._write(self.collection, self.key, Erase(self.fields, alive=alive)),
                self._write(REGISTER, name, Put(entry)),
            ],
        )
        for record, _, collection, _ in tx.connection.execute(_PLACES, (self.collection, self.key)).fetchall():
            query = "SELECT coalesce(max(id), 0) FROM log WHERE record = ? AND lsn = ?"
            (last,) = tx.connection.execute(query, (record, receipt.lsn)).fetchone()
            clear_history(tx, record, collection, self.fields, stays=last)
        _clear_buried(tx, self.collection, self.key, self.fields)
        _mark(tx)
        return receipt

    def _write(self, collection: str, key: str, edit: Edit) -> Write:
        return Write(collection=collection, key=key, edit=edit, upsert=True, author=self.author, note=self.note)


def _check_known(connection: sqlite3.Connection, records: Iterable[int], fields: frozenset[str], place: str) -> None:
    """Return if something of each field stands here, or stood where its history was trimmed since.

    Raises:
        NoSuchRecord: A name is most likely misspelled: who read that it was erased would be misled.
    """
    actors = all_actors(connection)
    unknown = set(fields)
    for number in records:
        if connection.execute(_TRIMMED, (number,)).fetchone():
            return
        row = connection.execute(f"SELECT {COLUMNS} FROM record r WHERE r.id = ?", (number,)).fetchone()  # noqa: S608 - constants only
        unknown -= Row._make(row).record(actors).cells.keys() if row else set()
        for doc, names in connection.execute(_NAMES, (number,)):
            unknown -= split(doc).keys() if doc is not None else set()
            unknown -= set(json.loads(names) if names is not None else ())
    if unknown:
        raise NoSuchRecord(
            f"nothing is known here of {', '.join(sorted(unknown))}, now or in the history: nothing was erased",
            subject=place,
            remedy="Check the names of the fields; if another node had such values, erase them there.",
        )


def erased_since(connection: sqlite3.Connection, lsn: int) -> bool:
    """Whether an erasure came behind an lsn: copies of what the file held then may hold what it erased."""
    return connection.execute(_ERASED, (REGISTER, lsn)).fetchone() is not None


def follow_erasures(tx: Tx, delta: Delta, before: int) -> bool:
    """Clear the history of what entries of the register name that came behind an lsn; gives whether anything was.

    Args:
        tx: The transaction in which they came.
        delta: What came; some of it may have stood here before.
        before: The last lsn of before.
    """
    keys = delta.keys_in(REGISTER)
    rows = tx.connection.execute(_ENTRIES, (json.dumps(keys), REGISTER, before)).fetchall() if keys else []
    for doc, node, seq in rows:
        entry = _entry(doc)
        if entry is None or node is None:
            reached("erasures: an entry that says nothing")
            continue
        _clear_entry(tx, entry, (node, seq))
        fields = None if entry.fields is None else json.dumps(sorted(entry.fields))
        tx.connection.execute(
            "INSERT INTO erasing (collection, key, fields, node, seq) VALUES (?, ?, ?, ?, ?)",
            (entry.collection, entry.key, fields, node, seq),
        )
    return _end(tx) or bool(rows)


def entries(connection: sqlite3.Connection) -> list[tuple[str, Entry]]:
    """The entries of the register, by their names."""
    rows = connection.execute(_ALL, (REGISTER,)).fetchall()
    return [(key, entry) for key, doc in rows if (entry := _entry(doc)) is not None]


def remove_traces(connection: sqlite3.Connection) -> bool:
    """Take what was erased out of the write-ahead log and, once, out of free pages; False if readers hinder it.

    Free pages hold nothing that this version has deleted: SQLite overwrites it (`secure_delete`).
    """
    (traces,) = connection.execute("SELECT traces FROM node").fetchone()
    if not traces & 1:
        return True
    if traces & 2:
        reached("erasures: a file that an older version has written")
        connection.execute("VACUUM")
    ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if busy:
        return False
    connection.execute("UPDATE node SET traces = 0")
    return True


def has_traces(tx: Tx) -> bool:
    """Whether values that were erased may still stand in the write-ahead log."""
    (traces,) = tx.connection.execute("SELECT traces FROM node").fetchone()
    return bool(traces & 1)


def _entry(doc: str) -> Entry | None:
    """What an entry says; None if no node could have written it."""
    found = decode_object(doc)
    collection, key, fields = found.get("collection"), found.get("key"), found.get("fields")
    if not isinstance(collection, str) or not isinstance(key, str) or collection == REGISTER:
        return None
    if fields is None:
        return Entry(collection, key, None) if "fields" in found else None
    if not isinstance(fields, list):
        return None
    return Entry(collection, key, frozenset(name for name in fields if isinstance(name, str)))


def _end(tx: Tx) -> bool:
    """Clear once more what the vector covers by now: from then on nothing of before the erasure can stand here.

    Returns:
        Whether there was something.
    """
    pending = tx.connection.execute("SELECT id, collection, key, fields, node, seq FROM erasing ORDER BY id").fetchall()
    vector, ended = tx.vector if pending else EMPTY, False
    for number, collection, key, fields, node, seq in pending:
        if vector.covers(Dot(tx.names.actor(node), seq)):
            names = None if fields is None else frozenset(json.loads(fields))
            _clear_entry(tx, Entry(collection, key, names), (node, seq))
            tx.connection.execute("DELETE FROM erasing WHERE id = ?", (number,))
            ended = True
    return ended


def _clear_entry(tx: Tx, entry: Entry, dot: tuple[int, int]) -> None:
    rows = tx.connection.execute(_PLACES, (entry.collection, entry.key)).fetchall()
    for record, live, collection, buried in rows:
        stays = 0
        if entry.fields is None and not buried:
            # How it read before is nobody's business any more: there was nothing.
            (clock,) = tx.connection.execute("SELECT clock FROM record WHERE id = ?", (record,)).fetchone()
            boundary = (tx.lsn, record, int(Kind.MERGE), *dot, clock, "erased", 0 if live else None)
            (stays,) = tx.connection.execute(_BOUNDARY, boundary).fetchone()
        clear_history(tx, record, collection, entry.fields, stays=stays)
    if rows:
        _clear_buried(tx, entry.collection, entry.key, entry.fields)
        _mark(tx)


def _clear_buried(tx: Tx, collection: str, key: str, fields: frozenset[str] | None) -> None:
    """Clear how records of this key that are gone for good read when they were deleted."""
    query = "SELECT b.id, b.doc FROM buried b JOIN collection c ON c.id = b.collection WHERE c.name = ? AND b.key = ?"
    for number, doc in tx.connection.execute(query, (collection, key)).fetchall():
        if fields is None:
            tx.connection.execute("DELETE FROM buried WHERE id = ?", (number,))
        else:
            left = compose({name: text for name, text in split(doc).items() if name not in fields})
            tx.connection.execute("UPDATE buried SET doc = ? WHERE id = ?", (left, number))


def _mark(tx: Tx) -> None:
    """The write-ahead log holds values that were erased, until `remove_traces`."""
    tx.connection.execute("UPDATE node SET traces = traces | 1 WHERE traces & 1 = 0")


def clear_history(
    tx: Tx, record: int, collection: int, fields: frozenset[str] | None = None, *, stays: int = 0
) -> None:
    """Clear what log, ledger and ended conflicts say of a record, and leave stubs where names are needed.

    Args:
        tx: The transaction.
        record: Its number.
        collection: The number of its collection.
        fields: Only of these fields; None for the whole record.
        stays: The row of the log that is kept as it is, if any.
    """
    rows = tx.connection.execute(_ROWS, (record, stays)).fetchall()
    (counted,) = tx.connection.execute("SELECT counted FROM node").fetchone()
    if fields is None:
        let_go(tx, [Gone(*row[:7]) for row in rows], Pins.of(tx))
        gone = [row[-1] for row in rows if row[0] <= counted]
        tx.connection.execute(_UNCOUNT, (len(gone), sum(gone), collection))
    else:
        changed = [*_without(rows, fields)]
        tx.connection.executemany("UPDATE log SET old = ?, added = ? WHERE id = ?", changed)
    names = None if fields is None else json.dumps(sorted(fields))
    tx.connection.execute(_LEDGER, (record, names))
    tx.connection.execute(_INBOX, (record, names))


def _without(
    rows: Iterable[tuple[object, ...]], fields: frozenset[str]
) -> Iterable[tuple[str | None, str | None, object]]:
    """(old, added, id) of the rows that name one of the fields, without it."""
    for number, *_, old, added, was, _size in rows:
        texts = split(str(old)) if old is not None else {}
        names = json.loads(str(added)) if added is not None else []
        if fields.isdisjoint(texts) and fields.isdisjoint(names):
            continue
        left = {name: text for name, text in texts.items() if name not in fields}
        others = [name for name in names if name not in fields]
        yield (
            compose(left) if left or (was == 1 and old is not None) else None,
            encode(others) if others else None,
            number,
        )
