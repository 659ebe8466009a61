"""The join of two flat states of one record (`Packed.is_flat`), without building records: nearly every merge is one.

Pure; knows no table. How records of two shapes join is worked out once and kept; a record only says which of its
stamps have superseded which. Invariant: what is settled here is what `join` would give; where that is not sure (one
dot with two stamps, a value that was left out) nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from holdfast.clocks import Actor

from .cells import REGISTER
from .documents import compose, split
from .outline import FIELDS_MAX, Outline, outline
from .packing import PackedStamp, Shape, shape_body

K = TypeVar("K")
V = TypeVar("V")

SAME: Final = 0
"""The verdict on a field's two stamps: they are one."""
OURS: Final = 1
"""Only ours stands: the peer's, if there is one, was superseded here."""
THEIRS: Final = 2
"""Only the peer's stands, if there is one."""
BOTH: Final = 3
"""Neither had seen the other, and ours has the lower dot."""
BOTH_TURNED: Final = 4
"""The same, and the peer's has the lower dot."""
UNSURE: Final = 5

_KEPT: Final = 512
"""Pairs of shapes of few fields, and ways in which records of two shapes join, that are remembered at once."""

Texts = Sequence[str]


class Flat(NamedTuple):
    """The cells of a flat state.

    Attributes:
        stamps: Its stamps, with numbers of actors.
        shape: Its shape.
    """

    stamps: Sequence[PackedStamp]
    shape: Shape


class Siblings(NamedTuple):
    """A field that becomes two siblings, by ascending dot.

    Attributes:
        name: The field.
        stamps: Numbers of their stamps in the result.
        texts: Places of their texts.
    """

    name: str
    stamps: tuple[int, int]
    texts: tuple[int, int]


class Replaced(NamedTuple):
    """A field of ours that may show another value afterwards.

    Attributes:
        name: The field.
        before, after: Places of its texts; `after` is -1 if the field is gone or has siblings.
    """

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatJoin:
    """How two states of one record join. Shared between records. Places of texts: ours first, then those taken.

    Attributes:
        changed: Whether the result is another state than ours; if not, the rest says nothing.
        needs: The fields whose values are taken from the peer.
        same: Fields that both hold under one stamp, and the places of ours.
        order: The stamps of the result: numbers of ours, and behind them theirs.
        frontier: How many of the first ones are the frontier: 1 or 2.
        singles: The fields of the result that are one register; values: the places of their texts.
        siblings: The other fields.
        replaces: Fields of ours that may show another value; lost: their outline.
        existence, entries: The result's shape, but for its siblings.
        body: The bytes of its shape, if it has no siblings.
    """

    changed: bool
    needs: Outline
    same: tuple[tuple[str, int], ...]
    order: tuple[int, ...]
    frontier: int
    singles: Outline
    values: tuple[int, ...]
    siblings: tuple[Siblings, ...]
    replaces: tuple[Replaced, ...]
    lost: Outline
    existence: tuple[int, ...]
    entries: dict[str, Any]
    body: bytes

    def taken(self, ours: Texts, doc: str) -> Texts | None:
        """The values to take out of the peer's document; None where it is not sure that they are all it takes."""
        taken = self.needs.cut(doc)
        if taken is not None:
            return taken
        sent = split(doc)
        if any(sent.get(name, ours[at]) != ours[at] for name, at in self.same):
            return None
        return [sent[name] for name in self.needs.names] if sent.keys() >= {*self.needs.names} else None

    def stamps(self, ours: Flat, theirs: Flat) -> list[PackedStamp] | None:
        """The stamps of the result; None if the canonical order of this record is not that of others like it."""
        both = [*ours.stamps, *theirs.stamps]
        stamps = [both[at] for at in self.order]
        return stamps if len({*stamps}) == len(stamps) else None

    def shape_body(self, texts: Texts) -> bytes:
        """The bytes of the result's shape."""
        if not self.siblings:
            return self.body
        cells = self.entries.copy()
        for name, stamps, places in self.siblings:
            pairs = zip(stamps, places, strict=True)
            cells[name] = [[stamp, REGISTER, texts[place], None] for stamp, place in pairs]
        return shape_body(self.existence, cells)

    def replaced(self, texts: Texts, shown: Mapping[str, str]) -> str | None:
        """JSON of our values that the result does not show, if any; `shown`: what it shows of fields with siblings."""
        kept = [
            (texts[after] if after >= 0 else shown.get(name)) == texts[before] for name, before, after in self.replaces
        ]
        if True not in kept:
            return self.lost.compose([texts[before] for _, before, _ in self.replaces]) if kept else None
        old = {name: texts[before] for (name, before, _), same in zip(self.replaces, kept, strict=True) if not same}
        return compose(old) if old else None


class _Relation:
    """How the stamps of two shapes meet.

    Attributes:
        ours, theirs: The shapes.
        pairs: Numbers of the stamps that are to be compared, ours and theirs; first the two frontiers. -1 where a side
            has no such field.
        fields: Each field of either, by name, with the number of its pair.
    """

    __slots__ = ("fields", "ours", "pairs", "theirs")

    def __init__(self, ours: Shape, theirs: Shape) -> None:
        self.ours, self.theirs = ours, theirs
        pairs = {(0, 0): 0}
        self.fields: list[tuple[str, int]] = []
        for name in sorted({*ours.cells, *theirs.cells}):
            pair = (ours.cells.get(name, -1), theirs.cells.get(name, -1))
            self.fields.append((name, pairs.setdefault(pair, len(pairs))))
        self.pairs = (*pairs,)


class Encounter:
    """Two nodes' states meet; it remembers how those of each pair of shapes join.

    Args:
        held: What our states have taken in, by number of actor.
        context: What theirs have.
        actors: Names by number, which order dots.
    """

    def __init__(self, held: Mapping[Any, int], context: Mapping[Any, int], actors: Mapping[Any, Actor]) -> None:
        self.held, self.context, self.actors = held, context, actors
        self._relations: dict[tuple[bytes, bytes], _Relation] = {}
        self._joins: dict[tuple[_Relation, tuple[int, ...]], FlatJoin | None] = {}

    def join(self, ours: Flat, theirs: Flat) -> FlatJoin | None:
        """How two states join; None where it is not sure."""
        shapes = (ours.shape.body, theirs.shape.body)
        met = self._relations.get(shapes)
        if met is None:
            met = _Relation(ours.shape, theirs.shape)
            if len(met.fields) <= FIELDS_MAX:
                _remember(self._relations, shapes, met)
        here, there = ours.stamps, theirs.stamps
        verdicts = tuple(
            [SAME if o >= 0 <= t and here[o] == there[t] else self._verdict(ours, o, theirs, t) for o, t in met.pairs]
        )
        if (met, verdicts) in self._joins:
            return self._joins[met, verdicts]
        allowed = _ALLOWED.get(verdicts[0])
        sure = allowed is not None and allowed.issuperset(verdicts)
        joined = _Drawing(met, verdicts).draw() if sure else None
        if len(met.fields) <= FIELDS_MAX:
            _remember(self._joins, (met, verdicts), joined)
        return joined

    def _verdict(self, ours: Flat, o: int, theirs: Flat, t: int) -> int:
        """Which of two stamps stand that are not the same."""
        known_there = o < 0 or self.context[ours.stamps[o][0]] >= ours.stamps[o][1]
        known_here = t < 0 or self.held[theirs.stamps[t][0]] >= theirs.stamps[t][1]
        if known_there and known_here and o >= 0 <= t:
            return UNSURE  # both were superseded, or one dot has two stamps
        if known_there:
            return OURS if o < 0 and known_here else THEIRS
        if known_here:
            return OURS
        (mine, seq, *_), (other, other_seq, *_) = ours.stamps[o], theirs.stamps[t]
        return BOTH_TURNED if (self.actors[other], other_seq) < (self.actors[mine], seq) else BOTH


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= _KEPT:
        memory.clear()
    memory[key] = value


_ALLOWED: Final = {
    SAME: frozenset({SAME}),
    OURS: frozenset({SAME, OURS}),
    THEIRS: frozenset({SAME, THEIRS}),
    BOTH: frozenset({SAME, OURS, THEIRS, BOTH, BOTH_TURNED}),
    BOTH_TURNED: frozenset({SAME, OURS, THEIRS, BOTH, BOTH_TURNED}),
}
"""By the verdict on the frontiers, those that honest nodes can reach for fields."""


class _Drawing:
    """Works out one `FlatJoin`."""

    def __init__(self, met: _Relation, verdicts: tuple[int, ...]) -> None:
        self.met, self.verdicts = met, verdicts
        self.places = {name: at for at, name in enumerate(met.ours.outline.names)}
        self.shift = met.ours.stamps
        self.stamps: dict[int, int] = {}
        # Of two equal stamps the peer's stands for both.
        self.same = {o: self.shift + t for (o, t), verdict in zip(met.pairs, verdicts, strict=True) if verdict == SAME}

    def draw(self) -> FlatJoin:
        fields, sent = self.met.fields, self.met.theirs.cells
        existence = tuple(at * 2 + 1 for at in self.number(0))
        entries: dict[str, Any] = {}
        for name, pair in fields:
            numbers = self.number(pair)
            if numbers:
                entries[name] = numbers[0] if len(numbers) == 1 else numbers
        verdicts = {name: self.verdicts[pair] for name, pair in fields}
        needs = [name for name, verdict in verdicts.items() if verdict >= THEIRS and name in sent]
        lost = [name for name in self.places if verdicts[name] >= THEIRS]
        singles = [name for name, entry in entries.items() if type(entry) is int]
        texts = self.places | {name: len(self.places) + at for at, name in enumerate(needs)}
        places = {name: texts[name] for name in singles}
        return FlatJoin(
            changed=self.verdicts[0] >= THEIRS,
            needs=outline(tuple(needs)),
            same=tuple((name, self.places[name]) for name, verdict in verdicts.items() if verdict == SAME),
            order=(*self.stamps,),
            frontier=len(existence),
            singles=outline(tuple(singles)),
            values=(*places.values(),),
            siblings=tuple(self.siblings(name, entries[name], texts[name]) for name in entries if name not in places),
            replaces=tuple(Replaced(name, self.places[name], places.get(name, -1)) for name in lost),
            lost=outline(tuple(lost)),
            existence=existence,
            entries=entries,
            body=shape_body(existence, entries) if len(places) == len(entries) else b"",
        )

    def siblings(self, name: str, stamps: tuple[int, int], theirs: int) -> Siblings:
        """A field that has a text of ours and one of theirs; stamps by ascending dot."""
        ours = self.places[name]
        turned = self.verdicts[dict(self.met.fields)[name]] == BOTH_TURNED
        return Siblings(name, stamps, (theirs, ours) if turned else (ours, theirs))

    def number(self, pair: int) -> tuple[int, ...]:
        """Numbers of the stamps that a pair leaves, given in the order of their first use."""
        (ours, theirs), verdict = self.met.pairs[pair], self.verdicts[pair]
        left = {
            SAME: (ours,),
            OURS: (ours,),
            THEIRS: (self.shift + theirs,) if theirs >= 0 else (),
            BOTH: (ours, self.shift + theirs),
            BOTH_TURNED: (self.shift + theirs, ours),
        }[verdict]
        return tuple(
            self.stamps.setdefault(self.same.get(number, number), len(self.stamps)) for number in left if number >= 0
        )
