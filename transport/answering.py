"""The side of an exchange that answers, as a state machine over messages and effects (sans-IO); the other is `session`.

Knows nothing of bytes, links, clocks or storage. Invariant: it keeps nothing between exchanges but what its effects
store, and what it acknowledges (last) is durable. Source: docs/protocol.md, Rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.delta import ASIDE, NO_STRETCH, FeedBatch, StretchId
from holdfast.engine.facts import Facts
from holdfast.engine.ranges import WHOLE, Parts, Span
from holdfast.engine.reached import reached
from holdfast.engine.storage.absence import Absences, Question
from holdfast.engine.storage.apply import Applied

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
from .fences import absent_messages, ending, from_absent, from_keys, keys_of, patched
from .handshake import (
    ONLY_RANGES,
    RENEW,
    forgotten,
    from_message,
    hello,
    holds_records,
    is_decided,
    is_heir,
    is_news,
    membership_in,
    met,
    note_of,
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
from .refusals import knows, odd, refusal_of, rolled_back
from .session import Places, Tally, bounded

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Size of the batches that a responder answers in one exchange."""


@dataclass(slots=True)
class Responder:
    """The side that answers.

    Attributes:
        rights: What the peer may do here: "rw" or "r".
        stopped: Nothing more is to be read or answered.
        unbroken: Every batch of the peer in this exchange has moved the checkpoint.
        heard: The lsn at which the peer was asked what it does not hold, once it has said it; None before.
    """

    rights: str
    facts: Facts | None = None
    peer: Hello | None = None
    peer_vector: VersionVector = EMPTY
    stopped: bool = False
    unbroken: bool = True
    heard: int | None = None
    tally: Tally = field(default_factory=Tally)
    _said: Hello | None = None
    _asked: Places = ()
    _spans: tuple[Span, ...] = ()
    _lacking: Places = ()
    _filled: bool = False
    _checkpoint: int = -1
    _stretch: StretchId = NO_STRETCH
    _gave: bool = True
    _taken: bool = False
    _foreign: int = 0
    _answered_bytes: int = 0
    _question: Question | None = None
    _behind: bool = False

    def receive(self, message: Message) -> list[Effect]:
        """What a message of the peer asks for."""
        match message:
            case Hello() if self._said is None:
                self._said = message
                return [self._introduce(message)]
            case Batch() if self.peer is not None:
                return self._batch(message)
            case NeedWhole() if self.peer is not None:
                self._asked = bounded(self._asked, message.keys)
            case Keys() if self.peer is not None:
                self._question = from_keys(message, self.peer_vector)
            case Absent() if self.peer is not None:
                return self._absent(message)
            case Compare() if self.peer is not None:
                self._spans = message.spans
            case Refuse():
                self.stopped = True
            case _:
                name = type(message).__name__
                return [Fail(odd(f"{name} out of turn", self._name))]
        return []

    @property
    def _name(self) -> str:
        return self._said.label if self._said else "the peer"

    def introduced(self, facts: Facts, *, gave: bool) -> list[Effect]:
        """This node's facts about the peer that said hello; `gave`: its feed has the position that the peer says."""
        said, self.facts, self._gave = self._said, facts, gave
        assert said is not None, "facts are asked for by a hello"
        may_write = self.rights == "rw"  # who may only read changes nothing here, not even what is known of peers
        vector = resolve(said.vector, facts.peer.vector if facts.peer else EMPTY)
        reason = used_twice(said, facts, gave=gave) or forgotten(said, vector, facts)
        if reason and may_write:
            return [Renew(reason, facts.actor, said.actor), self._introduce(said)]
        refusal = refusal_of(said, vector, facts)
        if refusal:
            self.stopped = True
            return [Send(refusal)]
        effects: list[Effect] = []
        common = space_in_common(said, vector, facts)
        if common is not None and common != facts.membership and may_write:
            effects.append(Unite(membership_in(said, vector), holds_records(vector)))
            facts = self.facts = replace(facts, membership=common)
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
        if may_write and is_decided(facts, said):
            effects.append(Heed(said.decision, said.seats, is_heir(said)))
        if may_write and is_news(facts.peer, peer, facts):
            effects.append(Meet(peer, said.head))
        fence = patched(said.fence, vector)
        if may_write and not facts.vector.dominates(fence):
            self._behind = True
            effects.append(MeetFence(fence))
        # Whom we know and who does not know us has come by another way, or is a copy: the ticket will tell.
        self.stopped = not knows(said, facts) and bool(facts.peer and (facts.peer.issued or facts.peer.pending))
        return [*effects, Send(self._answer(facts, vector))]

    def ahead(self) -> Read | None:
        """The first batch of this node's feed, which may be read while the request still comes in."""
        if self.stopped or self.peer is None or self.facts is None or self._strayed():
            return None
        if ONLY_RANGES in self.peer.features:
            return None
        start = self.peer.checkpoint if self.peer.peer_feed == self.facts.feed else 0
        return Read(start, self.peer_vector)

    def finish(self) -> list[Effect]:
        """The request has been read: answer with this node's feed. Its batches may still be being applied."""
        if self._said is None and not self.stopped:
            return [Fail(odd("nothing where its hello should be", "the peer"))]
        first = self.ahead()
        asked: list[Effect] = [ReadWhole(self._asked)] if self._asked else []
        if spans := self._compared():
            asked.append(ReadRanges(spans))
        if self._strayed():
            return [*asked, Send(self._from_the_start())]
        if self.stopped:
            return []
        return [*asked, first] if first else asked

    def close(self) -> list[Effect]:
        """All batches of the request have been applied: ask for what they lacked, and acknowledge."""
        if self.stopped or self.peer is None or self.facts is None:
            return []
        if self._foreign:
            return [Renew(used_elsewhere(self._foreign), self.facts.actor, self.peer.actor)]
        effects: list[Effect] = []
        # Holes are asked for once in a session: what came aside is all that the peer can say of them.
        holes = () if self._filled or self.rights != "rw" else self.facts.holes
        if lacking := bounded(self._lacking, holes):
            effects.append(Send(NeedWhole(self.peer.feed, lacking)))
        if self._behind:
            effects.append(Ask())
        if self._checkpoint >= 0:
            effects.append(IssueTicket(self.peer.actor, self.peer.ticket))
        return effects

    def ticketed(self, ticket: bytes) -> list[Effect]:
        """A ticket for the peer was stored: acknowledge with it."""
        assert self.peer is not None, "tickets are for a peer that said hello"
        at, stretch = self._checkpoint, self._stretch
        return [Send(Ack(feed=self.peer.feed, checkpoint=at, stretch=stretch, ticket=ticket, taken=self._taken))]

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
        elif batch.drained and self._question is not None:
            effects.append(Answer(self._question.sums, batch))
        return effects

    def ranged(self, parts: Parts) -> list[Effect]:
        """What stands in the ranges that were asked about was read."""
        return [Send(Ranges(parts))]

    def questioned(self, question: Question) -> list[Effect]:
        """What to ask the peer behind whose fence this node is."""
        assert self.facts is not None, "only who has said hello is asked"
        return [Send(keys_of(question, self.facts.vector))]

    def answered(self, absences: Absences, drained: FeedBatch) -> list[Effect]:
        """What this node does not hold: say it, and once more that its feed has been read to the end."""
        assert self.facts is not None, "only who has said hello asks"
        assert self._question is not None, "an answer is read for a question"
        told = absent_messages(absences, self._question, self.facts.vector)
        return [*map(Send, told), Send(to_message(ending(drained), self.facts.vector))] if told else []

    def applied(self, batch: FeedBatch, outcome: Applied) -> list[Effect]:
        """A batch of the peer was applied."""
        self.tally.received += outcome.fresh + outcome.merged
        self.tally.conflicts += outcome.conflicts
        self._lacking = bounded(self._lacking, outcome.need_whole)
        self._filled = self._filled or batch.start == ASIDE
        self._checkpoint, self._stretch, self._taken = outcome.checkpoint, outcome.stretch, outcome.taken
        self._foreign = max(self._foreign, outcome.foreign)
        self.unbroken = self.unbroken and (outcome.moved or batch.start == ASIDE)
        self._behind = self._behind and not outcome.completed
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

    def _compared(self) -> tuple[Span, ...]:
        """The ranges to tell of; all, if the peer asks for nothing else."""
        if self.stopped or self.peer is None or ONLY_RANGES not in self.peer.features:
            return ()
        return self._spans or (() if self._asked else (WHOLE,))

    def _absent(self, message: Absent) -> list[Effect]:
        assert self.peer is not None, "checked by receive"
        if self.rights != "rw":
            return []
        absences = from_absent(message, self.peer_vector)
        if absences is None:
            return [Fail(odd("absences whose vector has an unknown base", self.peer.label))]
        return [Hear(absences, message.asked, self.peer.actor)]

    def _introduce(self, said: Hello) -> Introduce:
        return Introduce(said.actor, Recall(said.peer_feed, said.checkpoint, said.stretch))

    def _strayed(self) -> bool:
        """Whether the peer, who may only read, has read this feed in another file, which this node cannot act on."""
        return not (self._gave or self.peer is None or self.facts is None) and self.peer.peer_feed == self.facts.feed

    def _from_the_start(self) -> Batch:
        """A batch that sends the peer's checkpoint back to 0."""
        assert self.peer is not None, "checked by the caller"
        assert self.facts is not None, "checked by the caller"
        at, stretch, vector = self.peer.checkpoint, self.peer.stretch, self.facts.vector
        back = FeedBatch(feed=self.facts.feed, start=at, start_stretch=stretch, end=0, drained=False, vector=vector)
        return to_message(back, vector)

    def _answer(self, facts: Facts, vector: VersionVector) -> Hello:
        assert self._said is not None, "an answer is given to a hello"
        bases = (facts.vector, facts.peer.told) if facts.peer else (facts.vector,)
        note = note_of(facts.vector, bases, self._said.holds)
        holds = vector if self.rights == "rw" else EMPTY  # what is not kept is not claimed
        return hello(facts, note, holds=holds, rights=self.rights, answering=True)
