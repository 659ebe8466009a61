"""What becomes of the membership of an identity that its node has given up: it was copied, put back or repaired.

Knows nothing of how that shows. Invariants: an identity alone never decides who decides, the terms do; who goes on
under the same node id and was heard of later is the successor, and silence alone shows that the one before is gone.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.clocks import Actor

from .roster import Decision, decide, decision_of
from .store import Tx

_SUPERSEDED: Final = (
    "SELECT m.actor FROM member m JOIN (SELECT substr(actor, 1, 16) AS node, max(heard_ms) AS heard_ms FROM"
    " (SELECT actor, heard_ms FROM member UNION ALL SELECT a.actor, 1 FROM node n JOIN actor a ON a.id = n.actor)"
    " GROUP BY 1 HAVING count(*) > 1) n ON n.node = substr(m.actor, 1, 16) WHERE m.heard_ms < n.heard_ms"
    " AND m.actor <> (SELECT authority FROM purging)"
)


def superseded(connection: sqlite3.Connection) -> frozenset[Actor]:
    """Members whose node was met under a later identity, and which were not heard of since."""
    return frozenset(Actor(actor) for (actor,) in connection.execute(_SUPERSEDED))


def decide_under_new_identity(tx: Tx, old: Actor) -> None:
    """If this node decided under the identity that it has just given up, it decides under its new one, a term later.

    Should a copy of the file live on under the old one, it yields when it hears of the term; a copy that heard of it
    before it begins an identity of its own is no authority any more, and hands nothing on. So of two copies that both
    believe to decide one does in the end: the greatest of (term, number, authority).
    """
    now = decision_of(tx.connection)
    if now.authority != old:
        return
    tx.set_mark(None, None)
    decide(tx, Decision(now.term + 1, 0, tx.actor))


def forsaken(connection: sqlite3.Connection) -> bool:
    """Whether this file decided under an identity that it gave up, of which nobody was heard: nobody decides.

    Names are numbered in their order: one that came after this file's own is of a copy that lives.
    """
    row = connection.execute(
        "SELECT 1 FROM purging p JOIN actor gone ON gone.actor = p.authority JOIN node n JOIN actor own"
        " ON own.id = n.actor WHERE gone.id < own.id AND substr(gone.actor, 1, 16) = substr(own.actor, 1, 16)"
        " AND NOT EXISTS (SELECT 1 FROM member m WHERE m.actor = p.authority AND m.heard_ms > 0)"
    ).fetchone()
    return row is not None
