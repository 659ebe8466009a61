"""Holes: records from a peer that could not be joined (docs/protocol.md, Rules).

Invariant: while a feed has a hole, no session with it completes, so the version vector never claims what is missing.
"""

from __future__ import annotations

import sqlite3

from holdfast.clocks import EMPTY, VersionVector

from ..delta import FeedId
from .store import Tx

REASON_CHARS_MAX = 300


def holes_of(tx: Tx, feed: FeedId) -> int:
    """How many holes stand for this feed."""
    (count,) = tx.connection.execute("SELECT count(*) FROM hole WHERE feed = ?", (feed,)).fetchone()
    return int(count)


def hole_keys(connection: sqlite3.Connection, feed: FeedId) -> list[tuple[str, str]]:
    """(collection, key) of each hole of this feed, to be asked for again."""
    rows = connection.execute("SELECT collection, key FROM hole WHERE feed = ? ORDER BY id LIMIT 1000", (feed,))
    return [(collection, key) for collection, key in rows]


def note_hole(tx: Tx, feed: FeedId, place: tuple[str, str], context: VersionVector, reason: str) -> None:
    """Note a record that could not be joined, with what its state at the sender had taken in."""
    before = _context(tx, feed, place)
    known = tx.names.vector_at(before) if before is not None else EMPTY
    number = tx.names.passing(known.join(context))
    tx.connection.execute(
        "INSERT INTO hole (feed, collection, key, context, reason, since_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET context = excluded.context, reason = excluded.reason",
        (feed, *place, number, reason[:REASON_CHARS_MAX], tx.now_ms),
    )
    tx.names.free({before} - {number})


def fill_hole(tx: Tx, feed: FeedId, place: tuple[str, str], context: VersionVector) -> None:
    """A state of the record has been joined: the hole is gone, unless that state was older than what is missing."""
    missing = _context(tx, feed, place)
    if missing is not None and context.dominates(tx.names.vector_at(missing)):
        tx.connection.execute("DELETE FROM hole WHERE feed = ? AND collection = ? AND key = ?", (feed, *place))
        tx.names.free([missing])


def _context(tx: Tx, feed: FeedId, place: tuple[str, str]) -> int | None:
    query = "SELECT context FROM hole WHERE feed = ? AND collection = ? AND key = ?"
    row = tx.connection.execute(query, (feed, *place)).fetchone()
    return int(row[0]) if row else None
