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

    `clears` names the fields it removed; None: all that it did not write (put). A value in bytes has a type of a later
    version: a put that does not name it leaves it, unless `reborn` (its author saw the record dead).
    """

    dot: Dot
    place: Place
    clock: int
    read: int
    alive: bool = True
    birth: bool = False
    decision: bool = False
    reborn: bool = False
    writes: Mapping[str, str | bytes] = field(default_factory=dict)
    clears: frozenset[str] | None = frozenset()

    def governs(self, name: str, *, typed: bool) -> bool:
        """Whether it replaces what its author had read in this field, of a known type or of a later version's."""
        if name in self.writes:
            return True
        return name in self.clears if self.clears is not None else self.reborn or not typed


@dataclass(frozen=True, slots=True)
class Expected:
    """A record as it must stand: existence, cells, what readers see, and its conflicts (field, kind, dots).

    `unreadable` names the fields that hold a value of a later version.
    """

    existence: Mapping[Dot, bool]
    cells: Mapping[str, Mapping[Dot, str | bytes]]
    doc: str
    live: bool
    conflicts: frozenset[tuple[str | None, str, frozenset[Dot]]]
    unreadable: tuple[str, ...]


class Oracle:
    """All operations of a fleet, and which of them reached which member."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.known: dict[str, Known] = {}
        self.transactions: list[int] = []
        self.lost = 0
        self.taken_back = False
        self._numbers: dict[Dot, int] = {}
        self._of_place: dict[Place, int] = {}
        self._expected: dict[int, Expected] = {}

    def write(self, member: str, operation: Operation) -> int:
        """A member wrote this operation; gives the set that holds only it."""
        assert operation.dot not in self._numbers, f"{operation.dot} names two operations"
        bit = 1 << len(self.operations)
        self._numbers[operation.dot] = len(self.operations)
        self.operations.append(operation)
        for places in (self.known[member], self._of_place):
            places[operation.place] = places.get(operation.place, 0) | bit
        return bit

    def write_together(self, member: str, operations: Iterable[Operation]) -> None:
        """A member wrote these operations in one transaction; each may look at what those before it left."""
        self.transactions.append(sum(self.write(member, operation) for operation in operations))

    def deliver(self, member: str, sent: Known, places: Iterable[Place]) -> None:
        """These records reached a member as they stood in `sent`."""
        known = self.known[member]
        for place in places:
            known[place] = known.get(place, 0) | sent[place]

    def has_read(self, member: str, place: Place) -> int:
        """The operations on a record that reached a member."""
        return self.known[member].get(place, 0)

    def operation(self, dot: Dot) -> Operation:
        """The operation that a dot names."""
        return self.operations[self._numbers[dot]]

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
        union = dict.fromkeys({place for known in self.known.values() for place in known}, 0)
        for known in self.known.values():
            union |= {place: union[place] | bits for place, bits in known.items()}
        return union

    def forget_unknown(self) -> None:
        """A restore took operations back: those that stand in no member's file are lost.

        Others may now stand with some members only in part of what their author had seen, for ever.
        """
        self.taken_back = True
        self.lost = ((1 << len(self.operations)) - 1) & ~sum(self.everything().values())

    def expected(self, known: int) -> Expected:
        """The record that the operations of a set make."""
        found = self._expected.get(known)
        if found is None:
            numbered = [(1 << self._numbers[operation.dot], operation) for operation in self.members_of(known)]
            found = self._expected[known] = _expected(numbered)
        return found


def _expected(known: list[tuple[int, Operation]]) -> Expected:
    read = 0
    for _, operation in known:
        read |= operation.read
    frontier = [operation for bit, operation in known if not bit & read]
    cells = {name: _cell(name, known) for name in {name for _, operation in known for name in operation.writes}}
    later = {name for name, cell in cells.items() if any(isinstance(o.writes[name], bytes) for o in cell.values())}
    readable = {name: cell for name, cell in cells.items() if cell and name not in later}
    shown = {name: json.loads(max(cell.values(), key=_rank).writes[name]) for name, cell in readable.items()}
    return Expected(
        existence={operation.dot: operation.alive for operation in frontier},
        cells={name: {dot: op.writes[name] for dot, op in cell.items()} for name, cell in cells.items() if cell},
        doc=json.dumps(shown, sort_keys=True, separators=(",", ":")),
        live=any(operation.alive for operation in frontier),
        conflicts=frozenset(_conflicts(frontier, readable)),
        unreadable=tuple(sorted(later)),
    )


def _cell(name: str, known: list[tuple[int, Operation]]) -> dict[Dot, Operation]:
    gone = {False: 0, True: 0}
    for _, operation in known:
        for typed in gone:
            if operation.governs(name, typed=typed):
                gone[typed] |= operation.read
    return {
        operation.dot: operation
        for bit, operation in known
        if name in operation.writes and not bit & gone[isinstance(operation.writes[name], bytes)]
    }


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
