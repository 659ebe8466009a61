"""What a sync does when a feed would have to be read from its start, or when two nodes have diverged.

Drives comparisons; knows nothing of HTTP. Invariants: a comparison stands in for a feed only if all in it was compared
and joined, and then only up to where the feed ended when it began; a repair drops nothing, and each one leaves fewer
records that differ, or is the last (docs/decisions, 0034).
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from holdfast.engine.reached import reached
from holdfast.engine.replica import Replica
from holdfast.errors import SessionRefused

from .comparing import Comparison, compare, take
from .handshake import RANGES, met
from .links.link import Link
from .session import Initiator

MENDED_BYTES_MAX: Final = 32 * 1024 * 1024
"""Bytes of records that one repair takes in; what is left is for the next."""

DIVERGED: Final = "both have taken in the same operations and hold different cells: run verify on both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What a repair did.

    Attributes:
        records: How many records were changed.
        differing: How many had differed; None if that is not known.
        blocker: Why it could do no more; "" if nothing stands in the way.
    """

    records: int = 0
    differing: int | None = None
    blocker: str = ""


UNMENDED: Final = Mended()


async def catch_up(replica: Replica, link: Link) -> None:
    """Compare instead of reading a known peer's feed from its start, if much of it stands here already.

    So it is when this node goes on under another identity, or has gone back. Whatever comes of it, the session that
    follows reads what is left.
    """
    facts = await replica.facts(url=link.url)
    peer = facts.peer
    if peer is None or not peer.feed or peer.checkpoint or not facts.head:
        return
    if facts.vector and not peer.vector:  # it held nothing when it was met
        return
    try:
        found = await compare(replica, link)
    except SessionRefused:  # the session tells why, or does what helps: it begins a new identity, or meets another peer
        return
    if not found.complete or found.peer is None:
        return
    if not peer.vector:  # what it had said was not salvaged, and tells what to send
        await replica.meet(met(facts, found.peer, found.vector, url=link.url), found.peer.head)
    joined = 0
    async with aclosing(take(replica, link, found)) as batches:
        async for said, batch in batches:
            outcome = await replica.apply(batch, said.actor, follows=False)
            if outcome.need_whole or outcome.holes or outcome.foreign:
                return
            joined += len(batch.delta)
    if joined == len(found.changed) + len(found.there):
        reached("repair: a comparison stands in for a feed")
        await replica.compared(found.peer.actor, found.feed, found.head, found.stretch)


async def mend(replica: Replica, link: Link, session: Initiator, before: Mended) -> Mended:
    """Repair what differs though both have taken in the same."""
    if session.peer is None or RANGES not in session.peer.features or session.peer.rights != "rw":
        return Mended(blocker=DIVERGED)
    if not await replica.is_sound():
        return Mended(blocker="records of this file are lost: run verify with repair on it")
    try:
        found = await compare(replica, link)
    except SessionRefused as error:
        return Mended(blocker=f"{DIVERGED} ({error.what})")
    if not found.complete or (before.differing is not None and found.differing >= before.differing):
        return Mended(differing=found.differing, blocker=DIVERGED)
    changed = await _mend(replica, link, found)
    blocker = "" if found.sound else "records of the peer's file are lost: run verify with repair on it"
    return Mended(records=changed, differing=found.differing, blocker=blocker)


async def _mend(replica: Replica, link: Link, found: Comparison) -> int:
    vector, batches, size = found.vector, [], 0
    async with aclosing(take(replica, link, found)) as taken:
        async for _, batch in taken:
            batches.append(batch)
            size += batch.delta.size()
            if size > MENDED_BYTES_MAX:
                break
    return await replica.mend(vector, batches, found.here)
