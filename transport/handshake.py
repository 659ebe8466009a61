"""The handshake's rules, common to both sides: hellos, vectors as differences, signs of a copy.

Pure. Invariant: a vector note is resolved only against the very vector that it was made from (fingerprints agree), and
an identity that a peer has seen further than its owner never writes again (docs/concepts.md, Identity).
"""

from __future__ import annotations

from typing import Final

from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.engine.delta import NO_FEED, NO_STRETCH, FeedBatch
from holdfast.engine.facts import Facts
from holdfast.engine.membership import STRANGER, Bond, Membership, united
from holdfast.engine.storage.peers import Peer

from .fences import patch_of, patched
from .messages import Batch, Hello, VectorNote

RANGES: Final = "ranges"
"""Feature: the node tells what stands in ranges of keys when it is asked."""

ONLY_RANGES: Final = "only-ranges"
"""In a request: it asks for ranges and for records whole, not for the feed."""

FEATURES: Final[tuple[str, ...]] = (RANGES,)
"""Optional features of this version."""

RENEW = "renew-identity"
"""Code of the refusal that asks the peer to begin a new incarnation."""


def note_of(vector: VersionVector, bases: tuple[VersionVector, ...], holds: bytes | None = None) -> VectorNote:
    """The shortest note that the receiver can resolve.

    Args:
        vector: What is to be said.
        bases: Vectors that the receiver may hold.
        holds: Fingerprint of what it says it holds; None if it has not said and the first base is a guess.
    """
    for base in bases:
        if base and (holds is None or base.fingerprint() == holds):
            return VectorNote(base.fingerprint(), vector.changes_since(base))
    return VectorNote(b"", vector)


def resolve(note: VectorNote, held: VersionVector) -> VersionVector | None:
    """The vector that a note stands for; None if its base is not what is held."""
    if not note.base:
        return note.entries
    if not held or held.fingerprint() != note.base:
        return None
    return held.join(note.entries)


def hello(
    facts: Facts, note: VectorNote, *, holds: VersionVector, rights: str = "rw", answering: bool = False
) -> Hello:
    """This node's hello.

    Args:
        facts: This node's side.
        note: Its vector.
        holds: The receiver's vector as it is held here.
        rights: What the receiver may do here.
        answering: Whether it answers one.
    """
    peer = facts.peer
    return Hello(
        features=FEATURES,
        space_name=facts.space_name,
        space=facts.membership.space if facts.membership.bond else SpaceId(""),
        bound=facts.membership.bond is Bond.BOUND,
        aliases=facts.membership.aliases,
        actor=facts.actor,
        label=facts.label,
        feed=facts.feed,
        head=facts.head,
        vector=note,
        peer_feed=peer.feed if peer else NO_FEED,
        checkpoints={0: peer.checkpoint} if peer and peer.feed else {},
        held_of=peer.actor if peer else Actor(""),
        held=facts.held,
        ticket=peer.ticket if peer else b"",
        clock_ms=facts.clock_ms,
        schema=facts.schema,
        policy=facts.policy,
        fence=patch_of(facts.fence, facts.vector),
        rights=rights,
        holds=holds.fingerprint() if holds else b"",
        digest=b"" if facts.digest is None else facts.digest.to_bytes(8, "big"),
        lacks=lacks_of(facts.vector, peer.vector) if peer and peer.feed and not answering else EMPTY,
        # Where a caller was read before it had to be read anew is a sign for it, which only an answer can give.
        stretch=peer.stretch if peer and (peer.checkpoint or answering) else NO_STRETCH,
        decision=facts.decision,
        seats=facts.seats,
    )


def holds_records(vector: VersionVector | None) -> bool:
    """Whether a peer has taken in any operation, by the vector in its hello; one on an unknown base says so."""
    return vector is None or bool(vector)


def membership_in(said: Hello, vector: VersionVector | None) -> Membership:
    """What a hello says its sender is a member of."""
    if not said.space:
        return STRANGER
    return Membership(said.space, Bond.BOUND if said.bound or holds_records(vector) else Bond.LOOSE, said.aliases)


def space_in_common(said: Hello, vector: VersionVector | None, facts: Facts) -> Membership | None:
    """What both are members of from now on; None if they are in different spaces."""
    holds = bool(facts.vector) or holds_records(vector)
    return united(facts.membership, membership_in(said, vector), holds=holds)


def met(facts: Facts, said: Hello, vector: VersionVector, *, url: str | None = None) -> Peer:
    """What a hello says of the peer, to be remembered."""
    read_here = said.checkpoint if said.peer_feed == facts.feed else 0
    # At first contact (by this URL) the peer may speak of a copy of this file: it has not seen our ticket.
    trusted = url is None or (facts.peer is not None and facts.peer.actor == said.actor)
    return Peer(
        actor=said.actor,
        label=said.label,
        url=url,
        feed=said.feed,
        vector=vector,
        acked_feed=facts.feed if trusted else NO_FEED,
        acked=read_here if trusted else 0,
        drift_ms=said.clock_ms - facts.clock_ms,
    )


def is_news(known: Peer | None, said: Peer, facts: Facts) -> bool:
    """Whether remembering `said` would change anything that matters (a write costs a sync of the disk)."""
    if known is None or not known.feed or abs(facts.clock_ms - facts.heard_ms) > HEARD_NEWS_MS:
        return True
    return (
        (known.feed, known.label, known.acked_in(said.acked_feed)) != (said.feed, said.label, said.acked)
        or known.vector != said.vector
        or bool(said.told and said.told != known.told)
        or bool(said.issued and said.issued != known.issued)
        or bool(said.url and said.url != known.url)
        or abs(known.drift_ms - said.drift_ms) > DRIFT_NEWS_MS
    )


DRIFT_NEWS_MS = 10_000

HEARD_NEWS_MS = 6 * 60 * 60 * 1000
"""How exactly it is known when a member was last met."""


def is_decided(facts: Facts, said: Hello) -> bool:
    """Whether a peer's decision would change anything here."""
    return said.decision > facts.decision or bool(said.seats) or (bool(facts.seats) and is_heir(said))


def is_heir(said: Hello) -> bool:
    """Whether a peer is the authority by its own decision."""
    return said.decision.authority == said.actor


def used_twice(said: Hello, facts: Facts, *, gave: bool) -> str | None:
    """Why this node's identity must not write again, by what a peer holds of it; None if all is well (tripwire).

    Args:
        said: The peer's hello.
        facts: This node's side.
        gave: Whether this file's feed has the position that the peer says it has read.
    """
    if not gave and said.peer_feed == facts.feed:
        upto = f" up to {said.checkpoint}" if said.checkpoint else ""
        return f"a peer has read this feed{upto} in another file: one is a copy, or was rolled back"
    if said.held_of == facts.actor and said.held > facts.seq:
        return f"a peer holds operation {said.held} of this identity, which ends at {facts.seq} here"
    return None


def used_elsewhere(seq: int) -> str:
    """Why this node's identity must not write again, by what came in a batch (tripwire)."""
    return f"a peer sent operation {seq} of this identity, which did not write it here"


def lacks_of(own: VersionVector, assumed: VersionVector) -> VersionVector:
    """By how much `assumed` is behind `own`, per identity; empty where it is not."""
    return VersionVector({actor: seq - assumed.seq(actor) for actor, seq in own.changes_since(assumed).items()})


def forgotten(said: Hello, vector: VersionVector | None, facts: Facts) -> str | None:
    """Why this node must be an old state of itself, by what it once told a peer; None if all is well.

    A vector only grows while the identity stays the same. So whatever an honest peer assumes, however late its hello
    comes, is held here, unless the file was put back.

    Args:
        said: The peer's hello.
        vector: The vector that it says; None if that cannot be resolved.
        facts: This node's side.
    """
    if said.held_of != facts.actor:
        return None
    # What is not beyond this node's vector was not told beyond it either.
    for actor, seq in vector.changes_since(facts.vector).items() if vector is not None else ():
        told, held = seq - said.lacks.seq(actor), facts.vector.seq(actor)
        if held < told:
            return f"a peer was told of operation {told} of {actor}, here they end at {held}: the file was rolled back"
    return None


def regressed(known: Peer | None, said: Hello, vector: VersionVector) -> bool:
    """Whether a peer has forgotten what it once said here: it is an old state of itself under the same identity."""
    if known is None or known.actor != said.actor or known.feed != said.feed:
        return False
    return said.head < known.checkpoint or not vector.dominates(known.vector)


def diverged(facts: Facts, said: Hello, vector: VersionVector) -> bool:
    """Whether both have taken in the same, may have dropped the same, and yet hold different cells."""
    if facts.digest is None or not said.digest or vector != facts.vector or patched(said.fence, vector) != facts.fence:
        return False
    return said.digest != facts.digest.to_bytes(8, "big")


def to_message(batch: FeedBatch, base: VersionVector) -> Batch:
    """A batch as a message; its vector is noted as a difference to the vector of this side's hello."""
    note = VectorNote(base.fingerprint(), batch.vector.changes_since(base))
    return Batch(
        feed=batch.feed,
        start=batch.start,
        end=batch.end,
        drained=batch.drained,
        vector=note,
        delta=batch.delta,
        start_stretch=batch.start_stretch,
        end_stretch=batch.end_stretch,
        fence=patch_of(batch.fence, batch.vector),
        horizon=patch_of(batch.horizon, batch.vector),
    )


def from_message(message: Batch, base: VersionVector) -> FeedBatch | None:
    """The batch that a message stands for; None if its vector cannot be resolved against the peer's hello."""
    if message.vector.base != base.fingerprint():
        return None
    vector = base.join(message.vector.entries)
    return FeedBatch(
        feed=message.feed,
        start=message.start,
        end=message.end,
        drained=message.drained,
        vector=vector,
        fence=patched(message.fence, vector),
        horizon=patched(message.horizon, vector),
        delta=message.delta,
        start_stretch=message.start_stretch,
        end_stretch=message.end_stretch,
    )
