"""What this node cannot show: records that hide a part or all of themselves, and those that could not even be joined.

Read-only. Invariant: every record that status counts as quarantined or as a hole stands here, with why; nobody has to
do anything about one of a later version, because the next version that can read it shows it.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any, Final

_QUARANTINED: Final = (
    "SELECT c.name, r.key, q.fields, q.reason, a.ms, '' FROM quarantine q JOIN record r ON r.id = q.record"
    " JOIN collection c ON c.id = r.collection LEFT JOIN arrival a ON a.lsn = q.since"
    " WHERE ?1 IS NULL OR c.name = ?1 ORDER BY q.record LIMIT ?2"
)
_HOLES: Final = (
    "SELECT h.collection, h.key, '[]', h.reason, h.since_ms, coalesce(p.label, h.feed) FROM hole h"
    " LEFT JOIN peer p ON p.feed = h.feed WHERE ?1 IS NULL OR h.collection = ?1 ORDER BY h.id LIMIT ?2"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that this node cannot show, or not in full.

    Attributes:
        collection, key: Which record.
        fields: What is hidden of it; empty: all of it.
        reason: Why, in words.
        since_ms: When it came, milliseconds since 1970; None if that is not known.
        held: Whether it is stored, joined and passed on all the same. If not it is asked for again in every session.
        peer: Human name of the node whose record could not be joined; "" for one that is held.
    """

    collection: str
    key: str
    fields: tuple[str, ...]
    reason: str
    since_ms: int | None
    held: bool
    peer: str

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)


def read_unreadable(connection: sqlite3.Connection, collection: str | None, limit: int) -> list[Unreadable]:
    """What is not held first, for it keeps sessions from completing; then by age."""
    connection.execute("BEGIN")
    try:
        holes = connection.execute(_HOLES, (collection, limit)).fetchall()
        hidden = connection.execute(_QUARANTINED, (collection, limit - len(holes))).fetchall()
    finally:
        connection.execute("COMMIT")
    return [_entry(row, held=False) for row in holes] + [_entry(row, held=True) for row in hidden]


def _entry(row: tuple[Any, ...], *, held: bool) -> Unreadable:
    collection, key, fields, reason, since_ms, peer = row
    return Unreadable(
        collection=collection,
        key=key,
        fields=tuple(json.loads(fields)),
        reason=reason,
        since_ms=since_ms,
        held=held,
        peer=peer,
    )
