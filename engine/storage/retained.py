"""Down to where the log of each collection is kept, and what was declared of that.

Knows nothing of how rows go. Invariant: of a collection every log row above its floor stands, as it was written; what
would need one at or below it is refused and never answered from what is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.errors import HistoryTrimmed

from ..retention import DEFAULT, Retention, retention_from, retention_text
from ..schema import Schema
from .copying import utc
from .journal import Kind
from .store import Tx

_FLOOR: Final = (
    "SELECT coalesce(max(t.floor), 0), coalesce(max(t.floor_ms), 0) FROM retained t JOIN collection c"
    " ON c.id = t.collection WHERE ?1 IS NULL OR c.name = ?1"
)
_REMEDY: Final = (
    "Ask for a later moment, or look into a snapshot of before; a larger `retention` keeps more from now on."
)
_TYPED: Final = (
    "Ask for a later moment, or look into a snapshot of before; `holdfast trim FILE --rows N` keeps more from now on."
)
_MS_MAX: Final = 253_402_300_799_999
"""The end of the year 9999."""

ROW_BYTES: Final = 48
"""What a row of the log takes beside texts, about."""

ROW_SIZE: Final = (
    f"{ROW_BYTES} + coalesce(length(l.old), 0) + coalesce(length(l.added), 0) + coalesce(length(l.author), 0)"
    " + coalesce(length(l.note), 0)"
)
"""Of the row `l`, in SQL."""

STANDING: Final = "l.stub IS NULL"
"""That a row of the log is no stub, in SQL."""

_SINCE: Final = 5
"""The first format of files whose log may be trimmed."""

_OLD_FORMAT: Final = f"SELECT count(*), coalesce(sum({ROW_BYTES} + coalesce(length(old), 0)), 0) FROM log"  # noqa: S608 - constants only
_COUNTED: Final = "SELECT coalesce(sum(entries), 0), coalesce(sum(size), 0) FROM retained"
_UNCOUNTED: Final = (
    f"SELECT count(*), coalesce(sum({ROW_SIZE}), 0) FROM log l WHERE l.id > (SELECT counted FROM node)"  # noqa: S608 - constants only
    f" AND {STANDING}"
)
_OLDEST: Final = (
    f"SELECT CASE WHEN l.kind < {int(Kind.MERGE)} THEN l.clock >> 16"  # noqa: S608 - constants only
    " ELSE coalesce(a.ms, l.clock >> 16) END FROM log l LEFT JOIN arrival a ON a.lsn = l.lsn"
    f" WHERE {STANDING} ORDER BY l.id LIMIT 1"
)
_FLOORS: Final = (
    "SELECT c.name, t.floor FROM retained t JOIN collection c ON c.id = t.collection WHERE t.floor > 0 ORDER BY c.name"
)
_DECLARE: Final = (
    "INSERT INTO retained (collection, retention) VALUES (?1, ?2)"
    " ON CONFLICT (collection) DO UPDATE SET retention = excluded.retention"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What stands of the log: rows and their bytes, the time of the oldest, floors by collection, and stubs.

    Attributes:
        unstored: Stubs of operations that no peer has stored.
    """

    rows: int
    size: int
    oldest_ms: int | None
    floors: dict[str, int]
    stubs: int
    unstored: int


def as_kept(connection: sqlite3.Connection, query: str) -> str:
    """A query over `STANDING` rows of the log and over places, for this file: one of an older format may be read."""
    return query if _has_retention(connection) else query.replace(STANDING, "1").replace("JOIN place", "JOIN record")


def kept_of(connection: sqlite3.Connection) -> Kept:
    """What stands of the log."""
    if not _has_retention(connection):
        rows, size = connection.execute(_OLD_FORMAT).fetchone()
        return Kept(rows=rows, size=size, oldest_ms=None, floors={}, stubs=0, unstored=0)
    rows, size = connection.execute(_COUNTED).fetchone()
    more, more_size = connection.execute(_UNCOUNTED).fetchone()
    (unstored,) = connection.execute("SELECT count(*) FROM log WHERE stub = 1").fetchone()
    (total,) = connection.execute("SELECT count(*) FROM log").fetchone()
    oldest = connection.execute(_OLDEST).fetchone()
    return Kept(
        rows=rows + more,
        size=size + more_size,
        oldest_ms=oldest[0] if oldest else None,
        floors=dict(connection.execute(_FLOORS).fetchall()),
        stubs=max(0, total - rows - more),
        unstored=unstored,
    )


def floor_of(connection: sqlite3.Connection, collection: str | None) -> tuple[int, int]:
    """The floor of a collection, or the highest of all: lsn, and the latest time of own operations below it."""
    if not _has_retention(connection):
        return 0, 0
    floor, ms = connection.execute(_FLOOR, (collection,)).fetchone()
    return int(floor), int(ms)


def check_kept(connection: sqlite3.Connection, collection: str | None, lsn: int) -> None:
    """Return if all that changed behind an lsn is known, in a collection or in all; raises HistoryTrimmed."""
    floor, _ = floor_of(connection, collection)
    if lsn < floor:
        raise trimmed(collection, f"lsn {lsn}", floor)


def check_dated(connection: sqlite3.Connection, collection: str | None, ms: int) -> None:
    """Return if it is known what changed from a time on, in a collection or in all; raises HistoryTrimmed."""
    floor, floor_ms = floor_of(connection, collection)
    if not _has_retention(connection):
        return
    undated, undated_ms = connection.execute("SELECT undated, undated_ms FROM node").fetchone()
    if (floor and ms <= floor_ms) or (undated and ms <= undated_ms):
        raise trimmed(collection, _spelled(ms), max(floor, undated))


def trimmed(collection: str | None, moment: str, floor: int) -> HistoryTrimmed:
    """The error about a moment below a floor."""
    return HistoryTrimmed(
        f"the history is kept from lsn {floor} on, not from {moment}",
        subject=collection or "all collections",
        remedy=_REMEDY,
        typed=_TYPED,
    )


def declare_retention(tx: Tx, schemas: Sequence[Schema], retention: Retention | None) -> None:
    """Put retentions in force: the file's, and those of the collections that are declared now; others stay."""
    if retention is not None:
        tx.connection.execute("UPDATE node SET retention = ?1 WHERE retention IS NOT ?1", (retention_text(retention),))
    for schema in schemas:
        number = tx.names.collection(schema.name)
        text = None if schema.retention is None else retention_text(schema.retention)
        (found,) = tx.connection.execute(
            "SELECT (SELECT retention FROM retained WHERE collection = ?)", (number,)
        ).fetchone()
        if found != text:
            tx.connection.execute(_DECLARE, (number, text))


def _has_retention(connection: sqlite3.Connection) -> bool:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version >= _SINCE)


def retention_of_file(connection: sqlite3.Connection) -> Retention:
    """What is in force where a collection has no retention of its own."""
    (text,) = connection.execute("SELECT retention FROM node").fetchone()
    return retention_from(text) or DEFAULT


def _spelled(ms: int) -> str:
    return utc(ms, "%Y-%m-%dT%H:%M:%SZ") if 0 <= ms <= _MS_MAX else f"{ms} ms after 1970"
