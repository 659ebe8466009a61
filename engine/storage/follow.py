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
from typing import Any

from holdfast.clocks import EMPTY, Actor, VersionVector

from ..delta import FeedBatch
from ..documents import split
from ..flat_join import Encounter, FlatJoin, Texts, are_distinct, columns
from ..outline import Outline, outline
from ..packing import Packed, Shape, UnreadableCellsError, are_sound, decode, plain_shape
from ..spelling import looks_safe
from .carry import Carried
from .flat_merges import FlatMerges
from .names import Names
from .rows import Row
from .store import Tx

_Pair = tuple[int, Row, Packed, Packed, Texts]
"""A row's number in the batch, what stands here, its cells and those that came, and our texts."""


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
        merges: What is to be written.
        clocks: Of the stamps that came with what was settled.
    """

    tx: Tx
    batch: FeedBatch
    lsn: int
    carried: Carried
    sent: Sequence[int]
    extra: int | None
    merges: FlatMerges = field(init=False)
    clocks: list[int] = field(default_factory=list)
    _local: list[int] = field(init=False)
    _encounter: Encounter = field(init=False)
    _usual: Outline = field(default_factory=lambda: outline(()))

    def __post_init__(self) -> None:
        names = self.tx.names
        self._local = [names.number(actor) for actor in self.batch.delta.actors]
        actors = _Actors(names)
        self._encounter = Encounter(_Taken(self.tx.vector, names), _Taken(self.batch.vector, names), actors)
        self.merges = FlatMerges(self.tx, actors, self.lsn, self.extra)

    def settle(self, rows: Sequence[int], found: Mapping[str, Mapping[str, Row]]) -> list[int]:
        """Settle what can be settled of these rows of the batch; gives the others.

        Args:
            rows: Numbers of rows.
            found: The records that stand here, by collection and key.
        """
        delta, came, unsettled = self.batch.delta, self._came(rows), self.tx.names.unsettled()
        standing = [found.get(name, {}) for name in delta.collections]
        alike: dict[tuple[bytes, bytes], list[_Pair]] = {}
        rest = []
        for at in rows:
            row = standing[delta.collection[at]].get(delta.key[at])
            # A record may carry an extra context here, or bring one: the join knows what they take in.
            simple = row is not None and row.is_settled() and row.extra not in unsettled and at not in delta.extra
            pair = None
            if row is not None and simple and looks_safe(delta.doc[at]):
                pair = self._pair(at, row, came.get(at))
            if pair is None:
                rest.append(at)
            else:
                alike.setdefault((pair[2].shape.body, pair[3].shape.body), []).append(pair)
        for pairs in alike.values():
            rest += self._settle(pairs)
        return sorted(rest)

    def _came(self, rows: Sequence[int]) -> dict[int, Packed]:
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

    def _looked_at(self, flat: Mapping[int, Packed]) -> dict[int, Packed]:
        """All at once: what is done to one stamp after the other costs more than the records themselves."""
        stamps = [*chain.from_iterable([packed.stamps for packed in flat.values()])]
        if not self._are_credible(stamps):
            sound = {at: packed for at, packed in flat.items() if self._are_credible(packed.stamps)}
            return self._looked_at(sound) if sound else {}
        stamps[::4] = map(self._local.__getitem__, stamps[::4])
        came, start = {}, 0
        for at, packed in flat.items():
            end = start + len(packed.stamps)
            came[at] = Packed(stamps[start:end], packed.shape)
            start = end
        return came

    def _are_credible(self, stamps: list[Any]) -> bool:
        if not are_sound(stamps, len(self._local)):
            return False
        return not any(map(gt, stamps[1::4], map(self.sent.__getitem__, stamps[::4])))

    def _pair(self, at: int, row: Row, came: Packed | None) -> _Pair | None:
        """A row of the batch and what stands here, if both are flat."""
        theirs = self._plain(at) if self.batch.delta.actor[at] >= 0 else came
        if theirs is None or not theirs.shape.flat:
            return None
        stands = self._stands(row, theirs.shape.outline)
        return (at, row, stands[0], theirs, stands[1]) if stands is not None else None

    def _stands(self, row: Row, guess: Outline) -> tuple[Packed, Texts] | None:
        """What stands here, if it is flat, and its texts; `guess`: the fields that it probably has."""
        if row.cells is None:
            shape, texts = self._cut(row.doc, guess)
            return Packed([row.node, row.seq, row.clock, row.flags], shape), texts
        try:
            cells = decode(row.cells)
        except UnreadableCellsError:
            return None  # the join says what it is
        cut = cells.shape.outline.cut(row.doc) if cells.is_flat() else None
        return (cells, cut) if cut is not None else None

    def _plain(self, at: int) -> Packed | None:
        """The cells of a record that one write made, if they are credible."""
        delta = self.batch.delta
        author, seq = delta.actor[at], delta.seq[at]
        if seq > self.sent[author]:
            return None  # the join says what it is
        shape, _ = self._cut(delta.doc[at], self._usual)
        return Packed([self._local[author], seq, delta.clock[at], delta.flags[at]], shape)

    def _cut(self, doc: str, guess: Outline) -> tuple[Shape, Texts]:
        """The shape of a plain record, and its texts; `guess`: the fields that it probably has."""
        texts = guess.cut(doc)
        if texts is not None:
            return plain_shape(guess.names), texts
        parts = split(doc)
        shape = plain_shape((*parts,))
        self._usual = shape.outline
        return shape, [*parts.values()]

    def _settle(self, pairs: list[_Pair]) -> list[int]:
        """Settle pairs of the same two shapes; gives the rows that cannot be."""
        _, _, ours, theirs, _ = zip(*pairs, strict=True)
        here, there = columns([each.stamps for each in ours]), columns([each.stamps for each in theirs])
        parts: dict[FlatJoin | None, list[_Pair]] = {}
        joins = self._encounter.joins(ours[0].shape, theirs[0].shape, here, there)
        for pair, joined in zip(pairs, joins, strict=True):
            parts.setdefault(joined, []).append(pair)
        unsure = [at for at, *_ in parts.pop(None, ())]
        for joined, part in parts.items():
            assert joined is not None, "was taken out"
            unsure += self._join(joined, part)
        return unsure

    def _join(self, joined: FlatJoin, pairs: list[_Pair]) -> list[int]:
        """Join pairs that join alike; gives the rows that cannot be."""
        delta = self.batch.delta
        news = [joined.taken(texts, delta.doc[at]) for at, _, _, _, texts in pairs]
        ats, rows, ours, theirs, texts = zip(*pairs, strict=True)
        there = columns([each.stamps for each in theirs])
        stamps = joined.stamps(columns([each.stamps for each in ours]), there)
        unsure = {at for at, taken in zip(ats, news, strict=True) if taken is None}
        if joined.changed:
            unsure.update([at for at, distinct in zip(ats, are_distinct(stamps), strict=True) if not distinct])
        if unsure:
            sure = [pair for pair in pairs if pair[0] not in unsure]
            return [*unsure, *(self._join(joined, sure) if sure else ())]
        if joined.changed:
            places = [(delta.collections[delta.collection[at]], delta.key[at]) for at in ats]
            taken = columns([each for each in news if each is not None])
            self.merges.note(joined, places, rows, stamps, [*columns(texts), *taken])
        else:
            for row in rows:
                self.carried.note(row.id, EMPTY, changed=False)
        self.clocks += chain.from_iterable(there[2::4])
        return []
