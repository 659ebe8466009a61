"""Bulk puts: records that are not there yet go in with one statement, the others one by one.

Knows nothing of callers. Invariant: the outcome is that of putting the records one after the other in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from holdfast.clocks import Dot

from ..cells import BIRTH, Stamp
from ..digest import digest_head, plain_digests
from ..documents import split
from ..edits import Put, edited
from .journal import Journal, Kind, superseded
from .rows import Records
from .store import Tx

INSERT_PLAIN = (
    "INSERT OR IGNORE INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, extra, doc)"
    " VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)"
)


def put_many(tx: Tx, collection: str, keys: Sequence[str], docs: Sequence[str]) -> int:
    """Put documents (canonical JSON text) under their keys in one transaction; gives its lsn."""
    lsn, clock, count = tx.next_lsn(), tx.clock.tick(), len(keys)
    first = tx.seq + 1
    tx.seq += count
    seqs = range(first, first + count)
    head = digest_head(collection, tx.actor)
    digests = plain_digests(zip(repeat(head), keys, seqs, repeat(clock), repeat(BIRTH), docs))
    number, record = tx.names.collection(collection), tx.next_record(count)
    inserted = tx.connection.executemany(
        INSERT_PLAIN,
        zip(
            range(record, record + count),
            repeat(number),
            keys,
            repeat(lsn),
            repeat(tx.own),
            seqs,
            repeat(clock),
            repeat(BIRTH),
            digests,
            repeat(None),
            docs,
        ),
    ).rowcount
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
    for at in again:
        stored = records.at(collection, keys[at])
        before = records.current(stored)
        stamp = Stamp(Dot(tx.actor, first + at), clock, 0)
        records.change(stored, edited(before, Put(split(docs[at])), stamp), lsn)
        journal.note(Kind.PUT, lsn, stored.number, stamp, old=superseded(before, None))
    records.flush()
    journal.flush()
    return lsn
