"""I5: no node shows a value that an operation it has taken in has superseded.

What a node has taken in is all that its file has ever stood for since it was last rolled back: a value that comes back
after its successor was here breaks it, even if no trace of the successor is left.
"""

from __future__ import annotations

from typing import ClassVar

from .view import Checker, NodeView, WorldView, changed, is_given_up, judged, listed, observed, taken_in


class Causality(Checker):
    """Readers never see the past of what was here."""

    name: ClassVar[str] = "I5 no superseded value is shown"

    def step(self, world: WorldView, node: NodeView) -> None:
        """Every record that changed."""
        seen, model = observed(world, node), world.model
        for place in changed(world, node):
            if not judged(world, place):
                continue
            held, here = seen.image.records[place], taken_in(world, node, place)
            gone = world.history.purged.get(place, 0)
            shown = [(field, name) for field, cell in sorted(held.cells.items()) for name in sorted(cell)]
            for field, name in [*shown, *((None, name) for name in sorted(held.existence))]:
                known = here if field is None else here & ~gone  # what fields say was forgotten with what is gone
                newer = model.superseders(place, field, name, known) if name in model else []
                if newer and not is_given_up(world, name):
                    what = f"{field or 'the existence'} shows {model.operation(name)}, superseded by {listed(newer)}"
                    raise self.fail(node, place, what, field=field, shown=str(name), by=[str(n.name) for n in newer])
