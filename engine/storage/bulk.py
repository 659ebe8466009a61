"""Bulk puts: records that are not there yet go in with one statement, the others one by one.

Knows nothing of callers. Invariant: the outcome is that of putting the records one after the other in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from holdfast.clocks import Dot

from ..cells import BIRTH, Stamp
from ..digest import alike_digests, digest_head
from ..documents import split
from ..edits import Put, edited
from ..turns import shown, turn
from .journal import Journal, Kind
from .rows import Records
from .store import Tx

INSERT_PLAIN = (
    "INSERT OR IGNORE INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, extra, doc)"
    " VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)"
)
"""One record with all its columns: what a merge inserts."""

_ROWS: Final = 50
"""Records in one statement: more gain nothing."""

Columns = tuple[Sequence[int], Sequence[str], Sequence[int], Sequence[int], Sequence[str]]
"""Of many rows: id, key, seq, digest, doc."""


def _insert_rows(count: int) -> str:
    rows = (
        f"(?{at}, ?1, ?{at + 1}, ?2, 1, ?3, ?{at + 2}, ?4, ?5, ?{at + 3}, ?{at + 4})"
        for at in range(6, 6 + 5 * count, 5)
    )
    head = "INSERT OR IGNORE INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, doc)"
    return f"{head} VALUES {', '.join(rows)}"


_INSERT_ROW: Final = _insert_rows(1)
_INSERT_ROWS: Final = _insert_rows(_ROWS)


@dataclass(frozen=True, slots=True)
class BulkPut:
    """A job that puts documents (canonical JSON text) under their keys in one transaction."""

    collection: str
    keys: Sequence[str]
    docs: Sequence[str]

    def __call__(self, tx: Tx) -> int:
        """Put them; gives the lsn."""
        return put_many(tx, self.collection, self.keys, self.docs)


def put_many(tx: Tx, collection: str, keys: Sequence[str], docs: Sequence[str]) -> int:
    """Put documents (canonical JSON text) under their keys in one transaction; gives its lsn."""
    lsn, clock, count = tx.next_lsn(), tx.clock.tick(), len(keys)
    first = tx.seq + 1
    tx.seq += count
    seqs = range(first, first + count)
    digests = alike_digests(digest_head(collection, tx.actor), clock, BIRTH, zip(keys, seqs, docs, strict=True))
    number, record = tx.names.collection(collection), tx.next_record(count)
    columns = (range(record, record + count), keys, seqs, digests, docs)
    inserted = _insert(tx.connection, (number, lsn, tx.own, clock, BIRTH), columns)
    journal = Journal(tx)
    journal.note_fresh(Kind.PUT, lsn)
    if inserted == count:
        tx.change_digest(sum(digests))
        return lsn
    fresh = {at for (at,) in tx.connection.execute("SELECT id FROM record WHERE lsn = ?", (lsn,))}
    tx.change_digest(sum(digest for at, digest in enumerate(digests, record) if at in fresh))
    records = Records(tx, journal)
    again = [at for at in range(count) if record + at not in fresh]
    records.load(collection, [keys[at] for at in again])
    policy = tx.policy(collection)
    for at in again:
        stored = records.at(collection, keys[at])
        before = records.current(stored)
        stamp = Stamp(Dot(tx.actor, first + at), clock, 0)
        after = edited(before, Put(split(docs[at])), stamp)
        records.reborn(stored)
        records.change(stored, after, lsn)
        turned = turn(shown(collection, keys[at], before, policy), shown(collection, keys[at], after, policy))
        journal.note(Kind.PUT, lsn, stored.number, stamp, turned=turned)
    records.flush()
    journal.flush()
    return lsn


def _insert(connection: sqlite3.Connection, common: tuple[int, int, int, int, int], columns: Columns) -> int:
    """Insert rows with these (collection, lsn, node, clock, flags); gives how many went in."""
    values = [*chain.from_iterable(zip(*columns, strict=True))]
    width, inserted = len(columns) * _ROWS, 0
    whole = len(values) - len(values) % width
    for at in range(0, whole, width):
        inserted += connection.execute(_INSERT_ROWS, [*common, *values[at : at + width]]).rowcount
    for at in range(whole, len(values), len(columns)):
        inserted += connection.execute(_INSERT_ROW, [*common, *values[at : at + len(columns)]]).rowcount
    return inserted
