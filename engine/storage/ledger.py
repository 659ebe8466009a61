"""The ledger: every sibling of a conflict that a write or a merge discarded, with what discarded it.

Invariant: a sibling that a reader might want back leaves the record only in the transaction that puts it here.
"""

from __future__ import annotations

from ..cells import DECISION, Record, Stamp
from ..join import discarded
from .store import Tx

_INSERT = (
    "INSERT INTO ledger (lsn, record, field, node, seq, clock, tag, value, reason, by_node, by_seq)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def note_discarded(tx: Tx, record: int, before: Record, after: Record, lsn: int) -> None:
    """Keep what the change from `before` to `after` discarded."""
    rows = []
    for field, sibling in discarded(before, after):
        by = _cause(after, field)
        number = tx.names.number
        place = (lsn, record, field, number(sibling.stamp.dot.actor), sibling.stamp.dot.seq, sibling.stamp.clock)
        reason = "decided" if by.flags & DECISION else "overwritten"
        rows.append((*place, sibling.tag, sibling.value, reason, number(by.dot.actor), by.dot.seq))
    tx.connection.executemany(_INSERT, rows)


def _cause(after: Record, field: str) -> Stamp:
    """The latest write that the field, or else the record, shows now."""
    cell = after.cells.get(field)
    if cell:
        return max(sibling.stamp for sibling in cell.values())
    return max(life.stamp for life in after.existence.values())
