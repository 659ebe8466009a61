"""Bundles: what one node would send another in a session, as a file that anybody may carry; and want-lists for them.

A want-list is the hello of the node that wants. A bundle is that hello, if there was one, then the hello of the node
that made it, then its feed in batches that leave out what the want-list says is held, then, if deletes were let go that
the one who wants may not have heard of, all keys that its maker holds. Knows nothing of links.
Invariants: an import is a session with one direction, so it may be cut anywhere, come late, twice or in any order; its
vector is taken in only after a chain of whole batches, by a node that holds all that was left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.delta import NO_FEED, NO_STRETCH, FeedBatch, StretchId
from holdfast.engine.facts import Facts
from holdfast.engine.replica import Replica
from holdfast.engine.storage.absence import KeySums, Question
from holdfast.engine.storage.apply import Applied
from holdfast.errors import (
    FileUnreadable,
    IncompatibleBundle,
    IncompatibleProtocol,
    MalformedFrame,
    ProtocolError,
    SessionRefused,
)

from .draft import written
from .fences import absent_messages, ending, from_absent
from .handshake import (
    from_message,
    hello,
    holds_records,
    membership_in,
    met,
    note_of,
    space_in_common,
    to_message,
    used_elsewhere,
)
from .messages import Absent, Batch, Hello, Message
from .pace import next_message
from .refusals import other_space
from .wire import Decoder, encode

LEVEL: Final = 9
"""zstd level of what is kept."""

CHUNK_BYTES: Final = 256 * 1024

PART_RECORDS: Final = 1_000
"""Records of a part, if no transaction has more: one that is cut off brings the parts before the cut."""

_HELLOS_MAX: Final = 2

OnRecords = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """What an export wrote, or an import took in.

    Attributes:
        path: The file.
        peer: Human name of the node that wants it, or that made it; "" if nobody asked for it.
        records: Records in it, or that changed something here.
        conflicts: Conflicts that are new here.
        completed: All that its maker held is held here now; of an export, that it is whole.
        blockers: Why not, in words.
    """

    path: str
    peer: str
    records: int
    conflicts: int = 0
    completed: bool = True
    blockers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


async def export_want(replica: Replica, target: Path) -> None:
    """Write what this node holds, for another one to make a bundle by; raises UsageError, DiskFull, FileUnreadable."""
    facts = await replica.facts()
    async with written(target) as file:
        await _put(file, _introduction(facts))


async def export_bundle(
    replica: Replica, target: Path, want: Path | None, on_records: OnRecords | None = None
) -> BundleReport:
    """Write what the maker of a want-list lacks, or everything; what leaves counts as shared, durably.

    Raises:
        UsageError: The target is there already.
        SpaceMismatch, MalformedFrame, IncompatibleProtocol: The want-list is of another space, or is none.
        DiskFull, FileUnreadable: Nothing is left of the bundle.
    """
    wanted = await _wanted(want) if want is not None else None
    facts = await _facts_for(replica, wanted, str(want))
    held = wanted.vector.entries if wanted is not None else EMPTY
    count = 0
    async with written(target) as file:
        if wanted is not None:
            await _put(file, wanted)
        await _put(file, _introduction(facts))
        batch = await replica.read(0, held, PART_RECORDS)
        while True:
            await _put(file, to_message(batch, facts.vector))
            count += len(batch.delta)
            if on_records:
                on_records(count)
            if batch.drained:
                break
            batch = await replica.read(batch.end, held, PART_RECORDS)
        for message in await _absences(replica, batch, held, facts.vector):
            await _put(file, message)
    return BundleReport(path=str(target), peer=wanted.label if wanted else "", records=count)


async def _absences(replica: Replica, drained: FeedBatch, held: VersionVector, base: VersionVector) -> list[Message]:
    """What tells one who was away which records are no more; nothing if who wants has heard of it all."""
    if held.dominates(drained.fence):
        return []
    absences = await replica.forgetting.answer(None)
    asked = Question(sums=KeySums(()), fence=absences.fence, asked=0)  # as one who has met the fence of now
    return [*absent_messages(absences, asked, base), to_message(ending(drained), base)]


async def import_bundle(replica: Replica, source: Path, on_records: OnRecords | None = None) -> BundleReport:
    """Take in a bundle, batch by batch; one that was ended early is run again and goes on.

    Raises:
        IncompatibleBundle: It was made for a node that held more, or by this node itself; nothing was taken in.
        SpaceMismatch, MalformedFrame, IncompatibleProtocol: It is of another space, is none, or is damaged; what came
            before the damage stays.
    """
    return await _Import(replica, source, on_records).run()


@dataclass(slots=True)
class _Import:
    replica: Replica
    source: Path
    on_records: OnRecords | None
    records: int = 0
    conflicts: int = 0
    lacking: int = 0
    maker: str = ""
    last: Applied | None = None
    heard: int | None = None
    taken: bool = False
    drained: bool = False
    ended: bool = False

    async def run(self) -> BundleReport:
        # Where an earlier import, or a session, has come to inside this chain, it goes on; else from the start.
        if not await self._pass(anew=False):
            await self._pass(anew=True)
        return BundleReport(
            path=str(self.source),
            peer=self.maker,
            records=self.records,
            conflicts=self.conflicts,
            completed=self.taken,
            blockers=self._blockers(),
        )

    async def _pass(self, *, anew: bool) -> bool:
        """Apply the batches from where this node has read to; False if none of them starts there."""
        heads: list[Hello] = []
        facts: Facts | None = None
        place = (0, NO_STRETCH)
        self._begin()
        aligned, unbroken, decoder = False, True, Decoder()
        async with aclosing(_messages(self.source, decoder)) as messages:
            async for message in messages:
                if isinstance(message, Hello) and facts is None and len(heads) < _HELLOS_MAX:
                    heads.append(message)
                    continue
                if facts is None:
                    facts = await self._meet(*_named(heads, self.source))
                    place = await self._place(heads[-1], facts, anew=anew)
                if isinstance(message, Absent):
                    if aligned:
                        await self._hear(message, facts, heads[-1])
                    continue
                batch = self._batch(message, heads[-1])
                if not aligned and self._holds(batch, place, facts):
                    self.ended = self.taken = True
                    return True
                # Not by what stands behind the end: what was said before it, of absences, was not heard then.
                aligned = aligned or (not self.drained and (batch.start, batch.start_stretch) == place)
                self.drained = batch.drained
                self.ended = batch.drained and (self.heard is not None or facts.vector.dominates(batch.fence))
                if aligned:
                    unbroken = await self._apply(batch, facts, heads[-1], follows=unbroken)
        if facts is None:
            raise _cut_early(heads, self.source, whole=decoder.idle)
        return aligned

    def _begin(self) -> None:
        self.ended = self.drained = False
        self.heard = None

    async def _place(self, said: Hello, facts: Facts, *, anew: bool) -> tuple[int, StretchId]:
        if anew:
            await self.replica.read_anew(said.actor)
        if anew or facts.peer is None:
            return 0, NO_STRETCH
        return facts.peer.checkpoint_in(said.feed), facts.peer.stretch_in(said.feed)

    def _holds(self, batch: FeedBatch, place: tuple[int, StretchId], facts: Facts) -> bool:
        """Whether this node has read the chain to its end and taken all of it in."""
        at_end = batch.drained and (batch.end, batch.end_stretch) == place
        return at_end and not facts.holes and facts.vector.dominates(batch.vector)

    async def _apply(self, batch: FeedBatch, facts: Facts, said: Hello, *, follows: bool) -> bool:
        outcome = await self.replica.apply(batch, said.actor, follows=follows, heard=self.heard)
        if outcome.foreign:
            await self.replica.renew(used_elsewhere(outcome.foreign), of=facts.actor, peer=said.actor)
            what, remedy = "the bundle shows that this file is a copy; it goes on under a new identity", "Import again."
            raise SessionRefused(what, subject=str(self.source), remedy=remedy)
        self.last, self.taken = outcome, outcome.completed
        self.records += outcome.fresh + outcome.merged
        self.conflicts += outcome.conflicts
        self.lacking += len(outcome.need_whole)
        if self.on_records:
            self.on_records(self.records)
        return follows and outcome.moved

    def _batch(self, message: Message, said: Hello) -> FeedBatch:
        batch = from_message(message, said.vector.entries) if isinstance(message, Batch) else None
        if batch is None or batch.feed != said.feed or (self.drained and len(batch.delta)):
            raise _odd("what stands here belongs in no bundle", self.source)
        return batch

    async def _hear(self, message: Absent, facts: Facts, said: Hello) -> None:
        """Join what stands here with what the maker no longer holds, if it let go what this node has not taken in."""
        absences = from_absent(message, said.vector.entries)
        if absences is None:
            raise _odd("what stands here belongs in no bundle", self.source)
        if facts.vector.dominates(absences.fence):
            return
        if self.heard is None:
            # What comes from others behind this fence from here on was not asked for: the vector waits then.
            await self.replica.forgetting.meet_fence(absences.fence)
            self.heard = (await self.replica.facts(actor=said.actor)).head
        await self.replica.forgetting.hear(absences, said.actor)

    async def _meet(self, held: VersionVector, said: Hello) -> Facts:
        """Check that the bundle is for this node, and remember who made it; gives this node's side."""
        facts = await self.replica.facts(actor=said.actor)
        vector, subject = said.vector.entries, str(self.source)
        if said.actor == facts.actor:
            raise IncompatibleBundle("this node made the bundle itself", subject=subject, remedy="Take it to another.")
        if said.space_name != facts.space_name or space_in_common(said, vector, facts) is None:
            raise other_space(subject, facts, said)
        if vector.seq(facts.actor) > facts.seq:
            reason = f"a bundle holds operation {vector.seq(facts.actor)} of this identity, which ends at {facts.seq}"
            await self.replica.renew(reason, of=facts.actor)
            facts = await self.replica.facts(actor=said.actor)
        if not facts.vector.dominates(held):
            raise IncompatibleBundle(
                "the bundle leaves out what this node does not hold: it was made for another one, or for a later state",
                subject=subject,
                remedy="Have one made by this node's own want-list, or without any.",
                typed="`holdfast bundle want` writes this node's want-list; or export without --want.",
            )
        common = space_in_common(said, vector, facts)
        if said.space and common != facts.membership:
            await self.replica.unite(membership_in(said, vector), they_hold=holds_records(vector))
        if facts.peer is None or facts.peer.feed != said.feed:
            await self.replica.meet(replace(met(facts, said, vector), drift_ms=0), said.head)
        self.maker = said.label
        return await self.replica.facts(actor=said.actor)

    def _blockers(self) -> tuple[str, ...]:
        found = []
        if not self.ended:
            found.append("the bundle ends early: copy it again, and import it again")
        if self.last is not None and self.last.holes:
            found.append(f"{self.last.holes} records cannot be joined: see status")
        if self.lacking:
            found.append(f"{self.lacking} records lack values: import a bundle that was made without a want-list")
        if self.ended and not self.taken and not found:
            found.append("records came meanwhile from a node that had been away too: import it again")
        return tuple(found)


async def _facts_for(replica: Replica, wanted: Hello | None, subject: str) -> Facts:
    facts = await replica.facts(actor=wanted.actor if wanted is not None else None)
    if wanted is None:
        return facts
    if wanted.space_name != facts.space_name or space_in_common(wanted, wanted.vector.entries, facts) is None:
        raise other_space(subject, facts, wanted)
    if wanted.vector.entries.seq(facts.actor) > facts.seq:
        reason = f"a want-list holds operation {wanted.vector.entries.seq(facts.actor)} of this identity"
        await replica.renew(f"{reason}, which ends at {facts.seq}", of=facts.actor)
        facts = await replica.facts(actor=wanted.actor)
    return facts


def _introduction(facts: Facts) -> Hello:
    """This node's hello, without what only the next session with a peer may know."""
    said = hello(facts, note_of(facts.vector, ()), holds=EMPTY, answering=True)
    return replace(said, ticket=b"", peer_feed=NO_FEED, checkpoints={}, stretch=NO_STRETCH, holds=b"")


async def _wanted(path: Path) -> Hello:
    messages = _messages(path)
    first = await anext(messages, None)
    if not isinstance(first, Hello) or first.vector.base or await anext(messages, None) is not None:
        raise _odd("this is no want-list", path)
    return first


def _named(heads: list[Hello], path: Path) -> tuple[VersionVector, Hello]:
    """What the bundle leaves out, and its maker's hello."""
    if not heads or any(said.vector.base for said in heads):
        raise _odd("this is no bundle", path)
    return (EMPTY if len(heads) == 1 else heads[0].vector.entries), heads[-1]


async def _messages(path: Path, decoder: Decoder | None = None) -> AsyncGenerator[Message, None]:
    """The messages of a file; one that ends in the middle of a message gives those before it: the decoder tells."""
    decoder = decoder or Decoder()
    with _opened(path) as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            try:
                decoder.add(chunk)
                while (message := await next_message(decoder)) is not None:
                    yield message
            except ProtocolError as error:
                newer = isinstance(error, IncompatibleProtocol)
                remedy = error.remedy if newer else "Copy it again, or have it made anew."
                raise type(error)(error.what, subject=str(path), remedy=remedy) from error


def _cut_early(heads: list[Hello], path: Path, *, whole: bool) -> MalformedFrame:
    """Why a file without any part of a feed cannot be taken in."""
    if not whole:
        return MalformedFrame(
            "the bundle ends within its first part: it was cut off, and nothing of it can be taken in",
            subject=str(path),
            remedy="Copy it again, or have it made anew.",
        )
    if len(heads) == 1 and not heads[0].vector.base:
        return _odd("this is a want-list and no bundle, or all that is left of one", path)
    return _odd("this is no bundle", path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
        raise FileUnreadable(what, subject=str(path), remedy="Check the path.") from error


async def _put(file: BinaryIO, message: Message) -> None:
    for frame in await asyncio.to_thread(encode, message, level=LEVEL):
        await asyncio.to_thread(file.write, frame)


def _odd(what: str, path: Path) -> MalformedFrame:
    return MalformedFrame(what, subject=str(path), remedy="Check the path, or have it made anew.")
