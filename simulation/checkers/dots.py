"""I2: one content per dot, over all nodes and over time, no dot used twice, and none given to nothing.

Copies of one identity may use the same dots until one of them has been told (history.copies); once all is healed, no
such dot may be left. What an adversary signs with an identity of its own is not judged.
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.clocks import Actor, Dot

from ..observed.history import Renewed
from ..observed.image import BIRTH, DECISION, EQUIVOCAL, Held, Image, Name, Place
from .view import Checker, NodeView, WorldView, changed, observed


class Dots(Checker):
    """Dots name one operation for ever."""

    name: ClassVar[str] = "I2 one content per dot"

    def __init__(self) -> None:
        self._events = 0
        self._feeds: dict[str, Actor] = {}
        self._ends: dict[str, Dot] = {}

    def step(self, world: WorldView, node: NodeView) -> None:
        """Nothing new reuses a dot, and what stands under a dot is what was written under it."""
        seen = observed(world, node)
        self._renewals(world)
        for operation in seen.wrote:
            others = [name for name in world.model.named(operation.name.dot) if name != operation.name]
            if others and operation.name.actor not in world.history.copies:
                first = world.model.operation(others[0])
                raise self.fail(
                    node,
                    operation.place,
                    f"the dot {operation.name} was given twice: {operation}; before it: {first}",
                    operations=[str(operation), str(first)],
                )
        self._numbers(world, node)
        self._feed(node, seen.image)
        for place in changed(world, node):
            self._strangers(world, node, place)
            held = seen.image.records[place]
            if place in world.history.ambiguous:
                continue
            for name in sorted(held.names - seen.strangers.get(place, frozenset())):
                self._content(world, node, place, held, name)

    def end(self, world: WorldView) -> None:
        """No dot with two contents is left in any file."""
        shown: dict[tuple[str, int], tuple[str, Name]] = {}
        for node in world.nodes:
            for place, held in sorted(observed(world, node).image.records.items()):
                for name in sorted(held.names):
                    other, first = shown.setdefault((name.actor, name.seq), (node.name, name))
                    if first != name:
                        what = (
                            f"after healing {name} stands here with clock {name.clock}, at {other} with {first.clock}"
                        )
                        raise self.fail(node, place, what, dots=[str(name), str(first)])

    def _numbers(self, world: WorldView, node: NodeView) -> None:
        """Since the last look every number was given to something."""
        image = observed(world, node).image
        before, self._ends[node.name] = self._ends.get(node.name), Dot(image.actor, image.seq)
        first = before.seq + 1 if before is not None and before.actor == image.actor else image.seq
        for seq in range(max(1, first), image.seq + 1):
            if not world.model.named(Dot(image.actor, seq)):
                last = "the last" if seq == image.seq else "an"
                raise self.fail(node, None, f"{last} operation number is {seq}, under which nothing was written")

    def _feed(self, node: NodeView, image: Image) -> None:
        """A place in a feed names one state as a dot does: who goes on under another identity begins another feed."""
        first = self._feeds.setdefault(image.feed, image.actor)
        if image.feed and first != image.actor:
            what = f"as {image.actor} it goes on in the feed {image.feed}, which {first} began"
            raise self.fail(node, None, what, feed=image.feed, actors=[first, image.actor])

    def _renewals(self, world: WorldView) -> None:
        """Nobody takes itself for a copy without a reason; every identity stays in all vectors for ever."""
        events, self._events = world.history.events[self._events :], len(world.history.events)
        for event in events if not world.history.doubtful else ():
            if isinstance(event, Renewed):
                what = f"it goes on as {event.new}, not {event.old}, and no file was put back or copied"
                raise self.fail(event.node, None, what, old=event.old, new=event.new)

    def _strangers(self, world: WorldView, node: NodeView, place: Place) -> None:
        strangers = observed(world, node).strangers.get(place, frozenset())
        unknown = sorted(name for name in strangers if name.actor not in world.history.outsiders)
        if unknown:
            alike = [str(world.model.operation(name)) for dot in unknown for name in world.model.named(dot.dot)]
            raise self.fail(
                node,
                place,
                f"{unknown[0]} with clock {unknown[0].clock} stands here and nobody was seen to write it"
                + (f"; under that dot was written: {'; '.join(alike)}" if alike else ""),
                strangers=[str(name) for name in unknown],
                written=alike,
            )

    def _content(self, world: WorldView, node: NodeView, place: Place, held: Held, name: Name) -> None:
        operation = world.model.operation(name)
        if operation.place != place:
            what = f"{name} stands here and was written to {'/'.join(operation.place)}: {operation}"
            raise self.fail(node, place, what, operation=str(operation))
        flags = BIRTH * operation.birth | DECISION * operation.decision
        if held.flags[name] != flags:
            what = f"{name} carries the flags {held.flags[name]}, written with {flags}: {operation}"
            raise self.fail(node, place, what, operation=str(operation), flags=held.flags[name])
        if held.existence.get(name, operation.alive) != operation.alive:
            what = f"{name} says {'alive' if held.existence[name] else 'dead'} here and was another: {operation}"
            raise self.fail(node, place, what, operation=str(operation))
        for field, cell in held.cells.items():
            value, written = cell.get(name), operation.writes.get(field)
            equivocal = value is not None and value.tag == EQUIVOCAL and name.actor in world.history.copies
            if value is not None and value != written and not equivocal:
                what = f"{name} shows {field}={value}, it wrote {written if written is not None else 'nothing there'}"
                raise self.fail(node, place, what, operation=str(operation), field=field, value=str(value))
