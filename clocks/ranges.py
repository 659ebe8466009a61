"""A set of dots as ranges of numbers per actor: what a record has forgotten.

It must not know records or storage. Invariant: immutable and canonical. The ranges of an actor ascend, neither
overlap nor touch, and no actor stands there without one, so equal sets have equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, final

from holdfast.errors import MalformedVector

from .dot import Dot
from .encoding import decode_seqs, encode_seqs, read_varint, varint
from .identity import Actor
from .vector import VersionVector

Range = tuple[int, int]
"""First and last number, both in it."""

RANGES_MAX: Final = 100_000
"""Ranges that a received set may have."""

_FORMAT: Final = 0x01


@final
class DotRanges:
    """An immutable set of dots; falsy if it is empty.

    Args:
        ranges: Of each actor, ranges in any order; they may overlap.
    """

    __slots__ = ("_ranges",)

    _ranges: dict[Actor, tuple[Range, ...]]

    def __init__(self, ranges: Mapping[Actor, Iterable[Range]] | None = None) -> None:
        merged = {actor: _merged(each) for actor, each in (ranges or {}).items()}
        self._ranges = {actor: each for actor, each in merged.items() if each}

    @classmethod
    def up_to(cls, vector: VersionVector) -> DotRanges:
        """All dots that a vector covers."""
        return cls({actor: ((1, seq),) for actor, seq in vector.items()})

    def __contains__(self, dot: object) -> bool:
        assert isinstance(dot, tuple), "a set of dots is asked for dots"
        actor, seq = dot
        return any(low <= seq <= high for low, high in self._ranges.get(actor, ()))

    def __or__(self, other: DotRanges) -> DotRanges:
        """The dots that are in either."""
        actors = self._ranges.keys() | other._ranges.keys()
        return DotRanges({a: (*self._ranges.get(a, ()), *other._ranges.get(a, ())) for a in actors})

    def __and__(self, other: DotRanges) -> DotRanges:
        """The dots that are in both."""
        actors = self._ranges.keys() & other._ranges.keys()
        return DotRanges({a: _common(self._ranges[a], other._ranges[a]) for a in actors})

    def beyond(self, vector: VersionVector) -> DotRanges:
        """The dots that a vector does not cover."""
        return DotRanges(
            {
                actor: [(max(low, vector.seq(actor) + 1), high) for low, high in each if high > vector.seq(actor)]
                for actor, each in self._ranges.items()
            }
        )

    def dots(self) -> Iterator[Dot]:
        """Every dot, actors ascending."""
        for actor in sorted(self._ranges):
            for low, high in self._ranges[actor]:
                yield from (Dot(actor, seq) for seq in range(low, high + 1))

    def encode(self) -> bytes:
        """The canonical bytes: a vector of the actors' highest numbers, then for each the gaps and lengths."""
        tops = {actor: each[-1][1] for actor, each in self._ranges.items()}
        parts = [bytes((_FORMAT,))]
        head = encode_seqs(tops)
        parts += (varint(len(head)), head)
        for actor in sorted(self._ranges):
            each = self._ranges[actor]
            parts.append(varint(len(each)))
            ends = [end for low, high in each for end in (low, high)]
            parts += [varint(ends[0]), *(varint(after - before) for before, after in pairwise(ends))]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> DotRanges:
        """Read what `encode` wrote.

        Raises:
            MalformedVector: `data` is not the canonical encoding of a set of at most 100,000 ranges.
        """
        found = cls._read(data)
        if found.encode() != data:
            raise _malformed(data, "it is not canonical")
        return found

    @classmethod
    def _read(cls, data: bytes) -> DotRanges:
        if data[:1] != bytes((_FORMAT,)):
            raise _malformed(data, "it does not begin with a known format byte")
        size, at = read_varint(data, 1)
        tops = decode_seqs(bytes(data[at : at + size]))
        at += size
        ranges: dict[Actor, list[Range]] = {}
        total = 0
        for actor in sorted(tops):
            count, at = read_varint(data, at)
            total += count
            if total > RANGES_MAX:
                raise _malformed(data, f"it has more than {RANGES_MAX} ranges")
            ranges[actor] = []
            end = 0
            for _ in range(count):
                low, at = read_varint(data, at)
                high, at = read_varint(data, at)
                low, high = end + low, end + low + high
                if low <= end:
                    raise _malformed(data, "its ranges do not ascend")
                ranges[actor].append((low, high))
                end = high
        if at != len(data):
            raise _malformed(data, "bytes follow its last range")
        return cls(ranges)

    def __len__(self) -> int:
        return sum(high - low + 1 for each in self._ranges.values() for low, high in each)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __eq__(self, other: object) -> bool:
        return self._ranges == other._ranges if isinstance(other, DotRanges) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._ranges.items()))

    def __repr__(self) -> str:
        return f"DotRanges({dict(sorted(self._ranges.items()))})"


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _common(ours: tuple[Range, ...], theirs: tuple[Range, ...]) -> list[Range]:
    pairs = [(max(low, first), min(high, last)) for low, high in ours for first, last in theirs]
    return [(low, high) for low, high in pairs if low <= high]


def _malformed(data: bytes, reason: str) -> MalformedVector:
    return MalformedVector(
        f"a set of operations cannot be read: {reason}",
        subject=f"{len(data)} bytes, {data[:8].hex()}...",
        remedy="check that the peer runs a compatible release and that nothing rewrites its bytes",
    )


NO_DOTS: Final = DotRanges()
"""The empty set."""
