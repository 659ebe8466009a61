"""I3: a node's records are what the model makes of the operations that stand behind them: live, reopened, exported.

The operations that stand behind a record are those visible in it and all that their authors had seen, and what was let
go of it for good and the vector claims; what that may cost is forgiven (forgiven.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from ..observed.image import Held, Name, Place, Value
from ..observed.model import Expected
from .view import Checker, NodeView, WorldView, changed, expected, judged, listed, names_of, observed, stood_for


class State(Checker):
    """Cells, documents and liveness are a function of the operations."""

    name: ClassVar[str] = "I3 the state is what the operations make"

    def step(self, world: WorldView, node: NodeView) -> None:
        """Every record that changed."""
        self._compare(world, node, changed(world, node))

    def end(self, world: WorldView) -> None:
        """Every record, what was exported, and what the engine finds in its own file."""
        for node in world.nodes:
            records = observed(world, node).image.records
            self._compare(world, node, sorted(records))
            if node.exported is not None:
                self._compare_export(node, node.exported, {at: h.doc for at, h in records.items() if h.live})
            if node.verified is not None and not node.verified.ok:
                problems = list(node.verified.problems)
                raise self.fail(node, None, f"verify finds: {'; '.join(problems[:5])}", problems=problems)

    def _compare(self, world: WorldView, node: NodeView, places: Iterable[Place]) -> None:
        seen = observed(world, node)
        for place in places:
            if judged(world, place) and not seen.strangers.get(place):
                wanted = expected(world, node, place, stood_for(world, node, place))
                self._record(world, node, place, seen.image.records[place], wanted)

    def _record(self, world: WorldView, node: NodeView, place: Place, held: Held, expected: Expected) -> None:
        bits = stood_for(world, node, place)
        operations = [*world.model.members(bits)]
        evidence = {"operations": names_of(operations)}
        behind = f"of {listed(operations)}"
        if held.existence != expected.existence:
            what = f"the existence is {_lives(held.existence)}, expected {_lives(expected.existence)}, {behind}"
            raise self.fail(node, place, what, **evidence)
        for field in sorted(held.cells.keys() | expected.cells.keys()):
            there, wanted = held.cells.get(field, {}), expected.cells.get(field, {})
            if there != wanted:
                what = f"{field} holds {_cell(there)}, expected {_cell(wanted)}, {behind}"
                raise self.fail(node, place, what, field=field, **evidence)
        if held.live != expected.live:
            what = f"readers see it {_life(held.live)}, expected {_life(expected.live)}, {behind}"
            raise self.fail(node, place, what, **evidence)
        if held.doc != expected.doc:
            what = f"readers see {held.doc}, expected {expected.doc}, {behind}"
            raise self.fail(node, place, what, **evidence)
        self._columns(node, place, held)

    def _columns(self, node: NodeView, place: Place, held: Held) -> None:
        """The row repeats the frontier, for the feed."""
        last = max(held.existence, key=lambda name: (name.clock, name.dot))
        alone = len(held.existence) == 1
        said = (last.actor if alone else None, last.seq if alone else None, last.clock, held.flags[last])
        if held.frontier != said:
            raise self.fail(node, place, f"the row names the frontier {held.frontier}, its cells {said}")

    def _compare_export(self, node: NodeView, exported: Mapping[Place, str], shown: Mapping[Place, str]) -> None:
        for place in sorted(exported.keys() | shown.keys()):
            if exported.get(place) != shown.get(place):
                what = f"the export says {exported.get(place, 'nothing')}, the file {shown.get(place, 'nothing')}"
                raise self.fail(node, place, what)


def _lives(existence: Mapping[Name, bool]) -> str:
    return _joined(f"{name} {_life(alive)}" for name, alive in sorted(existence.items()))


def _life(alive: bool) -> str:  # noqa: FBT001 - it is what is to be said
    return "alive" if alive else "dead"


def _cell(cell: Mapping[Name, Value]) -> str:
    return _joined(f"{name}={value}" for name, value in sorted(cell.items()))


def _joined(parts: Iterable[str]) -> str:
    return "{" + ", ".join(parts) + "}"
