"""What this node knows of the identities it met: checkpoints, vectors, tickets.

Knows nothing of how they are reached. Invariant: a checkpoint is kept under the id of the feed it refers to, and a
peer that comes with another feed starts at 0; everything here changes in the transaction of what it tells of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.clocks import EMPTY, Actor, VersionVector

from ..delta import NO_FEED, NO_STRETCH, FeedBatch, FeedId, StretchId
from ..tickets import marked
from .letting_go import stored_of_gone
from .pasts import restored
from .store import Tx

_FIELDS = [
    "actor",
    "label",
    "url",
    "feed",
    "checkpoint",
    "stretch",
    "vector",
    "acked_feed",
    "acked",
    "told",
    "ticket",
    "issued",
    "pending",
    "synced_ms",
    "drift_ms",
]
_VECTORS = {"vector": "c.vector", "told": "t.vector"}
_COLUMNS = ", ".join(_VECTORS.get(name, f"p.{name}") for name in _FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM peer p LEFT JOIN context c ON c.id = p.vector LEFT JOIN context t ON t.id = p.told"  # noqa: S608 - constants only
_SAVE = (
    "INSERT INTO peer (actor, label, url, feed, checkpoint, stretch, vector, acked_feed, acked, told, ticket, issued,"
    " pending, synced_ms, drift_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (actor) DO UPDATE SET label = excluded.label, url = coalesce(excluded.url, url),"
    " feed = excluded.feed, checkpoint = excluded.checkpoint, stretch = excluded.stretch, vector = excluded.vector,"
    " acked_feed = excluded.acked_feed, acked = excluded.acked, told = excluded.told, ticket = excluded.ticket,"
    " issued = excluded.issued, pending = excluded.pending, synced_ms = excluded.synced_ms,"
    " drift_ms = excluded.drift_ms"
)

_HEARD = (
    "INSERT INTO member (actor, label, heard_ms, marked) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (actor) DO UPDATE SET label = excluded.label, heard_ms = excluded.heard_ms,"
    " marked = max(marked, excluded.marked)"
)


@dataclass(slots=True, kw_only=True)
class Peer:
    """One identity that this node met.

    Attributes:
        actor, label, url: Who, and where it was reached.
        feed, checkpoint, stretch: Its feed, the lsn up to which this node has read it, and the stretch that lies in.
            A stretch behind no checkpoint (0): where it was read before it had to be read anew (`read_all_anew`).
        vector: Its version vector when it last said it.
        acked_feed, acked: The feed of this node that it reads, and how far it has stored it.
        told: This node's vector as the peer was last told it.
        ticket: To show it in the next session; issued, pending: what it is to show here.
        synced_ms: When a session last completed (milliseconds since 1970).
        drift_ms: Its clock less ours when last seen.
    """

    actor: Actor
    label: str = ""
    url: str | None = None
    feed: FeedId = NO_FEED
    checkpoint: int = 0
    stretch: StretchId = NO_STRETCH
    vector: VersionVector = EMPTY
    acked_feed: FeedId = NO_FEED
    acked: int = 0
    told: VersionVector = EMPTY
    ticket: bytes = b""
    issued: bytes = b""
    pending: bytes = b""
    synced_ms: int | None = None
    drift_ms: int = 0

    def checkpoint_in(self, feed: FeedId) -> int:
        """How far this node has read that feed of the peer."""
        return self.checkpoint if feed == self.feed else 0

    def stretch_in(self, feed: FeedId) -> StretchId:
        """The stretch of that feed of the peer that its checkpoint lies in."""
        return self.stretch if self.checkpoint_in(feed) else NO_STRETCH

    def is_read_to(self, feed: FeedId, lsn: int, stretch: StretchId) -> bool:
        """Whether this node has read that feed of the peer exactly so far."""
        return (lsn, stretch) == (self.checkpoint_in(feed), self.stretch_in(feed))

    def read_anew(self) -> None:
        """The checkpoint turned out to be none of the peer's feed: go on from the feed's start."""
        self.checkpoint, self.stretch = 0, NO_STRETCH

    def acked_in(self, feed: FeedId) -> int:
        """How far the peer has stored that feed of this node."""
        return self.acked if feed == self.acked_feed else 0


def find_peer(connection: sqlite3.Connection, actor: Actor) -> Peer:
    """What is known of an identity; a blank peer if it was never met."""
    row = connection.execute(f"{_SELECT} WHERE p.actor = ?", (actor,)).fetchone()
    return _peer(connection, row) if row else Peer(actor=actor)


def peer_at(connection: sqlite3.Connection, url: str) -> Peer | None:
    """The identity that was last met at a URL."""
    query = f"{_SELECT} WHERE p.url = ? ORDER BY coalesce(p.synced_ms, 0) DESC, p.actor LIMIT 1"
    row = connection.execute(query, (url,)).fetchone()
    return _peer(connection, row) if row else None


def all_peers(connection: sqlite3.Connection) -> list[Peer]:
    """Every identity that this node met."""
    return [_peer(connection, row) for row in connection.execute(f"{_SELECT} ORDER BY p.actor")]


def save_peer(tx: Tx, peer: Peer) -> None:
    """Store what is known of a peer."""
    before = tx.connection.execute("SELECT vector, told FROM peer WHERE actor = ?", (peer.actor,)).fetchone()
    vector = tx.names.passing(peer.vector) if peer.vector else None
    told = tx.names.passing(peer.told) if peer.told else None
    tx.connection.execute(
        _SAVE,
        (
            peer.actor,
            peer.label,
            peer.url,
            peer.feed,
            peer.checkpoint,
            peer.stretch,
            vector,
            peer.acked_feed,
            peer.acked,
            told,
            peer.ticket,
            peer.issued,
            peer.pending,
            peer.synced_ms,
            peer.drift_ms,
        ),
    )
    if before is not None:
        tx.names.free({*before} - {vector, told})
    mark = tx.purging.mark
    marked = mark is not None and peer.vector.dominates(mark)
    tx.connection.execute(_HEARD, (peer.actor, peer.label, tx.now_ms, marked))


def advance_checkpoint(tx: Tx, peer: Peer, batch: FeedBatch, *, completed: bool) -> None:
    """The batch has been applied: remember how far the feed has been read."""
    peer.feed, peer.checkpoint, peer.stretch = batch.feed, batch.end, batch.end_stretch
    peer.vector = peer.vector.join(batch.vector)
    if completed:
        peer.synced_ms = tx.now_ms
    save_peer(tx, peer)
    tx.names.free_unsettled(drained=completed)


def read_anew(tx: Tx, actor: Actor) -> None:
    """Go on from the start of this peer's feed."""
    tx.connection.execute("UPDATE peer SET checkpoint = 0, stretch = x'' WHERE actor = ?", (actor,))


def read_all_anew(tx: Tx) -> None:
    """Go on from the start of every peer's feed, and remember of those who call here in which stretch it was read.

    Their tickets are forgotten with the identity under which they were given; the stretch still tells them that this
    node has read their feed in another file (`stretches.gave`).
    """
    tx.connection.execute("UPDATE peer SET checkpoint = 0, stretch = iif(url IS NULL, stretch, x'')")


def count_as_shared(tx: Tx, mark: bytes) -> None:
    """Own operations may leave the node from now on; whoever sees them sees this mark."""
    tx.shared = tx.seq
    mark_tickets(tx, mark)


def shared_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Up to which own operation may have left the node, and the last there is."""
    shared, seq = connection.execute("SELECT shared, seq FROM node").fetchone()
    return int(shared), int(seq)


def mark_tickets(tx: Tx, mark: bytes) -> None:
    """New operations may leave the file: whoever sees them sees this mark."""
    rows = tx.connection.execute("SELECT actor, ticket FROM peer WHERE url IS NOT NULL").fetchall()
    tx.connection.executemany(
        "UPDATE peer SET ticket = ? WHERE actor = ?", [(marked(ticket, mark), actor) for actor, ticket in rows]
    )


def unmark_tickets(tx: Tx, mark: bytes) -> None:
    """Nobody has seen this mark, which was the last."""
    rows = tx.connection.execute("SELECT actor, ticket FROM peer WHERE url IS NOT NULL").fetchall()
    marked_last = [(ticket[: -len(mark)], actor) for actor, ticket in rows if ticket.endswith(mark)]
    tx.connection.executemany("UPDATE peer SET ticket = ? WHERE actor = ?", marked_last)


def stored_elsewhere(tx: Tx, actor: Actor | None = None) -> int:
    """The highest own operation that this peer, or any, has acknowledged as it stands in this file."""
    query = (
        "SELECT coalesce(max(l.seq), 0) FROM log l WHERE l.node = ?1"
        " AND l.lsn <= (SELECT max(acked) FROM peer WHERE acked_feed = ?2 AND (?3 IS NULL OR actor = ?3))"
    )
    (seq,) = tx.connection.execute(query, (tx.own, tx.feed, actor)).fetchone()
    return max(int(seq), stored_of_gone(tx, actor))


def maybe_elsewhere(tx: Tx, giver: Actor | None) -> int:
    """The highest own operation that a peer other than `giver` may hold as it stands in this file.

    Who calls this node acknowledges what it has read when it calls again, or never: until then all that was shared
    may stand with it.
    """
    query = "SELECT 1 FROM peer WHERE url IS NULL AND actor IS NOT ? LIMIT 1"
    called_by_others = tx.connection.execute(query, (giver,)).fetchone() is not None
    return max(stored_elsewhere(tx), tx.shared if called_by_others else 0)


def forget_sessions(tx: Tx) -> None:
    """A new identity or feed began here: nothing that was keyed by the old one may be used again."""
    told = tx.connection.execute("SELECT DISTINCT told FROM peer").fetchall()
    tx.connection.execute(
        "UPDATE peer SET acked_feed = '', acked = 0, told = NULL, ticket = x'', issued = x'', pending = x''"
    )
    tx.names.free(number for (number,) in told)


def _peer(connection: sqlite3.Connection, row: Sequence[Any]) -> Peer:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in ("vector", "told"):
        values[name] = restored(connection, values[name]) if values[name] is not None else EMPTY
    return Peer(**values)
