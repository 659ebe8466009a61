"""The messages of a session: a closed union of frozen values.

Knows nothing of bytes, links or storage. Invariant: a message says everything its receiver needs beside the facts of
the session's two hellos; no message depends on the connection that carried it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.engine.delta import NO_STRETCH, Delta, FeedId, StretchId
from holdfast.engine.ranges import Parts, Span

PROTOCOL_VERSION = 3


@dataclass(frozen=True, slots=True)
class VectorNote:
    """A version vector, whole or as a difference.

    Attributes:
        base: Fingerprint (8 bytes) of a vector that the receiver is known to hold; b"" when `entries` is whole.
        entries: The entries that are greater than in the base.
    """

    base: bytes = b""
    entries: VersionVector = EMPTY


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
        checkpoints: Priority class -> lsn read so far of the receiver's feed (version 3 has class 0 only).
        held_of: Identity of the receiver that `held` refers to; "" at first contact.
        held: Highest sequence number of that identity that the sender holds, extra contexts included.
        ticket: What the receiver gave the sender in their last session; b"" at first contact.
        clock_ms: The sender's wall clock, milliseconds since 1970.
        schema: Fingerprint of the sender's schemas; policy: of its resolvers (8 bytes each, b"" when none).
        fence: What the sender has purged (empty in version 3).
        rights: What the receiver may do here: "rw" or "r"; set in answers.
        holds: Fingerprint of the receiver's vector that the sender holds, the base of the receiver's next note.
        digest: The sender's digest over all cells, 8 bytes; b"" while it may not be compared.
        lacks: By how much the receiver's vector, as the sender took it to be when it read what it sends now, is behind
            the sender's own; set in requests, empty in answers.
        bound: Whether that id is that of records; aliases: other ids of the space.
        stretch: The stretch of the receiver's feed in which the checkpoint of class 0 lies.
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
    fence: VersionVector = EMPTY
    rights: str = "rw"
    holds: bytes = b""
    digest: bytes = b""
    lacks: VersionVector = EMPTY
    stretch: StretchId = NO_STRETCH
    bound: bool = False
    aliases: tuple[SpaceId, ...] = ()

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
    """

    feed: FeedId
    start: int
    end: int
    drained: bool
    vector: VectorNote
    delta: Delta
    start_stretch: StretchId = NO_STRETCH
    end_stretch: StretchId = NO_STRETCH


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


Message = Hello | Batch | Ack | NeedWhole | NeedVector | Refuse | Compare | Ranges
