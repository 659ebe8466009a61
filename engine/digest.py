"""Digests that tell whether two replicas hold the same cells.

Knows nothing of tables. Invariant: a record's digest is a function of its siblings (dots, clocks, values), never of
projections, contexts or local numbers; a space's digest is the sum of its records' modulo 2^62, so that a write
changes it in O(1). Sums catch accidents, not adversaries. 2^62 keeps SQLite's
64-bit addition exact.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from holdfast.clocks import Actor

from .cells import Record, Stamp
from .documents import compose
from .packing import Packed, lay_out

DIGEST_MASK: Final = (1 << 62) - 1


def plain_digest(collection: str, key: str, stamp: Stamp, doc: str) -> int:
    """The digest of a record that one write made whole, from its document."""
    (actor, seq), clock, flags = stamp
    return plain_digests([(digest_head(collection, actor), key, seq, clock, flags, doc)])[0]


def digest_head(collection: str, actor: Actor) -> str:
    """What the digested text of all records of one collection and author begins with."""
    return f"{collection}\0{actor}\0"


def plain_digests(rows: Iterable[tuple[str, str, int, int, int, str]]) -> list[int]:
    """The digests of plain records, from rows of (head, key, seq, clock, flags, document)."""
    hashed, number, mask = blake2b, int.from_bytes, DIGEST_MASK
    return [
        number(hashed(f"{head}{key}\0{seq}.{clock}.{flags}\0{doc}".encode(), digest_size=8).digest(), "big") & mask
        for head, key, seq, clock, flags, doc in rows
    ]


def alike_digests(head: str, clock: int, flags: int, rows: Iterable[tuple[str, int, str]]) -> list[int]:
    """As `plain_digests`, of records of one head, clock and flags, from rows of (key, seq, document).

    What all texts begin with is hashed once, and what all have in common is spelled once: a third less time.
    """
    begun, rest, found = blake2b(head.encode(), digest_size=8).copy, f".{clock}.{flags}\0", []
    for key, seq, doc in rows:
        one = begun()
        one.update(f"{key}\0{seq}{rest}{doc}".encode())
        found.append(one.digest())
    mask = DIGEST_MASK
    return [number & mask for number in struct.unpack(f">{len(found)}Q", b"".join(found))]


def cells_digest(collection: str, key: str, record: Record) -> int:
    """The digest of a record of several writes."""
    texts, packed = lay_out(record)
    return packed_digest(collection, key, packed, compose(texts))


def packed_digest(collection: str, key: str, packed: Packed, singles: str) -> int:
    """The digest of packed cells whose actors are names, with the document of their single registers."""
    return encoded_digests([(collection, key, packed.encoded(), singles)])[0]


def encoded_digests(rows: Iterable[tuple[str, str, bytes, str]]) -> list[int]:
    """As `packed_digest`, from rows of (collection, key, encoded cells, document)."""
    hashed, number, mask = blake2b, int.from_bytes, DIGEST_MASK
    return [
        number(hashed(f"{collection}\0{key}\0{singles}\0".encode() + encoded, digest_size=8).digest(), "big") & mask
        for collection, key, encoded, singles in rows
    ]


def added(total: int, change: int) -> int:
    """The space's digest after records' digests changed by `change` in sum."""
    return (total + change) & DIGEST_MASK
