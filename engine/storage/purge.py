"""Drops deleted records that nobody needs to hear of any more, and buries what history shows of them.

Knows nothing of members or sessions. Invariants (docs/decisions, 0025): nothing goes but what is dead, with every
operation behind the fence, and settled; what goes raises the horizon to what it had taken in.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.clocks import EMPTY, VersionVector

from ..packing import Packed, UnreadableCellsError, decode
from ..reached import reached
from .retained import STANDING
from .returned import free_forgotten
from .store import Tx

PURGE_ROWS_MAX: Final = 1_000
"""Dead records that one transaction looks at."""

_DEAD: Final = "SELECT id, lsn, extra, cells FROM record WHERE live = 0 AND lsn > ? ORDER BY lsn, id LIMIT ?"
_AT: Final = "SELECT id, lsn, extra, cells FROM record WHERE live = 0 AND lsn = ?"
_IN: Final = "(SELECT value FROM json_each(?1))"
_BURY: Final = (
    "INSERT INTO buried (id, collection, key, doc, lsn)"  # noqa: S608 - constants only
    f" SELECT id, collection, key, doc, coalesce(?2, lsn) FROM record r WHERE id IN {_IN}"
    f" AND (EXISTS (SELECT 1 FROM log l WHERE l.record = r.id AND {STANDING})"
    " OR EXISTS (SELECT 1 FROM ledger WHERE record = r.id))"
)

_SUMS: Final = (
    "SELECT coalesce(sum(digest >> 31), 0), coalesce(sum(digest & 2147483647), 0)"  # noqa: S608 - constants only; digests have 62 bits
    f" FROM record WHERE id IN {_IN}"
)


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step of a purge did.

    Attributes:
        dropped: Deleted records that are gone.
        more: Whether there may be more to do.
    """

    dropped: int
    more: bool


def has_unjudged(connection: sqlite3.Connection) -> bool:
    """Whether deleted records stand here that may go under the present fence."""
    query = "SELECT EXISTS (SELECT 1 FROM record WHERE live = 0 AND lsn > (SELECT judged FROM purging))"
    return bool(connection.execute(query).fetchone()[0])


def drop_dead(tx: Tx, rows_max: int = PURGE_ROWS_MAX) -> Purged:
    """Drop deleted records that are behind the fence, among the next so many that were not judged yet."""
    (judged,) = tx.connection.execute("SELECT judged FROM purging").fetchone()
    rows = tx.connection.execute(_DEAD, (judged, rows_max)).fetchall()
    if not rows:
        return Purged(0, more=False)
    last = rows[-1][1]
    if len(rows) == rows_max:  # a transaction is judged whole
        seen = {row[0] for row in rows}
        rows += [row for row in tx.connection.execute(_AT, (last,)) if row[0] not in seen]
    fence, unsettled = _Fence(tx), tx.names.unsettled()
    gone = [row[0] for row in rows if row[2] not in unsettled and fence.covers_death(row[3])]
    if gone:
        reached("purge: deleted records are dropped")
        forget(tx, gone)
        free_forgotten(tx)
    # What waits for its context is judged again when that settles (`Names.settle`).
    tx.connection.execute("UPDATE purging SET judged = ?", (last,))
    return Purged(len(gone), more=len(rows) >= rows_max)


def forget(tx: Tx, records: Iterable[int], beyond: VersionVector = EMPTY, *, lsn: int | None = None) -> None:
    """Delete these records, by number; what the log tells of them is buried under their keys.

    Args:
        tx: The open transaction.
        records: Numbers.
        beyond: What they had taken in beyond the node's vector.
        lsn: When they went, if it is not their last change that deleted them.
    """
    numbers = json.dumps([*records])
    tx.connection.execute(_BURY, (numbers, lsn))
    high, low = tx.connection.execute(_SUMS, (numbers,)).fetchone()
    for table in ("conflict", "quarantine"):
        tx.connection.execute(f"DELETE FROM {table} WHERE record IN {_IN}", (numbers,))  # noqa: S608 - constants only
    tx.connection.execute(f"DELETE FROM record WHERE id IN {_IN}", (numbers,))  # noqa: S608 - as above
    tx.change_digest(-((high << 31) + low))
    tx.raise_horizon(tx.vector.join(beyond))


class _Fence:
    """The fence by numbers of identities."""

    def __init__(self, tx: Tx) -> None:
        self._fence, self._names = tx.purging.fence, tx.names

    def covers_death(self, cells: bytes | None) -> bool:
        """Whether all siblings of the existence are dead, and every operation in the record is behind the fence."""
        packed = _readable(cells)
        if packed is None or any(entry & 1 for entry in packed.shape.existence):
            return False
        stamps = packed.stamps
        return all(
            self._fence.seq(self._names[actor]) >= seq for actor, seq in zip(stamps[::4], stamps[1::4], strict=True)
        )


def _readable(cells: bytes | None) -> Packed | None:
    """A record without cells is one that is hidden for its collection's name; what cannot be read is kept."""
    if cells is None:
        return None
    try:
        return decode(cells)
    except UnreadableCellsError:
        return None
