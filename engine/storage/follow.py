"""Nearly every record of a merge, settled without building records: nothing new, a successor, or two flat states.

Invariant: what it settles is what the join would give; where it cannot be sure it settles nothing and says so. It
never raises for what came: the join tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import gt
from typing import Any, Final

from holdfast.clocks import EMPTY, Actor, VersionVector

from ..delta import FeedBatch
from ..digest import digest_head, encoded_digest, plain_digests
from ..documents import split
from ..flat_join import Encounter, Flat, FlatJoin, Texts
from ..outline import Outline, outline
from ..packing import Packed, PackedStamp, Shape, UnreadableCellsError, are_sound, decode, encode_cells, plain_shape
from ..projection import project_disputed
from ..spelling import looks_safe
from .carry import Carried
from .inbox import Inbox
from .journal import Journal
from .names import Names
from .rows import Row
from .store import Tx

_UPDATE: Final = (
    "UPDATE record SET lsn = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, conflicts = ?, extra = ?,"
    " cells = ?, doc = ? WHERE id = ?"
)

Place = tuple[str, str]


class _Taken(dict[int, int]):
    """What a vector has taken in, by numbers of identities."""

    def __init__(self, vector: VersionVector, names: Names) -> None:
        self.vector, self.names = vector, names

    def __missing__(self, number: int) -> int:
        self[number] = seq = self.vector.seq(self.names[number])
        return seq


class _Actors(dict[int, Actor]):
    """Identities by number, at the speed of a dict."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def __missing__(self, number: int) -> Actor:
        self[number] = actor = self.names[number]
        return actor


@dataclass(slots=True)
class Follower:
    """Settles what it can of a batch.

    Args:
        tx: The open transaction; the identities that the batch names have their numbers.
        batch: The batch.
        lsn: What changed records are to have.
        carried: Learns of every record that is settled.
        sent: The last operation of each identity of the batch that it may tell of.
        extra: The number of the extra context that changed records are to carry, if any.

    Attributes:
        merged: How many records changed; conflicts: how many conflicts are new.
        clocks: Of the stamps that came with what was settled.
        size: Bytes of documents and cells that are written.
    """

    tx: Tx
    batch: FeedBatch
    lsn: int
    carried: Carried
    sent: Sequence[int]
    extra: int | None
    merged: int = 0
    conflicts: int = 0
    clocks: list[int] = field(default_factory=list)
    size: int = 0
    _local: list[int] = field(init=False)
    _encounter: Encounter = field(init=False)
    _actors: _Actors = field(init=False)
    _inbox: Inbox = field(init=False)
    _usual: Outline = field(default_factory=lambda: outline(()))
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _log: list[tuple[object, ...]] = field(default_factory=list)
    _digest: int = 0

    def __post_init__(self) -> None:
        names = self.tx.names
        self._local = [names.number(actor) for actor in self.batch.delta.actors]
        self._actors = _Actors(names)
        self._encounter = Encounter(_Taken(self.tx.vector, names), _Taken(self.batch.vector, names), self._actors)
        self._inbox = Inbox(self.tx)

    def settle(self, rows: Sequence[int], found: Mapping[str, Mapping[str, Row]]) -> list[int]:
        """Settle what can be settled of these rows of the batch; gives the others.

        Args:
            rows: Numbers of rows.
            found: The records that stand here, by collection and key.
        """
        delta, came, unsettled = self.batch.delta, self._came(rows), self.tx.names.unsettled()
        standing = [found.get(name, {}) for name in delta.collections]
        rest = []
        for at in rows:
            row = standing[delta.collection[at]].get(delta.key[at])
            # A record may carry an extra context here, or bring one: the join knows what they take in.
            simple = row is not None and row.is_settled() and row.extra not in unsettled and at not in delta.extra
            if row is None or not simple or not looks_safe(delta.doc[at]) or not self._settle(at, row, came.get(at)):
                rest.append(at)
        return rest

    def _came(self, rows: Sequence[int]) -> dict[int, Flat]:
        """The cells that came and are flat and sound, by row, with this file's numbers of identities."""
        cells = self.batch.delta.cells
        flat: dict[int, Packed] = {}
        for at in rows:
            if at in cells:
                with suppress(UnreadableCellsError):  # the join says what it is
                    packed = decode(cells[at])
                    if packed.is_flat():
                        flat[at] = packed
        return self._looked_at(flat)

    def _looked_at(self, flat: Mapping[int, Packed]) -> dict[int, Flat]:
        """All at once: what is done to one stamp after the other costs more than the records themselves."""
        stamps = [*chain.from_iterable([packed.stamps for packed in flat.values()])]
        if not self._are_credible(stamps):
            sound = {at: packed for at, packed in flat.items() if self._are_credible(packed.stamps)}
            return self._looked_at(sound) if sound else {}
        local = map(self._local.__getitem__, stamps[::4])
        here = [*zip(local, stamps[1::4], stamps[2::4], stamps[3::4], strict=True)]
        came, start = {}, 0
        for at, packed in flat.items():
            end = start + packed.shape.stamps
            came[at] = Flat(here[start:end], packed.shape)
            start = end
        return came

    def _are_credible(self, stamps: list[Any]) -> bool:
        if not are_sound(stamps, len(self._local)):
            return False
        return not any(map(gt, stamps[1::4], map(self.sent.__getitem__, stamps[::4])))

    def write(self, journal: Journal) -> None:
        """Write what was settled since the last time; extra contexts are the caller's."""
        self.tx.connection.executemany(_UPDATE, self._rows)
        self.tx.change_digest(self._digest)
        self._inbox.flush()
        journal.note_merges(self._log)
        self._digest = 0
        self._rows.clear()
        self._log.clear()

    def _settle(self, at: int, row: Row, came: Flat | None) -> bool:
        delta = self.batch.delta
        theirs = self._plain(at) if delta.actor[at] >= 0 else came
        stands = self._stands(row, theirs.shape.outline) if theirs is not None and theirs.shape.flat else None
        if theirs is None or stands is None:
            return False
        ours, texts = stands
        joined = self._encounter.join(ours, theirs)
        taken = joined.taken(texts, delta.doc[at]) if joined is not None else None
        if joined is None or taken is None:
            return False
        if not joined.changed:
            self.carried.note(row.id, EMPTY, changed=False)
        else:
            stamps = joined.stamps(ours, theirs)
            if stamps is None:
                return False
            self._take(at, row, joined, stamps, (*texts, *taken))
        self.clocks += [clock for _, _, clock, _ in theirs.stamps]
        return True

    def _stands(self, row: Row, guess: Outline) -> tuple[Flat, Texts] | None:
        """What stands here, if it is flat, and its texts; `guess`: the fields that it probably has."""
        if row.cells is None:
            shape, texts = self._cut(row.doc, guess)
            assert row.seq is not None, "the caller looks"
            return Flat([(row.node, row.seq, row.clock, row.flags)], shape), texts
        try:
            cells = decode(row.cells)
        except UnreadableCellsError:
            return None  # the join says what it is
        cut = cells.shape.outline.cut(row.doc) if cells.is_flat() else None
        return (Flat(cells.each(), cells.shape), cut) if cut is not None else None

    def _plain(self, at: int) -> Flat | None:
        """The cells of a record that one write made, if they are credible."""
        delta = self.batch.delta
        author, seq = delta.actor[at], delta.seq[at]
        if seq > self.sent[author]:
            return None  # the join says what it is
        shape, _ = self._cut(delta.doc[at], self._usual)
        return Flat([(self._local[author], seq, delta.clock[at], delta.flags[at])], shape)

    def _cut(self, doc: str, guess: Outline) -> tuple[Shape, Texts]:
        """The shape of a plain record, and its texts; `guess`: the fields that it probably has."""
        texts = guess.cut(doc)
        if texts is not None:
            return plain_shape(guess.names), texts
        parts = split(doc)
        shape = plain_shape((*parts,))
        self._usual = shape.outline
        return shape, [*parts.values()]

    def _take(self, at: int, row: Row, joined: FlatJoin, stamps: Sequence[PackedStamp], texts: Texts) -> None:
        """Note what is to be written; `stamps`: of the result, `texts`: ours and the taken ones."""
        actors = self._actors
        named = [(actors[node], seq, clock, flags) for node, seq, clock, flags in stamps]
        delta = self.batch.delta
        collection, key = delta.collections[delta.collection[at]], delta.key[at]
        doc = joined.singles.compose([texts[place] for place in joined.values])
        if len(stamps) == 1:
            actor, seq, clock, flags = named[0]
            cells, (digest,) = None, plain_digests([(digest_head(collection, actor), key, seq, clock, flags, doc)])
        else:
            body = joined.shape_body(texts)
            cells, digest = encode_cells(body, stamps), encoded_digest(collection, key, encode_cells(body, named), doc)
        conflicts = 0
        if joined.siblings:
            doc, old, conflicts = self._show(row.id, (collection, key), joined, named, texts)
        else:
            old = joined.replaced(texts, {})
        last = 0 if joined.frontier == 1 or (named[0][2], named[0]) > (named[1][2], named[1]) else 1
        node, seq, clock, flags = stamps[last]
        dot = (node, seq) if joined.frontier == 1 else (None, None)
        self._rows.append((self.lsn, *dot, clock, flags, digest, conflicts, self.extra, cells, doc, row.id))
        self._log.append((self.lsn, row.id, node, seq, clock, old))
        self._digest += digest - row.digest
        self.size += len(doc) + len(cells or b"")
        self.merged += 1
        self.conflicts += conflicts

    def _show(
        self, record: int, place: Place, joined: FlatJoin, named: Sequence[PackedStamp], texts: Texts
    ) -> tuple[str, str | None, int]:
        """Show a record with siblings: its document, what of ours it no longer shows, and how many conflicts it has."""
        agreed = dict(zip(joined.singles.names, [texts[at] for at in joined.values], strict=True))
        disputed = {}
        for name, (one, other), (text, other_text) in joined.siblings:
            if texts[text] == texts[other_text]:
                agreed[name] = texts[text]
            else:
                disputed[name] = [(named[one], texts[text]), (named[other], texts[other_text])]
        projection = project_disputed(*place, agreed, disputed, self.tx.policy(place[0]))
        for conflict, settlement in projection.settled:
            self._inbox.open(record, conflict, settlement, self.lsn)
            if conflict.field is not None and not settlement.deleted:
                agreed[conflict.field] = settlement.text
        return projection.doc, joined.replaced(texts, agreed), len(disputed)
