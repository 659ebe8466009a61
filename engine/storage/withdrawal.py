"""Takes back what the version vector claims, when names are given up, and claims it again after the next whole session.

Knows nothing of renaming. Invariant: the vector claims no operation without what its author had seen; else peers, who
compare vectors, would pass over records in which something is missing here. What it says no more, each record says
for itself, as after a session that was cut (docs/decisions, 0020).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from holdfast.clocks import EMPTY, Actor, VersionVector, node_of

from ..reached import reached
from .journal import Kind
from .letting_go import gone_up_to, seen_at_least
from .pasts import restored
from .peers import read_all_anew
from .retiring import begin_anew
from .store import Tx

_SEEN_FIRST = (
    "SELECT l.seq, v.vector FROM log l JOIN context v ON v.id = l.context"
    " WHERE l.node = ? AND l.seq > ? AND l.kind <> ? ORDER BY l.seq LIMIT 1"
)
"""What the first own operation above a number had seen; log rows of merges name others' operations."""

_CARRY = "UPDATE record SET extra = ? WHERE extra IS NULL OR extra NOT IN (SELECT value FROM json_each(?))"
_CARRY_MORE = "UPDATE record SET extra = ? WHERE extra = ?"
_KEEP_MORE = "UPDATE stub SET context = ? WHERE context = ?"


def withdraw(tx: Tx, old: int, known: int) -> None:
    """Claim own operations of identity number `old` only up to `known`, and read peers' feeds anew.

    The vector goes back to what it was before the first of the others: what came since may have seen them. Where there
    are none it stays, and what was taken back earlier stays so.
    """
    read_all_anew(tx)
    actor = tx.names.actor(old)
    claimed = up_to(tx.others.join(_taken_back(tx)), actor, known)
    before = up_to(_seen_first(tx, old, known), actor, known)
    begin_anew(tx, before)
    if before != claimed:
        _store(tx, claimed)
        _carry(tx, claimed, lambda extra: up_to(extra, actor, known))


def withdraw_all(tx: Tx, claimed: VersionVector, kept: Callable[[VersionVector], VersionVector]) -> None:
    """Claim nothing any more but what this identity writes: rows are gone, and the vector must not speak for them.

    What stands here has taken in `claimed`, and `kept` of what it carries already. Nothing of it is claimed again but
    what peers bring: they alone know what is gone (docs/decisions, 0034).
    """
    read_all_anew(tx)
    begin_anew(tx, EMPTY)
    _store(tx, EMPTY)
    if claimed:
        _carry(tx, claimed, kept)


def _seen_first(tx: Tx, old: int, known: int) -> VersionVector:
    """What the first own operation above `known` had seen, or less if the log has been trimmed."""
    row = tx.connection.execute(_SEEN_FIRST, (old, known, int(Kind.MERGE))).fetchone()
    seq, vector = (None, tx.others) if row is None else (row[0], restored(tx.connection, row[1]))
    if seq != known + 1 and known < gone_up_to(tx, old):
        reached("identity: names are given up that the log has let go")
        return seen_at_least(tx, old, known)
    return vector


def claim_again(tx: Tx, peers: VersionVector) -> VersionVector:
    """What the vector claims with a peer's whose feed has been read to its end: all that it had claimed before.

    Unless the peer is behind that: then another knows better. An identity that the peer is behind with may be one that
    its node has left and that nobody claims any more; it is known by the node's other identity.
    """
    before = _taken_back(tx)
    behind = [actor for actor, seq in before.items() if peers.seq(actor) < seq]
    if not before or any(_is_present(actor, peers) for actor in behind):
        return peers
    tx.connection.execute("DELETE FROM taken_back")
    return peers.join(before)


def _is_present(actor: Actor, vector: VersionVector) -> bool:
    """Whether no other identity of its node is known there."""
    return all(other == actor or node_of(other) != node_of(actor) for other, _ in vector.items())


def _taken_back(tx: Tx) -> VersionVector:
    rows = tx.connection.execute("SELECT actor, seq FROM taken_back").fetchall()
    return VersionVector({tx.names.actor(actor): seq for actor, seq in rows})


def _store(tx: Tx, taken_back: VersionVector) -> None:
    tx.connection.execute("DELETE FROM taken_back")
    rows = [(tx.names.number(actor), seq) for actor, seq in taken_back.items()]
    tx.connection.executemany("INSERT INTO taken_back (actor, seq) VALUES (?, ?)", rows)


def _carry(tx: Tx, claimed: VersionVector, kept: Callable[[VersionVector], VersionVector]) -> None:
    """Every record says itself what it has taken in; `kept`: what stays true of what it carried before."""
    waiting = {number: kept(extra).join(claimed) for number, extra in tx.names.unsettled().items()}
    tx.connection.execute(_CARRY, (tx.names.extra(claimed), json.dumps([*waiting])))
    for number, extra in waiting.items():
        grown = tx.names.extra(extra)
        tx.connection.execute(_CARRY_MORE, (grown, number))
        tx.connection.execute(_KEEP_MORE, (grown, number))


def up_to(vector: VersionVector, actor: Actor, known: int) -> VersionVector:
    """The vector, with this identity up to `known`."""
    others = {other: seq for other, seq in vector.items() if other != actor}
    return VersionVector({**others, actor: known} if known else others)
