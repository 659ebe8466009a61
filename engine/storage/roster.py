"""Who takes part in a space, who decides what is purged, and when it may be.

Knows nothing of sessions. Invariants (docs/decisions, 0025): only the authority marks and decides, and the greatest of
(term, number, authority) holds everywhere; the fence rises over nothing that a member is not known to have that counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.clocks import Actor, VersionVector, node_of
from holdfast.errors import NoSuchMember, NotTheAuthority

from ..purge import Purge
from ..reached import reached
from .peers import all_peers, find_peer
from .store import Tx

_MEMBERS: Final = "SELECT actor, label, heard_ms, marked, out_ms, out_at FROM member ORDER BY actor"
_FOUND: Final = "SELECT actor FROM member WHERE actor LIKE ? || '%' OR label = ? ORDER BY actor"
_LEFT_BEHIND: Final = (
    "SELECT m.actor, m.label FROM member m JOIN"
    " (SELECT substr(actor, 1, 16) AS node, max(heard_ms) AS heard_ms FROM member GROUP BY 1 HAVING count(*) > 1) n"
    " ON n.node = substr(m.actor, 1, 16) WHERE m.out_ms IS NULL AND m.heard_ms < min(n.heard_ms, ?4)"
    " AND m.actor <> (SELECT authority FROM purging)"
)
"""Identities of nodes that go on under another one."""

_LAGS: Final = (
    "SELECT p.fence <> x'0100' AND (SELECT count(*) FROM vector WHERE apart = 1 AND moved_ms > p.purged_ms) > ?5"
    " FROM purging p"
)
_DUE: Final = (
    "SELECT CASE WHEN p.mark IS NULL THEN coalesce(p.marked_ms, 0) <= ?1 AND (EXISTS"  # noqa: S608 - constants only
    f" (SELECT 1 FROM record WHERE live = 0) OR ({_LAGS}))"
    " ELSE NOT EXISTS (SELECT 1 FROM member WHERE marked = 0 AND out_ms IS NULL AND actor <> p.authority) END"
    " OR EXISTS (SELECT 1 FROM member WHERE out_ms IS NULL AND heard_ms < ?2 AND actor <> p.authority)"
    f" OR EXISTS (SELECT 1 FROM member WHERE out_ms < ?3) OR EXISTS ({_LEFT_BEHIND})"
    " FROM purging p JOIN node n JOIN actor a ON a.id = n.actor WHERE p.authority = a.actor"
)
_TOLD: Final = (
    "INSERT INTO member (actor, label, heard_ms, marked, out_ms, out_at) VALUES (?, ?, ?, 0, ?, ?)"
    " ON CONFLICT (actor) DO UPDATE SET out_ms = excluded.out_ms, out_at = excluded.out_at"
)


_RETURNED: Final = (
    "SELECT 1 FROM member m JOIN purging p JOIN node n JOIN actor a ON a.id = n.actor AND a.actor = p.authority"
    " WHERE m.out_ms <= m.heard_ms"
)


@dataclass(frozen=True, slots=True, order=True)
class Decision:
    """Who purges: the greatest one holds.

    Attributes:
        term: Grows whenever the authority changes; 0 while there is none.
        number: Grows with each decision of it.
        authority: Its identity; "" for none.
    """

    term: int = 0
    number: int = 0
    authority: Actor = Actor("")


NOBODY: Final = Decision()
"""Of a space in which nobody decides yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One member, as nodes tell each other.

    Attributes:
        actor, label: Who.
        heard_ms: When it was last met, milliseconds since 1970.
        out_ms: Since when it is left out; None if it counts.
        out_at: Fingerprint of the vector that it was known to have then; b"" if it counts.
    """

    actor: Actor
    label: str
    heard_ms: int
    out_ms: int | None = None
    out_at: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the authority did.

    Attributes:
        raised: Whether the fence rose; marked: whether a new mark was set.
        awaited: Members that count and are not known to cover the mark, and their labels.
        left_out: Labels of those it left out now, for their silence, or because their node goes on under another
            identity; sealed: of those of which it keeps nothing any more.
    """

    raised: bool = False
    marked: bool = False
    awaited: Mapping[Actor, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()


def decision_of(connection: sqlite3.Connection) -> Decision:
    """The decision that holds here."""
    term, number, authority = connection.execute("SELECT term, number, authority FROM purging").fetchone()
    return Decision(term, number, Actor(authority))


def seats(connection: sqlite3.Connection) -> tuple[Seat, ...]:
    """Every member that this node knows of."""
    rows = connection.execute(_MEMBERS).fetchall()
    return tuple(
        Seat(actor=Actor(actor), label=label, heard_ms=heard, out_ms=out_ms, out_at=out_at or b"")
        for actor, label, heard, _, out_ms, out_at in rows
    )


def told_to(connection: sqlite3.Connection, peer: Actor) -> tuple[Seat, ...]:
    """Who takes part, if this peer is the heir that is to hear it from this node."""
    (heir,) = connection.execute("SELECT handing AND authority = ? FROM purging", (peer,)).fetchone()
    return seats(connection) if heir else ()


def heard_ms(connection: sqlite3.Connection, member: Actor) -> int:
    """When this node last noted that it met a member; 0 for never."""
    row = connection.execute("SELECT heard_ms FROM member WHERE actor = ?", (member,)).fetchone()
    return int(row[0]) if row else 0


def is_due(connection: sqlite3.Connection, now_ms: int, plan: Purge) -> bool:
    """Whether it is time for the authority's step; elsewhere never.

    A mark that all cover, or none for so long; or a member that is to be left out or sealed.
    """
    row = connection.execute(_DUE, (now_ms - plan.every_ms, *_since(now_ms, plan), FENCE_LAG_MAX)).fetchone()
    return row is not None and bool(row[0])


def _since(now_ms: int, plan: Purge) -> tuple[int, int, int]:
    """Before when who was heard of last is silent, who was left out is sealed, and who has a successor is left out."""
    silent = 0 if plan.silent_ms is None else now_ms - plan.silent_ms
    return silent, -1 if plan.seal_ms is None else now_ms - plan.seal_ms, now_ms - LEFT_BEHIND_AFTER_MS


def take_decision(tx: Tx, theirs: Decision, told: tuple[Seat, ...], *, heir: bool) -> None:
    """A peer's decision: it holds from now on if it is greater.

    Args:
        tx: The open transaction.
        theirs: The decision.
        told: Who takes part, if this node is the heir that is to hear it.
        heir: Whether the peer is the authority by its own decision: then it need not be told any more.
    """
    if theirs > decision_of(tx.connection):
        reached("members: a later decision")
        decide(tx, theirs)
        tx.set_mark(None, None)
    if heir:
        tx.connection.execute("UPDATE purging SET handing = 0 WHERE term = ?", (theirs.term,))
    if theirs.authority == tx.actor:
        tx.connection.executemany(
            _TOLD,
            [(s.actor, s.label, s.heard_ms, s.out_ms, s.out_at or None) for s in told if s.actor != tx.actor],
        )


def seize(tx: Tx) -> None:
    """Become the authority, in the next term; the one before is left out."""
    now = decision_of(tx.connection)
    if now.authority == tx.actor:
        return
    if now.authority and node_of(now.authority) != node_of(tx.actor):  # its own former identities are no members
        _leave_out(tx, now.authority)
    decide(tx, Decision(now.term + 1, 0, tx.actor))
    _mark(tx, None)


def hand_over(tx: Tx, heir: Actor) -> None:
    """Let a member be the authority, in the next term: this node purges no more."""
    now = _own_decision(tx)
    tx.set_mark(None, None)
    decide(tx, Decision(now.term + 1, 0, heir))
    tx.connection.execute("UPDATE purging SET handing = 1")


def expire(tx: Tx, member: Actor) -> None:
    """Leave a member out of stability."""
    now = _own_decision(tx)
    _leave_out(tx, member)
    decide(tx, Decision(now.term, now.number + 1, now.authority))


def restore(tx: Tx, member: Actor) -> None:
    """Count a member again."""
    now = _own_decision(tx)
    tx.connection.execute("UPDATE member SET out_ms = NULL, out_at = NULL WHERE actor = ?", (member,))
    if tx.purging.mark is not None:
        covers = find_peer(tx.connection, member).vector.dominates(tx.purging.mark)
        tx.connection.execute("UPDATE member SET marked = ? WHERE actor = ?", (covers, member))
    decide(tx, Decision(now.term, now.number + 1, now.authority))


def seal(tx: Tx, member: Actor) -> None:
    """Leave a member out and keep nothing of it but what it wrote: it is none any more, until it is met again."""
    now = _own_decision(tx)
    reached("members: one is sealed")
    known = tx.connection.execute("SELECT vector, told FROM peer WHERE actor = ?", (member,)).fetchone()
    # Its tickets and positions stay: a copy of it would not be known by anything else (docs/decisions, 0038).
    tx.connection.execute("UPDATE peer SET vector = NULL, told = NULL WHERE actor = ?", (member,))
    tx.names.free(known or ())
    tx.connection.execute("DELETE FROM member WHERE actor = ?", (member,))
    tx.connection.execute(
        "UPDATE vector SET moved_ms = 0 WHERE actor = (SELECT id FROM actor WHERE actor = ?)", (member,)
    )
    decide(tx, Decision(now.term, now.number + 1, now.authority))


def waiting_for(connection: sqlite3.Connection) -> dict[Actor, str]:
    """Members that the authority's mark waits for, and their labels; empty without a mark."""
    rows = connection.execute(
        "SELECT m.actor, m.label FROM member m JOIN purging p WHERE p.mark IS NOT NULL AND m.marked = 0"
        " AND m.out_ms IS NULL AND m.actor <> p.authority ORDER BY m.actor"
    )
    return {Actor(actor): label for actor, label in rows}


def step(tx: Tx, plan: Purge) -> Step:
    """The authority's step: seal the gone, leave out the silent, count again who is back, raise the fence, mark anew.

    Args:
        tx: The open transaction.
        plan: How it goes about it.
    """
    if decision_of(tx.connection).authority != tx.actor:
        return Step()
    sealed = _seal_long_gone(tx, plan)
    left_out = _leave_out_silent(tx, plan)
    count_again(tx)
    raised = False
    if tx.purging.mark is not None and not waiting_for(tx.connection):
        reached("purge: the fence rises")
        tx.raise_fence(tx.purging.mark)
        if tx.purging.horizon:
            # What the vector covers and is not here lies behind the horizon as it is: now that is shorter to say.
            tx.raise_horizon(tx.purging.mark)
        tx.connection.execute("UPDATE purging SET purged_ms = ?", (tx.now_ms,))
        tx.set_mark(None, None)
        raised = True
    # What has just become droppable is not dropped yet.
    marked = not raised and tx.purging.mark is None and (_has_dead(tx) or _lags(tx))
    if marked:
        _mark(tx, tx.vector)
    awaited = waiting_for(tx.connection)
    return Step(raised=raised, marked=marked, awaited=awaited, left_out=left_out, sealed=sealed)


def has_returned(connection: sqlite3.Connection) -> bool:
    """Whether this node decides, and somebody whom it left out was heard of since."""
    return connection.execute(_RETURNED).fetchone() is not None


def count_again(tx: Tx) -> None:
    """At the authority: who has been heard of since it was left out, and covers the fence, counts again by itself."""
    for actor, out_at in tx.connection.execute("SELECT actor, out_at FROM member WHERE out_ms IS NOT NULL").fetchall():
        vector = find_peer(tx.connection, Actor(actor)).vector
        if vector.fingerprint() != out_at and vector.dominates(tx.purging.fence):
            reached("members: one who was left out counts again")
            restore(tx, Actor(actor))


def member_named(tx: Tx, name: str) -> Actor:
    """The member of this label, or whose identity begins so.

    Raises:
        NoSuchMember: There is none, or several.
    """
    rows = tx.connection.execute(_FOUND, (name if len(name) >= NAME_MIN else "-", name)).fetchall()
    if len(rows) == 1:
        return Actor(rows[0][0])
    raise _not_one(tx, name, [actor for (actor,) in rows])


NAME_MIN: Final = 8
"""Characters of an identity that name a member."""

NAME_SHOWN: Final = 20
"""Characters of an identity by which messages name it: those of its node, and enough to tell its lives apart."""

NAMED_MAX: Final = 10
"""Members that one message names."""

FENCE_LAG_MAX: Final = 64
"""Identities that may have written since the fence rose before it rises for that alone."""

LEFT_BEHIND_AFTER_MS: Final = 7 * 24 * 3600 * 1000
"""A node that goes on under another identity is not waited for under the one before; a copy that lives is heard of."""


def _not_one(tx: Tx, name: str, found: list[str]) -> NoSuchMember:
    (label,) = tx.connection.execute("SELECT label FROM node").fetchone()
    if found:
        begin = ", ".join(actor[:NAME_SHOWN] for actor in found[:NAMED_MAX])
        what = f"{len(found)} members are called so, with identities that begin with {begin}"
        return NoSuchMember(what, subject=name, remedy="Name one by the beginning of its identity.")
    if name == label or (len(name) >= NAME_MIN and tx.actor.startswith(name)):
        return NoSuchMember(
            "this is the node itself, which always takes part in its own decisions",
            subject=name,
            remedy="Let another one decide: members.hand_over(name) here, or members.seize(reason) there.",
            typed="Let another one decide: `holdfast members hand-over FILE NAME` here, or `members seize` there.",
        )
    return NoSuchMember(
        "no member is called so",
        subject=name,
        remedy="See who takes part: members.list().",
        typed="See who takes part: `holdfast members list FILE`.",
    )


def _own_decision(tx: Tx) -> Decision:
    now = decision_of(tx.connection)
    if now.authority != tx.actor:
        raise NotTheAuthority(
            "another node decides who takes part" if now.authority else "nobody decides who takes part here",
            subject=str(now.authority or "this node"),
            remedy="Ask there, or let this node take over: members.seize(reason).",
            typed="Ask there, or let this node take over: `holdfast members seize FILE REASON`.",
        )
    return now


def decide(tx: Tx, decision: Decision) -> None:
    """A decision holds here from now on; whoever decides takes part, also if it was left out before."""
    values = (decision.term, decision.number, decision.authority)
    tx.connection.execute("UPDATE purging SET term = ?, number = ?, authority = ?, handing = 0", values)
    tx.connection.execute("UPDATE member SET out_ms = NULL, out_at = NULL WHERE actor = ?", (decision.authority,))


def _leave_out(tx: Tx, member: Actor) -> None:
    known = find_peer(tx.connection, member)
    tx.connection.execute(
        "INSERT INTO member (actor, label, heard_ms, marked, out_ms, out_at) VALUES (?1, ?2, 0, 0, ?3, ?4)"
        " ON CONFLICT (actor) DO UPDATE SET out_ms = ?3, out_at = ?4",
        (member, known.label, tx.now_ms, known.vector.fingerprint()),
    )


def _leave_out_silent(tx: Tx, plan: Purge) -> tuple[str, ...]:
    silent_since, _, behind_since = _since(tx.now_ms, plan)
    query = "SELECT actor, label FROM member WHERE out_ms IS NULL AND heard_ms < ? AND actor <> ?"
    silent = tx.connection.execute(query, (silent_since, tx.actor)).fetchall()
    silent += tx.connection.execute(_LEFT_BEHIND.replace("?4", "?1"), (behind_since,)).fetchall()
    found = {Actor(actor): label or actor for actor, label in silent}
    for actor in found:
        reached("members: a silent member is left out")
        expire(tx, actor)
    return tuple(found.values())


def _seal_long_gone(tx: Tx, plan: Purge) -> tuple[str, ...]:
    _, out_since, _ = _since(tx.now_ms, plan)
    gone = tx.connection.execute("SELECT actor, label FROM member WHERE out_ms < ?", (out_since,)).fetchall()
    for actor, _ in gone:
        seal(tx, Actor(actor))
    return tuple(label or actor for actor, label in gone)


def _has_dead(tx: Tx) -> bool:
    return bool(tx.connection.execute("SELECT EXISTS (SELECT 1 FROM record WHERE live = 0)").fetchone()[0])


def _lags(tx: Tx) -> bool:
    """Whether the fence says too little of the vector: each hello says where they differ."""
    return bool(tx.connection.execute(_LAGS.replace("?5", "?1"), (FENCE_LAG_MAX,)).fetchone()[0])


def _mark(tx: Tx, mark: VersionVector | None) -> None:
    tx.set_mark(mark, tx.now_ms if mark is not None else None)
    covering: list[tuple[Any, ...]] = []
    if mark is not None:
        covering = [(peer.actor,) for peer in all_peers(tx.connection) if peer.vector.dominates(mark)]
    tx.connection.execute("UPDATE member SET marked = 0")
    tx.connection.executemany("UPDATE member SET marked = 1 WHERE actor = ?", covering)
