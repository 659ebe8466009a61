"""Inserts the plain records of a batch that nobody here has seen, with one statement and without looking inside.

Knows nothing of joins. Invariant: a record that stands here already, or that SQLite does not take for a JSON object,
is left out and told by its absence from the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from holdfast.clocks import VersionVector

from ..delta import Delta
from ..digest import digest_head, plain_digests
from ..documents import is_name
from ..spelling import looks_safe
from .bulk import INSERT_PLAIN
from .store import Tx

_DIGEST = 8
"""Position of the digest in a row for INSERT_PLAIN."""


def unseen_rows(delta: Delta, ours: VersionVector, sent: Sequence[int]) -> list[int]:
    """Rows that are plain, carry no extra context, never returned, look safe, and whose dot `sent` covers, not `ours`.

    `sent`: the last operation of each identity of the batch that it may tell of; what is beyond is for the join.

    None at all if a key or collection is odd: then each row is looked at by itself.
    """
    have = [ours.seq(actor) for actor in delta.actors]
    rows = [
        at
        for at, (actor, seq, doc) in enumerate(zip(delta.actor, delta.seq, delta.doc, strict=True))
        if actor >= 0
        and have[actor] < seq <= sent[actor]
        and at not in delta.extra
        and at not in delta.returned
        and looks_safe(doc)
    ]
    if all(map(is_name, delta.collections)) and not any("\0" in key for key in delta.key):
        return rows
    return []


def insert_fresh(tx: Tx, delta: Delta, rows: list[int], lsn: int, extra: int | None) -> set[int]:
    """Insert these rows; gives the ones that were taken."""
    first = tx.next_record(len(rows))
    values = _values(tx, delta, rows, first, lsn, extra)
    inserted = tx.connection.executemany(INSERT_PLAIN, values).rowcount
    if inserted == len(rows):
        tx.change_digest(sum(row[_DIGEST] for row in values))
        return set(rows)
    taken = {number for (number,) in tx.connection.execute("SELECT id FROM record WHERE lsn = ?", (lsn,))}
    tx.change_digest(sum(row[_DIGEST] for row in values if row[0] in taken))
    return {at for number, at in enumerate(rows, first) if number in taken}


def _values(tx: Tx, delta: Delta, rows: list[int], first: int, lsn: int, extra: int | None) -> list[tuple[Any, ...]]:
    columns: tuple[list[Any], ...] = (
        delta.collection,
        delta.key,
        delta.actor,
        delta.seq,
        delta.clock,
        delta.flags,
        delta.doc,
    )
    if len(rows) < len(delta):
        columns = tuple([column[at] for at in rows] for column in columns)
    collections, keys, authors, seqs, clocks, flags, docs = columns
    heads = {
        (place, author): digest_head(name, actor)
        for place, name in enumerate(delta.collections)
        for author, actor in enumerate(delta.actors)
    }
    pairs = zip(collections, authors, strict=True)
    digests = plain_digests(zip(map(heads.__getitem__, pairs), keys, seqs, clocks, flags, docs, strict=True))
    places = [tx.names.collection(name) for name in delta.collections]
    numbers = [tx.names.number(actor) for actor in delta.actors]
    return [
        *zip(
            range(first, first + len(rows)),
            map(places.__getitem__, collections),
            keys,
            repeat(lsn),
            map(numbers.__getitem__, authors),
            seqs,
            clocks,
            flags,
            digests,
            repeat(extra),
            docs,
        )
    ]
