"""Projects stored records anew after the rules of a collection changed.

Invariant: nothing but projections changes (documents, liveness, the inbox): no cell, no feed position, no digest.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..projection import project
from .inbox import Inbox
from .rows import COLUMNS, Row
from .store import Tx

_COMPLEX = f"SELECT {COLUMNS}, r.key FROM record r WHERE r.collection = ? AND r.cells IS NOT NULL ORDER BY r.id"  # noqa: S608 - constants only


def reproject(tx: Tx, collections: Iterable[str]) -> int:
    """Project all records of several writes in these collections; gives how many look different now."""
    count = 0
    for name in collections:
        for row in tx.connection.execute(_COMPLEX, (tx.names.collection(name),)).fetchall():
            count += _reproject_row(tx, name, row[-1], Row._make(row[:-1]))
    return count


def _reproject_row(tx: Tx, collection: str, key: str, row: Row) -> bool:
    record = row.record(tx.names)
    projection = project(collection, key, record, tx.policy(collection))
    if row.conflicts or projection.settled:
        inbox = Inbox(tx)
        inbox.note(row.id, record, projection, tx.lsn)
        inbox.flush()
    if (projection.doc, int(projection.live)) == (row.doc, row.live):
        return False
    tx.connection.execute(
        "UPDATE record SET doc = ?, live = ?, conflicts = ? WHERE id = ?",
        (projection.doc, int(projection.live), len(projection.settled), row.id),
    )
    return True
