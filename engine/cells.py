"""A record as causality sees it: cells of siblings, each named by the dot that wrote it.

Pure values; knows nothing of storage, time or resolvers. Invariant: every operation on a record writes its existence,
so the dots of `Record.existence` are the record's causal frontier; a cell without siblings is not kept.
Model: docs/concepts.md, Terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from holdfast.clocks import Dot, Timestamp

BIRTH: Final = 1
"""Stamp flag: the author saw no record under this key."""

DECISION: Final = 2
"""Stamp flag: the write settled a conflict that its author had seen."""

REGISTER: Final = 0
"""Type tag of a value that a later write replaces."""

EQUIVOCAL: Final = 255
"""Type tag that joins make: one dot was used for several values, all kept as a JSON list of their texts."""


class Stamp(NamedTuple):
    """Who wrote, and when: a dot, a packed hybrid timestamp and the flags BIRTH and DECISION."""

    dot: Dot
    clock: Timestamp
    flags: int = 0


class Life(NamedTuple):
    """A sibling of the existence cell."""

    stamp: Stamp
    alive: bool


class Sibling(NamedTuple):
    """A sibling of a field.

    Attributes:
        stamp: The write it stems from.
        tag: Type of the value; REGISTER, or a type that this version may not know and passes on.
        value: Canonical JSON text (bytes for types that are no JSON); None stands for a value that the sender left
            out because the receiver holds it.
        base: The packed version that the write forked from, if its field wants one; opaque here.
    """

    stamp: Stamp
    tag: int
    value: str | bytes | None
    base: bytes | None = None


Cell = Mapping[Dot, Sibling]


@dataclass(frozen=True, slots=True)
class Record:
    """All cells of one record."""

    existence: Mapping[Dot, Life] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def frontier(self) -> frozenset[Dot]:
        """The dots of the writes that nothing in this record has superseded."""
        return frozenset(self.existence)

    @property
    def alive(self) -> bool:
        """Whether any sibling of the existence says so (what a policy makes of it is the projection's)."""
        return any(life.alive for life in self.existence.values())

    def stamps(self) -> Iterator[Stamp]:
        """Every stamp in the record, with repetitions."""
        for life in self.existence.values():
            yield life.stamp
        for cell in self.cells.values():
            for sibling in cell.values():
                yield sibling.stamp

    def plain(self) -> Stamp | None:
        """The stamp of the one write that made the whole record, or None if there were several or it is dead."""
        if len(self.existence) != 1:
            return None
        ((dot, life),) = self.existence.items()
        if not life.alive:
            return None
        for cell in self.cells.values():
            sibling = cell.get(dot)
            if sibling is None or len(cell) > 1 or sibling.tag != REGISTER or sibling.base is not None:
                return None
        return life.stamp


ABSENT: Final = Record()


def plain_record(stamp: Stamp, fields: Mapping[str, str]) -> Record:
    """The record that one write of `fields` (name -> JSON text) makes."""
    dot = stamp.dot
    cells = {name: {dot: Sibling(stamp, REGISTER, text)} for name, text in fields.items()}
    return Record({dot: Life(stamp, alive=True)}, cells)
