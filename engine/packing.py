"""The packed form of a record's cells, at rest and on the wire, beside its document.

Knows nothing of tables or frames. Invariant: `unpack(*pack(record))` is the record, byte for byte, also for types that
this version does not know. Numbers stand for identities; the caller has the table (a file's, or a batch's).

Format 1, msgpack: ``[stamps, existence, cells]``; stamps is flat, ``[actor, seq, clock, flags, ...]``; existence lists
``stamp * 2 + alive``; cells maps a field to the number of its stamp when it is one register (its value stands in the
document), else to ``[[stamp, tag, value, base], ...]`` where a missing value was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgpack

from holdfast.clocks import Actor, Dot, Timestamp, VersionVector

from .cells import BIRTH, DECISION, REGISTER, Cell, Life, Record, Sibling, Stamp

CELLS_BYTES_MAX: Final = 4 * 1024 * 1024
SIBLINGS_MAX: Final = 100_000
_FLAGS: Final = BIRTH | DECISION


class UnreadableCellsError(Exception):
    """Packed cells that cannot be read: a hole, if a peer sent them (merge.md, Sessions 6). Internal."""


def pack(
    record: Record, number: Callable[[Actor], int], held: VersionVector | None = None
) -> tuple[dict[str, str], bytes]:
    """The record as values for the document (field -> JSON text) and packed cells.

    Args:
        record: What to pack.
        number: Gives an identity's number in the caller's table.
        held: The receiver's vector: values whose dots it covers are left out.
    """
    stamps: dict[Stamp, int] = {}
    doc: dict[str, str] = {}
    existence = [
        stamps.setdefault(record.existence[dot].stamp, len(stamps)) * 2 + record.existence[dot].alive
        for dot in sorted(record.existence)
    ]
    cells: dict[str, object] = {}
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
    flat: list[int] = []
    for stamp in stamps:
        flat += (number(stamp.dot.actor), stamp.dot.seq, stamp.clock, stamp.flags)
    return doc, msgpack.packb([flat, existence, cells])


def unpack(doc: Mapping[str, str], packed: bytes, actors: Mapping[int, Actor]) -> Record:
    """The record of a document's values (field -> JSON text) and packed cells.

    Args:
        doc: Values of the single registers; the field of one that was left out is missing.
        packed: What `pack` gave.
        actors: The caller's table of identities.

    Raises:
        UnreadableCellsError: The bytes are no cells, or name what the table lacks.
    """
    if len(packed) > CELLS_BYTES_MAX:
        raise UnreadableCellsError(f"{len(packed)} bytes of cells, at most {CELLS_BYTES_MAX}")
    try:
        flat, existence, cells = msgpack.unpackb(
            packed, max_array_len=SIBLINGS_MAX * 4, max_map_len=SIBLINGS_MAX, strict_map_key=True
        )
        stamps = [
            _stamp(actors[actor], seq, clock, flags)
            for actor, seq, clock, flags in zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        ]
        lives = {}
        for code in existence:
            stamp = stamps[code >> 1]
            lives[stamp.dot] = Life(stamp, bool(code & 1))
        record = Record(lives, {name: _cell(name, entry, stamps, doc) for name, entry in cells.items()})
    except UnreadableCellsError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise UnreadableCellsError(f"{type(error).__name__}: {error}") from error
    if not lives:
        raise UnreadableCellsError("a record without existence")
    return record


def _stamp(actor: Actor, seq: int, clock: int, flags: int) -> Stamp:
    if type(seq) is int and 0 < seq < 1 << 63 and type(clock) is int and 0 <= clock < 1 << 63 and type(flags) is int:
        return Stamp(Dot(actor, seq), Timestamp(clock), flags & _FLAGS)
    raise UnreadableCellsError("a stamp out of range")


def _cell(name: str, entry: object, stamps: list[Stamp], doc: Mapping[str, str]) -> Cell:
    if type(name) is not str:
        raise UnreadableCellsError("a field's name is not text")
    if type(entry) is int:
        stamp = stamps[entry]
        return {stamp.dot: Sibling(stamp, REGISTER, doc.get(name))}
    if not isinstance(entry, list) or not entry:
        raise UnreadableCellsError("a cell without siblings")
    cell = {}
    for at, tag, value, base in entry:
        if not (type(tag) is int and isinstance(value, str | bytes | None) and isinstance(base, bytes | None)):
            raise UnreadableCellsError("a sibling of the wrong shape")
        stamp = stamps[at]
        cell[stamp.dot] = Sibling(stamp, tag, value, base)
    return cell
