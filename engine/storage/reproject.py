"""Projects stored records anew after the rules of a collection changed.

Invariant: nothing but projections changes (documents, liveness, inbox, quarantine): no cell, no position, no digest.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..documents import is_name
from ..projection import project
from .inbox import Inbox
from .quarantine import Quarantine
from .rows import COLUMNS, Row
from .store import Tx

_COMPLEX = f"SELECT {COLUMNS}, r.key FROM record r WHERE r.collection = ? AND r.cells IS NOT NULL ORDER BY r.id"  # noqa: S608 - constants only
_OTHERWISE = "SELECT id FROM record WHERE live = ? AND collection = ? AND cells IS NULL ORDER BY id"


def reproject(tx: Tx, collections: Iterable[str]) -> int:
    """Project all records of several writes in these collections; gives how many look different now."""
    count, quarantine = 0, Quarantine(tx)
    for name in collections:
        count += _show(tx, name, quarantine)
        for row in tx.connection.execute(_COMPLEX, (tx.names.collection(name),)).fetchall():
            count += _reproject_row(tx, name, row[-1], Row._make(row[:-1]), quarantine)
    return count


def _show(tx: Tx, name: str, quarantine: Quarantine) -> int:
    """Show plain records of a collection whose name the version before did not allow, or the other way round."""
    live = is_name(name)
    changed = tx.connection.execute(_OTHERWISE, (not live, tx.names.collection(name))).fetchall()
    tx.connection.executemany("UPDATE record SET live = ? WHERE id = ?", [(live, number) for (number,) in changed])
    for (number,) in changed:
        quarantine.note(number, (), tx.lsn, hidden=not live)
    return len(changed)


def _reproject_row(tx: Tx, collection: str, key: str, row: Row, quarantine: Quarantine) -> bool:
    record = row.record(tx.names)
    projection = project(collection, key, record, tx.policy(collection))
    if row.conflicts or projection.settled:
        inbox = Inbox(tx)
        inbox.note(row.id, record, projection, tx.lsn)
        inbox.flush()
    quarantine.note(row.id, projection.unreadable, tx.lsn, hidden=not is_name(collection))
    if (projection.doc, int(projection.live)) == (row.doc, row.live):
        return False
    tx.connection.execute(
        "UPDATE record SET doc = ?, live = ?, conflicts = ? WHERE id = ?",
        (projection.doc, int(projection.live), len(projection.settled), row.id),
    )
    return True
