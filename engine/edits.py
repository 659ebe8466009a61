"""Local writes as pure functions: a record and an edit give the record that the edit leaves.

Knows nothing of storage, clocks or transactions. Invariant: a write supersedes exactly what its author saw (the whole
state unless `seen` narrows it) and always writes the existence cell. Model: docs/concepts.md, Writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.clocks import Dot

from .cells import EQUIVOCAL, REGISTER, Cell, Life, Record, Sibling, Stamp


@dataclass(frozen=True, slots=True)
class Put:
    """Replace the whole record by these fields (name -> canonical JSON text)."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Update:
    """Write some fields and remove others; the rest stays."""

    fields: Mapping[str, str] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delete:
    """Mark the record dead; its cells stay, so that a concurrent update revives it whole."""


@dataclass(frozen=True, slots=True)
class Erase:
    """Take fields away for good, or all of them and mark the record dead; the rest stays.

    Attributes:
        names: Of the fields; None for all.
        alive: Whether the record exists afterwards; one that is dead is not revived.
    """

    names: frozenset[str] | None
    alive: bool


Edit = Put | Update | Delete | Erase
Seen = frozenset[Dot] | None
"""The dots that the author had read; None: the state at commit."""


def edited(record: Record, edit: Edit, stamp: Stamp, seen: Seen = None) -> Record:
    """The record after `edit` was written with `stamp`."""
    match edit:
        case Put(fields):
            return _put(record, fields, stamp, seen)
        case Update(fields, removed):
            return _update(record, fields, removed, stamp, seen)
        case Delete():
            return Record(_lives(record, stamp, seen, alive=False), record.cells)
        case Erase(names, alive):
            left = {} if names is None else {name: c for name, c in record.cells.items() if name not in names}
            return Record(_lives(record, stamp, seen, alive=alive), left)


def _put(record: Record, fields: Mapping[str, str], stamp: Stamp, seen: Seen) -> Record:
    reborn = not record.alive
    cells: dict[str, Cell] = {}
    for name, cell in record.cells.items():
        rest = _unseen(cell, seen) if name in fields or reborn else _unseen(cell, seen, registers_only=True)
        if rest:
            cells[name] = rest
    for name, text in fields.items():
        cells[name] = {**cells.get(name, {}), stamp.dot: Sibling(stamp, REGISTER, text)}
    return Record(_lives(record, stamp, seen, alive=True), cells)


def _update(record: Record, fields: Mapping[str, str], removed: frozenset[str], stamp: Stamp, seen: Seen) -> Record:
    cells = dict(record.cells)
    for name in removed & cells.keys():
        rest = _unseen(cells.pop(name), seen)
        if rest:
            cells[name] = rest
    for name, text in fields.items():
        cells[name] = {**_unseen(cells.get(name, {}), seen), stamp.dot: Sibling(stamp, REGISTER, text)}
    return Record(_lives(record, stamp, seen, alive=True), cells)


def _unseen(cell: Cell, seen: Seen, *, registers_only: bool = False) -> Cell:
    """What a write leaves of a cell: what its author had not read; other types too if it clears registers only."""
    return {
        dot: sibling
        for dot, sibling in cell.items()
        if (seen is not None and dot not in seen) or (registers_only and sibling.tag not in (REGISTER, EQUIVOCAL))
    }


def _lives(record: Record, stamp: Stamp, seen: Seen, *, alive: bool) -> dict[Dot, Life]:
    lives = {dot: life for dot, life in record.existence.items() if seen is not None and dot not in seen}
    lives[stamp.dot] = Life(stamp, alive)
    return lives
