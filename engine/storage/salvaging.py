"""Reads what is still whole of a damaged file, row by row, into a fresh one.

Knows nothing of identities or sessions. Invariants: the damaged file is only read; a record is taken only if its bytes
are what its digest says; what could not be taken is counted, and named wherever an index still names it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.clocks import Actor, VersionVector
from holdfast.resolvers import Policy

from ..digest import added
from ..packing import UnreadableCellsError, decode
from ..ranges import Place
from .pasts import restored
from .rows import COLUMNS, Row, row_values
from .tidying import check_names, tidy

SMALL: Final = (
    *("actor", "collection", "past", "vector", "context", "alias"),
    *("purging", "forgotten", "member", "stub"),
)
"""Tables that are read before the records, because these refer to them."""

BEHIND: Final = (
    *("peer", "hole", "reused", "taken_back", "arrival"),
    *("log", "conflict", "ledger", "quarantine", "buried"),
    *("retained", "trimmed", "stored", "erasing"),
)
"""Tables that are read after them."""

KEYED: Final = frozenset({"alias", "member", "conflict", "peer", "stored", "stub"})
"""Tables without row numbers."""

INDEXED: Final = {
    "actor": "SELECT id, actor, '' FROM actor INDEXED BY sqlite_autoindex_actor_1",
    "collection": "SELECT id, name, NULL FROM collection INDEXED BY sqlite_autoindex_collection_1",
}
"""Tables of which an index tells all that others refer to; labels and declarations come back by themselves."""

PAGE: Final = 1_000
_INDEX: Final = {"record": "record_feed", "log": "log_record", "ledger": "ledger_record"}

_RECORD: Final = f"SELECT {COLUMNS}, r.collection, r.key, r.lsn FROM record r"  # noqa: S608 - constants only
_INSERT: Final = (
    "INSERT OR IGNORE INTO record (id, live, node, seq, clock, flags, digest, conflicts, extra, cells, doc,"
    " returned, collection, key, lsn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NAMED: Final = "SELECT rowid, collection, key FROM record INDEXED BY record_key"
_BEHIND: Final = f"{_NAMED} WHERE (collection, key) > (?, ?) ORDER BY collection, key"
_NEXT: Final = "SELECT collection, key FROM record WHERE (collection, key) > (?, ?) ORDER BY collection, key LIMIT 1"
_CARRYING: Final = "SELECT id FROM record WHERE extra IN (SELECT value FROM json_each(?))"
_EVIDENCE: Final = (
    "SELECT node, max(seq) FROM (SELECT node, seq FROM record WHERE node IS NOT NULL"
    " UNION ALL SELECT node, seq FROM log WHERE node IS NOT NULL) GROUP BY node"
)
_STALE: Final = "SELECT r.id FROM record r JOIN log l ON l.record = r.id GROUP BY r.id HAVING max(l.lsn) > r.lsn"
_UNSENT: Final = "SELECT DISTINCT record FROM log WHERE node = (SELECT actor FROM node) AND seq > ? AND kind <> 5"


@dataclass(slots=True)
class Salvaged:
    """What was read of a damaged file.

    Attributes:
        records: Records that were taken.
        lost: Records that were not and that are known by name; nameless: how many others there must be, at least one
            if the sum of the space does not tell.
        unsent: Those of `lost` whose last writes here had never left the node.
        stale: Numbers of records that stand as they were before their last change.
        tables: Other tables of which rows are gone.
    """

    records: int = 0
    lost: list[Place] = field(default_factory=list)
    unsent: list[Place] = field(default_factory=list)
    nameless: bool = False
    stale: list[int] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


def salvage(source: sqlite3.Connection, target: sqlite3.Connection) -> Salvaged:
    """Copy what is whole into a file that has only its tables.

    Raises:
        sqlite3.DatabaseError, LookupError: Not even the node or the identities can be read: nothing is worth taking.
    """
    found = Salvaged()
    target.execute("PRAGMA foreign_keys = OFF")
    target.execute("BEGIN")
    digest = _copy_node(source, target)
    for table in SMALL:
        _copy(source, target, table, found)
    actors = {number: Actor(actor) for number, actor in target.execute("SELECT id, actor FROM actor")}
    if target.execute("SELECT actor FROM node").fetchone()[0] not in actors:
        raise LookupError("the identity that it writes under is gone")
    collections = dict(target.execute("SELECT id, name FROM collection").fetchall())
    doubtful = check_names(target)
    total = _copy_records(source, target, actors, collections, found)
    for table in BEHIND:
        _copy(source, target, table, found)
    found.stale = [number for (number,) in target.execute(_STALE)]
    found.stale += [number for (number,) in target.execute(_CARRYING, (json.dumps(doubtful),))]
    _name_lost(source, target, collections, found)
    found.nameless = found.nameless or (not found.lost and total != digest)
    tidy(target)
    target.execute("UPDATE node SET digest = ?, policy = x''", (total,))
    target.execute("COMMIT")
    return found


def _copy_node(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    row = source.execute("SELECT * FROM node").fetchone()
    columns = [name for name, *_ in source.execute("SELECT * FROM node").description]
    if row is None:
        raise LookupError("the file does not say whose it is")
    names = ", ".join(columns)
    target.execute(f"INSERT INTO node ({names}) VALUES ({', '.join('?' * len(columns))})", row)  # noqa: S608 - names of columns
    return int(row[columns.index("digest")])


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str, found: Salvaged) -> None:
    columns = [name for _, name, *_ in target.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(columns)
    insert = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - a constant
    query = f"SELECT {names} FROM {table}"  # noqa: S608 - a constant
    whole = True
    rows = _keyed(source, query) if table in KEYED else _numbered(source, query, "rowid")
    for row in rows:
        if row is None:
            whole = False
            continue
        try:
            target.execute(insert, row)
        except sqlite3.IntegrityError:  # bytes that no such row holds
            whole = False
    if not whole:
        found.tables.append(table)
        if table in INDEXED:
            _copy_indexed(source, target, table)


def _copy_indexed(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    """What an index still tells of rows that could not be read."""
    for row in _keyed(source, INDEXED[table]):
        if row is not None:
            with suppress(sqlite3.IntegrityError):  # bytes that no such row holds
                target.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", row)  # noqa: S608 - a constant


def _copy_records(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    actors: dict[int, Actor],
    collections: dict[int, str],
    found: Salvaged,
) -> int:
    total = 0
    (head,) = target.execute("SELECT lsn FROM node").fetchone()
    claims = _claims(target)
    numbers = {actor: number for number, actor in actors.items()}
    for columns in _numbered(source, _RECORD, "r.id"):
        if columns is None:
            continue
        *fields, collection, key, lsn = columns
        row = Row._make(fields)
        if collection not in collections or not isinstance(key, str):
            continue
        whole = _whole(row, (collections[collection], key), actors, numbers, claims)
        if whole is None:
            continue
        stands = lsn if isinstance(lsn, int) and 0 < lsn <= head else head
        place = (collection, key, stands)
        if target.execute(_INSERT, (*whole, *place)).rowcount == 1:
            total = added(total, whole.digest)
            found.records += 1
    return total


def _whole(
    row: Row,
    place: Place,
    actors: dict[int, Actor],
    numbers: dict[Actor, int],
    claims: dict[int | None, VersionVector],
) -> Row | None:
    """The row, with what follows from its cells worked out anew; None if its bytes are not what they were."""
    try:
        record = row.record(actors)
        values, projection = row_values(*place, record, Policy(), numbers.__getitem__)
        claimed = claims.get(row.extra, claims[None])
        if values.digest != row.digest or not claimed.covers_all(stamp.dot for stamp in record.stamps()):
            return None
    except (UnreadableCellsError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        return None  # columns may hold anything
    # What rules of the application made of a conflict, they make again.
    live, doc = (row.live, row.doc) if projection and projection.settled else (values.live, values.doc)
    return row._replace(
        live=live,
        node=values.node,
        seq=values.seq,
        clock=values.clock,
        flags=values.flags,
        conflicts=len(projection.settled) if projection else 0,
        returned=row.returned if isinstance(row.returned, int) else None,
        cells=values.cells,
        doc=doc,
    )


def _claims(target: sqlite3.Connection) -> dict[int | None, VersionVector]:
    """What records have taken in, by the number of their extra context."""
    rows = target.execute(
        "SELECT a.actor, v.seq FROM vector v JOIN actor a ON a.id = v.actor"
        " UNION ALL SELECT a.actor, n.seq FROM node n JOIN actor a ON a.id = n.actor WHERE n.seq > 0"
    )
    vector = VersionVector({Actor(actor): seq for actor, seq in rows})
    waiting = target.execute("SELECT id, vector FROM context WHERE settled = 0").fetchall()
    return {None: vector} | {number: vector.join(restored(target, extra)) for number, extra in waiting}


def _name_lost(
    source: sqlite3.Connection, target: sqlite3.Connection, collections: dict[int, str], found: Salvaged
) -> None:
    taken = {number for (number,) in target.execute("SELECT id FROM record")}
    (shared,) = target.execute("SELECT shared FROM node").fetchone()
    unsent = {number for (number,) in target.execute(_UNSENT, (shared,))}
    for row in _names(source, target):
        if row is None:
            found.nameless = True
            continue
        number, collection, key = row
        if number not in taken and collection in collections and isinstance(key, str):
            place = (collections[collection], key)
            found.lost.append(place)
            if number in unsent:
                found.unsent.append(place)


def _names(source: sqlite3.Connection, target: sqlite3.Connection) -> Iterator[Sequence[Any] | None]:
    """What the index of keys still names; behind a page that cannot be read it goes on with what was taken."""
    place: tuple[Any, Any] | None = (0, "")
    while place is not None:
        try:
            for row in source.execute(_BEHIND, place):
                place = row[1:]
                yield row
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            yield None
            place = target.execute(_NEXT, place).fetchone()
        else:
            return


def proven(connection: sqlite3.Connection) -> VersionVector:
    """How far each identity's operations are shown by records or the log: a number alone may be a flipped bit."""
    actors = {number: Actor(actor) for number, actor in connection.execute("SELECT id, actor FROM actor")}
    shown = {actors[number]: seq for number, seq in connection.execute(_EVIDENCE) if number in actors}
    for (cells,) in connection.execute("SELECT cells FROM record WHERE cells IS NOT NULL"):
        stamps = decode(cells).stamps
        for number, seq in zip(stamps[::4], stamps[1::4], strict=True):
            shown[actors[number]] = max(seq, shown.get(actors[number], 0))
    return VersionVector(shown)


def _numbered(source: sqlite3.Connection, query: str, number: str) -> Iterator[Sequence[Any] | None]:
    """The rows of a table with row numbers, in parts that halve where a page cannot be read; None for what is lost."""
    where = f"{query} WHERE {number} >= ? AND {number} < ? ORDER BY {number} LIMIT {PAGE}"
    last = _last(source, query, number)
    pending = [(0, last + 1)]
    while pending:
        low, high = pending.pop()
        try:
            rows = source.execute(where.replace("SELECT ", f"SELECT {number}, ", 1), (low, high)).fetchall()
        except (sqlite3.DatabaseError, OverflowError, UnicodeDecodeError):
            if high - low == 1:
                yield None
            else:
                middle = (low + high) // 2
                pending += [(middle, high), (low, middle)]
            continue
        yield from (row[1:] for row in rows)
        if len(rows) == PAGE and rows[-1][0] + 1 < high:
            pending.append((rows[-1][0] + 1, high))


def _last(source: sqlite3.Connection, query: str, number: str) -> int:
    """The highest number that the table may have: by the table, by its index, or roughly."""
    table = query.split(" FROM ")[1].split(maxsplit=1)[0]
    asked = [f"SELECT max({number}) FROM {query.rpartition(' FROM ')[2]}"]  # noqa: S608 - constants
    if table in _INDEX:
        asked.append(f"SELECT max(rowid) FROM {table} INDEXED BY {_INDEX[table]}")  # noqa: S608 - constants
    for sql in asked:
        try:
            (found,) = source.execute(sql).fetchone()
        except sqlite3.DatabaseError:
            continue
        return int(found or 0)
    (head,) = source.execute("SELECT lsn FROM node").fetchone()
    return int(head) * 4 + PAGE


def _keyed(source: sqlite3.Connection, query: str) -> Iterator[Sequence[Any] | None]:
    """The rows of a table or index up to the first page that cannot be read, and from its end up to the last."""
    seen: set[Sequence[Any]] = set()
    for order in ("", " ORDER BY 1 DESC"):
        try:
            for row in source.execute(query + order):
                if row not in seen:
                    seen.add(row)
                    yield row
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            yield None
            continue
        return
