"""What checkers see of a world, and how they say what is wrong.

Knows no invariant. Invariant: checkers only read; a violation names the node and the record, what stands there, what
was expected, and the operations involved, so that a person can go and look.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from holdfast.clocks import Actor
from holdfast.engine.status import Status
from holdfast.engine.verify import VerifyReport
from holdfast.errors import Violation

from ..observed.history import Gain, History, Observed, Synced
from ..observed.image import Name, Place
from ..observed.model import Expected, Model
from ..observed.operation import Wrote

OPERATIONS_SHOWN = 12


class NodeView(Protocol):
    """One node of a world."""

    @property
    def name(self) -> str:
        """Its name in the plan."""
        ...

    @property
    def path(self) -> Path:
        """Its file."""
        ...

    @property
    def connection(self) -> sqlite3.Connection:
        """A raw, query-only connection to the file, outside any transaction."""
        ...

    @property
    def status(self) -> Status | None:
        """What the engine says of itself, asked since the last change of the file; None if it was not asked."""
        ...

    @property
    def verified(self) -> VerifyReport | None:
        """What `Engine.verify` found, asked in the end; None if it was not asked."""
        ...

    @property
    def watched(self) -> Mapping[Place, tuple[int, bool]] | None:
        """What a watcher was told last of each record: its lsn, and whether it is alive; None if nobody watches."""
        ...

    @property
    def exported(self) -> Mapping[Place, str] | None:
        """Living records as they were exported in the end: canonical documents; None if nothing was exported."""
        ...


class WorldView(Protocol):
    """A world between two steps."""

    @property
    def nodes(self) -> Sequence[NodeView]:
        """Nodes that have a file, also those whose process is down."""
        ...

    @property
    def history(self) -> History:
        """What was observed."""
        ...

    @property
    def model(self) -> Model:
        """The reference model."""
        ...

    @property
    def drift_ms_max(self) -> int:
        """How far ahead of a node's wall clock a stamp may be and still be believed."""
        ...


class Checker:
    """One invariant. `step` runs after every step that touched a node's file, `end` after healing.

    Attributes:
        name: Its number in the fault matrix, and what it says.
    """

    name: ClassVar[str]

    def step(self, world: WorldView, node: NodeView) -> None:
        """What must hold of a node at any time; raises Violation."""

    def end(self, world: WorldView) -> None:
        """What must hold of all nodes once every way is open and nothing is left to sync; raises Violation."""

    def fail(self, node: NodeView | str, place: Place | None, what: str, **evidence: Any) -> Violation:  # noqa: ANN401 - JSON values
        """The violation to raise: `what` says what is there and what was expected."""
        name = node if isinstance(node, str) else node.name
        subject = f"{name}: {'/'.join(place)}" if place else name
        remedy = f"This breaks {self.name}: replay the seed and look at the steps before."
        violation = Violation(what, subject=subject, remedy=remedy)
        violation.invariant = self.name
        violation.evidence = {"node": name, "place": list(place) if place else None, **evidence}
        return violation


def observed(world: WorldView, node: NodeView) -> Observed:
    """What was last seen of a node."""
    return world.history.observed[node.name]


def gained(world: WorldView, since: int) -> Iterator[tuple[NodeView, Gain]]:
    """What nodes that have a file gained in sessions that were completed, from this event on."""
    nodes = {node.name: node for node in world.nodes}
    for event in world.history.events[since:]:
        for gain in event.gains() if isinstance(event, Synced) else ():
            if gain.node in nodes:
                yield nodes[gain.node], gain


def listed(operations: Iterable[Wrote]) -> str:
    """Operations in words; the first ones if they are many."""
    said = [str(operation) for operation in operations]
    more = len(said) - OPERATIONS_SHOWN
    return "; ".join(said[:OPERATIONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def names_of(operations: Iterable[Wrote]) -> list[str]:
    """Operations as evidence."""
    return [str(operation) for operation in operations]


def changed(world: WorldView, node: NodeView) -> list[Place]:
    """Records that the last step changed and that stand there, in order."""
    image = observed(world, node).image
    return sorted(place for place in image.changed if place in image.records)


def judged(world: WorldView, place: Place) -> bool:
    """Whether the model knows all that was written to a record, and by which name.

    Not where an adversary's operation stands there anywhere, and not where two copies gave two writes one name.
    """
    if place in world.history.ambiguous:
        return False
    if not world.history.outsiders:
        return True
    return not any(
        name.actor in world.history.outsiders
        for seen in world.history.observed.values()
        for name in seen.strangers.get(place, ())
    )


def vector_text(vector: Mapping[Actor, int]) -> dict[str, int]:
    """A version vector as evidence."""
    return dict(sorted(vector.items()))


def expected(world: WorldView, node: NodeView, place: Place, known: int) -> Expected:
    """The record that a set of operations makes at a node.

    Names that their node has given up (a copy may have used them for something else) say nothing any more: whoever
    holds one may bring it back until all have read the new names, also what had been replaced (docs/decisions, 0017).
    """
    given_up = known & world.history.withdrawn
    held = observed(world, node).image.records.get(place)
    if not given_up or held is None:
        return world.model.expected(place, known)
    free = {operation.name for operation in world.model.members(given_up)}
    cells = {(field, name) for field, cell in held.cells.items() for name in free & cell.keys()}
    lives = {(None, name) for name in free & held.existence.keys()}
    return world.model.expected(place, known, given_up, frozenset[tuple[str | None, Name]]({*cells, *lives}))


def is_given_up(world: WorldView, name: Name) -> bool:
    """Whether a node has given up this name (see `expected`)."""
    return name in world.model and bool(world.model.bits([name]) & world.history.withdrawn)
