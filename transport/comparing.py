"""Compares what stands here with what stands at a peer, by ranges of the key order, and takes what differs whole.

Drives exchanges that ask for ranges instead of the feed; knows nothing of HTTP. Invariants: it is never needed for
agreement, so it may be given up at any time; each exchange narrows down or ends it; comparing alone changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.delta import NO_FEED, NO_STRETCH, FeedBatch, FeedId, StretchId
from holdfast.engine.facts import Facts
from holdfast.engine.ranges import EDGE, SPANS_MAX, WHOLE, Part, Place, Span
from holdfast.engine.replica import Replica
from holdfast.errors import LinkCut, SessionRefused

from .handshake import (
    FEATURES,
    ONLY_RANGES,
    RANGES,
    RENEW,
    from_message,
    hello,
    met,
    note_of,
    resolve,
    space_in_common,
)
from .links.link import Link
from .messages import Batch, Compare, Hello, Message, NeedWhole, Ranges, Refuse
from .pace import encoded, next_message
from .refusals import itself, odd, other_space, refusal_error
from .wire import Decoder

EXCHANGES_MAX: Final = 64
"""Exchanges after which a comparison is given up: each narrows a range to a 256th, or brings what differs."""

DIFFERING_MAX: Final = 100_000
"""Differing records that are looked for; where there are more, reading the feed is cheaper."""

NAMED_MAX: Final = 1_000
"""Differing records of each kind that a report names."""

WHOLE_AT_ONCE: Final = 1_000
"""Records that are asked for whole in one exchange."""


@dataclass(slots=True)
class Comparison:
    """What a comparison has found so far.

    Attributes:
        peer: The peer's last hello; None before.
        vector: What the peer has taken in.
        changed, there, here: Records that both hold and not alike, that only the peer holds, and only this node.
        feed, head, stretch: The peer's feed, and where it ended when the comparison began.
        sound: Whether the peer's rows are what the sum in its file says.
        complete: Everything has been compared.
        taken: How many records came whole.
    """

    peer: Hello | None = None
    vector: VersionVector = EMPTY
    changed: list[Place] = field(default_factory=list)
    there: list[Place] = field(default_factory=list)
    here: list[Place] = field(default_factory=list)
    feed: FeedId = NO_FEED
    head: int = 0
    stretch: StretchId = NO_STRETCH
    sound: bool = True
    complete: bool = False
    taken: int = 0

    @property
    def differing(self) -> int:
        """How many records are not alike on both sides."""
        return len(self.changed) + len(self.there) + len(self.here)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """How what stands here differs from what stands at a peer.

    Attributes:
        peer: Human name of the other node.
        current: Both had taken in the same; else what differs may simply not have been synced.
        changed, there, here: How many records both hold and not alike, only the peer holds, and only this node.
        named: (collection, key) of them, at most 1,000 of each kind, in this order.
        sound: Whether the peer's records are those that its file counts.
        complete: Everything was compared; else the peer cannot, or too much differs.
        bytes_sent, bytes_received: On the link, headers included.
        round_trips: Requests that were answered.
    """

    peer: str
    current: bool
    changed: int
    there: int
    here: int
    named: tuple[Place, ...]
    sound: bool
    complete: bool
    bytes_sent: int
    bytes_received: int
    round_trips: int

    @property
    def alike(self) -> bool:
        """Whether both hold the same."""
        return self.complete and self.sound and not (self.changed or self.there or self.here)

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"alike": self.alike}


async def report_on(replica: Replica, link: Link) -> CompareReport:
    """Compare all that stands here with a peer, and say how it differs; changes nothing here.

    Raises:
        LinkError, ProtocolError, StorageError: As `sync`.
    """
    found = await compare(replica, link)
    facts = await replica.facts(url=link.url)
    return CompareReport(
        peer=found.peer.label if found.peer else "",
        current=found.vector == facts.vector,
        changed=len(found.changed),
        there=len(found.there),
        here=len(found.here),
        named=tuple(place for places in (found.changed, found.there, found.here) for place in places[:NAMED_MAX]),
        sound=found.sound,
        complete=found.complete,
        bytes_sent=link.bytes_sent,
        bytes_received=link.bytes_received,
        round_trips=link.round_trips,
    )


async def compare(replica: Replica, link: Link) -> Comparison:
    """Compare all that stands here with a peer. Changes nothing here.

    Raises:
        LinkError, ProtocolError, StorageError: As `sync`.
    """
    run = _Comparing(replica, link)
    while run.spans and run.exchanges < EXCHANGES_MAX and run.found.differing <= DIFFERING_MAX:
        if not await run.exchange():
            break
    run.found.complete = not run.spans and run.exchanges > 0
    return run.found


async def take(replica: Replica, link: Link, found: Comparison) -> AsyncGenerator[tuple[Hello, FeedBatch], None]:
    """Ask for what differs at the peer, whole; gives the batches, of which none moves anything by itself."""
    run = _Comparing(replica, link, spans=[], found=found)
    run.wanted = [*found.changed, *found.there]
    while run.wanted and run.exchanges < EXCHANGES_MAX:
        before = len(run.wanted)
        await run.exchange()
        for batch in run.batches:
            assert found.peer is not None, "a batch comes behind a hello"
            yield found.peer, batch
        run.batches.clear()
        if len(run.wanted) == before:
            return  # what is left has gone from there meanwhile


@dataclass(slots=True)
class _Comparing:
    replica: Replica
    link: Link
    spans: list[Span] = field(default_factory=lambda: [WHOLE])
    found: Comparison = field(default_factory=Comparison)
    wanted: list[Place] = field(default_factory=list)
    batches: list[FeedBatch] = field(default_factory=list)
    exchanges: int = 0
    facts: Facts | None = None
    _told: tuple[tuple[Part, ...], ...] | None = None

    async def exchange(self) -> bool:
        """One exchange; False if the peer has told nothing of ranges."""
        self.facts = await self._facts()
        self._told = None
        asked = self.spans[:SPANS_MAX]
        decoder = Decoder()
        async with aclosing(self.link.exchange(self._outgoing(asked))) as answer:
            async for chunk in answer:
                decoder.add(chunk)
                while (message := await next_message(decoder)) is not None:
                    self._receive(message)
        said: Hello | None = self.found.peer
        if not decoder.idle or said is None:
            raise LinkCut("the answer ended early", subject=self.link.url, remedy="Try again.")
        self.exchanges += 1
        if self._told is not None:
            await self._compare(asked, self._told)
        told: object = self._told
        return told is not None or (self.exchanges == 1 and RANGES in said.features)

    async def _facts(self) -> Facts:
        """This node's side; who was never met is known from the exchange before."""
        facts = await self.replica.facts(url=self.link.url)
        said = self.found.peer
        if facts.peer is None and said is not None:
            return replace(facts, peer=met(facts, said, self.found.vector, url=self.link.url))
        return facts

    async def _outgoing(self, asked: list[Span]) -> AsyncGenerator[bytes, None]:
        facts, said = self.facts, self.found.peer
        assert facts is not None, "read before the exchange"
        note = note_of(facts.vector, ())  # whole: nothing that the peer may have forgotten is leaned on
        opening = replace(hello(facts, note, holds=EMPTY), features=(*FEATURES, ONLY_RANGES), lacks=facts.vector)
        messages: list[Message] = [opening]
        if said is not None and RANGES in said.features:
            if self.wanted:
                messages.append(NeedWhole(said.feed, tuple(self.wanted[:WHOLE_AT_ONCE])))
            if asked:
                messages.append(Compare(tuple(asked)))
        for message in messages:
            for frame in await encoded(message):
                yield frame

    def _receive(self, message: Message) -> None:
        match message:
            case Hello():
                self._greeted(message)
            case Batch() if self.found.peer is not None and self.wanted:
                self._came(message)
            case Ranges(parts) if self.found.peer is not None:
                if parts.feed != self.found.peer.feed or len(parts.spans) > SPANS_MAX:
                    raise odd("ranges of another feed", self.link.url)
                if not self.found.feed:
                    self.found.feed, self.found.head, self.found.stretch = parts.feed, parts.head, parts.stretch
                self.found.sound = self.found.sound and parts.sound
                self._told = parts.spans
            case Refuse(code=code):
                if code == RENEW:
                    what, remedy = f"the peer takes this file for a copy: {message.message}", "Sync first."
                    raise SessionRefused(what, subject=self.link.url, remedy=remedy)
                raise refusal_error(message, self.link.url)
            case _:  # a peer without the feature gives its feed
                pass

    def _greeted(self, said: Hello) -> None:
        facts = self.facts
        assert facts is not None, "read before the exchange"
        if said.actor == facts.actor:
            raise itself(self.link.url)
        vector = resolve(said.vector, EMPTY)
        if vector is None:
            raise odd("a vector on a base that is not held here", self.link.url)
        if space_in_common(said, vector, facts) is None:
            raise other_space(self.link.url, facts, said)
        if self.found.peer is not None and (said.feed, said.actor) != (self.found.peer.feed, self.found.peer.actor):
            raise SessionRefused(
                "another node answers than a moment ago", subject=self.link.url, remedy="Compare again."
            )
        self.found.peer, self.found.vector = said, vector

    def _came(self, message: Batch) -> None:
        batch = from_message(message, self.found.vector)
        if batch is None or self.found.peer is None or batch.feed != self.found.peer.feed:
            raise odd("a batch of another feed, or whose vector has an unknown base", self.link.url)
        came = {
            (batch.delta.collections[at], key) for at, key in zip(batch.delta.collection, batch.delta.key, strict=True)
        }
        self.wanted = [place for place in self.wanted if place not in came]
        self.found.taken += len(came)
        self.batches.append(batch)

    async def _compare(self, asked: list[Span], told: tuple[tuple[Part, ...], ...]) -> None:
        answered = asked[: len(told)]
        if len(told) > len(asked) or not all(map(_is_within, answered, told)):
            raise odd("ranges that it was not asked for", self.link.url)
        narrower: list[Span] = []
        for one in await self.replica.compare(answered, told):
            self.found.changed += one.changed
            self.found.there += one.there
            self.found.here += one.here
            narrower += one.narrower
        self.spans = [*self.spans[len(answered) :], *narrower]


def _is_within(span: Span, parts: Sequence[Part]) -> bool:
    """Whether these parts, which ascend, are of that range, and smaller than it where they hold several records."""
    if not parts:
        return True
    low, high = span
    inside = low < parts[0].place and (high == EDGE or parts[-1].place <= high)
    return inside and not (len(parts) == 1 and parts[0].records > 1 and parts[0].place == high)
