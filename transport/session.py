"""The side of an exchange that asks, as a state machine over messages and effects (sans-IO); the other is `answering`.

An exchange is a handshake and batches in both directions; a session is as many exchanges as it takes until both sides
have drained. Everything that must outlive an exchange stands in the two files, so a session can be cut anywhere and
goes on with the next exchange. Knows nothing of bytes, links, clocks or storage. Source: docs/protocol.md, Rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.delta import ASIDE, BATCH_RECORDS_MAX, NO_STRETCH, FeedBatch, StretchId
from holdfast.engine.facts import Facts
from holdfast.engine.storage.absence import Absences, Question
from holdfast.engine.storage.apply import Applied

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
from .fences import absent_messages, ending, from_absent, from_keys, keys_of, patched
from .handshake import (
    RENEW,
    diverged,
    from_message,
    hello,
    holds_records,
    is_decided,
    is_heir,
    is_news,
    membership_in,
    met,
    note_of,
    regressed,
    resolve,
    space_in_common,
    to_message,
    used_elsewhere,
    used_twice,
)
from .messages import (
    Absent,
    Ack,
    Batch,
    Compare,
    Hello,
    Keys,
    Message,
    NeedVector,
    NeedWhole,
    Ranges,
    Refuse,
)
from .refusals import itself, odd, other_space, refusal_error

PUSH_BYTES_MAX: Final = 8 * 1024 * 1024
"""Size of the batches that an initiator sends in one exchange: what a cut can cost before it is acknowledged."""

Places = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Tally:
    """What an exchange moved: records sent and received, conflicts that are new here."""

    sent: int = 0
    received: int = 0
    conflicts: int = 0
    suspect_ms: int = 0


def bounded(places: Places, more: Places) -> Places:
    """Distinct records to ask for, as many as one batch may hold; the others are asked for in a later exchange."""
    return tuple(dict.fromkeys((*places, *more)))[:BATCH_RECORDS_MAX]


@dataclass(slots=True)
class Initiator:
    """The side that asks.

    Attributes:
        facts: This node's side, read for this exchange.
        url: Where the peer is reached.
        wants, owes: Records to ask for whole, and that were asked for, from the exchange before.
        behind: Whether the peer may have purged what this node holds: ask it. asked: What it has asked of that kind.
        known: The fence under which the peer has said, in this session, what it does not hold. Two nodes may both have
            met a fence that neither covers: asked once, they are done with each other.
        whole_vector: Say the whole vector: the peer does not hold the base.
        peer: The peer's hello, once it has come.
        pulled: The peer's feed was read to its end.
        pushed: The peer has read this node's feed to its end.
        taken: The peer's vector covers all that this node had taken in.
        diverged: Both have taken in the same and hold different cells.
        holes: Records of the peer that could not be joined.
        doubted: The peer seems to have forgotten what it said, and may not know yet: nothing of its answer counts.
        unbroken: Every batch of the peer in this exchange has moved the checkpoint.
        heard: The lsn at which the peer was asked what it does not hold, once it has said it; None before.
    """

    facts: Facts
    url: str
    wants: Places = ()
    owes: Places = ()
    whole_vector: bool = False
    behind: bool = False
    asked: Question | None = None
    known: VersionVector = EMPTY
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
    next_behind: bool = False
    next_asked: Question | None = None
    unbroken: bool = True
    heard: int | None = None
    _based: bool = False
    _pushed_bytes: int = 0
    _pushed_to: int = -1
    _pushed_in: StretchId = NO_STRETCH
    _said: Hello | None = None
    _told: VersionVector = EMPTY
    _asking: VersionVector = EMPTY

    def opening(self) -> list[Effect]:
        """What to send before the peer has said anything."""
        facts, peer = self.facts, self.facts.peer
        told = (peer.told,) if peer and not self.whole_vector else ()
        note = note_of(facts.vector, told)
        self._based = bool(note.base)
        effects: list[Effect] = [Send(hello(facts, note, holds=peer.vector if peer else EMPTY))]
        if peer is None or not peer.feed:
            return effects  # first contact: nothing is known of what the peer holds
        if self.behind:
            effects.append(Ask())
        wanted = bounded(self.wants, facts.holes)
        if wanted:
            effects.append(Send(NeedWhole(peer.feed, wanted)))
        if self.owes:
            effects.append(ReadWhole(self.owes))
        acked = peer.acked_in(facts.feed)
        # What was owed moves nothing by itself: the drained batch behind it does. Its end corrects a wrong `acked` too.
        if self.owes or self.asked or acked != facts.head or peer.told != facts.vector:
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
            self._pushed_to, self._pushed_in = batch.end if batch.drained else -1, batch.end_stretch
            self._told = self.facts.vector.join(batch.vector)
            self._pushed_bytes += batch.delta.size()
            if not batch.drained and self._pushed_bytes < PUSH_BYTES_MAX:
                effects.append(Read(batch.end, self.facts.peer.vector))
            elif batch.drained and self.asked is not None:
                effects.append(Answer(self.asked.sums, batch))
        return effects

    def questioned(self, question: Question) -> list[Effect]:
        """What to ask the peer behind whose fence this node is."""
        self._asking = question.fence
        return [Send(keys_of(question, self.facts.vector))]

    def answered(self, absences: Absences, drained: FeedBatch) -> list[Effect]:
        """What this node does not hold: say it, and once more that its feed has been read to the end."""
        assert self.asked is not None, "an answer is read for a question"
        told = absent_messages(absences, self.asked, self.facts.vector)
        return [*map(Send, told), Send(to_message(ending(drained), self.facts.vector))] if told else []

    def receive(self, message: Message) -> list[Effect]:
        """What a message of the peer asks for."""
        effects: list[Effect] = []
        match message:
            case _ if self.doubted and not isinstance(message, Refuse):
                pass
            case Refuse():
                return self._refused(message)
            case Hello():
                self._said = message
                return [Recall(message.peer_feed, message.checkpoint, message.stretch)]
            case Batch():
                return self._batch(message)
            case Ack():
                return self._acked(message)
            case Absent():
                return self._absent(message)
            case NeedWhole():
                self.next_owes = bounded(self.next_owes, message.keys)
            case NeedVector():
                self.next_whole_vector = True
            case Keys():
                self.next_asked = from_keys(message, self.peer_vector)
            case Compare() | Ranges():
                effects.append(Fail(odd("ranges that it was not asked for", self.url)))
            case _:
                assert_never(message)
        return effects

    def applied(self, batch: FeedBatch, outcome: Applied) -> list[Effect]:
        """A batch of the peer was applied."""
        self.tally.received += outcome.fresh + outcome.merged
        self.tally.conflicts += outcome.conflicts
        self.tally.suspect_ms = max(self.tally.suspect_ms, outcome.suspect_ms)
        self.next_wants = bounded(self.next_wants, outcome.need_whole)
        self.holes = outcome.holes
        if outcome.foreign:
            self.renewed = True
            return [Renew(used_elsewhere(outcome.foreign), self.facts.actor, self.peer.actor if self.peer else None)]
        self.next_behind = self.next_behind and not outcome.completed
        if outcome.completed and self.heard is not None:
            self.known = self._asking
        # A hole stops the vector, not the reading: the feed has been read to its end all the same.
        self.pulled = self.pulled or (batch.drained and outcome.moved)
        self.unbroken = self.unbroken and (outcome.moved or batch.start == ASIDE)
        return []

    def recalled(self, gave: bool) -> list[Effect]:  # noqa: FBT001 - the answer to one question
        """Whether this file's feed has the position that the peer says it has read."""
        facts, said = self.facts, self._said
        assert said is not None, "it is the hello that is looked up"
        if said.actor == facts.actor:
            return [Fail(itself(self.url))]
        reason = used_twice(said, facts, gave=gave)
        if reason:
            self.renewed = True
            return [Renew(reason, facts.actor, said.actor)]
        return self._greeted(said)

    def _greeted(self, said: Hello) -> list[Effect]:
        facts = self.facts
        vector = resolve(said.vector, facts.peer.vector if facts.peer else EMPTY)
        if vector is None:
            return [Fail(odd("a vector on a base that is not held here", self.url))]
        common = space_in_common(said, vector, facts)
        if common is None:
            return [Fail(other_space(self.url, facts, said))]
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
        effects: list[Effect] = []
        if said.space and common != facts.membership:  # else it has fixed none: the token may only read
            effects.append(Unite(membership_in(said, vector), holds_records(vector)))
        if is_decided(facts, said):
            effects.append(Heed(said.decision, said.seats, is_heir(said)))
        fence = patched(said.fence, vector)
        if not facts.vector.dominates(fence):
            self.next_behind = not (self.known.dominates(fence) and facts.vector.dominates(vector))
            effects.append(MeetFence(fence))
        if stale or is_news(facts.peer if facts.peer and facts.peer.actor == said.actor else None, peer, facts):
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

    def _absent(self, message: Absent) -> list[Effect]:
        if self.peer is None:
            return [Fail(odd("absences before the hello", self.url))]
        absences = from_absent(message, self.peer_vector)
        if absences is None:
            return [Fail(odd("absences whose vector has an unknown base", self.url))]
        return [Hear(absences, message.asked, self.peer.actor)]

    def _acked(self, ack: Ack) -> list[Effect]:
        if self.peer is None:
            return [Fail(odd("an acknowledgement before the hello", self.url))]
        # In the stretch that was sent: a copy of this file may have brought the checkpoint to where it is.
        reached = ack.feed == self.facts.feed and ack.checkpoint >= self._pushed_to >= 0
        reached = reached and ack.stretch == self._pushed_in
        self.pushed = self.pushed or reached
        told = self._told if reached else EMPTY
        # Not whether something was told: a node that is still catching up has taken in nothing yet.
        self.taken = self.taken or (reached and ack.taken)
        return [Acknowledge(self.peer.actor, ack.feed, ack.checkpoint, ack.stretch, ack.ticket, told, ack.taken)]

    def _refused(self, refusal: Refuse) -> list[Effect]:
        if refusal.code == RENEW:
            self.renewed = True
            return [Renew(refusal.message, self.facts.actor, self.facts.peer.actor if self.facts.peer else None)]
        return [Fail(refusal_error(refusal, self.url))]
