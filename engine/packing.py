"""The packed form of a record's cells, at rest and on the wire, beside its document.

Knows nothing of tables or frames. Invariant: `unpack(*pack(record))` is the record, byte for byte, also for types that
this version does not know. Numbers stand for identities; the caller has the table (a file's, or a batch's).

Format 2, msgpack: ``[shape, actor, seq, clock, flags, actor, ...]``, four items a stamp. The shape is msgpack as bytes,
``[existence, cells]``: existence lists ``stamp * 2 + alive``; cells maps a field to the number of its stamp when it is
one register (its value stands in the document), else to ``[[stamp, tag, value, base], ...]`` where a missing value was
left out. Records that were written alike have equal shapes, so a shape is looked into once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

import msgpack

from holdfast.clocks import Actor, Dot, VersionVector
from holdfast.resolvers.canonical import decode as decode_json
from holdfast.resolvers.canonical import encode as encode_json

from .cells import EQUIVOCAL, REGISTER, Cell, Life, Record, Sibling, Stamp
from .documents import canonical_text
from .outline import FIELDS_MAX, Outline, outline

CELLS_BYTES_MAX: Final = 4 * 1024 * 1024
SIBLINGS_MAX: Final = 100_000
FLAGS_MAX: Final = 255
"""Flags of later versions are kept as they came."""

SHAPES_KEPT: Final = 4_096
PLAIN_SHAPES_KEPT: Final = 512
SHAPE_BYTES_KEPT: Final = 1_024
"""Shapes up to this size are remembered: those of conflicts hold values and are rarely met again."""


to_msgpack: Final[Callable[[Any], bytes]] = msgpack.Packer().pack
"""One packer for all: making one costs twice as much as packing a record. It calls nothing that lets a thread in."""


class UnreadableCellsError(Exception):
    """Packed cells that cannot be read: a hole, if a peer sent them (docs/protocol.md, Rules). Internal."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What packed cells say beside their stamps. Shared between records: never change its containers.

    Attributes:
        body: The bytes that stand for it; canonical if it is flat.
        existence, cells: As in the format.
        flat: Whether the record is alive by one operation, every field is one register, and the order is canonical.
        stamps: How many stamps a flat shape needs.
        entries: Of a flat shape, the number of each field's stamp.
        fields: Of a flat shape, the fields of each stamp.
        outline: Of a flat shape, how to cut the document.
    """

    body: bytes
    existence: list[int]
    cells: dict[str, Any]
    flat: bool = field(compare=False)
    stamps: int = field(compare=False)
    entries: tuple[int, ...] = field(compare=False)
    fields: tuple[tuple[str, ...], ...] = field(compare=False)
    outline: Outline = field(compare=False)


PackedStamp = tuple[Any, int, int, int]
"""Actor (its number or name), seq, clock, flags."""


class Packed(NamedTuple):
    """Packed cells as a list of stamps (actor, seq, clock, flags, actor, ...; actors by number or name) and a shape.

    The order is canonical: stamps as existence and then the fields by name use them first. So two nodes pack the same
    cells alike but for the actors' numbers, and what no concurrency touches need never become a `Record`.
    """

    stamps: list[Any]
    shape: Shape

    def encoded(self) -> bytes:
        """The bytes that stand at rest and on the wire."""
        return to_msgpack([self.shape.body, *self.stamps])

    def renamed(self, name: Callable[[Any], Any]) -> Packed:
        """The same cells with other names for the actors."""
        stamps = self.stamps.copy()
        stamps[::4] = map(name, stamps[::4])
        return Packed(stamps, self.shape)

    def is_flat(self) -> bool:
        """Whether it is alive by one operation, every field is one register, and the order is canonical."""
        return self.shape.flat and len(self.stamps) == 4 * self.shape.stamps


def are_sound(stamps: Sequence[Sequence[Any]], actors: int) -> bool:
    """Whether all of these stamps, as columns, are in range and their actors of so many."""
    if not stamps or not {*map(type, chain.from_iterable(stamps))} <= _INTEGERS:
        return False
    if min(map(min, stamps)) < 0 or max(map(max, stamps)) >= 1 << 63 or min(map(min, stamps[1::4])) < 1:
        return False
    return bool(max(map(max, stamps[::4])) < actors and max(map(max, stamps[3::4])) <= FLAGS_MAX)


_INTEGERS: Final = frozenset({int})
_TEXT: Final = frozenset({str})


def shape_body(existence: Sequence[int], cells: Mapping[str, Any]) -> bytes:
    """The bytes that stand for a shape."""
    return to_msgpack((existence, cells))


def shape_of(existence: list[int], cells: dict[str, Any], body: bytes | None = None) -> Shape:
    """The shape of these lists; `body`: the bytes that they were read from."""
    entries, names = [*cells.values()], [*cells]
    used = [*dict.fromkeys([0, *entries])] if {*map(type, entries)} <= _INTEGERS else []
    flat = (
        existence == [1]
        and type(existence[0]) is int
        and {*map(type, names)} <= _TEXT
        and used == [*range(len(used))] != []
        and names == sorted(names)
    )
    if not flat:
        return Shape(body or shape_body(existence, cells), existence, cells, flat, 0, (), (), outline(()))
    fields = tuple(tuple(name for name, at in cells.items() if at == stamp) for stamp in used)
    return Shape(
        shape_body(existence, cells),
        existence,
        cells,
        flat,
        len(used),
        tuple(entries),
        fields,
        outline(tuple(names)),
    )


def plain_shape(names: tuple[str, ...]) -> Shape:
    """The shape of a record with these fields that one write made; it is flat if they are sorted."""
    return _known_plain_shape(names) if len(names) <= FIELDS_MAX else _plain_shape(names)


def _plain_shape(names: tuple[str, ...]) -> Shape:
    return shape_of([1], dict.fromkeys(names, 0))


_known_plain_shape: Final = lru_cache(PLAIN_SHAPES_KEPT)(_plain_shape)


def _read_shape(body: bytes) -> Shape:
    try:
        existence, cells = msgpack.unpackb(body, max_array_len=SIBLINGS_MAX, max_map_len=SIBLINGS_MAX)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error
    if not (type(existence) is list and type(cells) is dict):
        raise UnreadableCellsError("the wrong shape")
    return shape_of(existence, cells, body)


_known_shape: Final = lru_cache(SHAPES_KEPT)(_read_shape)


def lay_out(record: Record, held: VersionVector | None = None) -> tuple[dict[str, str], Packed]:
    """The record as values for the document (field -> JSON text) and packed cells whose actors are names.

    Args:
        record: What to pack.
        held: The receiver's vector: values whose dots it covers are left out.
    """
    stamps: dict[Stamp, int] = {}
    doc: dict[str, str] = {}
    existence = [
        stamps.setdefault(record.existence[dot].stamp, len(stamps)) * 2 + record.existence[dot].alive
        for dot in sorted(record.existence)
    ]
    cells: dict[str, Any] = {}
    for name in sorted(record.cells):
        cell = record.cells[name]
        if len(cell) == 1:
            ((dot, sibling),) = cell.items()
            if sibling.tag == REGISTER and sibling.base is None:
                cells[name] = stamps.setdefault(sibling.stamp, len(stamps))
                if isinstance(sibling.value, str) and (held is None or not held.covers(dot)):
                    doc[name] = sibling.value
                continue
        cells[name] = [
            [
                stamps.setdefault(sibling.stamp, len(stamps)),
                sibling.tag,
                None if held is not None and held.covers(dot) else sibling.value,
                sibling.base,
            ]
            for dot, sibling in sorted(cell.items())
        ]
    flat: list[Any] = []
    for (actor, seq), clock, flags in stamps:
        flat += (actor, seq, clock, flags)
    return doc, Packed(flat, shape_of(existence, cells))


def pack(
    record: Record, number: Callable[[Actor], int], held: VersionVector | None = None
) -> tuple[dict[str, str], bytes]:
    """As `lay_out`, with the cells as bytes and the caller's numbers for identities."""
    doc, packed = lay_out(record, held)
    return doc, packed.renamed(number).encoded()


def read_cells(packed: bytes) -> tuple[Any, ...]:
    """The bytes of the shape of packed cells, and the items of their stamps, not checked beyond their types.

    Raises:
        UnreadableCellsError: The bytes are no cells.
    """
    if len(packed) > CELLS_BYTES_MAX:
        raise UnreadableCellsError(f"{len(packed)} bytes of cells, at most {CELLS_BYTES_MAX}")
    try:
        items = msgpack.unpackb(packed, max_array_len=SIBLINGS_MAX * 4 + 1, use_list=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error
    if type(items) is not tuple or len(items) % 4 != 1 or type(items[0]) is not bytes:
        raise UnreadableCellsError("the wrong shape")
    return items


def shape_at(body: bytes) -> Shape:
    """The shape that these bytes stand for.

    Raises:
        UnreadableCellsError: They stand for none.
    """
    return _known_shape(body) if len(body) <= SHAPE_BYTES_KEPT else _read_shape(body)


def decode(packed: bytes) -> Packed:
    """The stamps and the shape of packed cells; raises as `read_cells` and `shape_at`."""
    body, *stamps = read_cells(packed)
    return Packed(stamps, shape_at(body))


def unpack(doc: Mapping[str, str], packed: bytes, actors: Mapping[int, Actor]) -> Record:
    """The record of a document's values (field -> JSON text) and packed cells.

    Args:
        doc: Values of the single registers; the field of one that was left out is missing.
        packed: What `pack` gave.
        actors: The caller's table of identities.

    Raises:
        UnreadableCellsError: The bytes are no cells, or name what the table lacks.
    """
    return record_of(doc, decode(packed), actors)


def record_of(doc: Mapping[str, str], cells: Packed, actors: Mapping[int, Actor]) -> Record:
    """As `unpack`, of cells that were decoded."""
    try:
        stamps = _stamps(cells.stamps, actors)
        return _flat_record(stamps, cells.shape, doc) if cells.is_flat() else _record(stamps, cells.shape, doc)
    except UnreadableCellsError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error


def _flat_record(stamps: list[Stamp], shape: Shape, doc: Mapping[str, str]) -> Record:
    cells: dict[str, Cell] = {}
    for stamp, names in zip(stamps, shape.fields, strict=True):
        dot = stamp.dot
        for name in names:
            cells[name] = {dot: Sibling(stamp, REGISTER, doc.get(name))}
    return Record({stamps[0].dot: Life(stamps[0], alive=True)}, cells)


def _record(stamps: list[Stamp], shape: Shape, doc: Mapping[str, str]) -> Record:
    lives = {}
    if min(shape.existence, default=0) < 0:
        raise UnreadableCellsError("a negative number of a stamp")
    for code in shape.existence:
        stamp = stamps[code >> 1]
        lives[stamp.dot] = Life(stamp, bool(code & 1))
    if not lives:
        raise UnreadableCellsError("a record without existence")
    return Record(lives, {name: _cell(name, entry, stamps, doc) for name, entry in shape.cells.items()})


def _stamps(flat: list[Any], actors: Mapping[int, Actor]) -> list[Stamp]:
    whole = {*map(type, flat)} <= _INTEGERS
    if (
        not whole
        or not flat
        or min(flat) < 0
        or max(flat) >= 1 << 63
        or not min(flat[1::4])
        or max(flat[3::4]) > FLAGS_MAX
    ):
        raise UnreadableCellsError("a stamp out of range")
    dots = map(Dot, map(actors.__getitem__, flat[::4]), flat[1::4])
    return [*map(Stamp, dots, flat[2::4], flat[3::4])]


def _cell(name: str, entry: object, stamps: list[Stamp], doc: Mapping[str, str]) -> Cell:
    if type(name) is not str:
        raise UnreadableCellsError("a field's name is not text")
    if type(entry) is int:
        if entry < 0:
            raise UnreadableCellsError("a negative number of a stamp")
        stamp = stamps[entry]
        return {stamp.dot: Sibling(stamp, REGISTER, doc.get(name))}
    if not isinstance(entry, list) or not entry:
        raise UnreadableCellsError("a cell without siblings")
    cell = {}
    for at, tag, value, base in entry:
        whole = at >= 0 and type(tag) is int
        if not (whole and isinstance(value, str | bytes | None) and isinstance(base, bytes | None)):
            raise UnreadableCellsError("a sibling of the wrong shape")
        stamp = stamps[at]
        read = _READ.get(tag) if value is not None else None
        cell[stamp.dot] = Sibling(stamp, tag, read(value) if read else value, base)
    return cell


def _register_text(value: object) -> str:
    """A register's value must be JSON that can be shown: what readers see is put together from such texts."""
    if not isinstance(value, str):
        raise UnreadableCellsError("a register without text")
    return canonical_text(value)


def _claims_text(value: object) -> str:
    """What several values under one dot rest as: each is read as if it stood alone."""
    listed = decode_json(_register_text(value))
    if not isinstance(listed, list) or not listed:
        raise UnreadableCellsError("one dot with several values names none")
    return encode_json(sorted({_register_text(text) for text in listed}))


_READ: Final = {REGISTER: _register_text, EQUIVOCAL: _claims_text}
"""Type tag -> the check of a value whose content this version knows."""
