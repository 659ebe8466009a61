"""The common cases of a merge, settled without building records: nothing new, or the peer's state succeeds ours.

Invariant: what it settles is what the join would give; where it cannot be sure it settles nothing and says so. It
never raises for what came: the join tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import ge, gt
from typing import Any, NamedTuple

from holdfast.clocks import EMPTY, VersionVector

from ..delta import FeedBatch
from ..digest import digest_head, packed_digest, plain_digests
from ..documents import replaced, split
from ..packing import Packed, PackedStamp, UnreadableCellsError, are_sound, decode
from ..spelling import looks_safe
from ..succession import succeed
from .carry import Carried
from .journal import Journal
from .names import Names
from .rows import Row
from .store import Tx

_ONE_STAMP = 4
"""Length of the stamps of a record that one write made: it belongs in a plain row."""

_UPDATE = (
    "UPDATE record SET lsn = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, extra = NULL, cells = ?, doc = ?"
    " WHERE id = ?"
)

Place = tuple[str, str]


class _Taken(dict[int, int]):
    """What a vector has taken in, by numbers of identities."""

    def __init__(self, vector: VersionVector, names: Names) -> None:
        self.vector, self.names = vector, names

    def __missing__(self, number: int) -> int:
        self[number] = seq = self.vector.seq(self.names[number])
        return seq


class _Came(NamedTuple):
    """Flat cells that came: with this file's numbers of identities, with their names, and which stamps are news."""

    here: Packed
    named: Packed
    news: list[bool]


@dataclass(slots=True)
class Follower:
    """Settles what it can of a batch.

    Args:
        tx: The open transaction; the identities that the batch names have their numbers.
        batch: The batch.
        lsn: What changed records are to have.
        carried: Learns of every record that is settled.
        sent: The last operation of each identity of the batch that it may tell of.

    Attributes:
        merged: How many records the peer's state succeeds.
        clocks: Of the stamps that came with them.
        size: Bytes of documents and cells that are written.
    """

    tx: Tx
    batch: FeedBatch
    lsn: int
    carried: Carried
    sent: Sequence[int]
    merged: int = 0
    clocks: list[int] = field(default_factory=list)
    size: int = 0
    _local: list[int] = field(init=False)
    _held: list[int] = field(init=False)
    _context: _Taken = field(init=False)
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _log: list[tuple[object, ...]] = field(default_factory=list)
    _digest: int = 0

    def __post_init__(self) -> None:
        delta, have = self.batch.delta, self.tx.vector
        self._local = [self.tx.names.number(actor) for actor in delta.actors]
        self._held = [have.seq(actor) for actor in delta.actors]
        self._context = _Taken(self.batch.vector, self.tx.names)

    def settle(self, rows: Sequence[int], found: Mapping[Place, Row]) -> list[int]:
        """Settle what can be settled of these rows of the batch; gives the others.

        Args:
            rows: Numbers of rows.
            found: Records that stand here in no conflict, alive, by one operation, and without an extra context.
        """
        delta = self.batch.delta
        names, collection, key, extra, doc = delta.collections, delta.collection, delta.key, delta.extra, delta.doc
        came = self._came(rows)
        rest = []
        for at in rows:
            row = found.get((names[collection[at]], key[at]))
            if row is None or at in extra or not looks_safe(doc[at]) or not self._settle(at, row, came.get(at)):
                rest.append(at)
        return rest

    def _came(self, rows: Sequence[int]) -> dict[int, _Came]:
        """The cells that came and are flat and sound, by row."""
        cells = self.batch.delta.cells
        flat: dict[int, Packed] = {}
        for at in rows:
            if at in cells:
                with suppress(UnreadableCellsError):  # the join says what it is
                    packed = decode(cells[at])
                    if packed.is_flat() and len(packed.stamps) > _ONE_STAMP:
                        flat[at] = packed
        return self._looked_at(flat)

    def _looked_at(self, flat: Mapping[int, Packed]) -> dict[int, _Came]:
        """All at once: what is done to one stamp after the other costs more than the records themselves."""
        stamps = [*chain.from_iterable([packed.stamps for packed in flat.values()])]
        if not self._are_credible(stamps):
            sound = {at: packed for at, packed in flat.items() if self._are_credible(packed.stamps)}
            return self._looked_at(sound) if sound else {}
        local, named = stamps.copy(), stamps.copy()
        local[::4] = map(self._local.__getitem__, stamps[::4])
        named[::4] = map(self.batch.delta.actors.__getitem__, stamps[::4])
        held = map(self._held.__getitem__, stamps[::4])
        news = [*map(gt, stamps[1::4], held)]
        came, start = {}, 0
        for at, packed in flat.items():
            end = start + len(packed.stamps)
            shape, span = packed.shape, slice(start, end)
            came[at] = _Came(Packed(local[span], shape), Packed(named[span], shape), news[start >> 2 : end >> 2])
            start = end
        return came

    def _are_credible(self, stamps: list[Any]) -> bool:
        if not are_sound(stamps, len(self._local)):
            return False
        return not any(map(gt, stamps[1::4], map(self.sent.__getitem__, stamps[::4])))

    def write(self, journal: Journal) -> None:
        """Write what was settled; extra contexts are the caller's."""
        self.tx.connection.executemany(_UPDATE, self._rows)
        self.tx.change_digest(self._digest)
        journal.note_merges(self.lsn, self._log)

    def _settle(self, at: int, row: Row, came: _Came | None) -> bool:
        author, node, mine = self.batch.delta.actor[at], row.node, row.seq
        assert node is not None, "the caller looks"
        assert mine is not None, "the caller looks"
        theirs_newer = self._context[node] >= mine
        if author < 0:
            return (
                theirs_newer and came is not None and self._succeed(at, row, (node, mine, row.clock, row.flags), came)
            )
        seq = self.batch.delta.seq[at]
        if seq > self.sent[author]:
            return False  # the join says what it is
        if (self._local[author], seq) == (node, mine):
            delta = self.batch.delta
            same = (row.clock, row.flags, row.doc) == (delta.clock[at], delta.flags[at], delta.doc[at])
            return same and self._unchanged(row)
        ours_newer = self._held[author] >= seq
        if ours_newer == theirs_newer:
            return False
        # With cells of ours, a field may stand under the very dot that came: the join compares them.
        return self._unchanged(row) if ours_newer else self._succeed_plain(at, row)

    def _unchanged(self, row: Row) -> bool:
        if row.cells is None:
            self.carried.note(row.id, EMPTY, changed=False)
        return row.cells is None

    def _succeed(self, at: int, row: Row, mine: PackedStamp, came: _Came) -> bool:
        delta, stamps = self.batch.delta, came.here.stamps
        node, seq, clock, flags = stamps[:4]
        if not came.news[0]:
            return False
        try:
            ours = decode(row.cells) if row.cells is not None else mine
        except UnreadableCellsError:
            return False  # the join says what it is
        if isinstance(ours, Packed) and not self._is_known(ours):
            return False
        successor = succeed(row.doc, ours, delta.doc[at], came.here, came.news)
        if successor is None:
            return False
        doc, old = successor
        digest = packed_digest(delta.collections[delta.collection[at]], delta.key[at], came.named, doc)
        self._take(row, (node, seq, clock, flags, digest, came.here.encoded(), doc), old)
        self.clocks += stamps[2::4]
        return True

    def _succeed_plain(self, at: int, row: Row) -> bool:
        delta = self.batch.delta
        author, seq, clock = delta.actor[at], delta.seq[at], delta.clock[at]
        flags, doc = delta.flags[at], delta.doc[at]
        try:
            ours = decode(row.cells) if row.cells is not None else None
        except UnreadableCellsError:
            return False  # the join says what it is
        if ours is not None and not (ours.is_flat() and self._is_known(ours)):
            return False
        old = replaced(split(row.doc), split(doc))
        head = digest_head(delta.collections[delta.collection[at]], delta.actors[author])
        (digest,) = plain_digests([(head, delta.key[at], seq, clock, flags, doc)])
        self._take(row, (self._local[author], seq, clock, flags, digest, None, doc), old)
        self.clocks.append(clock)
        return True

    def _is_known(self, ours: Packed) -> bool:
        """Whether the peer has taken in all that stands here: under a name that was given up, not what is behind it."""
        return all(map(ge, map(self._context.__getitem__, ours.stamps[::4]), ours.stamps[1::4]))

    def _take(self, row: Row, values: tuple[int, int, int, int, int, bytes | None, str], old: str | None) -> None:
        node, seq, clock, _, digest, cells, doc = values
        self._rows.append((self.lsn, *values, row.id))
        self._log.append((row.id, node, seq, clock, old))
        self._digest += digest - row.digest
        self.size += len(doc) + len(cells or b"")
        self.merged += 1
