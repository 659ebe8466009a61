"""The version vector: which writes a state has taken in.

A vector maps each actor to the highest sequence number taken in from it; with a number it covers all
numbers below, because an actor's writes are taken in without gaps. It must not know records, time or
transport. Invariant: immutable, and an entry is at least 1, so two vectors that cover the same dots
are equal, hash equal and encode to equal bytes.
Paper: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983).
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Mapping
from enum import Enum
from hashlib import blake2b
from typing import Final, final

from holdfast.errors import MalformedVector

from .dot import Dot
from .encoding import Grouped, decode_seqs, encode_seqs
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

    A vector may be kept as what is otherwise in it than in another one, its *past* (`over`). That shows in
    nothing but in what it costs: vectors over one past are compared and joined in the time of their differences.

    Args:
        seqs: sequence number per actor, 0 to 2**63 - 1; entries with 0 are left out. It is copied.

    Raises:
        ValueError: a sequence number is outside its range.
    """

    __slots__ = ("_fingerprint", "_grouped", "_past", "_seqs")

    _fingerprint: bytes | None
    _grouped: Grouped | None
    _past: Grouped | None
    _seqs: dict[Actor, int]  # over a past: only what is otherwise there, with 0 for no entry

    def __init__(self, seqs: Mapping[Actor, int]) -> None:
        for actor, seq in seqs.items():
            _check_seq(actor, seq)
        self._seqs = {actor: seq for actor, seq in seqs.items() if seq}
        self._fingerprint = self._past = self._grouped = None

    @classmethod
    def _adopt(cls, seqs: dict[Actor, int], past: Grouped | None = None) -> VersionVector:
        """Wrap a dict that this module built itself, without a copy and a second check."""
        vector: VersionVector = cls.__new__(cls)
        vector._seqs, vector._past = seqs, past
        vector._fingerprint = vector._grouped = None
        return vector

    def over(self, past: VersionVector) -> VersionVector:
        """Return the same vector, kept as what is otherwise in it than in `past`."""
        if past._grouped is None:
            past._grouped = Grouped(past._whole())
        shared = past._grouped
        return self if self._past is shared else self._adopt(self.otherwise(past), shared)

    def otherwise(self, base: VersionVector) -> dict[Actor, int]:
        """Return the entries that are not those of `base`; 0 where there is none here."""
        if base is self:
            return {}
        if self._past is not None and base._grouped is self._past:
            return dict(self._seqs)
        mine, theirs = self._look(), base._look()
        return {actor: mine(actor, 0) for actor in self._apart(base) if mine(actor, 0) != theirs(actor, 0)}

    def replaced(self, entries: Mapping[Actor, int]) -> VersionVector:
        """Return this vector with these entries in place of its own; 0 takes one away.

        Raises:
            ValueError: a sequence number is outside its range.
        """
        for actor, seq in entries.items():
            _check_seq(actor, seq)
        return self._with(entries)

    def seq(self, actor: Actor) -> int:
        """Return the highest sequence number taken in from `actor`, 0 if none."""
        found = self._seqs.get(actor)
        if found is None:
            return 0 if self._past is None else self._past.seqs.get(actor, 0)
        return found

    def covers(self, dot: Dot) -> bool:
        """Tell whether the write named by `dot` has been taken in."""
        return self.seq(dot[0]) >= dot[1]

    def covers_all(self, dots: Iterable[Dot]) -> bool:
        """Tell whether every one of `dots` has been taken in; true of no dots."""
        get = self._look()
        # A loop, not all(): this runs per record of a feed, and a generator doubles its cost.
        for actor, seq in dots:  # noqa: SIM110
            if get(actor, 0) < seq:
                return False
        return True

    def join(self, other: VersionVector) -> VersionVector:
        """Return the least vector that dominates both; `self` itself if that is `self`, `other` if `self` is empty."""
        if not self and other:
            return other
        newer = self._newer(other)
        if not newer:
            return self
        if self._past is None and other._past is not None:
            return other._with(other._newer(self))
        return self._with(newer)

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
        return self._with({actor: seq})

    def dominates(self, other: VersionVector) -> bool:
        """Tell whether this vector covers every dot that `other` covers (the order's "at least")."""
        if len(other) > len(self):
            return False
        mine, theirs = self._look(), other._look()
        # A loop for the same reason as in covers_all.
        for actor in self._apart(other) if other._past is not None else other._seqs:
            if mine(actor, 0) < theirs(actor, 0):
                return False
        return True

    def compare(self, other: VersionVector) -> Causality:
        """Return how this vector stands to `other`: BEFORE means that `other` strictly dominates it."""
        if self == other:
            return Causality.EQUAL
        if self.dominates(other):
            return Causality.AFTER
        return Causality.BEFORE if other.dominates(self) else Causality.CONCURRENT

    def changes_since(self, base: VersionVector) -> VersionVector:
        """Return the entries that are greater than in `base`.

        It is what has to travel to a peer that holds `base`: `base.join(self.changes_since(base))`
        equals `base.join(self)`.
        """
        return self._adopt(base._newer(self))

    def items(self) -> ItemsView[Actor, int]:
        """Return a read-only view of actors and their sequence numbers, in no particular order."""
        return self._whole().items()

    def encode(self) -> bytes:
        """Return the canonical bytes: a format byte, then the entries sorted and grouped by node.

        About 19 bytes per node. Receivers refuse vectors of more than 100,000 entries.
        """
        if self._past is None:
            return encode_seqs(self._seqs)
        return self._past.encode_with(self._seqs)

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

    def _look(self) -> Callable[[Actor, int], int]:
        """`dict.get` of the whole vector."""
        mine = self._seqs.get
        if self._past is None:
            return mine
        before = self._past.seqs.get

        def get(actor: Actor, default: int) -> int:
            found = mine(actor)
            return before(actor, default) if found is None else found

        return get

    def _whole(self) -> dict[Actor, int]:
        if self._past is None:
            return self._seqs
        return {actor: seq for actor, seq in {**self._past.seqs, **self._seqs}.items() if seq}

    def _apart(self, other: VersionVector) -> Iterable[Actor]:
        """Actors among which all are whose entries differ in the two."""
        if self._past is other._past:
            return self._seqs.keys() | other._seqs.keys()
        return self._whole().keys() | other._whole().keys()

    def _newer(self, other: VersionVector) -> dict[Actor, int]:
        """The entries of `other` that are greater."""
        mine = self._look()
        if other._past is None:
            return {actor: seq for actor, seq in other._seqs.items() if mine(actor, 0) < seq}
        theirs = other._look()
        return {actor: theirs(actor, 0) for actor in self._apart(other) if mine(actor, 0) < theirs(actor, 0)}

    def _with(self, entries: Mapping[Actor, int]) -> VersionVector:
        seqs = {**self._seqs, **entries}
        before = self._past.seqs if self._past is not None else {}
        for actor in entries:
            if seqs[actor] == before.get(actor, 0):
                del seqs[actor]
        return self._adopt(seqs, self._past)

    def __len__(self) -> int:
        if self._past is None:
            return len(self._seqs)
        before = self._past.seqs
        return len(before) + sum(1 if actor not in before else -(seq == 0) for actor, seq in self._seqs.items())

    def __bool__(self) -> bool:
        return bool(self._seqs) if self._past is None else len(self) > 0

    def __contains__(self, actor: object) -> bool:
        return actor in self._seqs if self._past is None else actor in self._whole()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VersionVector):
            return NotImplemented
        if self._past is other._past:
            return self._seqs == other._seqs
        return len(self) == len(other) and self._whole() == other._whole()

    def __hash__(self) -> int:
        # Not kept: hashes of text differ between processes, and a pickled vector would carry a wrong one.
        return hash(frozenset(self._whole().items()))

    def __repr__(self) -> str:
        return f"VersionVector({dict(sorted(self._whole().items()))})"


def _check_seq(actor: Actor, seq: int) -> None:
    if not 0 <= seq <= SEQ_MAX:
        raise ValueError(f"sequence number {seq} of actor {actor} is outside 0 to 2**63 - 1")


EMPTY: Final = VersionVector({})
"""The vector that covers nothing."""
