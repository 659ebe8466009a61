"""Keeps a transaction in the feed within the bounds of a batch, which never ends inside one.

What a peer sent in parts of records, or an identity's whole work, may stand here as more than one batch can carry.
Invariant: afterwards every lsn holds at most what one batch may, in the order of record numbers; a reader sees the
parts as parts only until the space is drained, as with any cut session.
"""

from __future__ import annotations

from ..delta import BATCH_RECORDS_MAX
from .store import Tx

BYTES_MAX = 16 * 1024 * 1024
"""Characters of keys and documents, and bytes of cells, under one lsn."""

_ROWS = "SELECT id, length(key) + length(doc) + coalesce(length(cells), 0) FROM record WHERE lsn = ? ORDER BY id"


def spread(tx: Tx, lsn: int) -> None:
    """Give the records of the feed's last lsn further ones, as many as they need."""
    rows = tx.connection.execute(_ROWS, (lsn,)).fetchall()
    first = lsn
    moved: list[tuple[int, int]] = []
    count = size = 0
    for record, length in rows:
        count, size = count + 1, size + length
        if count > BATCH_RECORDS_MAX or size > BYTES_MAX:
            lsn, count, size = tx.next_lsn(), 1, length
        if lsn != first:
            moved.append((lsn, record))
    tx.connection.executemany("UPDATE record SET lsn = ? WHERE id = ?", moved)
    # What a peer has acknowledged is read off the log: it must not count what stands further on in the feed.
    tx.connection.executemany("UPDATE log SET lsn = ? WHERE record = ? AND lsn = ?", [(*row, first) for row in moved])
