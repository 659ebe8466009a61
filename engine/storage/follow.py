"""Nearly every record of a merge, settled without building records: nothing new, a successor, or two flat states.

Invariant: what it settles is what the join would give; where it cannot be sure it settles nothing and says so. It
never raises for what came: the join tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import and_, gt
from typing import Any

from holdfast.clocks import EMPTY, Actor, VersionVector

from ..cohorts import Cohort, Columns, cohorts, columns
from ..delta import FeedBatch
from ..documents import split
from ..flat_join import Encounter, FlatJoin, Texts, are_distinct
from ..outline import Outline, outline
from ..packing import Shape, UnreadableCellsError, are_sound, decode, plain_shape
from ..spelling import looks_safe
from .carry import Carried
from .flat_merges import FlatMerges
from .names import Names
from .rows import Row
from .store import Tx

_Stamps = Sequence[Any]
_Pair = tuple[int, Row, _Stamps, _Stamps, Texts]
"""A row's number in the batch, what stands here, its stamps and those that came, and our texts."""


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
        here = self._simple(rows, found)
        settled: set[int] = set()
        for came in (*self._came(here), *self._plain(here)):
            alike: dict[bytes, tuple[Shape, list[_Pair]]] = {}
            for at, theirs in zip(came.ats, zip(*came.stamps, strict=True), strict=True):
                stands = self._stands(here[at], came.shape.outline)
                if stands is not None:
                    shape, ours, texts = stands
                    alike.setdefault(shape.body, (shape, []))[1].append((at, here[at], ours, theirs, texts))
            for shape, pairs in alike.values():
                settled.update(self._settle(shape, came.shape, pairs))
        return [at for at in rows if at not in settled]

    def _simple(self, rows: Sequence[int], found: Mapping[str, Mapping[str, Row]]) -> dict[int, Row]:
        """What stands here, by row of the batch, where nothing about the two calls for the join."""
        delta, unsettled = self.batch.delta, self.tx.names.unsettled()
        standing = [found.get(name, {}) for name in delta.collections]
        simple = {}
        for at in rows:
            row = standing[delta.collection[at]].get(delta.key[at])
            # A record may carry an extra context here, bring one, or have returned: the join knows what they take in.
            if row is None or row.extra in unsettled or at in delta.extra or at in delta.returned:
                continue
            if row.is_settled() and looks_safe(delta.doc[at]):
                simple[at] = row
        return simple

    def _came(self, rows: Iterable[int]) -> list[Cohort]:
        """The rows of several writes whose cells are flat and sound, with this file's numbers of identities."""
        cells = self.batch.delta.cells
        return self._looked_at([(at, cells[at]) for at in rows if at in cells])

    def _looked_at(self, cells: list[tuple[int, bytes]]) -> list[Cohort]:
        """If some cannot be read or believed, each by itself: the join says what is wrong with it."""
        try:
            came = [each for each in cohorts(cells) if each.is_flat()]
        except UnreadableCellsError:
            came = None
        if came is not None and all(self._are_credible(each.stamps) for each in came):
            return [each.renamed(self._local) for each in came]
        if len(cells) == 1:
            return []
        return [*chain.from_iterable([self._looked_at([each]) for each in cells])]

    def _plain(self, rows: Iterable[int]) -> list[Cohort]:
        """The rows of one write, if they are credible."""
        delta = self.batch.delta
        alike: dict[bytes, tuple[Shape, list[int], list[_Stamps]]] = {}
        for at in rows:
            author, seq = delta.actor[at], delta.seq[at]
            if author < 0 or seq > self.sent[author]:
                continue  # it has cells, or the join says what it is
            shape, _ = self._cut(delta.doc[at], self._usual)
            stamp = (self._local[author], seq, delta.clock[at], delta.flags[at])
            if shape.flat:
                _, ats, stamps = alike.setdefault(shape.body, (shape, [], []))
                ats.append(at)
                stamps.append(stamp)
        return [Cohort(shape, ats, columns(stamps)) for shape, ats, stamps in alike.values()]

    def _are_credible(self, stamps: Columns) -> bool:
        if not are_sound(stamps, len(self._local)):
            return False
        dots = zip(stamps[::4], stamps[1::4], strict=True)
        return not any(True in map(gt, seqs, map(self.sent.__getitem__, actors)) for actors, seqs in dots)

    def _stands(self, row: Row, guess: Outline) -> tuple[Shape, _Stamps, Texts] | None:
        """What stands here, if it is flat: shape, stamps, texts; `guess`: the fields that it probably has."""
        if row.cells is None:
            shape, texts = self._cut(row.doc, guess)
            return shape, (row.node, row.seq, row.clock, row.flags), texts
        try:
            cells = decode(row.cells)
        except UnreadableCellsError:
            return None  # the join says what it is
        cut = cells.shape.outline.cut(row.doc) if cells.is_flat() else None
        return (cells.shape, cells.stamps, cut) if cut is not None else None

    def _cut(self, doc: str, guess: Outline) -> tuple[Shape, Texts]:
        """The shape of a plain record, and its texts; `guess`: the fields that it probably has."""
        texts = guess.cut(doc)
        if texts is not None:
            return plain_shape(guess.names), texts
        parts = split(doc)
        shape = plain_shape((*parts,))
        self._usual = shape.outline
        return shape, [*parts.values()]

    def _settle(self, ours: Shape, theirs: Shape, pairs: list[_Pair]) -> list[int]:
        """Settle pairs of these two shapes; gives the rows of those that could be."""
        _, _, here, there, _ = zip(*pairs, strict=True)
        joins = self._encounter.joins(ours, theirs, columns(here), columns(there))
        parts: dict[FlatJoin | None, list[_Pair]] = {}
        for pair, joined in zip(pairs, joins, strict=True):
            parts.setdefault(joined, []).append(pair)
        settled: list[int] = []
        for joined, part in parts.items():
            if joined is not None:
                settled += self._join(joined, part)
        return settled

    def _join(self, joined: FlatJoin, pairs: list[_Pair]) -> Sequence[int]:
        """Join pairs that join alike; gives the rows of those that could be."""
        delta = self.batch.delta
        news = [joined.taken(texts, delta.doc[at]) for at, _, _, _, texts in pairs]
        ats, rows, here, there, texts = zip(*pairs, strict=True)
        came = columns(there)
        stamps = joined.stamps(columns(here), came)
        sure = [taken is not None for taken in news]
        if joined.changed:
            sure = [*map(and_, sure, are_distinct(stamps))]
        if not all(sure):
            pairs = [*compress(pairs, sure)]
            return self._join(joined, pairs) if pairs else []
        if joined.changed:
            places = [(delta.collections[delta.collection[at]], delta.key[at]) for at in ats]
            taken = columns([each for each in news if each is not None])
            self.merges.note(joined, places, rows, stamps, [*columns(texts), *taken])
        else:
            for row in rows:
                self.carried.note(row.id, EMPTY, changed=False)
        self.clocks += chain.from_iterable(came[2::4])
        return ats
