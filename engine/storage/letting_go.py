"""Lets rows of the log go, and keeps what names are followed by: what peers had stored, and what operations had seen.

Knows nothing of why rows go. Invariants: whoever renames operations or follows receipts (`reissue`, `withdraw`,
`stored_elsewhere`, `present_name`) claims no more than it did with the whole log; and what is left of a row that must
stay is a stub, which says nothing of how its record read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from holdfast.clocks import EMPTY, VersionVector

from ..delta import FeedId
from .journal import Kind
from .pasts import restored
from .store import Tx

_STRIP: Final = (
    "UPDATE log SET old = NULL, added = NULL, was = NULL, author = NULL, note = NULL, stub = ?"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_DELETE: Final = "DELETE FROM log WHERE id IN (SELECT value FROM json_each(?))"
_PEERS: Final = "SELECT actor, acked FROM peer WHERE acked_feed = ?"
_TRIMMED: Final = (
    "INSERT INTO trimmed (actor, first, seen, seq, lsn) VALUES (?, ?, ?, ?, ?) ON CONFLICT (actor) DO UPDATE SET"
    " seen = CASE WHEN excluded.first < first THEN excluded.seen ELSE seen END, first = min(first, excluded.first),"
    " lsn = CASE WHEN excluded.seq > seq THEN excluded.lsn ELSE lsn END, seq = max(seq, excluded.seq)"
)
_STORED: Final = (
    "INSERT INTO stored (actor, peer, seq, lsn, at, seen) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (actor, peer) DO UPDATE SET seq = excluded.seq, lsn = excluded.lsn, at = excluded.at,"
    " seen = excluded.seen WHERE excluded.seq > seq"
)
_KEPT: Final = (
    "SELECT max(seq) FROM (SELECT s.seq FROM stored s JOIN peer p ON p.actor = s.peer WHERE s.actor = ?1"
    " AND p.acked_feed = ?2 AND p.acked >= s.lsn AND (?3 IS NULL OR s.peer = ?3)"
    " UNION ALL SELECT t.seq FROM trimmed t WHERE t.actor = ?1"
    " AND t.lsn <= (SELECT max(acked) FROM peer WHERE acked_feed = ?2 AND (?3 IS NULL OR actor = ?3)))"
)
_SEEN: Final = (
    "SELECT v.vector FROM (SELECT at, seen FROM stored WHERE actor = ?1"
    " UNION ALL SELECT first, seen FROM trimmed WHERE actor = ?1) s JOIN context v ON v.id = s.seen"
    " WHERE s.at <= ?2 + 1 ORDER BY s.at DESC LIMIT 1"
)
"""An operation had seen all that those before it had: what an earlier one had seen claims too little at most."""

_CONTEXTS: Final = "SELECT count(*) FROM context WHERE logged = 1"
_UNLOGGED: Final = (
    "SELECT id FROM context WHERE logged = 1 AND id NOT IN (SELECT context FROM log WHERE context IS NOT NULL"
    " UNION SELECT seen FROM trimmed WHERE seen IS NOT NULL UNION SELECT seen FROM stored WHERE seen IS NOT NULL)"
)


class Gone(NamedTuple):
    """What matters of a row that goes."""

    id: int
    lsn: int
    kind: int
    node: int | None
    seq: int
    context: int | None
    record: int


@dataclass(frozen=True, slots=True)
class Pins:
    """Which rows stay as stubs.

    Attributes:
        own: The identity that operations are written under.
        acked: The own feed is stored by some peer up to here; None if no peer was ever met: nobody knows a name then.
        reused: Names of former identities that stand for two writes: (identity, above, up to).
    """

    own: int
    acked: int | None
    reused: Sequence[tuple[int, int, int]]

    @classmethod
    def of(cls, tx: Tx) -> Pins:
        """Those of the file as it stands."""
        (peers,) = tx.connection.execute("SELECT count(*) FROM peer").fetchone()
        reused = tx.connection.execute("SELECT actor, low, high FROM reused").fetchall()
        return cls(tx.own, acked_by_any(tx.connection, tx.feed) if peers else None, reused)

    def stub(self, row: Gone) -> int:
        """0 if the row may go; else what `log.stub` says of it."""
        if row.kind == Kind.MERGE:
            return 0
        if row.kind == Kind.REISSUE or any(a == row.node and low < row.seq <= high for a, low, high in self.reused):
            return 2
        return int(row.node == self.own and self.acked is not None and row.lsn > self.acked)


def let_go(tx: Tx, rows: Sequence[Gone], pins: Pins) -> tuple[int, int]:
    """Delete these rows or leave stubs of them; gives how many of each. Log rows before them may be gone already."""
    kinds: dict[int, list[Gone]] = {0: [], 1: [], 2: []}
    for row in rows:
        kinds[pins.stub(row)].append(row)
    _remember(tx, [row for row in kinds[0] if row.node == tx.own and row.kind != Kind.MERGE])
    tx.connection.execute(_DELETE, (_ids(kinds[0]),))
    for stub in (1, 2):
        if kinds[stub]:
            tx.connection.execute(_STRIP, (stub, _ids(kinds[stub])))
    if any(row.context is not None for row in kinds[0]):
        _free_contexts(tx)
    return len(kinds[0]), len(kinds[1]) + len(kinds[2])


def acked_by_any(connection: sqlite3.Connection, feed: FeedId) -> int:
    """How far some peer has stored this feed of the node."""
    (acked,) = connection.execute("SELECT coalesce(max(acked), 0) FROM peer WHERE acked_feed = ?", (feed,)).fetchone()
    return int(acked)


def stored_of_gone(tx: Tx, peer: str | None) -> int:
    """The highest own operation, of those whose rows are gone, that this peer or any is known to have stored."""
    (seq,) = tx.connection.execute(_KEPT, (tx.own, tx.feed, peer)).fetchone()
    return int(seq or 0)


def gone_up_to(tx: Tx, own: int) -> int:
    """The highest operation of an own identity of which the row is gone."""
    row = tx.connection.execute("SELECT seq FROM trimmed WHERE actor = ?", (own,)).fetchone()
    return int(row[0]) if row else 0


def seen_at_least(tx: Tx, own: int, known: int) -> VersionVector:
    """What the operation after `known` of an own identity had seen, or less: its row is gone."""
    row = tx.connection.execute(_SEEN, (own, known)).fetchone()
    return restored(tx.connection, row[0]) if row else EMPTY


def _remember(tx: Tx, own: Sequence[Gone]) -> None:
    """Keep what the rows of these own operations, the present identity's, have said."""
    if not own:
        return
    rows = sorted(own, key=lambda row: row.seq)
    first, last = rows[0], rows[-1]
    tx.connection.execute(_TRIMMED, (tx.own, first.seq, first.context, last.seq, last.lsn))
    for peer, acked in tx.connection.execute(_PEERS, (tx.feed,)).fetchall():
        known = max((at for at, row in enumerate(rows) if row.lsn <= acked), default=None)
        if known is not None:
            row, after = rows[known], rows[min(known + 1, len(rows) - 1)]
            sample = after if after.seq == row.seq + 1 else row
            tx.connection.execute(_STORED, (tx.own, peer, row.seq, row.lsn, sample.seq, sample.context))


def _free_contexts(tx: Tx) -> None:
    """Delete the vectors that no row refers to any more, once there are many: to know that, the log is read."""
    (logged,) = tx.connection.execute(_CONTEXTS).fetchone()
    if tx.names.has_many_logged(logged):
        found = [number for (number,) in tx.connection.execute(_UNLOGGED)]
        tx.names.unlog(found, left=logged - len(found))


def _ids(rows: Iterable[Gone]) -> str:
    return json.dumps([row.id for row in rows])
