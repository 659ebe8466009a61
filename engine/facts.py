"""A node's side of a handshake, read in one transaction.

Knows nothing of messages. Invariant: read-only; everything in it is of one state of the file.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from holdfast.clocks import EMPTY, Actor, VersionVector

from .delta import FeedId
from .membership import Membership
from .storage.holes import hole_keys
from .storage.members import membership_of
from .storage.pasts import restored
from .storage.peers import (
    Peer,
    find_peer,
    peer_at,
)
from .storage.purge import has_unjudged
from .storage.roster import NOBODY, Decision, Seat, decision_of, heard_ms, told_to
from .storage.store import vector_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A node's side of a handshake, read in one transaction.

    Attributes:
        space_name, membership: The space's name, and what the node is a member of.
        actor, label, seq: Its identity and the last operation under it.
        feed, head: Its feed and the last lsn in it.
        vector: Its version vector.
        digest: 62 bits over all cells; None while it may not be compared: a record carries an extra context, or may go.
        clock_ms: Its wall clock.
        schema, policy: Fingerprints of what it declares.
        peer: What it knows of the other side; None if it does not know who that is.
        held: The highest sequence number of the other side's identity that it holds, extra contexts included.
        holes: (collection, key) of records of the other side's feed that could not be joined.
        fence: Up to where it may have purged what was deleted.
        decision: Who purges, as far as it knows; seats: who takes part, if the other side is the heir of that.
        heard_ms: When it last noted that it met the other side; 0 for never.
        asking: Whether this node has a session under way that it has begun itself.
    """

    space_name: str
    membership: Membership
    actor: Actor
    label: str
    seq: int
    feed: FeedId
    head: int
    vector: VersionVector
    digest: int | None
    clock_ms: int
    schema: bytes
    policy: bytes
    peer: Peer | None
    held: int
    holes: tuple[tuple[str, str], ...]
    fence: VersionVector = EMPTY
    decision: Decision = NOBODY
    seats: tuple[Seat, ...] = ()
    heard_ms: int = 0
    asking: bool = False


def read_facts(connection: sqlite3.Connection, actor: Actor | None, url: str | None, now_ms: int) -> Facts:
    """This node's side of a handshake with an identity, or with whoever was last met at a URL."""
    connection.execute("BEGIN")
    try:
        own, label, seq, feed, head, digest, space_name, fence = connection.execute(
            "SELECT a.actor, n.label, n.seq, n.feed, n.lsn, n.digest, n.space_name, p.fence"
            " FROM node n JOIN actor a ON a.id = n.actor JOIN purging p"
        ).fetchone()
        peer = find_peer(connection, actor) if actor else peer_at(connection, url) if url else None
        vector, waiting = vector_of(connection), _unsettled(connection)
        holes = tuple(hole_keys(connection, peer.feed)) if peer else ()
        return Facts(
            space_name=space_name,
            membership=membership_of(connection),
            actor=Actor(own),
            label=label,
            seq=seq,
            feed=FeedId(feed),
            head=head,
            vector=vector,
            digest=None if waiting or has_unjudged(connection) else digest,
            clock_ms=now_ms,
            schema=b"",
            policy=b"",
            peer=peer,
            held=max([v.seq(peer.actor) for v in (vector, *waiting)]) if peer else 0,
            holes=holes,
            fence=restored(connection, fence),
            decision=decision_of(connection),
            seats=told_to(connection, peer.actor) if peer else (),
            heard_ms=heard_ms(connection, peer.actor) if peer else 0,
        )
    finally:
        connection.execute("COMMIT")


def _unsettled(connection: sqlite3.Connection) -> list[VersionVector]:
    rows = connection.execute("SELECT vector FROM context WHERE settled = 0").fetchall()
    return [restored(connection, vector) for (vector,) in rows]
