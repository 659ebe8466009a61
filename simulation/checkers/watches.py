"""I13, of watches: who watches a node hears of every change, in the order of the feed.

A slow watcher sees the net change of a record instead of each step; so what it was told last is how the record stands.
"""

from __future__ import annotations

from typing import ClassVar

from .view import Checker, NodeView, WorldView, observed


class Watches(Checker):
    """Nothing changes unheard."""

    name: ClassVar[str] = "I13 a watch tells of every change"

    def end(self, world: WorldView) -> None:
        """What each watcher was told last of each record."""
        for node in world.nodes:
            if node.watched is not None:
                self._compare(world, node)

    def _compare(self, world: WorldView, node: NodeView) -> None:
        told = node.watched or {}
        for place, held in sorted(observed(world, node).image.records.items()):
            stands = (held.lsn, held.live)
            if told.get(place) != stands:
                what = f"its watcher was told {_said(told.get(place))}, it stands at {_said(stands)}"
                raise self.fail(node, place, what)
        for place, change in sorted(told.items()):
            if change[1] and place not in observed(world, node).image.records:
                raise self.fail(node, place, f"its watcher was told {_said(change)}, and it is gone")


def _said(change: tuple[int, bool] | None) -> str:
    return f"lsn {change[0]}, {'alive' if change[1] else 'dead'}" if change else "nothing"
