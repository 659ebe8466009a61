"""Begins a file's life: its first identity, and a new incarnation when the file is not the one it claims to be.

Knows nothing of witnesses: others decide when. Invariant: an identity is random in both halves, so two copies that
begin a new life never meet; nothing keyed by the old identity or feed is used after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from holdfast.clocks import Actor, actor_of, new_incarnation, new_node_id, new_space_id, node_of

from ..delta import FEED_BYTES, FeedId
from ..seams import Seams
from .peers import forget_sessions
from .store import Tx

Announce = Callable[[Actor], None]


def begin_file(
    connection: sqlite3.Connection, seams: Seams, *, label: str, space_name: str, announce: Announce | None = None
) -> None:
    """Write the first identity of a file that has only its tables.

    It is announced before it is committed: a process that is killed in between leaves an announcement of nothing, and
    not a file that nobody has announced, which would pass for a copy.
    """
    actor = actor_of(new_node_id(seams.entropy), new_incarnation(seams.entropy))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO actor (id, actor, label) VALUES (1, ?, ?)", (actor, label))
    connection.execute(
        "INSERT INTO node (id, actor, label, seq, shared, lsn, clock, digest, feed, space, space_name, bond, policy)"
        " VALUES (1, 1, ?, 0, 0, 0, 0, 0, ?, ?, ?, 0, x'')",
        (label, _new_feed(seams), new_space_id(seams.entropy), space_name),
    )
    if announce is not None:
        announce(actor)
    connection.execute("COMMIT")


def begin_incarnation(tx: Tx, label: str) -> Actor:
    """Go on under a new identity and a new feed; the old identity's operations stay what they are.

    What stands in the file stays under the old identity, which never writes again: copies of it may be anywhere.
    """
    old, old_seq = tx.own, tx.seq
    actor = actor_of(node_of(tx.actor), new_incarnation(tx.store.seams.entropy))
    number = tx.names.number(actor, label)
    if old_seq:
        tx.connection.execute(
            "INSERT INTO vector (actor, seq) VALUES (?, ?)"
            " ON CONFLICT (actor) DO UPDATE SET seq = max(seq, excluded.seq), apart = 1",
            (old, old_seq),
        )
    forget_sessions(tx)
    feed = _new_feed(tx.store.seams)
    tx.connection.execute("UPDATE node SET actor = ?, feed = ?, seq = 0, shared = 0", (number, feed))
    tx.restart(number, actor, feed)
    return actor


def _new_feed(seams: Seams) -> FeedId:
    return FeedId(seams.entropy(FEED_BYTES).hex())
