"""Moves identities that write no more out of the vectors of the file, into its past.

Knows nothing of members or sessions. Invariant: it changes how vectors are kept, and no vector (docs/decisions, 0038).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.clocks import Actor, VersionVector

from ..reached import reached
from .pasts import add_past
from .store import Tx

RETIRED_AFTER_MS: Final = 30 * 24 * 3600 * 1000
"""An identity that nothing was heard of for so long is taken to write no more; if it does, it is named again."""

CROWD: Final = 1_024
"""Where more identities than this are named,"""

CROWDED_AFTER_MS: Final = 24 * 3600 * 1000
"""they are taken to write no more after this."""

RETIRED_AT_ONCE: Final = 64
"""So many go together: each time, all vectors of the file that are used are kept anew."""

_IDLE: Final = "FROM vector v JOIN actor a ON a.id = v.actor WHERE v.apart = 1 AND v.moved_ms < ?"


def may_retire(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Whether there are enough."""
    since = now_ms - _after_ms(connection)
    (count,) = connection.execute(f"SELECT count(*) {_IDLE}", (since,)).fetchone()
    return int(count) >= RETIRED_AT_ONCE


def retire(tx: Tx, *, at_once: int = RETIRED_AT_ONCE, after_ms: int | None = None) -> int:
    """Let identities that nothing was heard of for so long be the past; gives how many."""
    since = tx.now_ms - (_after_ms(tx.connection) if after_ms is None else after_ms)
    idle = tx.connection.execute(f"SELECT a.actor, v.seq {_IDLE}", (since,)).fetchall()
    if len(idle) < at_once:
        return 0
    reached("vectors: identities are the past")
    head, _ = tx.store.past()
    number = add_past(tx.connection, head, VersionVector({Actor(actor): seq for actor, seq in idle}))
    tx.connection.execute("UPDATE node SET past = ?", (number,))
    tx.connection.execute("UPDATE vector SET apart = 0 WHERE apart = 1 AND moved_ms < ?", (since,))
    tx.keep_anew()
    return len(idle)


def _after_ms(connection: sqlite3.Connection) -> int:
    (named,) = connection.execute("SELECT count(*) FROM vector WHERE apart = 1").fetchone()
    return RETIRED_AFTER_MS if named <= CROWD else CROWDED_AFTER_MS


def begin_anew(tx: Tx, seqs: VersionVector) -> None:
    """The vector goes back to this: it is kept over no past, which may claim more."""
    tx.connection.execute("UPDATE node SET past = NULL")
    tx.connection.execute("DELETE FROM vector")
    rows = [(tx.names.number(actor), seq, tx.now_ms) for actor, seq in seqs.items()]
    tx.connection.executemany("INSERT INTO vector (actor, seq, moved_ms) VALUES (?, ?, ?)", rows)
    tx.keep_anew()
