"""The messages of a session: a closed union of frozen values.

Knows nothing of bytes, links or storage. Invariant: a message says everything its receiver needs beside the facts of
the session's two hellos; no message depends on the connection that carried it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.engine.delta import NO_STRETCH, Delta, FeedId, StretchId
from holdfast.engine.ranges import Parts, Span
from holdfast.engine.storage.roster import NOBODY, Decision, Seat

PROTOCOL_VERSION = 4


@dataclass(frozen=True, slots=True)
class VectorNote:
    """A version vector, whole or as a difference.

    Attributes:
        base: Fingerprint (8 bytes) of a vector that the receiver is known to hold; b"" when `entries` is whole.
        entries: The entries that are greater than in the base.
    """

    base: bytes = b""
    entries: VersionVector = EMPTY


@dataclass(frozen=True, slots=True)
class VectorPatch:
    """A version vector as what is otherwise in another one: fences and horizons are nearly their node's vector.

    Attributes:
        entries: Where it differs, the sequence number plus one, so that 1 stands for no entry; None for no entries at
            all.
    """

    entries: VersionVector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The handshake, sent first by both sides (docs/protocol.md, Rules).

    Attributes:
        version: Protocol version of the sender.
        features: Names of optional features that the sender can use.
        space_name: Human name of the space.
        space: Its random id; "" while no other node knows it.
        actor: Identity of the sender; label: its human name.
        feed: Id of the sender's feed; head: the last lsn in it.
        vector: The sender's version vector.
        peer_feed: The feed of the receiver that `checkpoints` refer to; "" at first contact.
        checkpoints: Priority class -> lsn read so far of the receiver's feed (version 4 has class 0 only).
        held_of: Identity of the receiver that `held` refers to; "" at first contact.
        held: Highest sequence number of that identity that the sender holds, extra contexts included.
        ticket: What the receiver gave the sender in their last session; b"" at first contact.
        clock_ms: The sender's wall clock, milliseconds since 1970.
        schema: Fingerprint of the sender's schemas; policy: of its resolvers (8 bytes each, b"" when none).
        fence: Up to where the sender may have purged what was deleted, as a patch to its vector.
        rights: What the receiver may do here: "rw" or "r"; set in answers.
        holds: Fingerprint of the receiver's vector that the sender holds, the base of the receiver's next note.
        digest: The sender's digest over all cells, 8 bytes; b"" while it may not be compared.
        lacks: By how much the receiver's vector, as the sender took it to be when it read what it sends now, is behind
            the sender's own; set in requests, empty in answers.
        bound: Whether that id is that of records; aliases: other ids of the space.
        stretch: The stretch of the receiver's feed in which the checkpoint of class 0 lies.
        decision: Who purges, as far as the sender knows.
        seats: Who takes part in the space, if the receiver is the heir of the sender's authority; else empty.
    """

    version: int = PROTOCOL_VERSION
    features: tuple[str, ...] = ()
    space_name: str
    space: SpaceId
    actor: Actor
    label: str = ""
    feed: FeedId
    head: int
    vector: VectorNote
    peer_feed: FeedId = FeedId("")
    checkpoints: dict[int, int] = field(default_factory=dict)
    held_of: Actor = Actor("")
    held: int = 0
    ticket: bytes = b""
    clock_ms: int = 0
    schema: bytes = b""
    policy: bytes = b""
    fence: VectorPatch = VectorPatch()
    rights: str = "rw"
    holds: bytes = b""
    digest: bytes = b""
    lacks: VersionVector = EMPTY
    stretch: StretchId = NO_STRETCH
    bound: bool = False
    aliases: tuple[SpaceId, ...] = ()
    decision: Decision = NOBODY
    seats: tuple[Seat, ...] = ()

    @property
    def checkpoint(self) -> int:
        """How far the sender has read the receiver's feed."""
        return self.checkpoints.get(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of the sender's feed (docs/protocol.md, Rules).

    Attributes:
        feed, start, end, drained, delta, start_stretch, end_stretch: As in `FeedBatch`.
        vector: A difference to that of the sender's hello.
        fence, horizon: Of a drained batch, as patches to its vector.
    """

    feed: FeedId
    start: int
    end: int
    drained: bool
    vector: VectorNote
    delta: Delta
    start_stretch: StretchId = NO_STRETCH
    end_stretch: StretchId = NO_STRETCH
    fence: VectorPatch = VectorPatch()
    horizon: VectorPatch = VectorPatch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The sender has stored the receiver's feed up to `checkpoint`, durably.

    Attributes:
        feed, checkpoint, stretch: Which feed, how far, and the stretch of it in which that lies.
        ticket: For the next session.
        taken: The sender's vector has taken in that of the drained batch that ended there: it holds all of it.
    """

    feed: FeedId
    checkpoint: int
    ticket: bytes = b""
    taken: bool = False
    stretch: StretchId = NO_STRETCH


@dataclass(frozen=True, slots=True)
class NeedWhole:
    """The sender lacks these records, or values of them that were left out: send them whole, beside the feed."""

    feed: FeedId
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NeedVector:
    """The sender does not hold the vector that the hello's note is based on: say hello again with a whole one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The sender is behind the receiver's fence, and holds records under these keys: say which of them are no more.

    Attributes:
        sums: Of each of 4,096 buckets the sum of its keys' hashes, 8 bytes each (`engine.storage.absence`).
        fence: The sender's when it read them, as a patch to its hello's vector.
        asked: The sender's lsn then; to be said again.
    """

    sums: bytes
    fence: VectorPatch
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The keys that the sender holds in some buckets: of every other key in these it holds nothing.

    Attributes:
        vector: Of the sender when it read them, as a difference to its hello's; fence, horizon: patches to that.
        buckets: Numbers of buckets, ascending; keys: hashes of keys in them, ascending.
        asked: What the question said.
    """

    vector: VectorNote
    fence: VectorPatch = VectorPatch()
    horizon: VectorPatch = VectorPatch()
    buckets: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The session ends: `code` is that of an error in the tree, with what happened and what to do."""

    code: str
    message: str
    subject: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Compare:
    """Tell what stands in these ranges of the key order."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Ranges:
    """What stands in the ranges that were asked about, of the first ones if not all fitted."""

    parts: Parts


Message = Hello | Batch | Ack | NeedWhole | NeedVector | Keys | Absent | Refuse | Compare | Ranges
