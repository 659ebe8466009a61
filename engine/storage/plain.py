"""Puts of records that are not there yet: rows that nobody has to look into.

Knows nothing of edits and checks. Invariant: what it stores and logs is what the general way (`edited`, then
`Records.flush`) would; a record that is written once more before the flush goes that way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..cells import Stamp, plain_record
from ..digest import digest_head, plain_digests
from ..documents import split
from ..turns import BORN
from .journal import Journal, Kind
from .rows import Records, Stored
from .store import Tx

_INSERT: Final = (
    "INSERT INTO record (id, collection, key, lsn, live, node, seq, clock, flags, digest, doc)"
    " VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)"
)


class _Fresh(NamedTuple):
    stored: Stored
    lsn: int
    stamp: Stamp
    doc: str


@dataclass(slots=True)
class PlainPuts:
    """The records that one transaction has put and that were not there."""

    tx: Tx
    journal: Journal
    _fresh: dict[int, _Fresh] = field(default_factory=dict)

    def put(self, stored: Stored, doc: str, lsn: int, stamp: Stamp, *, author: str, note: str) -> None:
        """Let the record, which is not there, become this document (canonical JSON text)."""
        stored.number = self.tx.next_record()
        self._fresh[stored.number] = _Fresh(stored, lsn, stamp, doc)
        self.journal.note(Kind.PUT, lsn, stored.number, stamp, turned=BORN, author=author, note=note)

    def give_back(self, stored: Stored, records: Records) -> None:
        """Let the general way have the record, which is about to be written once more."""
        fresh = self._fresh.pop(stored.number, None)
        if fresh is not None:
            records.change(stored, plain_record(fresh.stamp, split(fresh.doc)), fresh.lsn)

    def flush(self) -> None:
        """Write the rows."""
        if not self._fresh:
            return
        names, own = self.tx.names, self.tx.own
        heads = {at.collection: digest_head(at.collection, self.tx.actor) for at, *_ in self._fresh.values()}
        digests = plain_digests(
            (heads[at.collection], at.key, stamp.dot.seq, stamp.clock, stamp.flags, doc)
            for at, _, stamp, doc in self._fresh.values()
        )
        self.tx.connection.executemany(
            _INSERT,
            [
                (at.number, names.collection(at.collection), at.key, lsn, own, stamp.dot.seq, *stamp[1:], digest, doc)
                for (at, lsn, stamp, doc), digest in zip(self._fresh.values(), digests, strict=True)
            ],
        )
        self.tx.change_digest(sum(digests))
        self._fresh.clear()
