"""The reference model: which values a record must hold, from the operations on it and what their authors had seen.

It shares no rule with the engine: there are no vectors, contexts or joins here. A record holds the writes of a set of
operations that none of the others in it had seen and written over. Invariant: what it expects is a function of the set,
whatever the order in which it came together. Sets of operations are the bits of an integer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from operator import or_

from holdfast.clocks import Actor, Dot
from holdfast.resolvers import Policy

from .image import REGISTER, Name, Place, Value
from .operation import Known, Wrote
from .projection import Dispute, Shown, project

_BY_DEFAULT = Policy()

Stands = frozenset[tuple[str | None, Name]]
"""Fields (None: the existence) and operations that stand in them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A record as it must stand: existence and cells by operation, and what readers see of them."""

    existence: Mapping[Name, bool]
    cells: Mapping[str, Mapping[Name, Value]]
    shown: Shown

    @property
    def doc(self) -> str:
        """The document."""
        return self.shown.doc

    @property
    def live(self) -> bool:
        """Whether readers see the record."""
        return self.shown.live

    @property
    def conflicts(self) -> tuple[Dispute, ...]:
        """The conflicts, existence first, then by field."""
        return self.shown.disputes


@dataclass(slots=True)
class Model:
    """All operations of a world.

    Args:
        policies: The rules of each collection that has declared some.
        renamed: By name, the set of the operations that had it and have another now.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    operations: list[Wrote] = field(default_factory=list)
    of_place: Known = field(default_factory=dict)
    renamed: dict[Name, int] = field(default_factory=dict)
    _numbers: dict[Name, int] = field(default_factory=dict)
    _named: dict[Dot, list[Name]] = field(default_factory=dict)
    _pasts: list[int] = field(default_factory=list)
    _sequence: dict[Actor, tuple[list[int], list[int]]] = field(default_factory=dict)
    _expected: dict[tuple[Place, int, int, Stands], Expected] = field(default_factory=dict)

    def add(self, operation: Wrote) -> int:
        """Enter an operation; gives the set that holds only it."""
        assert operation.name not in self._numbers, f"{operation.name} was entered before"
        number, bit = len(self.operations), 1 << len(self.operations)
        self._numbers[operation.name] = number
        self._named.setdefault(operation.name.dot, []).append(operation.name)
        self._count(operation.name, bit)
        self._pasts.append(bit | self.known(operation.seen))
        former = operation.renames
        while former is not None:
            self.renamed[former] = self.renamed.get(former, 0) | bit
            former = self.operation(former).renames
        self.operations.append(operation)
        self.of_place[operation.place] = self.of_place.get(operation.place, 0) | bit
        return bit

    @property
    def all(self) -> int:
        """Every operation."""
        return (1 << len(self.operations)) - 1

    def __contains__(self, name: Name) -> bool:
        return name in self._numbers

    def operation(self, name: Name) -> Wrote:
        """The operation of this name."""
        return self.operations[self._numbers[name]]

    def named(self, dot: Dot) -> list[Name]:
        """The operations of this dot: one, unless copies of one identity have written."""
        return self._named.get(dot, [])

    def bits(self, names: Iterable[Name]) -> int:
        """The set of these operations."""
        return sum({1 << self._numbers[name] for name in names})

    def known(self, names: Iterable[Name]) -> int:
        """These operations and everything that stands behind them: what their authors had seen, and so on."""
        found = 0
        for name in names:
            found |= self._pasts[self._numbers[name]]
        return found

    def members(self, bits: int) -> Iterator[Wrote]:
        """The operations of a set, in the order in which they were written."""
        while bits:
            low = bits & -bits
            yield self.operations[low.bit_length() - 1]
            bits ^= low

    def covered(self, seqs: Mapping[Actor, int]) -> int:
        """The operations that a map of highest numbers claims; dots that copies have used twice claim none."""
        found = 0
        for actor, highest in seqs.items():
            numbers, sets = self._sequence.get(actor, ([], []))
            if at := bisect_right(numbers, highest):
                found |= sets[at - 1]
        return found

    def _count(self, name: Name, bit: int) -> None:
        """Enter an operation among those of its identity: for each number, the set of those up to it."""
        numbers, sets = self._sequence.setdefault(name.actor, ([], []))
        if not numbers or name.seq > numbers[-1]:
            numbers.append(name.seq)
            sets.append((sets[-1] if sets else 0) | bit)
            return
        # Copies have used one dot twice, or a restored file was read late.
        once = {dot.seq: self.bits(names) for dot, names in self._named.items() if dot.actor == name.actor}
        once = {seq: bits if bits.bit_count() == 1 else 0 for seq, bits in once.items()}
        numbers[:] = sorted(once)
        sets[:] = accumulate((once[seq] for seq in numbers), or_)

    def superseders(self, place: Place, field_name: str | None, name: Name, known: int) -> list[Wrote]:
        """The operations of a set that had seen this one and replace what it wrote (None: the existence)."""
        value = None if field_name is None else self.operation(name).writes.get(field_name)
        return [
            other
            for other in self.members(known & self.of_place.get(place, 0))
            if name in other.seen
            and (field_name is None or other.governs(field_name, register=value is None or value.tag == REGISTER))
        ]

    def expected(self, place: Place, known: int, given_up: int = 0, stands: Stands = frozenset()) -> Expected:
        """The record that the operations of a set make.

        Args:
            place: The record.
            known: The set.
            given_up: Operations of it whose names were given up: they stand where they are found, or under new names.
            stands: Where those are found.
        """
        key = (place, known, given_up, stands)
        found = self._expected.get(key)
        if found is None:
            free = frozenset(operation.name for operation in self.members(known & given_up))
            found = self._expected[key] = self._expect(place, [*self.members(known)], free, stands)
        return found

    def _expect(self, place: Place, known: list[Wrote], free: frozenset[Name], stands: Stands) -> Expected:
        seen = frozenset().union(*(operation.seen for operation in known))
        existence = {
            operation.name: operation.alive
            for operation in known
            if ((None, operation.name) in stands if operation.name in free else operation.name not in seen)
        }
        fields = sorted({name for operation in known for name in operation.writes})
        cells = {name: cell for name in fields if (cell := _cell(name, known, free, stands))}
        policy = self.policies.get(place[0], _BY_DEFAULT)
        return Expected(existence, cells, project(place, existence, cells, self.operation, policy))


def _cell(field_name: str, known: list[Wrote], free: frozenset[Name], stands: Stands) -> dict[Name, Value]:
    """The values of a field that no operation has seen and replaced."""
    gone: dict[bool, set[Name]] = {False: set(), True: set()}
    for operation in known:
        for register in gone:
            if operation.governs(field_name, register=register):
                gone[register] |= operation.seen
    return {
        operation.name: value
        for operation in known
        if (value := operation.writes.get(field_name)) is not None
        and (
            (field_name, operation.name) in stands
            if operation.name in free
            else operation.name not in gone[value.tag == REGISTER]
        )
    }
