"""What a session wants its driver to do: a closed union of frozen values.

Knows nothing of how it is done. Invariant: each effect is one transaction or one message.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.clocks import Actor, VersionVector
from holdfast.engine.delta import FeedBatch, FeedId, StretchId
from holdfast.engine.membership import Membership
from holdfast.engine.ranges import Span
from holdfast.engine.storage.absence import Absences, KeySums
from holdfast.engine.storage.peers import Peer
from holdfast.engine.storage.roster import Decision, Seat
from holdfast.errors import HoldfastError

from .messages import Message


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the peer."""

    message: Message


@dataclass(frozen=True, slots=True)
class Recall:
    """Look up whether this file's feed has the position that the peer says it has read, and hand that to `recalled`."""

    feed: FeedId
    checkpoint: int
    stretch: StretchId


@dataclass(frozen=True, slots=True)
class Introduce:
    """Read this node's facts about an identity, and whether it has the position that is said, for `introduced`."""

    actor: Actor
    said: Recall


@dataclass(frozen=True, slots=True)
class Meet:
    """Remember what the handshake said of the peer, whose feed ends at `head`."""

    peer: Peer
    head: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next batch of this node's feed and hand it to `fed`."""

    start: int
    held: VersionVector


@dataclass(frozen=True, slots=True)
class ReadWhole:
    """Read these records whole and hand the batch to `fed`."""

    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReadRanges:
    """Read what stands in these ranges of keys and hand it to `ranged`."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply a batch of the peer's feed, durably, and hand the outcome to `applied`.

    Batches are applied in order; whether one may move the checkpoint (`unbroken`) is known when its turn comes.
    """

    batch: FeedBatch
    actor: Actor


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Remember how far the peer has stored this node's feed.

    `told` is the vector that it was told with it (empty if the feed was not read to its end), `taken` whether its own
    vector covers that now.
    """

    actor: Actor
    feed: FeedId
    checkpoint: int
    stretch: StretchId
    ticket: bytes
    told: VersionVector
    taken: bool


@dataclass(frozen=True, slots=True)
class IssueTicket:
    """Make a ticket for the peer, unless it has begun another session since, and hand it to `ticketed`."""

    actor: Actor
    shown: bytes


@dataclass(frozen=True, slots=True)
class Unite:
    """Become a member of the peer's space; `they_hold`: the peer holds records."""

    theirs: Membership
    they_hold: bool


@dataclass(frozen=True, slots=True)
class Renew:
    """Begin a new incarnation in place of `of`: `peer` has shown that it is used twice. The session starts anew.

    `peer` is None if it refused without saying who it is.
    """

    reason: str
    of: Actor
    peer: Actor | None


@dataclass(frozen=True, slots=True)
class Fail:
    """End the session with this error."""

    error: HoldfastError


@dataclass(frozen=True, slots=True)
class Heed:
    """Take over a peer's decision.

    `seats` is who takes part, if this node is its heir; `heir` is whether the peer is the authority.
    """

    decision: Decision
    seats: tuple[Seat, ...]
    heir: bool


@dataclass(frozen=True, slots=True)
class MeetFence:
    """Take over the peer's fence, before it says what it does not hold."""

    fence: VersionVector


@dataclass(frozen=True, slots=True)
class Ask:
    """Read what to ask the peer behind whose fence this node is, and hand it to `asked`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Read what this node does not hold of what the peer does, and hand it to `answered`.

    It is said behind `drained`, with which the peer's vector takes in this one's.
    """

    sums: KeySums
    drained: FeedBatch


@dataclass(frozen=True, slots=True)
class Hear:
    """Join what stands here with that identity's absence, in answer to what was asked at that lsn."""

    absences: Absences
    asked: int
    actor: Actor


Effect = (
    Send
    | Recall
    | Introduce
    | Meet
    | Read
    | ReadWhole
    | ReadRanges
    | Apply
    | Acknowledge
    | IssueTicket
    | Unite
    | Renew
    | Heed
    | MeetFence
    | Ask
    | Answer
    | Hear
    | Fail
)
