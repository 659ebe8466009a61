"""The stretches of a feed: what each opening of the file appended to it, under a random id of its own.

Knows nothing of sessions. Invariant: an lsn and the id of the stretch that it lies in name one state of one file's
feed. Two copies of a file that both append, and a file that was put back and goes on, give the same lsn under
different ids, whether or not any of them wrote an operation.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from ..delta import NO_STRETCH, FeedId, StretchId

_BEGIN: Final = (
    "INSERT INTO stretch (first, id) SELECT ?1, ?2 WHERE ?2 IS NOT (SELECT id FROM stretch ORDER BY first DESC LIMIT 1)"
)
_AT: Final = "SELECT s.id FROM stretch s JOIN node n ON ?1 <= n.lsn WHERE s.first <= ?1 ORDER BY s.first DESC LIMIT 1"

_HAS: Final = "SELECT 1 FROM stretch WHERE id = ?"


def begin_stretch(connection: sqlite3.Connection, first: int, stretch: StretchId) -> None:
    """From this lsn on the feed is this opening's, unless it is already."""
    connection.execute(_BEGIN, (first, stretch))


def stretch_at(connection: sqlite3.Connection, lsn: int) -> StretchId:
    """The stretch that a committed lsn lies in; NO_STRETCH at the start of the feed, and beyond its end."""
    row = connection.execute(_AT, (lsn,)).fetchone()
    return StretchId(row[0]) if row else NO_STRETCH


def gave(connection: sqlite3.Connection, feed: FeedId, lsn: int, stretch: StretchId) -> bool:
    """Whether a peer that has read a feed so far can have it from this file; True of any but the present feed.

    At the start of the feed a stretch says in which the peer has read it before: any of this file's, however far.
    """
    (now,) = connection.execute("SELECT feed FROM node").fetchone()
    if feed != now:
        return True
    if not lsn:
        return not stretch or connection.execute(_HAS, (stretch,)).fetchone() is not None
    return bool(stretch) and stretch_at(connection, lsn) == stretch
