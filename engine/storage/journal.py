"""The operation log: one row per local operation, one per record that a merge changed.

Knows nothing of records beyond their numbers. Invariant: a row stands in the transaction of what it tells of, and
sync never reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from ..cells import Record, Stamp
from ..detector import agreed
from ..documents import compose
from .store import Tx

_INSERT = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, context, author, note, old)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_MANY = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, context)"
    " SELECT lsn, id, ?, node, seq, clock, ? FROM record WHERE lsn = ? ORDER BY id"
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
    f"INSERT INTO log (lsn, kind, record, node, seq, clock, old) VALUES (?, {int(Kind.MERGE)}, ?, ?, ?, ?, ?)"  # noqa: S608 - constants only
)


@dataclass(slots=True)
class Journal:
    """The log rows of one transaction."""

    tx: Tx
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _context: int | None = None

    def note(
        self, kind: Kind, lsn: int, record: int, stamp: Stamp, *, old: str | None, author: str = "", note: str = ""
    ) -> None:
        """Note one operation, or one record that a merge changed."""
        node = self.tx.names.number(stamp.dot.actor)
        context = self.context() if kind != Kind.MERGE else None
        self._rows.append(
            (lsn, record, int(kind), node, stamp.dot.seq, stamp.clock, context, author or None, note or None, old)
        )

    def note_merges(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows of records that a merge changed: (lsn, record, node, seq, clock of the latest stamp, old)."""
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


def superseded(before: Record, fields: Mapping[str, object] | None) -> str | None:
    """JSON of the values that a write to these fields (None: to all) replaces, where siblings agreed on them."""
    old = {}
    for name, cell in before.cells.items():
        text = agreed(cell) if fields is None or name in fields else None
        if text is not None:
            old[name] = text
    return compose(old) if old else None
