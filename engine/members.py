"""Who takes part in a space, who decides that, and when what was deleted goes for good.

Invariant: membership is needed for no safety: a member that nobody counts meets the fence like anybody who was away,
loses nothing that it wrote and brings nothing back that was deleted (docs/decisions, 0025).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from holdfast.clocks import EMPTY, Actor, VersionVector
from holdfast.errors import InvalidValue

from .arguments import check_remarks
from .documents import check_name
from .host import Host
from .storage.peers import all_peers
from .storage.purge import drop_dead
from .storage.roster import (
    Decision,
    Seat,
    Step,
    decision_of,
    expire,
    hand_over,
    member_named,
    restore,
    seal,
    seats,
    seize,
    step,
    waiting_for,
)
from .storage.store import Tx, vector_of
from .storage.succession import forsaken, superseded

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One who takes part in the space, as far as this node knows.

    Attributes:
        actor, label: Who.
        decides: Whether it decides who counts and what is purged.
        counts: Whether a purge waits for it; left_out_ms: since when it does not, milliseconds since 1970.
        heard_ms: When this node last met it, milliseconds since 1970; 0 if never.
        behind: Operations that this node has taken in and that it is not known to have.
        awaited: Whether the present purge waits for it.
        superseded: Whether its node was met under a later identity (its file was copied, put back or repaired), and
            this one was not heard of since.
    """

    actor: str
    label: str
    decides: bool
    counts: bool
    left_out_ms: int | None
    heard_ms: int
    behind: int
    awaited: bool
    superseded: bool = False

    def as_json(self) -> dict[str, Any]:
        """The member as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeReport:
    """What a purge did here.

    Attributes:
        dropped: Deleted records that are gone for good from this file.
        raised: Whether the fence rose: all members that count have taken in what was deleted up to the last mark.
        waits_for: Labels of members that the next one waits for; empty at a node that does not decide.
        awaited: The same by identity: identity -> label.
        left_out: Labels of members that are not waited for any more, for their silence or because they go on under
            another identity; sealed: of those of which nothing is kept any more but what they wrote.
        decides: Whether this node decides.
    """

    dropped: int
    raised: bool
    waits_for: tuple[str, ...]
    left_out: tuple[str, ...]
    decides: bool
    sealed: tuple[str, ...] = ()
    awaited: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


class Members:
    """Who takes part in the space of a node: `engine.members`."""

    def __init__(self, node: Host) -> None:
        self._node = node

    async def list(self) -> list[Member]:
        """Everybody whom this node knows to take part, itself first."""
        return await self._node.readers.run(_listed)

    async def expire(self, *members: str) -> None:
        """Wait for members no more; when one comes back it hears what was deleted, and counts again.

        Args:
            members: Their labels, or at least 8 characters of the beginning of their identities.

        Raises:
            NoSuchMember: There is none, or several, of one of the names; then nobody is left out.
            NotTheAuthority: Another node decides.
        """

        def leave_out(tx: Tx) -> None:
            for actor in [_other(tx, member) for member in members]:
                expire(tx, actor)

        await self._node.write(leave_out)

    async def expire_superseded(self) -> tuple[Member, ...]:
        """Wait no more for identities that nodes gave up (`Member.superseded`); raises as `expire`.

        Returns:
            Who was left out.
        """

        def leave_out(tx: Tx) -> frozenset[str]:
            before = {seat.actor for seat in seats(tx.connection) if seat.out_ms is None}
            gone = superseded(tx.connection) & before
            for actor in sorted(gone):
                expire(tx, actor)
            return frozenset(gone)

        gone = await self._node.write(leave_out)
        return tuple(member for member in await self.list() if member.actor in gone)

    async def restore(self, member: str) -> None:
        """Wait for a member again, returned or not: before the next purge this undoes `expire`; raises as that."""
        await self._node.write(lambda tx: restore(tx, _other(tx, member)))

    async def seal(self, member: str) -> None:
        """Give a member up: as `expire`, and nothing is kept of it but what it wrote.

        It leaves the list, and all vectors of the file in time. When it comes back nothing is lost, in either
        direction: it says anew what it holds, hears what was deleted, and is a member again.

        Raises:
            NoSuchMember: There is none, or several.
            NotTheAuthority: Another node decides.
        """
        await self._node.write(lambda tx: seal(tx, _other(tx, member)))

    async def hand_over(self, member: str) -> None:
        """Let a member decide from now on. It hears of it, and who takes part, when the two next meet.

        Raises:
            NoSuchMember: There is none, or several.
            NotTheAuthority: Another node decides.
        """
        await self._node.write(lambda tx: hand_over(tx, _other(tx, member)))

    async def seize(self, reason: str) -> None:
        """Let this node decide from now on: the one before is lost, or there was none.

        While both believe to decide, neither drops what a member that it counts is not known to have.

        Args:
            reason: Why, for the log.

        Raises:
            InvalidValue: No reason is given.
        """
        check_remarks("", reason, "members")
        if not reason.strip():
            raise InvalidValue("no reason is given", subject="reason", remedy="Say why this node takes over, in words.")
        await self._node.write(seize)
        _log.warning("%s decides who takes part in the space from now on: %s", self._node.path, reason)


async def purge(node: Host) -> PurgeReport:
    """Let go for good what was deleted, as far as all that count have heard of it.

    Where the node decides, it marks what stands now, and what it had marked before becomes the fence once every member
    that counts has taken it in. Elsewhere it drops what the fence it heard of lets go.
    """
    steps: list[Step] = [await node.write(partial(step, plan=node.purging))]
    if steps[0].marked:  # perhaps all that count cover it already
        steps.append(await node.write(partial(step, plan=node.purging)))
    dropped, more = 0, True
    while more:
        purged = await node.write(drop_dead)
        dropped, more = dropped + purged.dropped, purged.more
    decision, own = await node.readers.run(_decision)
    return PurgeReport(
        dropped=dropped,
        raised=any(each.raised for each in steps),
        waits_for=tuple(label or actor for actor, label in steps[-1].awaited.items()),
        awaited={str(actor): label for actor, label in steps[-1].awaited.items()},
        left_out=tuple(label for each in steps for label in each.left_out),
        decides=decision.authority == own,
        sealed=tuple(label for each in steps for label in each.sealed),
    )


def _decision(connection: sqlite3.Connection) -> tuple[Decision, str]:
    (own,) = connection.execute("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor").fetchone()
    return decision_of(connection), own


def _other(tx: Tx, name: str) -> Actor:
    return member_named(tx, check_name(name, "member"))


def _listed(connection: sqlite3.Connection) -> list[Member]:
    connection.execute("BEGIN")
    try:
        decision, own = _decision(connection)
        (label,) = connection.execute("SELECT label FROM node").fetchone()
        vector = vector_of(connection)
        known = {peer.actor: peer.vector for peer in all_peers(connection)}
        awaited = waiting_for(connection)
        this = Member(
            actor=own, label=label, decides=decision.authority == own, counts=True, left_out_ms=None, heard_ms=0,
            behind=0, awaited=False,
        )  # fmt: skip
        gone = superseded(connection)
        others = [
            Member(
                actor=seat.actor,
                label=seat.label,
                decides=decision.authority == seat.actor,
                counts=seat.out_ms is None,
                left_out_ms=seat.out_ms,
                heard_ms=seat.heard_ms,
                behind=_behind(vector, known.get(seat.actor, EMPTY)),
                awaited=decision.authority == own and seat.actor in awaited,
                superseded=seat.actor in gone,
            )
            for seat in _others(connection, own, decision)
        ]
        return [this, *others]
    finally:
        connection.execute("COMMIT")


def _others(connection: sqlite3.Connection, own: str, decision: Decision) -> list[Seat]:
    """Whom this node has met, and who decides, met or not."""
    others = [seat for seat in seats(connection) if seat.actor != own]
    met = {own, *(seat.actor for seat in others)}
    if decision.authority and decision.authority not in met and not forsaken(connection):
        row = connection.execute("SELECT label FROM actor WHERE actor = ?", (decision.authority,)).fetchone()
        others.append(Seat(actor=decision.authority, label=row[0] if row else "", heard_ms=0))
    return others


def _behind(vector: VersionVector, theirs: VersionVector) -> int:
    return sum(seq - theirs.seq(actor) for actor, seq in vector.changes_since(theirs).items())
