"""Down to where the log of each collection is kept, and what was declared of that.

Knows nothing of how rows go. Invariant: of a collection every log row above its floor stands, as it was written; what
would need one at or below it is refused and never answered from what is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from holdfast.errors import HistoryTrimmed

from ..retention import DEFAULT, Retention, retention_from, retention_text
from ..schema import Schema
from .copying import utc
from .store import Tx

_FLOOR: Final = (
    "SELECT coalesce(max(t.floor), 0), coalesce(max(t.floor_ms), 0) FROM retained t JOIN collection c"
    " ON c.id = t.collection WHERE ?1 IS NULL OR c.name = ?1"
)
_REMEDY: Final = (
    "Ask for a later moment, or look into a snapshot of before; a larger `retention` keeps more from now on."
)
_MS_MAX: Final = 253_402_300_799_999
"""The end of the year 9999."""

_DECLARE: Final = (
    "INSERT INTO retained (collection, retention) VALUES (?1, ?2)"
    " ON CONFLICT (collection) DO UPDATE SET retention = excluded.retention"
)


def floor_of(connection: sqlite3.Connection, collection: str | None) -> tuple[int, int]:
    """The floor of a collection, or the highest of all: lsn, and the latest time of own operations below it."""
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
    undated, undated_ms = connection.execute("SELECT undated, undated_ms FROM node").fetchone()
    if (floor and ms <= floor_ms) or (undated and ms <= undated_ms):
        raise trimmed(collection, _spelled(ms), max(floor, undated))


def trimmed(collection: str | None, moment: str, floor: int) -> HistoryTrimmed:
    """The error about a moment below a floor."""
    return HistoryTrimmed(
        f"the history is kept from lsn {floor} on, not from {moment}",
        subject=collection or "all collections",
        remedy=_REMEDY,
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


def retention_of_file(connection: sqlite3.Connection) -> Retention:
    """What is in force where a collection has no retention of its own."""
    (text,) = connection.execute("SELECT retention FROM node").fetchone()
    return retention_from(text) or DEFAULT


def _spelled(ms: int) -> str:
    return utc(ms, "%Y-%m-%dT%H:%M:%SZ") if 0 <= ms <= _MS_MAX else f"{ms} ms after 1970"
