"""Reads what stands in ranges of the key order, for comparisons with a peer.

Read-only; knows nothing of messages. Invariant: an answer is read in one transaction, from the rows themselves and in
the order of collections' names and keys, whatever numbers this file has given them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from ..delta import FeedId
from ..digest import added
from ..ranges import (
    EDGE,
    LISTED_MAX,
    PARTS_EACH,
    PARTS_MAX,
    WHOLE,
    Differences,
    Held,
    Part,
    Parts,
    Span,
    differences,
    part,
)
from .stretches import stretch_at

_COLLECTIONS: Final = "SELECT id, name FROM collection WHERE name >= ?1 AND (?2 = '' OR name <= ?2) ORDER BY name"
_ROWS: Final = "SELECT key, digest FROM record WHERE collection = ? AND key > ? ORDER BY key"
_ROWS_UP_TO: Final = "SELECT key, digest FROM record WHERE collection = ? AND key > ? AND key <= ? ORDER BY key"
_COUNT: Final = "SELECT count(*) FROM record WHERE collection = ? AND key > ?"
_COUNT_UP_TO: Final = "SELECT count(*) FROM record WHERE collection = ? AND key > ? AND key <= ?"


def read_parts(connection: sqlite3.Connection, spans: Sequence[Span]) -> Parts:
    """What stands in these ranges, of as many of them as fit into one answer: at least the first."""
    connection.execute("BEGIN")
    try:
        feed, head, digest = connection.execute("SELECT feed, lsn, digest FROM node").fetchone()
        found: list[tuple[Part, ...]] = []
        room, sound = PARTS_MAX, True
        for span in spans:
            count = _count(connection, span)
            size = 1 if count <= LISTED_MAX else -(-count // PARTS_EACH)
            if found and -(-count // size) > room:
                break
            parts = part(_held(connection, span), size)
            room -= len(parts)
            found.append(tuple(parts))
            if span == WHOLE:
                sound = _total(parts) == digest
        stretch = stretch_at(connection, head)
        return Parts(feed=FeedId(feed), head=head, stretch=stretch, sound=sound, spans=tuple(found))
    finally:
        connection.execute("COMMIT")


def compare_parts(
    connection: sqlite3.Connection, spans: Sequence[Span], told: Sequence[Sequence[Part]]
) -> list[Differences]:
    """How what stands here differs from what a peer told of these ranges."""
    connection.execute("BEGIN")
    try:
        return [differences(span, _held(connection, span), parts) for span, parts in zip(spans, told, strict=False)]
    finally:
        connection.execute("COMMIT")


def is_sound(connection: sqlite3.Connection) -> bool:
    """Whether the sum that the file keeps is that of its rows."""
    return read_parts(connection, [WHOLE]).sound


def _held(connection: sqlite3.Connection, span: Span) -> Iterator[Held]:
    for number, name, after, up_to in _within(connection, span):
        if up_to is None:
            rows = connection.execute(_ROWS, (number, after))
        else:
            rows = connection.execute(_ROWS_UP_TO, (number, after, up_to))
        for key, digest in rows:
            yield Held((name, key), digest)


def _count(connection: sqlite3.Connection, span: Span) -> int:
    total = 0
    for number, _, after, up_to in _within(connection, span):
        if up_to is None:
            (count,) = connection.execute(_COUNT, (number, after)).fetchone()
        else:
            (count,) = connection.execute(_COUNT_UP_TO, (number, after, up_to)).fetchone()
        total += count
    return total


def _within(connection: sqlite3.Connection, span: Span) -> list[tuple[int, str, str, str | None]]:
    """The collections in a range: number, name, the key to begin behind, the last key; None for no end."""
    (first, after), (last, up_to) = span
    rows = connection.execute(_COLLECTIONS, (first, last)).fetchall()
    ends = span.high != EDGE
    return [
        (number, name, after if name == first else "", up_to if ends and name == last else None)
        for number, name in rows
    ]


def _total(parts: Sequence[Part]) -> int:
    total = 0
    for _, _, digest in parts:
        total = added(total, digest)
    return total
