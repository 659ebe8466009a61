"""What a power cut leaves of writes that were not synced: lost, torn between two sectors, or kept, by draws.

Pure: bytes in, bytes out. Knows nothing of SQLite. Invariant: what was synced is as it was; of the rest any part may
be on the disk, in any order, and a write is torn only at a multiple of the sector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .choices import Choices

SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Written:
    """A write: `new` at `offset`, in a file of `size` bytes that had `old` there."""

    offset: int
    old: bytes
    new: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A change of the size from `before` to `size`; `tail` is what stood behind."""

    size: int
    tail: bytes
    before: int


Change = Written | Cut


class Fate(IntEnum):
    """What may become of all that was not synced."""

    KEPT = 0  # everything got there, as if only the process had died
    LOST = 1
    IN_ORDER = 2  # the first so many got there, and the next was torn
    ANY = 3  # each by itself
    ALL_BUT_ONE = 4


def after_power_cut(content: bytes, changes: Sequence[Change], choices: Choices, stream: str) -> bytes:
    """A file after a power cut.

    Args:
        content: As the system showed it.
        changes: What was done to it since its last sync, in order.
        choices: Decides; draws nothing if there are no changes.
        stream: Name of the draws.
    """
    if not changes:
        return content
    disk = _without(content, changes)
    for change, sectors in zip(changes, _kept(changes, choices, stream), strict=True):
        _apply(disk, change, sectors)
    return bytes(disk)


def _without(content: bytes, changes: Sequence[Change]) -> bytearray:
    """The file as it was at its last sync."""
    disk = bytearray(content)
    for change in reversed(changes):
        match change:
            case Written(offset, old, _, size):
                disk[offset : offset + len(old)] = old
                del disk[size:]
            case Cut(size, tail, before):
                disk[size:] = tail
                del disk[before:]
    return disk


def _kept(changes: Sequence[Change], choices: Choices, stream: str) -> Iterator[int]:
    """For each change how many bytes of it got to the disk."""
    fate, count = Fate(choices.draw(stream, len(Fate))), len(changes)
    chosen = choices.draw(stream, count) if fate in (Fate.IN_ORDER, Fate.ALL_BUT_ONE) else 0
    for at, change in enumerate(changes):
        whole = len(change.new) if isinstance(change, Written) else 1
        match fate:
            case Fate.KEPT:
                yield whole
            case Fate.LOST:
                yield 0
            case Fate.IN_ORDER:
                yield _torn(change, choices, stream) if at == chosen else whole * (at < chosen)
            case Fate.ALL_BUT_ONE:
                yield whole * (at != chosen)
            case Fate.ANY:
                kept = (whole, 0, None)[choices.draw(stream, 3)]
                yield _torn(change, choices, stream) if kept is None else kept


def _torn(change: Change, choices: Choices, stream: str) -> int:
    """How many bytes of a torn write are there: up to a border of sectors."""
    if isinstance(change, Cut):
        return 0
    first = change.offset // SECTOR + 1
    borders = range(first * SECTOR, change.offset + len(change.new), SECTOR)
    drawn = choices.draw(stream, len(borders) + 1)
    return borders[drawn - 1] - change.offset if drawn else 0


def _apply(disk: bytearray, change: Change, kept: int) -> None:
    if not kept:
        return
    match change:
        case Written(offset, _, new, _):
            disk.extend(bytes(max(0, offset - len(disk))))
            disk[offset : offset + kept] = new[:kept]
        case Cut(size, _, _):
            disk[size:] = bytes(max(0, size - len(disk)))
