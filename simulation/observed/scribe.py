"""Tells what log rows were: operations, with what their authors had seen, or new names of old ones.

Knows no SQL. Invariants: what an operation wrote is what was submitted, and where that is unknown, what stands in the
record afterwards; what its author had seen is what stood before, in the order of the transaction, unless it was decided
on an earlier read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from holdfast.clocks import Actor

from .history import Intent
from .image import Held, Image, LogRow, Name, Place, Value
from .model import Model
from .operation import Kind, Known, Wrote

_NOWHERE = "'"
"""Ends the identity of names that stand in no file."""

Versions = Mapping[Place, str | None]
"""Record -> its version (docs/reference/api.md): "" if readers see none, None if it is disputed whether they do."""


@dataclass(slots=True)
class _Standing:
    """A record while the operations of one look are told apart: what stands in it, and who says that it is alive."""

    visible: set[Name]
    lives: dict[Name, bool]

    @property
    def version(self) -> str | None:
        """The version of the record as it stands."""
        return _version_of(self.lives)


@dataclass(slots=True)
class Scribe:
    """Tells the operations of one node.

    Args:
        node: The node's name.
        model: Where operations are looked up.
        purged: What nodes have let go, shared by all: whoever puts a record that is gone has seen it too.

    Attributes:
        submitted: Jobs that were handed to the engine and have not been recognised, in order.
    """

    node: str
    model: Model
    purged: Known = field(default_factory=dict)
    submitted: deque[tuple[Intent, ...]] = field(default_factory=deque)

    def tell(self, before: Mapping[Place, Held], after: Image, rows: Sequence[LogRow]) -> list[Wrote]:
        """Enter the operations of one look into the model; gives those that are new, in order.

        It may hold several jobs that share a commit, each with an lsn of its own, but none that merged before one
        that wrote.
        """
        standing: dict[Place, _Standing] = {}
        told = []
        new = [row for row in rows if row.kind < Kind.MERGE and _name(row, after.places[row.record]) not in self.model]
        for _, job in groupby(new, key=lambda row: row.lsn):
            together = sorted(job, key=lambda row: row.dot.seq)
            stood = {place: _version_of(held.existence) for place, held in before.items()}
            stood |= {place: each.version for place, each in standing.items()}
            intents = self._intents(together, after, stood)
            stale = {row: _stale(intent, stood) for row, intent in intents.items()}
            for row in together:
                place = after.places[row.record]
                if place not in standing:
                    standing[place] = self._standing(place, before.get(place), after)
                operation = self._operation(row, place, standing[place], after.records[place], intents.get(row))
                operation = replace(operation, stale=stale[row]) if stale.get(row) else operation
                self.model.add(operation)
                _stand(standing[place], operation)
                told.append(operation)
        return told

    def _standing(self, place: Place, before: Held | None, after: Image) -> _Standing:
        visible = {name for name in before.names if name in self.model} if before is not None else set()
        lives = dict(before.existence) if before is not None else {}
        if not any(lives.values()):
            gone = self.purged.get(place, 0)
            visible |= {
                each.name for each in self.model.members(gone & self.model.covered(after.vector) if gone else 0)
            }
        return _Standing(visible, lives)

    def _intents(self, rows: Sequence[LogRow], after: Image, stood: Versions) -> dict[LogRow, Intent]:
        """What was submitted for these rows, if anything was."""
        shape = [(after.places[row.record], Kind(row.kind)) for row in rows]
        alike = [job for job in self.submitted if [intent.logged for intent in job] == shape]
        if not alike:
            return {}
        # A job before it may have asked for the like and was refused: the values that stand tell them apart, and what
        # each was to happen on.
        fitting = [job for job in alike if _fits(job, rows, after)] or alike[:1]
        job = next((job for job in fitting if not any(_stale(intent, stood) for intent in job)), fitting[0])
        while self.submitted.popleft() is not job:
            pass
        return dict(zip(rows, job, strict=True))

    def _operation(self, row: LogRow, place: Place, standing: _Standing, after: Held, intent: Intent | None) -> Wrote:
        name = _name(row, place)
        found = {field: cell[name] for field, cell in after.cells.items() if name in cell}
        if intent is not None:
            alive, writes, removed = intent.alive, dict(intent.writes), intent.removed
            # A value of a type that is no register can only be seen, not submitted.
            writes |= {field: value for field, value in found.items() if value.tag}
        else:
            alive = row.kind != Kind.DELETE and after.existence.get(name, True)
            writes = found
            removed = self._vanished(standing, after, found) if alive and row.kind != Kind.PUT else frozenset()
        put = intent.kind == Kind.PUT if intent is not None else row.kind == Kind.PUT
        return Wrote(
            node=self.node,
            name=name,
            place=place,
            seen=self._seen(place, standing, after, intent, decided=row.kind == Kind.DECIDE),
            writes=writes,
            clears=None if put else removed,
            alive=alive,
            birth=not standing.lives,
            reborn=not any(standing.lives.values()),
            decision=row.kind == Kind.DECIDE,
            lsn=row.lsn,
        )

    def _seen(
        self, place: Place, standing: _Standing, after: Held, intent: Intent | None, *, decided: bool
    ) -> frozenset[Name]:
        if intent is not None and intent.read is not None:
            known = self.model.known(standing.visible)
            return frozenset(
                operation.name for operation in self.model.members(known) if operation.name.dot in intent.read
            )
        if intent is None and decided:  # on an earlier read: what it left standing it had not seen
            return frozenset(standing.visible - after.existence.keys())
        return frozenset(standing.visible)

    def _vanished(self, standing: _Standing, after: Held, found: Mapping[str, Value]) -> frozenset[str]:
        """Fields that nobody saw being removed and that are gone."""
        fields = {field for name in standing.visible for field in self.model.operation(name).writes}
        expected = {field for field in fields if field not in found and field not in after.cells}
        return frozenset(expected)

    def rename(self, before: Mapping[Place, Held], after: Image, rows: Sequence[LogRow], old: Actor) -> list[Wrote]:
        """Enter the new names that operations of identity `old` were given; gives them.

        What those had superseded has no new name in the file, but what it did is in what they left: it is entered
        under a name that stands nowhere. Under its old name it is not what they have seen: whoever holds that may
        bring it back.
        """
        known = after.vector.get(old, 0)
        names: dict[Name, Name] = {}
        for place in dict.fromkeys(after.places[row.record] for row in rows):
            dots = sorted(row.dot for row in rows if after.places[row.record] == place)
            gone = sorted(before[place].names - after.records[place].names) if place in before else []
            gone = [name for name in gone if name.actor == old and name.seq > known]
            # A name that was not given anew stays owed, and its checker speaks.
            names |= {name: Name(*dot, name.clock, name.place) for name, dot in zip(gone, dots, strict=False)}
        nowhere = Actor(f"{after.actor}{_NOWHERE}")
        for name in self._behind(names, old, known):
            names.setdefault(name, Name(nowhere, name.seq, name.clock, name.place))
        told = []
        for name in sorted(names, key=lambda name: self.model.bits([name])):
            operation = self.model.operation(name)
            seen = frozenset(names.get(other, other) for other in operation.seen)
            left = _left(operation, before.get(operation.place)) if names[name].actor != nowhere else operation
            renamed = replace(left, node=self.node, name=names[name], seen=seen, lsn=0, renames=name)
            self.model.add(renamed)
            told.append(renamed)
        return told

    def rename_returned(self, after: Image, rows: Sequence[LogRow]) -> list[Wrote]:
        """Enter the new names that operations of a copy were given as they came; gives them.

        They came and were renamed in one transaction, so that what stood between was not seen: the log row has the
        place and the clock of the operation, which are another's only under its old names.
        """
        names: dict[Name, Name] = {}
        for row in rows:
            new = _name(row, after.places[row.record])
            alike = [name for name in self._alike(new) if name not in after.records[new.place].names]
            if alike:  # a name that was given to nothing stays unknown, and its checker speaks
                names[alike[-1]] = new
        told = []
        for old, new in names.items():
            operation = self.model.operation(old)
            seen = frozenset(names.get(other, other) for other in operation.seen)
            left = _left(replace(operation, name=new), after.records[new.place])
            renamed = replace(left, node=self.node, seen=seen, lsn=0, renames=old)
            self.model.add(renamed)
            told.append(renamed)
        return told

    def _alike(self, name: Name) -> list[Name]:
        """The other names that a write has had in some file: it keeps its place and its clock under each."""
        operations = self.model.members(self.model.of_place.get(name.place, 0))
        names = [operation.name for operation in operations if operation.name.clock == name.clock]
        return [other for other in names if not other.actor.endswith(_NOWHERE)]

    def _behind(self, names: Iterable[Name], old: Actor, known: int) -> set[Name]:
        """These operations of `old`, and those above `known` that they had seen, and so on."""
        found: set[Name] = set()
        ahead = [*names]
        while ahead:
            name = ahead.pop()
            if name not in found and name.actor == old and name.seq > known:
                found.add(name)
                ahead += self.model.operation(name).seen
        return found


def _name(row: LogRow, place: Place) -> Name:
    return Name(*row.dot, row.clock, place)


def _left(operation: Wrote, held: Held | None) -> Wrote:
    """What others have left of an operation: under its new name nobody has seen it, and it says nothing else."""
    if held is None:
        return operation
    stands = {field for field, cell in held.cells.items() if operation.name in cell}
    gone = operation.writes.keys() - stands
    return replace(
        operation,
        writes={field: value for field, value in operation.writes.items() if field in stands},
        clears=None if operation.clears is None else operation.clears | gone,
        alive=held.existence.get(operation.name, any(held.existence.values())),
    )


def _stand(standing: _Standing, operation: Wrote) -> None:
    """The record after an operation."""
    standing.visible.add(operation.name)
    standing.lives = {name: alive for name, alive in standing.lives.items() if name not in operation.seen}
    standing.lives[operation.name] = operation.alive


def _version_of(lives: Mapping[Name, bool]) -> str | None:
    if len({*lives.values()}) > 1:
        return None
    return ",".join(f"{actor}.{seq}" for actor, seq in sorted(name.dot for name, alive in lives.items() if alive))


def _stale(intent: Intent, stood: Versions) -> str:
    """What has changed since the author of a job read it."""
    for place, version in sorted(intent.expects.items()):
        there = stood.get(place, "")
        if there is not None and there != version:
            return f"{'/'.join(place)} was read as {version or 'absent'} and was {there or 'absent'}"
    return ""


def _fits(job: Sequence[Intent], rows: Sequence[LogRow], after: Image) -> bool:
    """Whether what stands under the last dot of each record is what the job asked for."""
    last = {intent.place: (intent, row) for intent, row in zip(job, rows, strict=True)}
    for place, (intent, row) in last.items():
        name = _name(row, place)
        cells = after.records[place].cells
        if any(cell[name] != intent.writes.get(field) for field, cell in cells.items() if name in cell):
            return False
        if any(name not in cells.get(field, {}) for field in intent.writes):
            return False
    return True
