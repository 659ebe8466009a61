"""The operation log: one row per local operation, one per record that a merge changed.

Knows nothing of records beyond their numbers. Invariant: a row stands in the transaction of what it tells of, and
sync never reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from ..cells import Stamp
from ..turns import Turn
from .store import Tx

_INSERT = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, context, author, note, old, added, was)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_MANY = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, context, was)"
    " SELECT lsn, id, ?, node, seq, clock, ?, 0 FROM record WHERE lsn = ? ORDER BY id"
)


class Kind(IntEnum):
    """What a log row tells of."""

    PUT = 1
    UPDATE = 2
    DELETE = 3
    DECIDE = 4
    MERGE = 5
    REISSUE = 6


_INSERT_MERGED = (
    "INSERT INTO log (lsn, kind, record, node, seq, clock, old, added)"  # noqa: S608 - constants only
    f" VALUES (?, {int(Kind.MERGE)}, ?, ?, ?, ?, ?, ?)"
)


@dataclass(slots=True)
class Journal:
    """The log rows of one transaction."""

    tx: Tx
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _context: int | None = None

    def note(
        self, kind: Kind, lsn: int, record: int, stamp: Stamp, *, turned: Turn, author: str = "", note: str = ""
    ) -> None:
        """Note one operation, or one record that a merge changed, and how the record read before."""
        node = self.tx.names.number(stamp.dot.actor)
        context = self.context() if kind != Kind.MERGE else None
        self._rows.append(
            (lsn, record, int(kind), node, stamp.dot.seq, stamp.clock, context, author or None, note or None, *turned)
        )

    def note_merges(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows of records that a merge changed: (lsn, record, node, seq, clock of the latest stamp, *turn)."""
        self.tx.connection.executemany(_INSERT_MERGED, rows)

    def note_fresh(self, kind: Kind, lsn: int) -> None:
        """Note every record that the transaction has inserted with this lsn so far."""
        context = self.context() if kind != Kind.MERGE else None
        self.tx.connection.execute(_INSERT_MANY, (int(kind), context, lsn))

    def context(self) -> int:
        """Number of what the node had seen before its own operations: equal for all until the next session."""
        if self._context is None:
            self._context = self.tx.names.vector(self.tx.others)
        return self._context

    def flush(self) -> None:
        """Write the rows."""
        self.tx.connection.executemany(_INSERT, self._rows)
        self._rows.clear()
