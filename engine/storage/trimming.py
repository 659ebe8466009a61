"""Trims the log to its retention, a bounded slice per transaction.

Knows nothing of when: others run it. Invariants: of each collection the oldest rows go first, so that what is left is
the newest part of every record's life; the floor rises in the transaction in which rows go; what the ledger and the
inbox say of changes below it goes with them; sync is not changed by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..reached import reached
from ..retention import Retention, retention_from
from .journal import Kind
from .letting_go import Gone, Pins, acked_by_any, let_go
from .retained import ROW_SIZE, STANDING, retention_of_file
from .store import Tx

SLICE_ROWS: Final = 1_000
"""Rows of the log that go in one transaction."""

LOOK_ROWS: Final = 20_000
"""Rows of the log that one transaction counts, or looks at in search of those of one collection."""

DATES_KEPT: Final = 100_000
"""Batches of peers, at least, of which the log knows when they came, however old the oldest row is."""

_COUNT: Final = (
    "INSERT INTO retained (collection, entries, size)"  # noqa: S608 - constants only
    f" SELECT r.collection, count(*), sum({ROW_SIZE}) FROM log l JOIN place r ON r.id = l.record"
    f" WHERE l.id > ?1 AND l.id <= ?2 AND {STANDING} GROUP BY r.collection"
    " ON CONFLICT (collection) DO UPDATE SET entries = entries + excluded.entries, size = size + excluded.size"
)
_COUNTED: Final = "SELECT max(id) FROM (SELECT id FROM log WHERE id > ? ORDER BY id LIMIT ?)"
_KEPT: Final = (
    "SELECT collection, retention, position, entries, size FROM retained WHERE entries > 0 ORDER BY collection"
)
_ROWS: Final = (
    "SELECT l.id, l.lsn, l.kind, l.node, l.seq, l.context, l.record, l.clock, a.ms,"  # noqa: S608 - constants only
    f" {ROW_SIZE} FROM log l CROSS JOIN place r ON r.id = l.record LEFT JOIN arrival a ON a.lsn = l.lsn"
    f" WHERE l.id > ?1 AND l.id <= ?2 AND r.collection = ?3 AND {STANDING} ORDER BY l.id LIMIT ?4"
)
_LOWER: Final = (
    "UPDATE retained SET floor = max(floor, ?2), floor_ms = max(floor_ms, ?3), position = max(position, ?4),"
    " newest = max(newest, ?5), entries = max(0, entries - ?6), size = max(0, size - ?7) WHERE collection = ?1"
)
_LEDGER: Final = "DELETE FROM ledger WHERE record = ? AND lsn <= ?"
_INBOX: Final = "DELETE FROM conflict WHERE record = ? AND standing = 0 AND state <> 'open' AND closed <= ?"
_UNBURY: Final = (
    "DELETE FROM buried WHERE id = ?"  # noqa: S608 - constants only
    f" AND NOT EXISTS (SELECT 1 FROM log l WHERE l.record = buried.id AND {STANDING})"
)
"""Of a record that is gone for good nothing need be known when the log does not tell of it any more."""

_STUBS: Final = (
    "SELECT l.id, l.lsn, l.kind, l.node, l.seq, l.context, l.record FROM log l WHERE l.stub = 1 AND l.lsn <= ?"
    " ORDER BY l.lsn LIMIT ?"
)
_UNDATED: Final = (
    "SELECT coalesce((SELECT lsn - 1 FROM log WHERE id > (SELECT min(position) FROM retained WHERE entries > 0)"
    " ORDER BY id LIMIT 1), 0)"
)
_OLD_DATES: Final = "SELECT lsn, ms FROM arrival WHERE lsn <= ? ORDER BY lsn LIMIT ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one slice did.

    Attributes:
        deleted: Rows of the log that went.
        stubs: Rows of which only stubs are left.
        more: Whether there is more to do.
    """

    deleted: int = 0
    stubs: int = 0
    more: bool = False


def trim(tx: Tx) -> Slice:
    """Trim one slice."""
    counting = _count(tx)
    pins = Pins.of(tx)
    deleted, more = _let_stubs_go(tx, pins)
    stubs = 0
    file, limit = retention_of_file(tx.connection), SLICE_ROWS
    for collection, own, position, entries, size in tx.connection.execute(_KEPT).fetchall():
        part = _Part(tx, collection, retention_from(own) or file, position, entries, size)
        if limit and part.is_due():
            gone, left, again = part.trim(limit, pins)
            deleted, stubs, limit, more = deleted + gone, stubs + left, limit - gone - left, more or again
    _forget_dates(tx)
    return Slice(deleted=deleted, stubs=stubs, more=counting or more or not limit)


@dataclass(slots=True)
class _Part:
    """The log of one collection."""

    tx: Tx
    collection: int
    retention: Retention
    position: int
    entries: int
    size: int

    def is_due(self) -> bool:
        """Whether a bound is, or may be, overstepped."""
        kept = self.retention
        too_many = kept.rows is not None and self.entries > kept.rows
        return too_many or (kept.bytes is not None and self.size > kept.bytes) or kept.age_ms is not None

    def trim(self, limit: int, pins: Pins) -> tuple[int, int, bool]:
        """Let at most so many rows go; gives how many went, of how many stubs are left, and whether there are more."""
        end, last = self._window()
        if end is None:
            return 0, 0, False
        due, stays = self._due(self.tx.connection.execute(_ROWS, (self.position, end, self.collection, limit)))
        position = due[-1][0] if len(due) == limit else end if stays is None else stays - 1
        if position == self.position:
            return 0, 0, False
        gone, left = self._let_go(due, position, pins)
        return gone, left, stays is None and position < last

    def _window(self) -> tuple[int | None, int]:
        """The last row to look at, and the last that may go: it is counted, and not the last of all."""
        query = (
            "SELECT (SELECT id FROM log WHERE id > ?1 ORDER BY id LIMIT 1),"
            " (SELECT min(counted, (SELECT max(id) FROM log) - 1) FROM node)"
        )
        first, last = self.tx.connection.execute(query, (self.position,)).fetchone()
        return (None, 0) if first is None or first > last else (min(first + LOOK_ROWS, last), int(last))

    def _due(self, rows: Iterable[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], int | None]:
        """The rows, from the oldest, that are beyond a bound, and the first that is not, if they end with one."""
        kept = self.retention
        due: list[tuple[Any, ...]] = []
        before = -1 if kept.age_ms is None else self.tx.now_ms - kept.age_ms
        entries, size = self.entries, self.size
        for row in rows:
            too_many = kept.rows is not None and entries > kept.rows
            if not (too_many or (kept.bytes is not None and size > kept.bytes) or _time(row) < before):
                return due, int(row[0])
            due.append(row)
            entries, size = entries - 1, size - row[-1]
        return due, None

    def _let_go(self, due: list[tuple[Any, ...]], position: int, pins: Pins) -> tuple[int, int]:
        rows = [Gone(*row[:7]) for row in due]
        gone, left = let_go(self.tx, rows, pins)
        floor = max((row.lsn for row in rows), default=0)
        floor_ms = max((row[7] >> 16 for row in due if _is_own(row)), default=0)
        newest = max((row.record for row in rows), default=0)
        size = sum(row[-1] for row in due)
        self.tx.connection.execute(_LOWER, (self.collection, floor, floor_ms, position, newest, len(due), size))
        records = [(record, floor) for record in dict.fromkeys(row.record for row in rows)]
        self.tx.connection.executemany(_LEDGER, records)
        self.tx.connection.executemany(_INBOX, records)
        self.tx.connection.executemany(_UNBURY, [(record,) for record, _ in records])
        return gone, left


def _is_own(row: tuple[Any, ...]) -> bool:
    """Whether a row is dated by its own clock."""
    return bool(row[2] < Kind.MERGE)


def _time(row: tuple[Any, ...]) -> int:
    """When it happened here, milliseconds since 1970; what has no date of its own (a reissue) is as old as can be."""
    return int(row[7] >> 16 if _is_own(row) or row[8] is None else row[8])


def _count(tx: Tx) -> bool:
    """Count the rows that have come since; gives whether there are more."""
    (counted,) = tx.connection.execute("SELECT counted FROM node").fetchone()
    (last,) = tx.connection.execute(_COUNTED, (counted, LOOK_ROWS)).fetchone()
    if last is None:
        return False
    tx.connection.execute(_COUNT, (counted, last))
    tx.connection.execute("UPDATE node SET counted = ?", (last,))
    (end,) = tx.connection.execute("SELECT max(id) FROM log").fetchone()
    return bool(end > last)


def _let_stubs_go(tx: Tx, pins: Pins) -> tuple[int, bool]:
    """Delete stubs of operations that some peer has stored by now; gives how many, and whether there are more."""
    acked = tx.lsn if pins.acked is None else acked_by_any(tx.connection, tx.feed)
    rows = [Gone(*row) for row in tx.connection.execute(_STUBS, (acked, SLICE_ROWS)).fetchall()]
    if not rows:
        return 0, False
    reached("log: stubs go")
    return let_go(tx, rows, pins)[0], len(rows) == SLICE_ROWS


def _forget_dates(tx: Tx) -> None:
    """Delete dates of batches of which no row stands any more, or that are very old."""
    (upto,) = tx.connection.execute(_UNDATED).fetchone()
    first, last = tx.connection.execute("SELECT min(lsn), max(lsn) FROM arrival").fetchone()
    if first is None:
        return
    if last - first > DATES_KEPT:
        query = "SELECT lsn FROM arrival ORDER BY lsn DESC LIMIT 1 OFFSET ?"
        oldest = tx.connection.execute(query, (DATES_KEPT,)).fetchone()
        upto = max(upto, oldest[0] if oldest else 0)
    rows = tx.connection.execute(_OLD_DATES, (upto, SLICE_ROWS)).fetchall() if upto >= first else []
    if rows:
        tx.connection.execute("DELETE FROM arrival WHERE lsn <= ?", (rows[-1][0],))
        query = "UPDATE node SET undated = ?, undated_ms = max(undated_ms, ?)"
        tx.connection.execute(query, (rows[-1][0], max(ms for _, ms in rows)))
