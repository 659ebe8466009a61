"""Who takes part in a space, who decides that, and when what was deleted goes for good.

Invariant: membership is needed for no safety: a member that nobody counts meets the fence like anybody who was away,
loses nothing that it wrote and brings nothing back that was deleted (docs/decisions, 0025).
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from holdfast.clocks import EMPTY, Actor, VersionVector

from .arguments import check_remarks
from .documents import check_name
from .host import Host
from .storage.peers import all_peers
from .storage.purge import drop_dead
from .storage.roster import (
    Decision,
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
    """

    actor: str
    label: str
    decides: bool
    counts: bool
    left_out_ms: int | None
    heard_ms: int
    behind: int
    awaited: bool

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

    async def expire(self, member: str) -> None:
        """Wait for a member no more; when it comes back it hears what was deleted, and counts again.

        Args:
            member: Its label, or at least 8 characters of the beginning of its identity.

        Raises:
            NoSuchMember: There is none, or several.
            NotTheAuthority: Another node decides.
        """
        await self._node.write(lambda tx: expire(tx, _other(tx, member)))

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
        """
        check_remarks("", reason, "members")
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
        waits_for=steps[-1].waits_for,
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
            )
            for seat in seats(connection)
            if seat.actor != own
        ]
        return [this, *others]
    finally:
        connection.execute("COMMIT")


def _behind(vector: VersionVector, theirs: VersionVector) -> int:
    return sum(seq - theirs.seq(actor) for actor, seq in vector.changes_since(theirs).items())
