"""Answers one exchange: reads the frames of a request, drives the session, yields the frames of the answer.

Knows nothing of HTTP; any link that gives chunks of bytes will do. Invariants: the answer begins only when the request
has been read, so a link need not be full duplex; it goes out while the request's batches are being applied, so both
sides work at once; what was acknowledged (last) is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from holdfast.engine.delta import FeedBatch
from holdfast.engine.replica import Replica
from holdfast.errors import LinkCut, ProtocolError

from .answering import Responder
from .effects import (
    Answer,
    Apply,
    Ask,
    Effect,
    Fail,
    Hear,
    Heed,
    Introduce,
    IssueTicket,
    Meet,
    MeetFence,
    Read,
    ReadRanges,
    ReadWhole,
    Recall,
    Renew,
    Send,
    Unite,
)
from .messages import Message
from .pace import encoded, next_message
from .refusals import refusal_to
from .wire import Decoder, encode

BACKLOG_MAX: Final = 4
"""Batches of a request that may wait to be applied: bounds the memory of an exchange."""


async def respond(replica: Replica, chunks: AsyncIterator[bytes], *, rights: str) -> AsyncGenerator[bytes, None]:
    """The frames that answer an exchange.

    Args:
        replica: The node that answers.
        chunks: The bytes of the request, in any cut.
        rights: "rw", or "r": batches are then ignored, and the hello says so.

    Raises:
        ProtocolError: The peer sent what it must not; a refusal was yielded before.
        LinkCut: The request ended inside a frame.
        StorageError: The file failed.
    """
    session = Responder(rights)
    intake = _Intake(replica, session)
    feed = _Feed(replica)
    try:
        for message in await _read_request(feed, session, intake, chunks):
            for frame in await encoded(message):
                yield frame
        async for message in _perform(feed, session, session.finish()):
            for frame in await encoded(message):
                yield frame
        await intake.done()
        async for message in _perform(feed, session, session.close()):
            for frame in await encoded(message):
                yield frame
    except ProtocolError as error:
        for frame in encode(refusal_to(error)):
            yield frame
        raise
    finally:
        await intake.stop()
        await feed.stop()


@dataclass(slots=True)
class _Intake:
    """Applies the batches of a request in order, while more are read and while the answer goes out."""

    replica: Replica
    session: Responder
    _queue: asyncio.Queue[Apply | Hear | None] = field(default_factory=lambda: asyncio.Queue(BACKLOG_MAX))
    _task: asyncio.Task[None] | None = None

    async def add(self, effect: Apply | Hear) -> None:
        """Take a batch in; waits while as many wait as may."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="holdfast-intake")
        await self._put(effect)
        if self._task.done():
            await self._task

    async def done(self) -> None:
        """Wait until every batch that was taken in has been applied; raises what went wrong with one."""
        if self._task is not None:
            await self._put(None)
            await self._task

    async def stop(self) -> None:
        """Give up what has not been applied; the batch under way is finished by the writer all the same."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _put(self, effect: Apply | Hear | None) -> None:
        """Wait for a place in the queue, or for the end of the task that empties it."""
        assert self._task is not None, "the caller has begun it"
        put = asyncio.ensure_future(self._queue.put(effect))
        try:
            await asyncio.wait([put, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()  # nobody waits any more: it must not outlive the exchange

    async def _run(self) -> None:
        while (effect := await self._queue.get()) is not None:
            if isinstance(effect, Hear):
                await self.replica.forgetting.hear(effect.absences, effect.actor)
                self.session.heard = effect.asked
                continue
            follows, heard = self.session.unbroken, self.session.heard
            outcome = await self.replica.apply(effect.batch, effect.actor, follows=follows, heard=heard)
            self.session.applied(effect.batch, outcome)


@dataclass(slots=True)
class _Feed:
    """Reads this node's feed; its first batch while the request still comes in, so that both sides read at once."""

    replica: Replica
    _first: Read | None = None
    _task: asyncio.Task[FeedBatch] | None = None

    def begin(self, first: Read | None) -> None:
        """Read what is going to be asked for."""
        if first is not None and self._task is None:
            self._first = first
            self._task = asyncio.create_task(self._ahead(first), name="holdfast-feed")

    async def read(self, effect: Read) -> FeedBatch:
        """The batch."""
        if self._task is not None and effect == self._first:
            task, self._task = self._task, None
            return await task
        return await self.replica.read(effect.start, effect.held)

    async def _ahead(self, first: Read) -> FeedBatch:
        await self.replica.share()  # before the request's batches stand in the writer's queue
        return await self.replica.read(first.start, first.held)

    async def stop(self) -> None:
        """Give up a batch that nobody asked for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # whatever it found, the session has ended


async def _read_request(
    feed: _Feed, session: Responder, intake: _Intake, chunks: AsyncIterator[bytes]
) -> list[Message]:
    """Read the whole request; what it calls for at once (a hello, refusals) is small."""
    decoder, answers = Decoder(), list[Message]()
    async for chunk in chunks:
        decoder.add(chunk)
        while (message := await next_message(decoder)) is not None:
            if session.stopped:
                continue
            for effect in session.receive(message):
                if isinstance(effect, Apply | Hear):
                    await intake.add(effect)
                else:
                    answers += [answer async for answer in _perform(feed, session, [effect])]
                    feed.begin(session.ahead())
    if not decoder.idle:
        raise LinkCut("the request ended inside a frame", subject="sync", remedy="The peer tries again by itself.")
    return answers


async def _perform(feed: _Feed, session: Responder, effects: list[Effect]) -> AsyncIterator[Message]:
    queue = list(effects)
    while queue:
        effect = queue.pop(0)
        if isinstance(effect, Send):
            yield effect.message
        else:
            queue[:0] = await _do(feed, session, effect)


async def _do(feed: _Feed, session: Responder, effect: Effect) -> list[Effect]:
    replica = feed.replica
    match effect:
        case Introduce(actor, Recall(peer_feed, checkpoint, stretch)):
            facts, gave = await replica.introduce(actor, peer_feed, checkpoint, stretch)
            return session.introduced(facts, gave=gave)
        case IssueTicket(actor, shown):
            return session.ticketed(await replica.issue_ticket(actor, shown))
        case ReadRanges(spans):
            return session.ranged(await replica.ranges(spans))
        case Read() | ReadWhole() | Ask() | Answer():
            return await _read(feed, session, effect)
        case Meet() | Heed() | MeetFence() | Unite() | Renew():
            await _store(replica, effect)
        case Fail(error):
            raise error
        case _:
            raise AssertionError(f"a responder has no {effect!r}")
    return []


async def _read(feed: _Feed, session: Responder, effect: Read | ReadWhole | Ask | Answer) -> list[Effect]:
    match effect:
        case Read():
            return session.fed(await feed.read(effect))
        case ReadWhole(places):
            return session.fed(await feed.replica.read_whole(places))
        case Ask():
            return session.questioned(await feed.replica.forgetting.question())
        case Answer(sums, drained):
            return session.answered(await feed.replica.forgetting.answer(sums), drained)


async def _store(replica: Replica, effect: Meet | Heed | MeetFence | Unite | Renew) -> None:
    match effect:
        case Meet(peer, head):
            await replica.meet(peer, head)
        case Heed(decision, seats, heir):
            await replica.forgetting.heed(decision, seats, heir=heir)
        case MeetFence(fence):
            await replica.forgetting.meet_fence(fence)
        case Unite(theirs, they_hold):
            await replica.unite(theirs, they_hold=they_hold)
        case Renew(reason, of, peer):
            await replica.renew(reason, of=of, peer=peer)
