"""Absences: what this file does not hold, told to who is behind the fence; and what becomes of records told of here.

Knows nothing of sessions or bytes. Invariant (docs/decisions, 0025): an absence speaks for its sender's vector and
never for its fence; each key stands for itself, so absences need not be whole, in order, or applied once.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from holdfast.clocks import EMPTY, DotRanges, VersionVector

from ..cells import ABSENT
from ..join import Memory, join
from ..reached import reached
from .journal import Journal
from .pasts import restored
from .rows import Records
from .store import Tx, fence_and_horizon, vector_of

BUCKETS: Final = 4_096
"""Parts that all keys are divided into by their hash."""

HASH_BYTES: Final = 8
"""Bytes of a key's hash; the first bits name its bucket."""

_SHIFT: Final = 64 - 12
_MASK: Final = (1 << 64) - 1
_KEYS: Final = "SELECT c.name, r.key FROM record r JOIN collection c ON c.id = r.collection"

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeySums:
    """Of each bucket, the sum of the hashes of the keys that stand here, modulo 2^64."""

    sums: Sequence[int]

    def encode(self) -> bytes:
        """8 bytes a bucket, big endian."""
        return b"".join(each.to_bytes(8, "big") for each in self.sums)

    @classmethod
    def decode(cls, data: bytes) -> KeySums:
        """Read what `encode` wrote."""
        return cls([int.from_bytes(data[at : at + 8], "big") for at in range(0, len(data), 8)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a node that is behind a fence asks: which of these are no more?

    Attributes:
        sums: Of its keys.
        fence: Its own when it read them: it has met the peer's.
        asked: Its lsn then.
    """

    sums: KeySums
    fence: VersionVector
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Absences:
    """All keys that a node holds in some buckets, read in one transaction: of any other there it holds nothing.

    Attributes:
        vector, fence, horizon: The node's, in that transaction.
        buckets: Numbers, ascending; keys: hashes of the keys in these.
    """

    vector: VersionVector = EMPTY
    fence: VersionVector = EMPTY
    horizon: VersionVector = EMPTY
    buckets: tuple[int, ...] = ()
    keys: frozenset[int] = field(default_factory=frozenset)


def key_hash(collection: str, key: str) -> int:
    """64 bits that stand for a record's key."""
    return int.from_bytes(blake2b(f"{collection}\0{key}".encode(), digest_size=8).digest(), "big")


def first_hash(bucket: int) -> int:
    """The least hash in a bucket, or beyond the last one."""
    return bucket << _SHIFT


def key_sums(connection: sqlite3.Connection) -> KeySums:
    """The keys that stand here, as a sum for each bucket."""
    sums = array("Q", bytes(8 * BUCKETS))
    for hashed in _hashes(connection):
        at = hashed >> _SHIFT
        sums[at] = (sums[at] + hashed) & _MASK
    return KeySums(sums)


def _hashes(connection: sqlite3.Connection) -> Iterator[int]:
    return (key_hash(*place) for place in connection.execute(_KEYS))


def question(connection: sqlite3.Connection) -> Question:
    """What to ask a peer behind whose fence this node is."""
    connection.execute("BEGIN")
    try:
        lsn, fence = connection.execute("SELECT lsn, fence FROM node, purging").fetchone()
        return Question(sums=key_sums(connection), fence=restored(connection, fence), asked=lsn)
    finally:
        connection.execute("COMMIT")


def read_absences(connection: sqlite3.Connection, theirs: KeySums | None) -> Absences:
    """The keys here in the buckets in which a peer holds others; in all of them if it did not say what it holds."""
    connection.execute("BEGIN")
    try:
        found: dict[int, list[int]] = {}
        for hashed in _hashes(connection):
            found.setdefault(hashed >> _SHIFT, []).append(hashed)
        differing = tuple(at for at in range(BUCKETS) if theirs is None or _sum(found, at) != theirs.sums[at])
        fence, horizon = fence_and_horizon(connection)
        return Absences(
            vector=vector_of(connection),
            fence=fence,
            horizon=horizon,
            buckets=differing,
            keys=frozenset(hashed for at in differing for hashed in found.get(at, ())),
        )
    finally:
        connection.execute("COMMIT")


def _sum(found: Mapping[int, list[int]], bucket: int) -> int:
    return sum(found.get(bucket, ())) & _MASK


def absent_here(connection: sqlite3.Connection, theirs: Absences) -> list[Place]:
    """Records that stand here, of which the peer holds nothing."""
    buckets = frozenset(theirs.buckets)
    return [
        place
        for place in connection.execute(_KEYS)
        if (hashed := key_hash(*place)) >> _SHIFT in buckets and hashed not in theirs.keys
    ]


def apply_absences(tx: Tx, theirs: Absences, places: Iterable[Place]) -> int:
    """Join these records with the peer's absence; gives how many changed or are gone.

    What the peer's vector has taken in of a record's existence, and it does not hold, is superseded or dead. Its other
    cells it has forgotten up to its horizon: they stay, and the record has returned.
    """
    tx.raise_fence(theirs.fence)
    others = Memory(theirs.vector, DotRanges.up_to(theirs.horizon))
    journal = Journal(tx)
    records = Records(tx, journal)
    lsn, changed = tx.lsn + 1, 0
    for collection, keys in _by_collection(places).items():
        for key, row in records.find(collection, keys).items():
            stored = records.know(collection, key, row)
            mine = Memory(tx.vector.join(stored.extra), stored.forgotten)
            ours = records.current(stored)
            joined = join(ours, mine, ABSENT, others)
            if not joined.existence:
                reached("purge: an absence empties a record")
                changed += 1
                records.empty(stored, lsn, stored.extra)
                continue
            forgotten = mine.still_forgotten(others)
            if not stored.returned or (joined, forgotten) != (ours, stored.forgotten):
                stored.returned, stored.forgotten = True, forgotten
                records.change(stored, joined, lsn, merged=True)
                changed += 1
    records.flush()
    journal.flush()
    if changed:
        tx.next_lsn()
        tx.connection.execute("INSERT INTO arrival (lsn, ms) VALUES (?, ?)", (lsn, tx.now_ms))
    return changed


def _by_collection(places: Iterable[Place]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for collection, key in places:
        found.setdefault(collection, []).append(key)
    return found
