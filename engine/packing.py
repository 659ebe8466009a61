"""The packed form of a record's cells, at rest and on the wire, beside its document.

Knows nothing of tables or frames. Invariant: `unpack(*pack(record))` is the record, byte for byte, also for types that
this version does not know. Numbers stand for identities; the caller has the table (a file's, or a batch's).

Format 1, msgpack: ``[stamps, existence, cells]``; stamps is flat, ``[actor, seq, clock, flags, ...]``; existence lists
``stamp * 2 + alive``; cells maps a field to the number of its stamp when it is one register (its value stands in the
document), else to ``[[stamp, tag, value, base], ...]`` where a missing value was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgpack

from holdfast.clocks import Actor, Dot, Timestamp, VersionVector

from .cells import EQUIVOCAL, REGISTER, Cell, Life, Record, Sibling, Stamp
from .documents import canonical_text, split

CELLS_BYTES_MAX: Final = 4 * 1024 * 1024
SIBLINGS_MAX: Final = 100_000
FLAGS_MAX: Final = 255
"""Flags of later versions are kept as they came."""


class UnreadableCellsError(Exception):
    """Packed cells that cannot be read: a hole, if a peer sent them (docs/protocol.md, Rules). Internal."""


class Packed(NamedTuple):
    """Packed cells as lists: `stamps` is flat (actor, seq, clock, flags); actors are numbers of some table, or names.

    The order is canonical: stamps as existence and then the fields by name use them first. So two nodes pack the same
    cells alike but for the actors' numbers, and what no concurrency touches need never become a `Record`.
    """

    stamps: list[Any]
    existence: list[int]
    cells: dict[str, Any]

    def encoded(self) -> bytes:
        """The bytes that stand at rest and on the wire."""
        return msgpack.packb(self)

    def renamed(self, name: Callable[[Any], Any]) -> Packed:
        """The same cells with other names for the actors."""
        stamps = self.stamps.copy()
        stamps[::4] = map(name, stamps[::4])
        return Packed(stamps, self.existence, self.cells)

    def dots(self) -> list[tuple[Any, int]]:
        """The (actor, seq) of each stamp."""
        return [*zip(self.stamps[::4], self.stamps[1::4], strict=True)]

    def is_flat(self) -> bool:
        """Whether it is alive by one operation, every field is one register, and the order is canonical."""
        entries, names, stamps = [*self.cells.values()], [*self.cells], self.stamps
        if (
            self.existence != [1]
            or type(self.existence[0]) is not int
            or not {*map(type, entries)} <= _INTEGERS
            or not {*map(type, names)} <= _TEXT
        ):
            return False
        used = [*dict.fromkeys([0, *entries])]
        return used == [*range(len(stamps) // 4)] and len(stamps) % 4 == 0 and names == sorted(names)

    def is_sound(self, actors: int) -> bool:
        """Whether every stamp is in range and its actor one of so many."""
        stamps = self.stamps
        if not {*map(type, stamps)} <= _INTEGERS or not stamps or min(stamps) < 0 or max(stamps) >= 1 << 63:
            return False
        return bool(max(stamps[::4]) < actors and min(stamps[1::4]) > 0 and max(stamps[3::4]) <= FLAGS_MAX)


_INTEGERS: Final = frozenset({int})
_TEXT: Final = frozenset({str})


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
    return doc, Packed(flat, existence, cells)


def pack(
    record: Record, number: Callable[[Actor], int], held: VersionVector | None = None
) -> tuple[dict[str, str], bytes]:
    """As `lay_out`, with the cells as bytes and the caller's numbers for identities."""
    doc, packed = lay_out(record, held)
    return doc, packed.renamed(number).encoded()


def forward(
    doc: str, packed: Packed, actors: Mapping[int, Actor], held: VersionVector
) -> tuple[dict[str, str], Packed]:
    """Stored cells as they go to a peer: actors by name, without the values whose dots `held` covers.

    Args:
        doc: The stored document.
        packed: The stored cells.
        actors: The file's table of identities.
        held: The peer's vector.
    """
    named = packed.renamed(actors.__getitem__)
    covered = [held.seq(actor) >= seq for actor, seq in named.dots()]
    singles = [(name, entry) for name, entry in named.cells.items() if type(entry) is int]
    wanted = [name for name, entry in singles if not covered[entry]]
    texts = split(doc) if wanted else {}
    if len(singles) == len(named.cells):
        return {name: texts[name] for name in wanted}, named
    cells = {
        name: entry
        if type(entry) is int
        else [[at, tag, None if covered[at] else value, base] for at, tag, value, base in entry]
        for name, entry in named.cells.items()
    }
    return {name: texts[name] for name in wanted}, Packed(named.stamps, named.existence, cells)


def decode(packed: bytes) -> Packed:
    """The lists of packed cells, their shape not checked beyond the outermost.

    Raises:
        UnreadableCellsError: The bytes are no cells.
    """
    if len(packed) > CELLS_BYTES_MAX:
        raise UnreadableCellsError(f"{len(packed)} bytes of cells, at most {CELLS_BYTES_MAX}")
    try:
        lists = Packed(*msgpack.unpackb(packed, max_array_len=SIBLINGS_MAX * 4, max_map_len=SIBLINGS_MAX))
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error
    if not (type(lists.stamps) is list and type(lists.existence) is list and type(lists.cells) is dict):
        raise UnreadableCellsError("the wrong shape")
    return lists


def unpack(doc: Mapping[str, str], packed: bytes, actors: Mapping[int, Actor]) -> Record:
    """The record of a document's values (field -> JSON text) and packed cells.

    Args:
        doc: Values of the single registers; the field of one that was left out is missing.
        packed: What `pack` gave.
        actors: The caller's table of identities.

    Raises:
        UnreadableCellsError: The bytes are no cells, or name what the table lacks.
    """
    flat, existence, cells = decode(packed)
    try:
        stamps = [
            _stamp(actors[actor], seq, clock, flags)
            for actor, seq, clock, flags in zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        ]
        lives = {}
        if min(existence, default=0) < 0:
            raise UnreadableCellsError("a negative number of a stamp")
        for code in existence:
            stamp = stamps[code >> 1]
            lives[stamp.dot] = Life(stamp, bool(code & 1))
        record = Record(lives, {name: _cell(name, entry, stamps, doc) for name, entry in cells.items()})
    except UnreadableCellsError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error
    if not lives:
        raise UnreadableCellsError("a record without existence")
    return record


def _stamp(actor: Actor, seq: int, clock: int, flags: int) -> Stamp:
    whole = type(seq) is int and type(clock) is int and type(flags) is int
    if whole and 0 < seq < 1 << 63 and 0 <= clock < 1 << 63 and 0 <= flags <= FLAGS_MAX:
        return Stamp(Dot(actor, seq), Timestamp(clock), flags)
    raise UnreadableCellsError("a stamp out of range")


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
        text = _register_text(value) if tag in (REGISTER, EQUIVOCAL) and value is not None else value
        cell[stamp.dot] = Sibling(stamp, tag, text, base)
    return cell


def _register_text(value: str | bytes) -> str:
    """A register's value must be JSON that can be shown: what readers see is put together from such texts."""
    if not isinstance(value, str):
        raise UnreadableCellsError("a register without text")
    return canonical_text(value)
