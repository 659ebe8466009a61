"""Holes: records from a peer that could not be joined (merge.md, Sessions 6).

Invariant: while a feed has a hole, no session with it completes, so the version vector never claims what is missing.
"""

from __future__ import annotations

from ..delta import FeedId
from .store import Tx

REASON_CHARS_MAX = 300


def holes_of(tx: Tx, feed: FeedId) -> int:
    """How many holes stand for this feed."""
    (count,) = tx.connection.execute("SELECT count(*) FROM hole WHERE feed = ?", (feed,)).fetchone()
    return int(count)


def hole_keys(tx: Tx, feed: FeedId) -> list[tuple[str, str]]:
    """(collection, key) of each hole of this feed, to be asked for again."""
    rows = tx.connection.execute("SELECT collection, key FROM hole WHERE feed = ? ORDER BY id LIMIT 1000", (feed,))
    return [(collection, key) for collection, key in rows]


def note_hole(tx: Tx, feed: FeedId, place: tuple[str, str], reason: str) -> None:
    """Note a record that could not be joined."""
    tx.connection.execute(
        "INSERT INTO hole (feed, collection, key, reason, since_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET reason = excluded.reason",
        (feed, *place, reason[:REASON_CHARS_MAX], tx.now_ms),
    )


def fill_hole(tx: Tx, feed: FeedId, collection: str, key: str) -> None:
    """The record has been joined: the hole, if there was one, is gone."""
    tx.connection.execute("DELETE FROM hole WHERE feed = ? AND collection = ? AND key = ?", (feed, collection, key))
