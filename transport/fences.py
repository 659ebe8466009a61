"""What sessions say of fences: questions and absences as messages, and vectors as patches to others.

Pure. Invariant: who asks has met the fence of the peer that it asks; more than it knows of is not told
(docs/decisions, 0025).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Final

from holdfast.clocks import EMPTY, SEQ_MAX, VersionVector
from holdfast.engine.delta import Delta, FeedBatch
from holdfast.engine.storage.absence import Absences, KeySums, Question, first_hash

from .messages import Absent, Keys, VectorNote, VectorPatch

BUCKETS_AT_ONCE: Final = 256
"""Buckets in one message: of 1,000,000 records half a megabyte."""


def patch_of(vector: VersionVector, base: VersionVector) -> VectorPatch:
    """What `vector` has otherwise than `base`."""
    if not vector:
        return VectorPatch()
    entries = {actor: min(seq + 1, SEQ_MAX) for actor, seq in vector.otherwise(base).items()}
    return VectorPatch(VersionVector(entries))


def patched(patch: VectorPatch, base: VersionVector) -> VersionVector:
    """The vector that a patch stands for."""
    if patch.entries is None:
        return EMPTY
    return base.replaced({actor: seq - 1 for actor, seq in patch.entries.items()})


def keys_of(question: Question, base: VersionVector) -> Keys:
    """A question as a message; its fence is noted as a patch to the vector of this side's hello."""
    return Keys(question.sums.encode(), patch_of(question.fence, base), question.asked)


def from_keys(message: Keys, base: VersionVector) -> Question:
    """The question that a message stands for."""
    return Question(sums=KeySums.decode(message.sums), fence=patched(message.fence, base), asked=message.asked)


def ending(drained: FeedBatch) -> FeedBatch:
    """The end of a feed once more, behind what was said of absences."""
    return replace(drained, start=drained.end, start_stretch=drained.end_stretch, delta=Delta())


def absent_messages(absences: Absences, question: Question, base: VersionVector) -> list[Absent]:
    """Absences as messages, each of a bounded size; vectors are noted as in `to_message`.

    None at all if more has been purged than who asks knows of: it will meet that fence first.
    """
    if not question.fence.dominates(absences.fence):
        return []
    asked = question.asked
    vector = VectorNote(base.fingerprint(), absences.vector.changes_since(base))
    fence, horizon = (patch_of(each, absences.vector) for each in (absences.fence, absences.horizon))
    keys = sorted(absences.keys)
    parts: list[Absent] = []
    for first in range(0, len(absences.buckets), BUCKETS_AT_ONCE):
        buckets = absences.buckets[first : first + BUCKETS_AT_ONCE]
        inside = keys[bisect_left(keys, first_hash(buckets[0])) : bisect_left(keys, first_hash(buckets[-1] + 1))]
        told = {"buckets": buckets, "keys": tuple(inside)}
        parts.append(Absent(vector=vector, fence=fence, horizon=horizon, asked=asked, **told))
    return parts or [Absent(vector=vector, fence=fence, horizon=horizon, asked=asked)]


def from_absent(message: Absent, base: VersionVector) -> Absences | None:
    """The absences that a message stands for; None if its vector cannot be resolved against the peer's hello."""
    if message.vector.base != base.fingerprint():
        return None
    vector = base.join(message.vector.entries)
    return Absences(
        vector=vector,
        fence=patched(message.fence, vector),
        horizon=patched(message.horizon, vector),
        buckets=message.buckets,
        keys=frozenset(message.keys),
    )
