"""What a node keeps of what happened: entries of its log and its ledger, as values.

Read-only. Invariant: an entry says how its record read before as far as the log knows, and never what it reads now.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from holdfast.clocks import Actor, Dot, Timestamp, millis
from holdfast.resolvers import JSON
from holdfast.resolvers.canonical import decode

from .storage.journal import Kind

AUDIT_PAGE: Final = 1_000

_ENTRY: Final = (
    "SELECT l.id, l.lsn, l.kind, c.name, r.key, a.actor, a.label, l.seq, l.clock, l.author, l.note, l.old, l.added,"
    " l.was FROM log l JOIN place r ON r.id = l.record JOIN collection c ON c.id = r.collection"
    " LEFT JOIN actor a ON a.id = l.node WHERE "
)
_LOG: Final = f"{_ENTRY}(?1 IS NULL OR c.name = ?1) AND ?2 IS NULL ORDER BY l.id DESC LIMIT ?3"
_LOG_OF_KEY: Final = (
    f"{_ENTRY}l.record IN (SELECT x.id FROM collection n JOIN place x ON x.collection = n.id AND x.key = ?2"  # noqa: S608 - constants only
    " WHERE ?1 IS NULL OR n.name = ?1) ORDER BY l.id DESC LIMIT ?3"
)
"""Finds the rows of one record by the log's index."""
_AUDIT: Final = f"{_ENTRY}(?1 IS NULL OR c.name = ?1) AND l.id > ?2 ORDER BY l.id LIMIT ?3"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One operation, or one record that a merge changed.

    Attributes:
        lsn: Its transaction here; kind: "put", "update", "delete", "decide" or "merge".
        collection, key: Which record.
        node: Human name of the node that the operation is of.
        dot: The operation; of a merge, the latest write that the merged record shows: this node's own, if that is it.
        clock_ms: Its time, milliseconds since 1970.
        author, note: As given by the caller.
        old: How fields read before that read otherwise since, or are gone; of a delete, all fields.
        added: Fields that the record did not have before.
        born, gone: Whether the record came to be with it, or ceased to.
    """

    lsn: int
    kind: str
    collection: str
    key: str
    dot: Dot
    node: str
    clock_ms: int
    author: str | None
    note: str | None
    old: dict[str, JSON]
    added: tuple[str, ...] = ()
    born: bool = False
    gone: bool = False

    def as_json(self) -> dict[str, Any]:
        """The entry as plain JSON values."""
        return asdict(self) | {"dot": self.dot._asdict(), "added": list(self.added)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A value that a write or a merge discarded while it stood in a conflict.

    Attributes:
        lsn: When it was discarded here.
        collection, key, field: Where it stood.
        dot: The write it stems from; clock_ms: its time, milliseconds since 1970.
        value: The value (hexadecimal text for types that are no JSON).
        reason: "decided" or "overwritten".
        by: The write that discarded it.
    """

    lsn: int
    collection: str
    key: str
    field: str
    dot: Dot
    clock_ms: int
    value: JSON
    reason: str
    by: Dot | None


def read_log(connection: sqlite3.Connection, collection: str | None, key: str | None, limit: int) -> list[LogEntry]:
    """Log entries, newest first."""
    rows = connection.execute(_LOG if key is None else _LOG_OF_KEY, (collection, key, limit))
    return [entry for _, entry in _entries(rows)]


def read_audit(connection: sqlite3.Connection, collection: str | None, after: int) -> tuple[list[LogEntry], int]:
    """The next log entries behind a position, oldest first, and the position reached."""
    found = _entries(connection.execute(_AUDIT, (collection, after, AUDIT_PAGE)))
    return [entry for _, entry in found], found[-1][0] if found else after


def _entries(rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, LogEntry]]:
    return [
        (
            number,
            LogEntry(
                lsn=lsn,
                kind=Kind(kind).name.lower(),
                collection=name,
                key=record,
                dot=Dot(Actor(actor or ""), seq or 0),
                node=label or "",
                clock_ms=millis(Timestamp(clock)),
                author=author,
                note=note,
                old=json.loads(old) if old else {},
                added=tuple(json.loads(added)) if added else (),
                born=was == 0,
                gone=was == 1,
            ),
        )
        for number, lsn, kind, name, record, actor, label, seq, clock, author, note, old, added, was in rows
    ]


def read_ledger(
    connection: sqlite3.Connection, collection: str | None, key: str | None, limit: int
) -> list[LedgerEntry]:
    """Ledger entries, newest first."""
    rows = connection.execute(
        "SELECT g.lsn, c.name, r.key, g.field, a.actor, g.seq, g.clock, g.value, g.reason, b.actor, g.by_seq"
        " FROM ledger g JOIN place r ON r.id = g.record JOIN collection c ON c.id = r.collection"
        " JOIN actor a ON a.id = g.node LEFT JOIN actor b ON b.id = g.by_node"
        " WHERE (?1 IS NULL OR c.name = ?1) AND (?2 IS NULL OR r.key = ?2) ORDER BY g.id DESC LIMIT ?3",
        (collection, key, limit),
    )
    return [
        LedgerEntry(
            lsn=lsn,
            collection=name,
            key=record,
            field=field,
            dot=Dot(Actor(actor), seq),
            clock_ms=millis(Timestamp(clock)),
            value=value.hex() if isinstance(value, bytes) else decode(value),
            reason=reason,
            by=Dot(Actor(by), by_seq) if by else None,
        )
        for lsn, name, record, field, actor, seq, clock, value, reason, by, by_seq in rows
    ]
