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
from ..observed.image import Held, Name, Place
from ..observed.model import Expected, Model, Stands
from ..observed.operation import Wrote
from .forgiven import forgiving

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
    purged = world.history.purged.get(place, 0)
    if held is not None and known & purged:
        wanted = world.model.expected(place, known, given_up, _stands(world, held, given_up))
        return forgiving(world.model, place, held, wanted, known, purged)
    if not given_up or held is None:
        return world.model.expected(place, known)
    return world.model.expected(place, known, given_up, _stands(world, held, given_up))


def _stands(world: WorldView, held: Held, given_up: int) -> Stands:
    """Where names that were given up are found in a record."""
    free = {operation.name for operation in world.model.members(given_up)}
    cells = {(field, name) for field, cell in held.cells.items() for name in free & cell.keys()}
    lives = {(None, name) for name in free & held.existence.keys()}
    return frozenset[tuple[str | None, Name]]({*cells, *lives})


def gone_here(world: WorldView, node: NodeView, place: Place, *, twice: bool = False) -> int:
    """Of what was let go of a record for good, what this node says it has taken in: it stands for that without it.

    A dot that copies of one identity have used twice says nothing, until all but one have given its operations other
    names; or with `twice` all that was written under it.
    """
    gone = world.history.purged.get(place, 0)
    if not gone:
        return 0
    claimed, model = observed(world, node).image.claimed(place), world.model
    found = gone & model.covered(claimed)
    for operation in model.members(gone & ~found if world.history.copies else 0):
        if claimed.get(operation.name.actor, 0) >= operation.name.seq:
            meant = model.bits(model.named(operation.name.dot)) & ~world.history.withdrawn
            if twice or meant == model.bits([operation.name]):
                found |= model.bits([operation.name])
    if gone & ~found:  # what stands behind these, under names that stand in no file (observed/scribe.py)
        found |= gone & model.known(operation.name for operation in model.members(found))
    return found


def taken_in(world: WorldView, node: NodeView, place: Place) -> int:
    """What a node has ever stood for in a record since its file was last rolled back."""
    return observed(world, node).owed.get(place, 0) | gone_here(world, node, place)


def stood_for(world: WorldView, node: NodeView, place: Place) -> int:
    """What a node stands for in a record."""
    return observed(world, node).known.get(place, 0) | gone_here(world, node, place)


def is_given_up(world: WorldView, name: Name) -> bool:
    """Whether a node has given up this name (see `expected`)."""
    return name in world.model and bool(world.model.bits([name]) & world.history.withdrawn)
