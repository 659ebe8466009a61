"""Both sides of one exchange of a session, as state machines over messages and effects (sans-IO).

An exchange is a handshake and batches in both directions; a session is as many exchanges as it takes until both sides
have drained. Everything that must outlive an exchange stands in the two files, so a session can be cut anywhere and
goes on with the next exchange. Knows nothing of bytes, links, clocks or storage. Source: docs/protocol.md, Rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.delta import ASIDE, BATCH_RECORDS_MAX, FeedBatch
from holdfast.engine.reached import reached
from holdfast.engine.replica import Facts
from holdfast.engine.storage.apply import Applied

from .effects import Acknowledge, Adopt, Apply, Effect, Fail, Introduce, IssueTicket, Meet, Read, ReadWhole, Renew, Send
from .handshake import (
    RENEW,
    diverged,
    forgotten,
    from_message,
    hello,
    is_news,
    met,
    note_of,
    regressed,
    resolve,
    to_message,
    used_elsewhere,
    used_twice,
)
from .messages import Ack, Batch, Hello, Message, NeedVector, NeedWhole, Refuse
from .refusals import itself, knows, odd, other_space, refusal_error, refusal_of, rolled_back

PUSH_BYTES_MAX: Final = 8 * 1024 * 1024
"""Size of the batches that an initiator sends in one exchange: what a cut can cost before it is acknowledged."""

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Size of the batches that a responder answers in one exchange."""

Places = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Tally:
    """What an exchange moved: records sent and received, conflicts that are new here."""

    sent: int = 0
    received: int = 0
    conflicts: int = 0
    suspect_ms: int = 0


@dataclass(slots=True)
class Initiator:
    """The side that asks.

    Attributes:
        facts: This node's side, read for this exchange.
        url: Where the peer is reached.
        wants, owes: Records to ask for whole, and that were asked for, from the exchange before.
        whole_vector: Say the whole vector: the peer does not hold the base.
        peer: The peer's hello, once it has come.
        pulled: The peer's feed was read to its end.
        pushed: The peer has read this node's feed to its end.
        taken: The peer's vector covers all that this node had taken in.
        diverged: Both have taken in the same and hold different cells.
        holes: Records of the peer that could not be joined.
        doubted: The peer seems to have forgotten what it said, and may not know yet: nothing of its answer counts.
        unbroken: Every batch of the peer in this exchange has moved the checkpoint.
    """

    facts: Facts
    url: str
    wants: Places = ()
    owes: Places = ()
    whole_vector: bool = False
    peer: Hello | None = None
    peer_vector: VersionVector = EMPTY
    pulled: bool = False
    pushed: bool = False
    taken: bool = False
    pushing: bool = False
    renewed: bool = False
    doubted: bool = False
    diverged: bool = False
    holes: int = 0
    tally: Tally = field(default_factory=Tally)
    next_wants: Places = ()
    next_owes: Places = ()
    next_whole_vector: bool = False
    unbroken: bool = True
    _based: bool = False
    _pushed_bytes: int = 0
    _pushed_to: int = -1
    _told: VersionVector = EMPTY

    def opening(self) -> list[Effect]:
        """What to send before the peer has said anything."""
        facts, peer = self.facts, self.facts.peer
        told = (peer.told,) if peer and not self.whole_vector else ()
        note = note_of(facts.vector, told)
        self._based = bool(note.base)
        effects: list[Effect] = [Send(hello(facts, note, holds=peer.vector if peer else EMPTY))]
        if peer is None or not peer.feed:
            return effects  # first contact: nothing is known of what the peer holds
        wanted = _bounded(self.wants, facts.holes)
        if wanted:
            effects.append(Send(NeedWhole(peer.feed, wanted)))
        if self.owes:
            effects.append(ReadWhole(self.owes))
        acked = peer.acked_in(facts.feed)
        # What was owed moves nothing by itself: the drained batch behind it does. Its end corrects a wrong `acked` too.
        if self.owes or acked != facts.head or peer.told != facts.vector:
            self.pushing = True
            effects.append(Read(acked, peer.vector))
        else:
            self.pushed = True
        return effects

    def fed(self, batch: FeedBatch) -> list[Effect]:
        """A batch of this node's feed was read: send it, and read on within the budget."""
        assert self.facts.peer is not None, "a batch is read only for a peer that is known"
        effects: list[Effect] = [Send(to_message(batch, self.facts.vector))]
        self.tally.sent += len(batch.delta)
        if batch.start != ASIDE:
            self._pushed_to = batch.end if batch.drained else -1
            self._told = self.facts.vector.join(batch.vector)
            self._pushed_bytes += batch.delta.size()
            if not batch.drained and self._pushed_bytes < PUSH_BYTES_MAX:
                effects.append(Read(batch.end, self.facts.peer.vector))
        return effects

    def receive(self, message: Message) -> list[Effect]:
        """What a message of the peer asks for."""
        match message:
            case Refuse():
                return self._refused(message)
            case _ if self.doubted:
                return []
            case Hello():
                return self._greeted(message)
            case Batch():
                return self._batch(message)
            case Ack():
                return self._acked(message)
            case NeedWhole():
                self.next_owes = _bounded(self.next_owes, message.keys)
            case NeedVector():
                self.next_whole_vector = True
            case _:
                assert_never(message)
        return []

    def applied(self, batch: FeedBatch, outcome: Applied) -> list[Effect]:
        """A batch of the peer was applied."""
        self.tally.received += outcome.fresh + outcome.merged
        self.tally.conflicts += outcome.conflicts
        self.tally.suspect_ms = max(self.tally.suspect_ms, outcome.suspect_ms)
        self.next_wants = _bounded(self.next_wants, outcome.need_whole)
        self.holes = outcome.holes
        if outcome.foreign:
            self.renewed = True
            return [Renew(used_elsewhere(outcome.foreign), self.facts.actor, self.peer.actor if self.peer else None)]
        # A hole stops the vector, not the reading: the feed has been read to its end all the same.
        self.pulled = self.pulled or (batch.drained and outcome.moved)
        self.unbroken = self.unbroken and (outcome.moved or batch.start == ASIDE)
        return []

    def _greeted(self, said: Hello) -> list[Effect]:
        facts = self.facts
        if said.actor == facts.actor:
            return [Fail(itself(self.url))]
        reason = used_twice(said, facts)
        if reason:
            self.renewed = True
            return [Renew(reason, facts.actor, said.actor)]
        if facts.adopted and said.space != facts.space:
            return [Fail(other_space(self.url, facts, said))]
        vector = resolve(said.vector, facts.peer.vector if facts.peer else EMPTY)
        if vector is None:
            return [Fail(odd("a vector on a base that is not held here", self.url))]
        self.peer, self.peer_vector = said, vector
        stale = regressed(facts.peer, said, vector)
        if stale and self._based and said.rights == "rw":
            # It may not have been able to tell what was assumed of it: say all once more before that is forgotten here.
            self.doubted = self.next_whole_vector = True
            return []
        if stale or (facts.peer and facts.peer.actor != said.actor):
            self.pushed = False  # another node stands at this URL now, or an old state of the same
        self.diverged = diverged(facts, said, vector)
        peer = met(facts, said, vector, url=self.url)
        if said.holds == facts.vector.fingerprint():
            peer = replace(peer, told=facts.vector)
        effects: list[Effect] = [] if facts.adopted else [Adopt(said.space)]
        if stale or is_news(facts.peer if facts.peer and facts.peer.actor == said.actor else None, peer):
            effects.append(Meet(peer, said.head))
        if not (self.pushing or stale) and peer.acked == facts.head and peer.told == facts.vector:
            self.pushed = True
        # Also while it pushes: of a cut exchange the peer may have stored all, and only its answer was lost.
        self.taken = vector.dominates(facts.vector)
        return effects

    def _batch(self, message: Batch) -> list[Effect]:
        if self.peer is None:
            return [Fail(odd("a batch before the hello", self.url))]
        batch = from_message(message, self.peer_vector)
        if batch is None or batch.feed != self.peer.feed:
            return [Fail(odd("a batch of another feed, or whose vector has an unknown base", self.url))]
        return [Apply(batch, self.peer.actor)]

    def _acked(self, ack: Ack) -> list[Effect]:
        if self.peer is None:
            return [Fail(odd("an acknowledgement before the hello", self.url))]
        if ack.feed == self.facts.feed and ack.checkpoint >= self._pushed_to >= 0:
            self.pushed = True
        reached = ack.checkpoint >= self._pushed_to >= 0
        told = self._told if reached else EMPTY
        # Not whether something was told: a node that is still catching up has taken in nothing yet.
        self.taken = self.taken or (reached and ack.taken)
        return [Acknowledge(self.peer.actor, ack.feed, ack.checkpoint, ack.ticket, told, ack.taken)]

    def _refused(self, refusal: Refuse) -> list[Effect]:
        if refusal.code == RENEW:
            self.renewed = True
            return [Renew(refusal.message, self.facts.actor, self.facts.peer.actor if self.facts.peer else None)]
        return [Fail(refusal_error(refusal, self.url))]


@dataclass(slots=True)
class Responder:
    """The side that answers.

    Attributes:
        rights: What the peer may do here: "rw" or "r".
        stopped: Nothing more is to be read or answered.
        unbroken: Every batch of the peer in this exchange has moved the checkpoint.
    """

    rights: str
    facts: Facts | None = None
    peer: Hello | None = None
    peer_vector: VersionVector = EMPTY
    stopped: bool = False
    unbroken: bool = True
    tally: Tally = field(default_factory=Tally)
    _said: Hello | None = None
    _asked: Places = ()
    _lacking: Places = ()
    _filled: bool = False
    _checkpoint: int = -1
    _taken: bool = False
    _foreign: int = 0
    _answered_bytes: int = 0

    def receive(self, message: Message) -> list[Effect]:
        """What a message of the peer asks for."""
        match message:
            case Hello() if self._said is None:
                self._said = message
                return [Introduce(message.actor)]
            case Batch() if self.peer is not None:
                return self._batch(message)
            case NeedWhole() if self.peer is not None:
                self._asked = _bounded(self._asked, message.keys)
                return []
            case Refuse():
                self.stopped = True
                return []
            case _:
                name = type(message).__name__
                return [Fail(odd(f"{name} out of turn", self._said.label if self._said else "the peer"))]

    def introduced(self, facts: Facts) -> list[Effect]:
        """This node's facts about the peer that said hello."""
        said, self.facts = self._said, facts
        assert said is not None, "facts are asked for by a hello"
        may_write = self.rights == "rw"  # who may only read changes nothing here, not even what is known of peers
        vector = resolve(said.vector, facts.peer.vector if facts.peer else EMPTY)
        reason = (used_twice(said, facts) or forgotten(said, vector, facts)) if may_write else None
        if reason:
            return [Renew(reason, facts.actor, said.actor), Introduce(said.actor)]
        refusal = refusal_of(said, vector, facts)
        if refusal:
            self.stopped = True
            return [Send(refusal)]
        effects: list[Effect] = []
        if not facts.adopted and may_write:
            space = said.space or facts.space
            effects.append(Adopt(space))
            facts = self.facts = replace(facts, space=space, adopted=True)
        if vector is None:
            reached("session: a vector on a base that is not held")
            self.stopped = True
            return [*effects, Send(self._answer(facts, EMPTY)), Send(NeedVector())]
        if rolled_back(said, vector, facts):
            self.stopped = True
            return [
                Send(
                    Refuse(
                        code=RENEW,
                        message=f"operation {facts.held} of this identity is held here, its owner ends before",
                    )
                )
            ]
        self.peer, self.peer_vector = said, vector
        shown = said.ticket if knows(said, facts) else b""
        peer = replace(met(facts, said, vector), told=facts.vector, issued=shown)
        if may_write and is_news(facts.peer, peer):
            effects.append(Meet(peer, said.head))
        # Whom we know and who does not know us has come by another way, or is a copy: the ticket will tell.
        self.stopped = not knows(said, facts) and bool(facts.peer and (facts.peer.issued or facts.peer.pending))
        return [*effects, Send(self._answer(facts, vector))]

    def ahead(self) -> Read | None:
        """The first batch of this node's feed, which may be read while the request still comes in."""
        if self.stopped or self.peer is None or self.facts is None:
            return None
        start = self.peer.checkpoints.get(0, 0) if self.peer.peer_feed == self.facts.feed else 0
        return Read(start, self.peer_vector)

    def finish(self) -> list[Effect]:
        """The request has been read: answer with this node's feed. Its batches may still be being applied."""
        if self._said is None and not self.stopped:
            return [Fail(odd("nothing where its hello should be", "the peer"))]
        first = self.ahead()
        asked: list[Effect] = [ReadWhole(self._asked)] if self._asked else []
        return [*asked, first] if first else []

    def close(self) -> list[Effect]:
        """All batches of the request have been applied: ask for what they lacked, and acknowledge."""
        if self.stopped or self.peer is None or self.facts is None:
            return []
        if self._foreign:
            return [Renew(used_elsewhere(self._foreign), self.facts.actor, self.peer.actor)]
        effects: list[Effect] = []
        # Holes are asked for once in a session: what came aside is all that the peer can say of them.
        holes = () if self._filled or self.rights != "rw" else self.facts.holes
        if lacking := _bounded(self._lacking, holes):
            effects.append(Send(NeedWhole(self.peer.feed, lacking)))
        if self._checkpoint >= 0:
            effects.append(IssueTicket(self.peer.actor, self.peer.ticket))
        return effects

    def ticketed(self, ticket: bytes) -> list[Effect]:
        """A ticket for the peer was stored: acknowledge with it."""
        assert self.peer is not None, "tickets are for a peer that said hello"
        ack = Ack(feed=self.peer.feed, checkpoint=self._checkpoint, ticket=ticket, taken=self._taken)
        return [Send(ack)]

    def fed(self, batch: FeedBatch) -> list[Effect]:
        """A batch of this node's feed was read: send it, and read on within the budget."""
        assert self.facts is not None, "a batch is read only after the handshake"
        if batch.feed != self.facts.feed:
            self.stopped = True  # this node has begun a new incarnation meanwhile, which the peer meets next time
            return []
        effects: list[Effect] = [Send(to_message(batch, self.facts.vector))]
        self.tally.sent += len(batch.delta)
        self._answered_bytes += batch.delta.size()
        if batch.start != ASIDE and not batch.drained and self._answered_bytes < ANSWER_BYTES_MAX:
            effects.append(Read(batch.end, self.peer_vector))
        return effects

    def applied(self, batch: FeedBatch, outcome: Applied) -> list[Effect]:
        """A batch of the peer was applied."""
        self.tally.received += outcome.fresh + outcome.merged
        self.tally.conflicts += outcome.conflicts
        self._lacking = _bounded(self._lacking, outcome.need_whole)
        self._filled = self._filled or batch.start == ASIDE
        self._checkpoint, self._taken = outcome.checkpoint, outcome.completed
        self._foreign = max(self._foreign, outcome.foreign)
        self.unbroken = self.unbroken and (outcome.moved or batch.start == ASIDE)
        return []

    def _batch(self, message: Batch) -> list[Effect]:
        assert self.peer is not None, "checked by receive"
        assert self.facts is not None, "checked by receive"
        if self.rights != "rw" or self.peer.held_of != self.facts.actor:
            # The hello of the answer says so, and nothing of it is acknowledged. A batch that was read for another
            # node (the one that was met here before) may leave out what this one lacks.
            return []
        batch = from_message(message, self.peer_vector)
        if batch is None or batch.feed != self.peer.feed:
            return [Fail(odd("a batch of another feed, or whose vector has an unknown base", self.peer.label))]
        return [Apply(batch, self.peer.actor)]

    def _answer(self, facts: Facts, vector: VersionVector) -> Hello:
        assert self._said is not None, "an answer is given to a hello"
        bases = (facts.vector, facts.peer.told) if facts.peer else (facts.vector,)
        note = note_of(facts.vector, bases, self._said.holds)
        holds = vector if self.rights == "rw" else EMPTY  # what is not kept is not claimed
        return hello(facts, note, holds=holds, rights=self.rights, answering=True)


def _bounded(places: Places, more: Places) -> Places:
    """Distinct records to ask for, as many as one batch may hold; the others are asked for in a later exchange."""
    return tuple(dict.fromkeys((*places, *more)))[:BATCH_RECORDS_MAX]
