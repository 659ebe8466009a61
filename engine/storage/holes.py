"""Holes: records from a peer that could not be joined (docs/protocol.md, Rules).

Invariant: while a feed has a hole, no session with it completes, so the version vector never claims what is missing.
A hole goes when what is missing has been taken in, from whomever, or when its feed is going to be read from its start.
"""

from __future__ import annotations

import sqlite3

from holdfast.clocks import EMPTY, Actor, VersionVector, node_of

from ..delta import FeedId
from ..reached import reached
from .peers import read_anew
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


def close_holes(tx: Tx, actor: Actor) -> None:
    """A session with this identity has drained: end the holes that it has filled or made void, of whatever feed.

    A node that was met under another identity has another feed now. Should the old one be met again all the same (two
    copies of a file), it is read from its start, and what cannot be joined then is a hole again.
    """
    rows = tx.connection.execute("SELECT h.id, h.context, p.actor FROM hole h LEFT JOIN peer p ON p.feed = h.feed")
    for number, context, owner in rows.fetchall():
        moved_on = owner is not None and owner != actor and node_of(owner) == node_of(actor)
        if not moved_on and not tx.vector.dominates(tx.names.vector_at(context)):
            continue
        reached("holes: void since their node has moved on" if moved_on else "holes: filled from elsewhere")
        tx.connection.execute("DELETE FROM hole WHERE id = ?", (number,))
        tx.names.free([context])
        if moved_on:
            read_anew(tx, owner)


def _context(tx: Tx, feed: FeedId, place: tuple[str, str]) -> int | None:
    query = "SELECT context FROM hole WHERE feed = ? AND collection = ? AND key = ?"
    row = tx.connection.execute(query, (feed, *place)).fetchone()
    return int(row[0]) if row else None
