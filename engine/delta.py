"""What one batch of a feed carries: columns of records, with tables for what repeats.

Knows nothing of SQLite, bytes on the wire or sessions. Invariant: all record columns have the same length and their
order is feed order; every index points into the table beside it; a record is either *plain* (one dot wrote all of it:
its document says everything) or has an entry in `cells`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NewType

from holdfast.clocks import EMPTY, Actor, DotRanges, VersionVector

FeedId = NewType("FeedId", str)
"""16 hex digits; new after any restore, copy or rebuild, so that nothing kept under an old one is used again."""

FEED_BYTES: Final = 8
"""Bytes of a feed id."""

NO_FEED: Final = FeedId("")
"""Stands for the feed of a node that was never met."""

StretchId = NewType("StretchId", bytes)
"""4 random bytes: what one opening of a file appended to its feed (see `storage.stretches`)."""

STRETCH_BYTES: Final = 4
"""Bytes of the id of a stretch."""

NO_STRETCH: Final = StretchId(b"")
"""Stands for the stretch of lsn 0, where every feed starts."""

ASIDE: Final = 1 << 62
"""Start and end of a batch that stands beside the feed: records that were asked for whole. It moves nothing."""

BATCH_RECORDS_MAX = 10_000
"""Records in one batch, and in one transaction: a batch never ends inside a transaction."""

BATCH_BYTES_TARGET = 2 * 1024 * 1024
"""Bytes of keys, documents and cells at which the reader of a feed closes a batch."""

BATCH_BYTES_MAX = 24 * 1024 * 1024
"""Bytes of keys, documents and cells in one batch: a transaction of 16 MiB with its causal metadata fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Columns of the records of one batch.

    Attributes:
        actors: Table of the identities that dots and cells of this batch refer to by index.
        labels: Human name of each identity in `actors`, "" where unknown; same length.
        collections: Table of collection names.
        contexts: Table of extra contexts.
        collection: Per record, index into `collections`.
        key: Per record, its key.
        actor: Per record, index into `actors` of its only frontier dot; -1 where `cells` holds the frontier.
        seq: Per record, sequence number of that dot; 0 where `cells` holds the frontier.
        clock: Per record, packed hybrid timestamp of that dot; 0 where `cells` holds the frontier.
        flags: Per record, flags of that stamp; 0 where `cells` holds the frontier.
        doc: Per record, JSON text of an object: the values of single-sibling registers. The field of a record with
            cells is absent here when the receiver's vector covers its dot (it was left out).
        cells: Record number -> packed cells whose actor numbers index `actors`; absent for plain records.
        extra: Record number -> index into `contexts`; absent for records without an extra context.
        forgotten: Table of sets of operations.
        returned: Record number -> index into `forgotten`: what its context does not speak for; absent for records that
            were never forgotten anywhere.
    """

    actors: tuple[Actor, ...] = ()
    labels: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    contexts: tuple[VersionVector, ...] = ()
    collection: list[int] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    actor: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    clock: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    doc: list[str] = field(default_factory=list)
    cells: dict[int, bytes] = field(default_factory=dict)
    extra: dict[int, int] = field(default_factory=dict)
    forgotten: tuple[DotRanges, ...] = ()
    returned: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)

    def size(self) -> int:
        """Characters of keys and documents, and bytes of cells."""
        return sum(map(len, self.key)) + sum(map(len, self.doc)) + sum(map(len, self.cells.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedBatch:
    """One batch of a node's feed, read in one transaction.

    Attributes:
        feed: The feed it was read from.
        start: The checkpoint (lsn) it starts behind.
        end: The checkpoint it reaches.
        start_stretch, end_stretch: The stretches of the feed that these lie in.
        drained: Nothing stood behind it in the transaction that read it.
        vector: The sender's version vector in that transaction.
        delta: The records.
        fence, horizon: Of a drained batch, what the sender may have purged and forgotten, in that transaction.
    """

    feed: FeedId
    start: int
    end: int
    drained: bool
    vector: VersionVector = EMPTY
    delta: Delta = field(default_factory=Delta)
    start_stretch: StretchId = NO_STRETCH
    end_stretch: StretchId = NO_STRETCH
    fence: VersionVector = EMPTY
    horizon: VersionVector = EMPTY
