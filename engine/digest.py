"""Digests that tell whether two replicas hold the same cells.

Knows nothing of tables. Invariant: a record's digest is a function of its siblings (dots, clocks, values), never of
projections, contexts or local numbers; a space's digest is the sum of its records' modulo 2^62, so that a write
changes it in O(1). Sums catch accidents, not adversaries. Source: facts.md, Convergence digests; 2^62 keeps SQLite's
64-bit addition exact.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgpack

from .cells import Record, Stamp

DIGEST_MASK: Final = (1 << 62) - 1


def plain_digest(collection: str, key: str, stamp: Stamp, doc: str) -> int:
    """The digest of a record that one write made whole, from its document."""
    (actor, seq), clock, flags = stamp
    return digest_of(f"{collection}\0{key}\0{actor}{seq}.{clock}.{flags}\0{doc}")


def digest_of(text: str) -> int:
    """62 bits of a hash over the text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") & DIGEST_MASK


def cells_digest(collection: str, key: str, record: Record) -> int:
    """The digest of a record of several writes, from its cells in canonical order."""
    existence = [
        [*dot, life.stamp.clock, life.stamp.flags, life.alive] for dot, life in sorted(record.existence.items())
    ]
    cells = [
        [name, [[*dot, s.stamp.clock, s.stamp.flags, s.tag, s.value] for dot, s in sorted(cell.items())]]
        for name, cell in sorted(record.cells.items())
    ]
    body = msgpack.packb([collection, key, existence, cells])
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big") & DIGEST_MASK


def added(total: int, change: int) -> int:
    """The space's digest after records' digests changed by `change` in sum."""
    return (total + change) & DIGEST_MASK
