"""One record of a batch as it came from a peer, and the checks it must pass before it is looked at.

Knows nothing of what is stored here. Invariant: what it gives out could have been written by a local node; anything
else raises UnreadableCellsError or InvalidValue, which costs this one record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.clocks import EMPTY, Actor, Dot, DotRanges, Timestamp, VersionVector

from ..cells import Record, Stamp, plain_record
from ..delta import FeedBatch
from ..documents import check_document, check_key, split
from ..packing import UnreadableCellsError, unpack
from ..spelling import looks_safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A record of a batch.

    Attributes:
        collection, key: Which record.
        stamp: Of the one write that made it; None if it has cells.
        doc, cells: As in the batch; actors in the cells are numbers of `actors`.
        actors: The batch's table of identities.
        extra: Its extra context at the sender; empty for none.
        context: What the sender's state of it has taken in.
        forgotten: Of a record that has returned, what that does not speak for; None of an ordinary one.
    """

    collection: str
    key: str
    stamp: Stamp | None
    doc: str
    cells: bytes
    actors: Mapping[int, Actor]
    extra: VersionVector
    context: VersionVector
    forgotten: DotRanges | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Collection and key."""
        return self.collection, self.key

    def check_place(self) -> None:
        """Check collection and key.

        A collection's name may be one that no local node could give: its records are kept in quarantine.

        Raises:
            UnreadableCellsError, InvalidKey: Its records could not even be asked for: SQL ends a text at a NUL.
        """
        if "\0" in self.collection:
            raise UnreadableCellsError("the name of its collection holds a NUL")
        check_key(self.key, self.collection)

    def record(self) -> Record:
        """The record with all its cells.

        Raises:
            UnreadableCellsError, InvalidValue: No local node could have written it.
        """
        values = split(self.doc) if looks_safe(self.doc) else check_document(self.doc)
        if self.stamp is not None:
            return plain_record(self.stamp, values)
        return unpack(values, self.cells, self.actors)

    def check_dots(self, record: Record) -> None:
        """Check that the sender has taken in what stands in its record: whoever joins it takes in no more than that.

        Raises:
            UnreadableCellsError: No honest node sends such a record, and no vector would ever cover it.
        """
        for stamp in record.stamps():
            if not self.context.covers(stamp.dot):
                actor, seq = stamp.dot
                raise UnreadableCellsError(f"operation {seq} of {actor} is beyond what its sender has taken in")


def arrivals(batch: FeedBatch, rows: list[int]) -> list[Arrival]:
    """These rows of a batch."""
    delta = batch.delta
    actors = dict(enumerate(delta.actors))
    found = []
    for at in rows:
        author = delta.actor[at]
        stamp = None
        if author >= 0:
            stamp = Stamp(Dot(delta.actors[author], delta.seq[at]), Timestamp(delta.clock[at]), delta.flags[at])
        extra = delta.contexts[delta.extra[at]] if at in delta.extra else EMPTY
        found.append(
            Arrival(
                collection=delta.collections[delta.collection[at]],
                key=delta.key[at],
                stamp=stamp,
                doc=delta.doc[at],
                cells=delta.cells.get(at, b""),
                actors=actors,
                extra=extra,
                context=batch.vector.join(extra),
                forgotten=delta.forgotten[delta.returned[at]] if at in delta.returned else None,
            )
        )
    return found
