"""An observer of every write, who says what each node must show: the oracle that fleets are judged by.

It shares no rule with the engine. There are no vectors, contexts, checkpoints or joins here: it keeps all operations,
each with the set of operations that its author had read, and for every node the set of operations that have reached
it, record by record. What a node must show follows by set algebra: the writes of that set which none of the others
had read and written over. Sets of operations are the bits of an integer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.clocks import Dot

Place = tuple[str, str]
Known = dict[Place, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: what it wrote, and the set of operations on the record that its author had read.

    `clears` names the fields it removed; None stands for every field that it did not write (put).
    """

    dot: Dot
    place: Place
    clock: int
    read: int
    alive: bool = True
    birth: bool = False
    decision: bool = False
    writes: Mapping[str, str] = field(default_factory=dict)
    clears: frozenset[str] | None = frozenset()

    def governs(self, name: str) -> bool:
        """Whether it replaces what its author had read in this field."""
        return self.clears is None or name in self.writes or name in self.clears


@dataclass(frozen=True, slots=True)
class Expected:
    """A record as it must stand: existence, cells, what readers see, and its conflicts (field, kind, dots)."""

    existence: Mapping[Dot, bool]
    cells: Mapping[str, Mapping[Dot, str]]
    doc: str
    live: bool
    conflicts: frozenset[tuple[str | None, str, frozenset[Dot]]]


class Oracle:
    """All operations of a fleet, and which of them reached which member."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.known: dict[str, Known] = {}
        self.transactions: list[int] = []
        self.lost = 0
        self._numbers: dict[Dot, int] = {}
        self._of_place: dict[Place, int] = {}
        self._expected: dict[int, Expected] = {}

    def record(self, member: str, operations: Iterable[Operation]) -> None:
        """A member wrote these operations in one transaction."""
        together = 0
        for operation in operations:
            assert operation.dot not in self._numbers, f"{operation.dot} names two operations"
            bit = 1 << len(self.operations)
            self._numbers[operation.dot] = len(self.operations)
            self.operations.append(operation)
            known = self.known[member]
            known[operation.place] = known.get(operation.place, 0) | bit
            self._of_place[operation.place] = self._of_place.get(operation.place, 0) | bit
            together |= bit
        self.transactions.append(together)

    def deliver(self, member: str, sent: Known, places: Iterable[Place]) -> None:
        """These records reached a member as they stood in `sent`."""
        known = self.known[member]
        for place in places:
            known[place] = known.get(place, 0) | sent[place]

    def has_read(self, member: str, place: Place) -> int:
        """The operations on a record that reached a member."""
        return self.known[member].get(place, 0)

    def bits(self, dots: Iterable[Dot]) -> int:
        """The set of these operations."""
        return sum(1 << self._numbers[dot] for dot in dots)

    def members_of(self, bits: int) -> Iterator[Operation]:
        """The operations of a set."""
        while bits:
            low = bits & -bits
            yield self.operations[low.bit_length() - 1]
            bits ^= low

    def covered(self, seqs: Mapping[str, int], place: Place | None = None) -> int:
        """The operations (on one record) that a map of highest numbers claims."""
        within = self._of_place.get(place, 0) if place else (1 << len(self.operations)) - 1
        rest, found = within & ~self.lost, 0
        while rest:
            low = rest & -rest
            actor, seq = self.operations[low.bit_length() - 1].dot
            if seqs.get(actor, 0) >= seq:
                found |= low
            rest ^= low
        return found

    def everything(self) -> Known:
        """What anyone knows."""
        union: Known = {}
        for known in self.known.values():
            for place, bits in known.items():
                union[place] = union.get(place, 0) | bits
        return union

    def forget_unknown(self) -> None:
        """Operations that stood in no member's file any more are lost (a restore took them back)."""
        alive = 0
        for bits in self.everything().values():
            alive |= bits
        self.lost = ((1 << len(self.operations)) - 1) & ~alive

    def expected(self, place: Place, known: int) -> Expected:
        """The record that the operations of a set make."""
        found = self._expected.get(known)
        if found is None:
            found = self._expected[known] = _expected(list(self._numbered(known)))
        return found

    def _numbered(self, bits: int) -> Iterator[tuple[int, Operation]]:
        for operation in self.members_of(bits):
            yield 1 << self._numbers[operation.dot], operation


def _expected(known: list[tuple[int, Operation]]) -> Expected:
    read = 0
    for _, operation in known:
        read |= operation.read
    frontier = [operation for bit, operation in known if not bit & read]
    cells: dict[str, dict[Dot, Operation]] = {}
    for name in {name for _, operation in known for name in operation.writes}:
        gone = 0
        for _, operation in known:
            if operation.governs(name):
                gone |= operation.read
        cell = {operation.dot: operation for bit, operation in known if name in operation.writes and not bit & gone}
        if cell:
            cells[name] = cell
    texts = {name: max(cell.values(), key=_rank).writes[name] for name, cell in cells.items()}
    return Expected(
        existence={operation.dot: operation.alive for operation in frontier},
        cells={name: {dot: op.writes[name] for dot, op in cell.items()} for name, cell in cells.items()},
        doc=json.dumps({name: json.loads(text) for name, text in texts.items()}, sort_keys=True, separators=(",", ":")),
        live=any(operation.alive for operation in frontier),
        conflicts=frozenset(_conflicts(frontier, cells)),
    )


def _rank(operation: Operation) -> tuple[int, str, int]:
    return operation.clock, operation.dot.actor, operation.dot.seq


def _conflicts(
    frontier: list[Operation], cells: Mapping[str, Mapping[Dot, Operation]]
) -> Iterator[tuple[str | None, str, frozenset[Dot]]]:
    if len({operation.alive for operation in frontier}) > 1:
        yield None, "update-delete", frozenset(operation.dot for operation in frontier)
    for name, cell in cells.items():
        if len({operation.writes[name] for operation in cell.values()}) > 1:
            yield name, _kind(list(cell.values())), frozenset(cell)


def _kind(rivals: list[Operation]) -> str:
    if all(operation.decision for operation in rivals):
        return "resolve-resolve"
    return "create-create" if all(operation.birth for operation in rivals) else "update-update"
