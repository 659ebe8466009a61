"""Syncs a node with a peer over a link: exchanges until both have drained.

Drives the initiator's session; knows nothing of HTTP or of how bytes travel. Invariants: every step is durable before
the next begins, so a cut costs one exchange at most; a sync that stops short says why; one for which there is no room
gives before it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from holdfast.clocks import EMPTY, Actor, VersionVector
from holdfast.engine.delta import FeedBatch
from holdfast.engine.facts import Facts
from holdfast.engine.reached import reached
from holdfast.engine.replica import Replica
from holdfast.engine.storage.absence import Question
from holdfast.errors import DiskFull, LinkCut, SessionRefused, Unreachable

from .advance import Reached, standstill
from .effects import (
    Acknowledge,
    Answer,
    Apply,
    Ask,
    Effect,
    Fail,
    Hear,
    Heed,
    Meet,
    MeetFence,
    Read,
    ReadWhole,
    Recall,
    Renew,
    Send,
    Unite,
)
from .links.link import Link
from .pace import encoded, next_message
from .progress import OnProgress, SyncProgress, SyncReport
from .repair import DIVERGED, UNMENDED, Mended, catch_up, mend
from .session import Initiator, Places, Tally
from .wire import Decoder

RENEWALS_MAX: Final = 2
"""New incarnations in one sync: one is normal after a restore, more is a peer that cannot be pleased."""

IDLE_EXCHANGES_MAX: Final = 3
"""Exchanges without progress after which a sync gives up and says so."""


@dataclass(slots=True)
class _Sync:
    """The running state of one sync."""

    replica: Replica
    link: Link
    on_progress: OnProgress | None
    tally: Tally = field(default_factory=Tally)
    wants: Places = ()
    owes: Places = ()
    whole_vector: bool = False
    behind: bool = False
    asked: Question | None = None
    known: VersionVector = EMPTY
    renewals: int = 0
    applied: int = 0
    idle: int = 0
    last: Initiator | None = None
    mended: Mended = UNMENDED
    repaired: int = 0
    reached: Reached = field(default_factory=Reached)
    full: DiskFull | None = None

    async def run(self) -> Initiator:
        try:
            await catch_up(self.replica, self.link)
        except DiskFull as error:
            self.full = error
        session = await self._drain()
        if self.full is not None:
            raise self._drained(self.full, session) from self.full
        while session.diverged and await self._mend(session):
            session = await self._drain()
        return session

    async def _mend(self, session: Initiator) -> bool:
        """Repair what differs though both have taken in the same; whether that was worth another exchange."""
        self.mended = await mend(self.replica, self.link, session, self.mended)
        self.repaired += self.mended.records
        self.last = None  # another session begins
        return self.mended.records > 0

    async def _drain(self) -> Initiator:
        while True:
            session = await self._exchange()
            self.add(session)
            if self._done(session):
                return session
            self.last = session
            self.wants, self.owes = session.next_wants, session.next_owes
            self.whole_vector = session.next_whole_vector
            self.behind, self.asked, self.known = session.next_behind, session.next_asked, session.known

    async def _exchange(self) -> Initiator:
        shared = await self.replica.share()  # before the hello: its ticket shows what may leave
        try:
            return await self._meet()
        except LinkCut:
            if self.applied:
                reached("session: cut after batches were applied")
            raise
        except Unreachable:
            if shared is not None:  # or a long outage would fill the ticket with marks that nobody saw
                await self.replica.withdraw(shared)
            raise

    async def _meet(self) -> Initiator:
        facts = await self.replica.facts(url=self.link.url)
        self._look_back(facts)
        session = Initiator(
            facts, self.link.url, self.wants, self.owes, self.whole_vector, self.behind, self.asked, self.known
        )
        decoder = Decoder()
        async with aclosing(self.link.exchange(self._outgoing(session))) as answer:
            async for chunk in answer:
                decoder.add(chunk)
                while (message := await next_message(decoder)) is not None:
                    await self._perform(session, session.receive(message))
                    if session.renewed:
                        return session
                    self._report(session)
        if not decoder.idle or session.peer is None:
            raise LinkCut("the answer ended early", subject=self.link.url, remedy="Try again: it goes on from there.")
        return session

    async def _outgoing(self, session: Initiator) -> AsyncIterator[bytes]:
        queue = session.opening()
        while queue:
            effect = queue.pop(0)
            match effect:
                case Send(message):
                    for frame in await encoded(message):
                        yield frame
                    self._report(session)
                case Read(start, held):
                    queue[:0] = session.fed(await self.replica.read(start, held))
                case ReadWhole(places):
                    queue[:0] = session.fed(await self.replica.read_whole(places))
                case Ask():
                    queue[:0] = session.questioned(await self.replica.forgetting.question())
                case Answer(sums, drained):
                    queue[:0] = session.answered(await self.replica.forgetting.answer(sums), drained)
                case _:
                    raise AssertionError(f"an opening has no {effect!r}")

    async def _perform(self, session: Initiator, effects: list[Effect]) -> None:
        queue = list(effects)
        while queue:
            queue[:0] = await self._do(session, queue.pop(0))

    async def _do(self, session: Initiator, effect: Effect) -> list[Effect]:
        match effect:
            case Apply(batch, actor):
                return await self._apply(session, batch, actor)
            case Acknowledge(actor, feed, checkpoint, stretch, ticket, told, taken):
                await self.replica.acknowledged(actor, feed, checkpoint, stretch, ticket, told=told, taken=taken)
            case Recall(feed, checkpoint, stretch):
                return session.recalled(await self.replica.gave(feed, checkpoint, stretch))
            case Meet(peer, head):
                await self.replica.meet(peer, head)
            case Unite(theirs, they_hold):
                await self.replica.unite(theirs, they_hold=they_hold)
            case Heed(decision, seats, heir):
                await self.replica.forgetting.heed(decision, seats, heir=heir)
            case MeetFence(fence):
                await self.replica.forgetting.meet_fence(fence)
            case Hear(absences, asked, actor):
                await self.replica.forgetting.hear(absences, actor)
                session.heard = asked
            case Renew():
                await self._renew(effect)
            case Fail(error):
                raise error
            case _:
                raise AssertionError(f"an answer asks for no {effect!r}")
        return []

    async def _apply(self, session: Initiator, batch: FeedBatch, actor: Actor) -> list[Effect]:
        """Take in a batch; once there is no room for one nothing more is, and the sync goes on to give away."""
        if self.full is not None:
            return []
        try:
            outcome = await self.replica.apply(batch, actor, follows=session.unbroken, heard=session.heard)
        except DiskFull as error:
            self.full = error
            return []
        self.applied += 1
        return session.applied(batch, outcome)

    def _drained(self, full: DiskFull, session: Initiator) -> DiskFull:
        """What a sync says that could give and not take."""
        gone = (
            "the peer has all that this node holds" if session.taken else "not all that this node holds could be sent"
        )
        what = f"{full.what}: {self.tally.sent:,} records were sent ({gone}), and what the peer has was not received"
        return DiskFull(what, subject=full.subject, remedy="Free space and sync again: it goes on from there.")

    async def _renew(self, sign: Renew) -> None:
        self.renewals += 1
        if self.renewals > RENEWALS_MAX:
            raise SessionRefused(
                f"the peer asks for a new identity again and again: {sign.reason}",
                subject=self.link.url,
                remedy="Look for a second copy of this file that syncs at the same time.",
            )
        await self.replica.renew(sign.reason, of=sign.of, peer=sign.peer)

    def _done(self, session: Initiator) -> bool:
        if session.renewed or session.next_owes or session.next_whole_vector or session.next_asked is not None:
            return False
        may_push = session.peer is None or session.peer.rights == "rw"
        if self.full is not None:
            return session.pushed or not may_push
        if session.next_wants or session.next_behind:
            return False
        return session.pulled and (session.pushed or not may_push)

    def _look_back(self, facts: Facts) -> None:
        """Whether the exchange before has moved anything that lasts; what was only sent may have come to nothing."""
        last = self.last
        if self.reached.grow(facts, last) or last is None:
            self.idle = 0
            return
        self.idle += 1
        if self.idle > IDLE_EXCHANGES_MAX:
            if self.full is not None:
                raise self._drained(self.full, last) from self.full
            raise SessionRefused(
                f"the session makes no progress: {standstill(last)}",
                subject=self.link.url,
                remedy="Check both nodes' status.",
            )

    def add(self, session: Initiator) -> None:
        for name in ("sent", "received", "conflicts"):
            setattr(self.tally, name, getattr(self.tally, name) + getattr(session.tally, name))
        self.tally.suspect_ms = max(self.tally.suspect_ms, session.tally.suspect_ms)

    def _report(self, session: Initiator) -> None:
        if self.on_progress:
            sent, received = self.tally.sent + session.tally.sent, self.tally.received + session.tally.received
            self.on_progress(SyncProgress(sent=sent, received=received))


async def sync(replica: Replica, link: Link, on_progress: OnProgress | None = None) -> SyncReport:
    """Sync until both sides have all that the other has.

    Raises:
        LinkError: The way failed; what was exchanged stays, and the next sync goes on from there.
        ProtocolError: The peer refused, or sent what it must not.
        StorageError: The file failed; DiskFull: what comes has no room, and all was sent that could be.
    """
    started = asyncio.get_running_loop().time()
    run = _Sync(replica, link, on_progress)
    async with replica.session(link.url):
        session = await run.run()
    return SyncReport(
        peer=session.peer.label if session.peer else "",
        sent=0 if session.peer is not None and session.peer.rights != "rw" else run.tally.sent,
        received=run.tally.received,
        conflicts=run.tally.conflicts,
        repaired=run.repaired,
        bytes_sent=link.bytes_sent,
        bytes_received=link.bytes_received,
        round_trips=link.round_trips,
        seconds=asyncio.get_running_loop().time() - started,
        completed=session.taken and session.pulled and not session.holes and not session.diverged,
        blockers=_blockers(session, run),
    )


def _blockers(session: Initiator, run: _Sync) -> tuple[str, ...]:
    found = []
    peer, facts = session.peer, session.facts
    if peer and peer.rights != "rw" and not session.taken:
        found.append("the token may only read: local changes stay here")
    elif not session.taken:
        found.append("the peer could not take in all of this node's records: see its status")
    if session.holes:
        found.append(f"{session.holes} records of the peer cannot be joined: see status")
    if session.diverged:
        found.append(run.mended.blocker or DIVERGED)
    elif run.mended.blocker:
        found.append(run.mended.blocker)
    if run.tally.suspect_ms:
        found.append(f"the peer sent stamps {run.tally.suspect_ms / 1000:.0f} s ahead of this clock: they are kept")
    if peer and facts.schema and peer.schema and peer.schema != facts.schema:
        found.append("the peer declares other schemas: unknown fields are kept and passed on")
    if peer and facts.policy and peer.policy and peer.policy != facts.policy:
        found.append("the peer reads conflicts by other rules: both keep the same siblings and may show others")
    return tuple(found)
