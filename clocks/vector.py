"""The version vector: which writes a state has taken in.

A vector maps each actor to the highest sequence number taken in from it; with a number it covers all
numbers below, because an actor's writes are taken in without gaps. It must not know records, time or
transport. Invariant: immutable, and an entry is at least 1, so two vectors that cover the same dots
are equal, hash equal and encode to equal bytes.
Paper: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983).
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Mapping
from enum import Enum
from hashlib import blake2b
from typing import Final, final

from holdfast.errors import MalformedVector

from .dot import Dot
from .encoding import decode_seqs, encode_seqs
from .identity import Actor

SEQ_MAX: Final = 2**63 - 1
"""Highest sequence number: what a signed 64-bit column holds."""

FINGERPRINT_BYTES: Final = 8


class Causality(Enum):
    """How one vector stands to another."""

    BEFORE = "before"
    AFTER = "after"
    CONCURRENT = "concurrent"
    EQUAL = "equal"


@final
class VersionVector:
    """An immutable, hashable map from actors to sequence numbers; an absent actor counts as 0.

    Vectors form a lattice: `join` is the least upper bound, `dominates` the order. `len` is the number
    of actors with an entry, so the empty vector is falsy.

    Args:
        seqs: sequence number per actor, 0 to 2**63 - 1; entries with 0 are left out. It is copied.

    Raises:
        ValueError: a sequence number is outside its range.
    """

    __slots__ = ("_fingerprint", "_seqs")

    _fingerprint: bytes | None
    _seqs: dict[Actor, int]

    def __init__(self, seqs: Mapping[Actor, int]) -> None:
        for actor, seq in seqs.items():
            _check_seq(actor, seq)
        self._seqs = {actor: seq for actor, seq in seqs.items() if seq}
        self._fingerprint = None

    @classmethod
    def _adopt(cls, seqs: dict[Actor, int]) -> VersionVector:
        """Wrap a dict that this module built itself, without a copy and a second check."""
        vector: VersionVector = cls.__new__(cls)
        vector._seqs = seqs
        vector._fingerprint = None
        return vector

    def seq(self, actor: Actor) -> int:
        """Return the highest sequence number taken in from `actor`, 0 if none."""
        return self._seqs.get(actor, 0)

    def covers(self, dot: Dot) -> bool:
        """Tell whether the write named by `dot` has been taken in."""
        return self._seqs.get(dot[0], 0) >= dot[1]

    def covers_all(self, dots: Iterable[Dot]) -> bool:
        """Tell whether every one of `dots` has been taken in; true of no dots."""
        get = self._seqs.get
        # A loop, not all(): this runs per record of a feed, and a generator doubles its cost.
        for actor, seq in dots:  # noqa: SIM110
            if get(actor, 0) < seq:
                return False
        return True

    def join(self, other: VersionVector) -> VersionVector:
        """Return the least vector that dominates both; `self` itself if that is `self`, `other` if `self` is empty."""
        mine = self._seqs
        if not mine and other._seqs:
            return other
        newer = {actor: seq for actor, seq in other._seqs.items() if mine.get(actor, 0) < seq}
        if not newer:
            return self
        return self._adopt(mine | newer)

    def advance(self, actor: Actor, seq: int) -> VersionVector:
        """Return this vector with `actor` at `seq`; `self` itself if it stands there already.

        Raises:
            ValueError: `actor` already stands above `seq`, or `seq` is above 2**63 - 1.
        """
        current = self.seq(actor)
        if seq < current:
            raise ValueError(f"actor {actor} stands at {current} and cannot go back to {seq}")
        if seq == current:
            return self
        _check_seq(actor, seq)
        return self._adopt({**self._seqs, actor: seq})

    def dominates(self, other: VersionVector) -> bool:
        """Tell whether this vector covers every dot that `other` covers (the order's "at least")."""
        mine, theirs = self._seqs, other._seqs
        if len(theirs) > len(mine):
            return False
        get = mine.get
        # A loop for the same reason as in covers_all.
        for actor, seq in theirs.items():  # noqa: SIM110
            if get(actor, 0) < seq:
                return False
        return True

    def compare(self, other: VersionVector) -> Causality:
        """Return how this vector stands to `other`: BEFORE means that `other` strictly dominates it."""
        if self._seqs == other._seqs:
            return Causality.EQUAL
        if self.dominates(other):
            return Causality.AFTER
        return Causality.BEFORE if other.dominates(self) else Causality.CONCURRENT

    def changes_since(self, base: VersionVector) -> VersionVector:
        """Return the entries that are greater than in `base`.

        It is what has to travel to a peer that holds `base`: `base.join(self.changes_since(base))`
        equals `base.join(self)`.
        """
        get = base._seqs.get
        return self._adopt({actor: seq for actor, seq in self._seqs.items() if get(actor, 0) < seq})

    def items(self) -> ItemsView[Actor, int]:
        """Return a read-only view of actors and their sequence numbers, in no particular order."""
        return self._seqs.items()

    def encode(self) -> bytes:
        """Return the canonical bytes: a format byte, then the entries sorted and grouped by node.

        About 19 bytes per node. Receivers refuse vectors of more than 100,000 entries.
        """
        return encode_seqs(self._seqs)

    @classmethod
    def decode(cls, data: bytes) -> VersionVector:
        """Read what `encode` wrote.

        Raises:
            MalformedVector: `data` is not the canonical encoding of a vector of at most 100,000 entries.
        """
        if not isinstance(data, bytes):
            raise MalformedVector("this is not bytes", subject="vector", remedy="Pass what `encode` gave.")
        return cls._adopt(decode_seqs(data))

    def fingerprint(self) -> bytes:
        """Return 8 bytes that stand for the vector where a peer is likely to know it already."""
        if self._fingerprint is None:
            self._fingerprint = blake2b(self.encode(), digest_size=FINGERPRINT_BYTES).digest()
        return self._fingerprint

    def __len__(self) -> int:
        return len(self._seqs)

    def __contains__(self, actor: object) -> bool:
        return actor in self._seqs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VersionVector):
            return NotImplemented
        return self._seqs == other._seqs

    def __hash__(self) -> int:
        # Not kept: hashes of text differ between processes, and a pickled vector would carry a wrong one.
        return hash(frozenset(self._seqs.items()))

    def __repr__(self) -> str:
        return f"VersionVector({dict(sorted(self._seqs.items()))})"


def _check_seq(actor: Actor, seq: int) -> None:
    if not 0 <= seq <= SEQ_MAX:
        raise ValueError(f"sequence number {seq} of actor {actor} is outside 0 to 2**63 - 1")


EMPTY: Final = VersionVector({})
"""The vector that covers nothing."""
