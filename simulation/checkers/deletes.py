"""I9: nothing that was deleted is visible unless it was added again later, by an operation that saw the deletion.

A concurrent update revives a record by the rule of its existence (update wins); that is no return of the dead: its
author had not seen the deletion. After a new beginning the fields from before the deletion stay gone. A delete that
was let go for good counts like any other at every node whose vector claims it; what it did to fields may be forgotten.
"""

from __future__ import annotations

from typing import ClassVar

from .view import Checker, NodeView, WorldView, changed, expected, is_given_up, judged, listed, observed, taken_in


class Deletes(Checker):
    """The dead stay dead."""

    name: ClassVar[str] = "I9 no deleted value comes back"

    def step(self, world: WorldView, node: NodeView) -> None:
        """Every record that changed and that readers see."""
        seen, model = observed(world, node), world.model
        for place in changed(world, node):
            held, here = seen.image.records[place], taken_in(world, node, place)
            if not held.live or not judged(world, place):
                continue
            existence = expected(world, node, place, here).existence
            if not any(existence.values()):
                deletes = [model.operation(name) for name in existence]
                what = f"it is visible, and every operation on it that is alive was deleted by {listed(deletes)}"
                raise self.fail(node, place, what, deletes=[str(delete) for delete in deletes])
            remembered = here & ~world.history.purged.get(place, 0)
            for field, cell in sorted(held.cells.items()):
                for name in sorted(cell):
                    if is_given_up(world, name):
                        continue
                    again = model.superseders(place, field, name, remembered) if name in model else []
                    beginnings = [o for o in again if o.reborn and o.clears is None]
                    if beginnings:
                        what = f"{field}={cell[name]} is from before the record began anew with {listed(beginnings)}"
                        raise self.fail(node, place, what, field=field, shown=str(name))
