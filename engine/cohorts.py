"""Cohorts: records of one shape, whose packed cells stand as columns of stamps.

Pure; knows no table. What is done to one record after the other costs more than the records themselves, and records
that were written alike are nearly all alike. Invariant: a cohort says what its records' `Packed` say, in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import ge
from typing import Any, NamedTuple, TypeVar

from .documents import compose, split
from .outline import outline
from .packing import PackedStamp, Shape, read_cells, shape_at, shape_body, to_msgpack

K = TypeVar("K")

Columns = Sequence[Sequence[Any]]
"""Of records that have one shape: a column for each text; of stamps, four for each, as in `Packed.stamps`."""


class Cohort(NamedTuple):
    """Records of one shape.

    Attributes:
        shape: Their shape.
        ats: Which they are, by the caller's numbers.
        stamps: Their stamps.
    """

    shape: Shape
    ats: Sequence[int]
    stamps: Columns

    def is_flat(self) -> bool:
        """As `Packed.is_flat`."""
        return self.shape.flat and len(self.stamps) == 4 * self.shape.stamps

    def renamed(self, name: Mapping[Any, Any] | Sequence[Any]) -> Cohort:
        """The same cells with other names for the actors."""
        stamps = [*self.stamps]
        stamps[::4] = [[*map(name.__getitem__, actors)] for actors in stamps[::4]]
        return self._replace(stamps=stamps)

    def parts(self, keys: Iterable[K]) -> dict[K, Cohort]:
        """The records by key, one given for each."""
        places: dict[K, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        if len(places) == 1:
            return dict.fromkeys(places, self)
        return {key: Cohort(self.shape, *_picked(each, self.ats, *self.stamps)) for key, each in places.items()}


def _picked(places: list[int], ats: Sequence[int], *stamps: Sequence[Any]) -> tuple[Sequence[int], Columns]:
    return [*map(ats.__getitem__, places)], [[*map(column.__getitem__, places)] for column in stamps]


def cohorts(cells: Iterable[tuple[int, bytes]]) -> list[Cohort]:
    """The cohorts of packed cells, not checked beyond their types; each cells' number is the caller's.

    Raises:
        UnreadableCellsError: Some bytes are no cells.
    """
    # Numbers and tuples of numbers apart: what holds no container is no work for the garbage collector.
    alike: dict[tuple[bytes, int], tuple[list[int], list[tuple[Any, ...]]]] = {}
    for at, packed in cells:
        items = read_cells(packed)
        key = (items[0], len(items))
        known = alike.get(key)
        if known is None:
            known = alike[key] = ([], [])
        known[0].append(at)
        known[1].append(items)
    return [Cohort(shape_at(body), ats, columns(items)[1:]) for (body, _), (ats, items) in alike.items()]


def columns(rows: Iterable[Sequence[Any]]) -> Columns:
    """Rows of equal length as columns."""
    return [*zip(*rows, strict=True)]


def stamp_column(stamps: Columns, number: int) -> list[PackedStamp]:
    """One stamp of every record."""
    return [*zip(*stamps[4 * number : 4 * number + 4], strict=True)]


def covered(stamps: Columns, taken_in: Mapping[Any, int]) -> list[list[bool]]:
    """Of each stamp a column: whether who has taken in so much of each actor has taken it in."""
    dots = zip(stamps[::4], stamps[1::4], strict=True)
    return [[*map(ge, map(taken_in.__getitem__, actors), seqs)] for actors, seqs in dots]


def encode_columns(bodies: Iterable[bytes], stamps: Columns) -> list[bytes]:
    """The bytes of records' cells, from those of their shapes and their stamps."""
    return [*map(to_msgpack, zip(bodies, *stamps, strict=True))]


def forward(cohort: Cohort, docs: Sequence[str], left_out: Sequence[bool]) -> tuple[list[str], list[bytes]]:
    """Stored records as they go to a peer: their documents, and the bytes of their shapes.

    Args:
        cohort: The records.
        docs: Their documents.
        left_out: Of each stamp, whether values under it are left out.
    """
    shape = cohort.shape
    if not cohort.is_flat():
        sent = [_forward(doc, shape, left_out) for doc in docs]
        return [doc for doc, _ in sent], [body for _, body in sent]
    wanted = [at for at, entry in enumerate(shape.entries) if not left_out[entry]]
    names = outline(tuple([shape.outline.names[at] for at in wanted]))
    texts = columns([_texts(doc, shape) for doc in docs]) if wanted else []
    return names.composed([texts[at] for at in wanted], len(docs)), [shape.body] * len(docs)


def _texts(doc: str, shape: Shape) -> Sequence[str]:
    texts = shape.outline.cut(doc)
    assert texts is not None, "a stored document has the fields of its cells"
    return texts


def _forward(doc: str, shape: Shape, left_out: Sequence[bool]) -> tuple[str, bytes]:
    singles = [name for name, entry in shape.cells.items() if type(entry) is int and not left_out[entry]]
    texts = split(doc) if singles else {}
    cells = {
        name: entry
        if type(entry) is int
        else [[at, tag, None if left_out[at] else value, base] for at, tag, value, base in entry]
        for name, entry in shape.cells.items()
    }
    return compose({name: texts[name] for name in singles}), shape_body(shape.existence, cells)
