"""I4: once every way is open and nothing is left to sync, all nodes are equal.

A deleted record that only some have dropped for good is no difference; nor is, then, the digest that counts it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..observed.image import Held, Place
from .view import Checker, NodeView, WorldView, observed, vector_text


class Agreement(Checker):
    """Cells, documents, liveness, digests and vectors are the same everywhere."""

    name: ClassVar[str] = "I4 all nodes agree"

    def end(self, world: WorldView) -> None:
        """Compare every node with the first."""
        for node in world.nodes[1:]:
            self._compare(world, world.nodes[0], node)

    def _compare(self, world: WorldView, first: NodeView, other: NodeView) -> None:
        ours, theirs = observed(world, first).image, observed(world, other).image
        for place in sorted(ours.records.keys() | theirs.records.keys()):
            self._record(world, (first, other), place, (ours.records.get(place), theirs.records.get(place)))
        if not world.history.purged and ours.digest != theirs.digest:
            what = f"its digest is {theirs.digest:x}, that of {first.name} {ours.digest:x}, and their records are equal"
            raise self.fail(other, None, what)
        if ours.vector != theirs.vector:
            what = f"its vector is not that of {first.name}, and their records are equal"
            raise self.fail(other, None, what, vectors=[vector_text(ours.vector), vector_text(theirs.vector)])

    def _record(
        self, world: WorldView, nodes: tuple[NodeView, NodeView], place: Place, rows: tuple[Held | None, Held | None]
    ) -> None:
        (first, other), (ours, theirs) = nodes, rows
        if place in world.history.purged and not any(_is_alive(row) for row in rows):
            return  # some have dropped it for good, and others not yet, or hold one more of its deletes
        if ours is None or theirs is None:
            without = other if theirs is None else first
            having = first if theirs is None else other
            raise self.fail(without, place, f"it has no such record, {having.name} has")
        for aspect in ("existence", "cells", "flags", "doc", "live", "digest", "conflicts"):
            here, there = getattr(theirs, aspect), getattr(ours, aspect)
            if here != there:
                what = f"its {aspect} is {_said(here)}, at {first.name} {_said(there)}"
                raise self.fail(other, place, what, here=_said(here), there=_said(there))


def _is_alive(row: Held | None) -> bool:
    return row is not None and any(row.existence.values())


def _said(value: Any) -> str:  # noqa: ANN401 - any part of a record
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_said(value[key])}" for key in sorted(value)) + "}"
    return str(value)
