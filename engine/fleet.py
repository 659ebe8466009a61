"""Whom a node met, and what of what it holds they are known to have.

Read-only. Invariant: it says what is known and no more: a peer says with its next hello what it has stored, so what it
was sent in the last session is not confirmed until then.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.clocks import Actor, VersionVector

from .delta import FeedId
from .storage.feed import pending
from .storage.peers import Peer, all_peers
from .storage.roster import Seat, seats
from .storage.succession import superseded

Standing = Literal["member", "left out", "superseded", "sealed"]

_TAKEN_IN: Final = "SELECT a.actor, v.moved_ms FROM vector v JOIN actor a ON a.id = v.actor"
_WRITTEN: Final = "SELECT max(l.clock) >> 16 FROM log l JOIN node n ON n.actor = l.node"  # wall time in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One identity that this node met.

    Attributes:
        actor, label, url: Who and where.
        read: How far this node has read the peer's feed (lsn).
        acknowledged: How far the peer has stored this node's feed (lsn).
        pending: Records that wait to be sent to it, or to be confirmed by it.
        behind: Operations that this node has taken in and that the peer is not known to have.
        offered: Whether all of these stood here when it was last met: they were sent, if that session was not cut, and
            it confirms them with its next one.
        met_ms: When it was last met, milliseconds since 1970; 0 if that is not known.
        synced_ms: When it last brought all that it had, milliseconds since 1970; None if it never brought anything.
        standing: "member"; "left out" of purging; "superseded" by a later identity of its node, and not heard of since;
            "sealed": given up.
        drift_ms: Its clock less this node's.
    """

    actor: str
    label: str
    url: str | None
    read: int
    acknowledged: int
    pending: int
    behind: int
    offered: bool
    met_ms: int
    synced_ms: int | None
    standing: Standing
    drift_ms: int


def read_fleet(connection: sqlite3.Connection, feed: FeedId, vector: VersionVector) -> tuple[PeerStatus, ...]:
    """Whom this node met, by identity.

    Args:
        connection: In a transaction.
        feed: The node's own.
        vector: The node's own.
    """
    moved = {Actor(actor): int(moved_ms) for actor, moved_ms in connection.execute(_TAKEN_IN)}
    (own,) = connection.execute("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor").fetchone()
    moved[own] = int(connection.execute(_WRITTEN).fetchone()[0] or 0)
    members = {seat.actor: seat for seat in seats(connection)}
    gone = superseded(connection)
    return tuple(
        _peer(connection, peer, members.get(peer.actor), feed, vector, moved, given_up=peer.actor in gone)
        for peer in all_peers(connection)
    )


def _peer(
    connection: sqlite3.Connection,
    peer: Peer,
    seat: Seat | None,
    feed: FeedId,
    vector: VersionVector,
    moved: dict[Actor, int],
    *,
    given_up: bool,
) -> PeerStatus:
    lacks = dict(vector.changes_since(peer.vector).items())
    met_ms = seat.heard_ms if seat else 0
    return PeerStatus(
        actor=peer.actor,
        label=peer.label,
        url=peer.url,
        read=peer.checkpoint,
        acknowledged=peer.acked_in(feed),
        pending=pending(connection, peer.acked_in(feed), peer.vector)[0],
        behind=sum(seq - peer.vector.seq(actor) for actor, seq in lacks.items()),
        offered=all(moved.get(actor, 0) <= met_ms for actor in lacks),
        met_ms=met_ms,
        synced_ms=peer.synced_ms,
        standing=_standing(seat, given_up=given_up),
        drift_ms=peer.drift_ms,
    )


def _standing(seat: Seat | None, *, given_up: bool) -> Standing:
    if seat is None:
        return "sealed"
    if given_up:
        return "superseded"
    return "member" if seat.out_ms is None else "left out"
