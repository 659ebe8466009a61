"""Pasts: what the vectors of a file have in common is kept once, and each says only what is otherwise in it.

A past holds identities that write no more, as far as this file knows. Knows nothing of sessions: no other node hears of
it. Invariants (docs/decisions, 0038): a past never changes, so what was kept over one is the same vector for ever; no
vector claims more or less for how it is kept, whichever identities its past holds, and whoever of them writes again.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import Final

from holdfast.clocks import EMPTY, SEQ_MAX, Actor, VersionVector
from holdfast.clocks.encoding import decode_seqs, encode_seqs, read_varint, varint
from holdfast.errors import MalformedVector

FORMAT: Final = b"\x02"
"""First byte of a vector that is kept over a past; that of a whole one is 1."""

CACHED_MAX: Final = 16
"""Pasts in memory: of 10,000 identities each takes 1 to 2 MB, and a file is mostly asked for its last."""

_DIGEST_BYTES: Final = 16
_UP: Final = (
    "WITH RECURSIVE up (id, parent, vector) AS (SELECT id, parent, vector FROM past WHERE id = ?"
    " UNION SELECT p.id, p.parent, p.vector FROM past p JOIN up ON p.id = up.parent AND p.id < up.id)"
    " SELECT vector FROM up ORDER BY id"
)
_cached: dict[bytes, VersionVector] = {}


def past_at(connection: sqlite3.Connection, number: int | None) -> VersionVector:
    """The past with this number; nothing for none.

    Raises:
        MalformedVector: It is not there, or is not what it was.
    """
    if not number:
        return EMPTY
    row = connection.execute("SELECT digest FROM past WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise _gone(number)
    found = _cached.get(row[0])
    return _read(connection, number, row[0]) if found is None else found


def _read(connection: sqlite3.Connection, number: int, digest: bytes) -> VersionVector:
    seqs: dict[Actor, int] = {}
    told = b""
    for (encoded,) in connection.execute(_UP, (number,)):
        seqs |= decode_seqs(encoded)
        told = digest_of(told, encoded)
    if told != digest:
        raise _gone(number)
    past = _cached.setdefault(digest, VersionVector(seqs))  # shared, also with the threads of other readers
    for oldest in [*_cached][:-CACHED_MAX]:
        _cached.pop(oldest, None)
    return past


def digest_of(parent: bytes, encoded: bytes) -> bytes:
    """What stands for a past: its parent's digest and its own entries."""
    return blake2b(parent + encoded, digest_size=_DIGEST_BYTES).digest()


def restored(connection: sqlite3.Connection, data: bytes) -> VersionVector:
    """A vector as it was kept in this file.

    Raises:
        MalformedVector: These bytes are none, or their past is gone.
    """
    if data[:1] != FORMAT:
        return VersionVector.decode(data)
    number, at = read_varint(data, 1)
    past = past_at(connection, number)
    return past.over(past).replaced({actor: seq - 1 for actor, seq in decode_seqs(data[at:]).items()})


def kept(vector: VersionVector, number: int | None, past: VersionVector) -> bytes:
    """The bytes of a vector at rest: what is otherwise than in that past, or all of it where that is shorter."""
    if not number:
        return vector.encode()
    apart = vector.otherwise(past)
    if len(apart) > len(vector) or max(apart.values(), default=0) == SEQ_MAX:
        return vector.encode()
    return FORMAT + varint(number) + encode_seqs({actor: seq + 1 for actor, seq in apart.items()})


def head_of(connection: sqlite3.Connection) -> int | None:
    """The number of the past that vectors are kept over now."""
    (number,) = connection.execute("SELECT past FROM node").fetchone()
    return None if number is None else int(number)


def add_past(connection: sqlite3.Connection, head: int | None, entries: VersionVector) -> int:
    """Store a past that goes beyond `head` by these entries; gives its number."""
    row = connection.execute("SELECT digest FROM past WHERE id = ?", (head,)).fetchone() if head else None
    encoded = entries.encode()
    digest = digest_of(row[0] if row else b"", encoded)
    made = connection.execute(
        "INSERT INTO past (parent, digest, vector) VALUES (?, ?, ?) RETURNING id", (head, digest, encoded)
    ).fetchone()
    return int(made[0])


def _gone(number: int) -> MalformedVector:
    return MalformedVector(
        f"past {number} of the file is not there, or not what it was",
        subject="past",
        remedy="Verify the file; if it is damaged, salvage it or restore a backup.",
    )
