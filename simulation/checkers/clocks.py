"""I8: a node's hybrid clock only grows, is saved with what it stamps, follows what it believes and nothing else."""

from __future__ import annotations

from typing import ClassVar

from .view import Checker, NodeView, WorldView, observed

_TICKS_PER_COMMIT = 1 << 16
"""Stamps that one commit may draw: jobs that fail draw one as well."""


class Clocks(Checker):
    """Stamps never contradict causality, and no peer can drag a clock along."""

    name: ClassVar[str] = "I8 the clock is monotone, saved and not dragged"

    def step(self, world: WorldView, node: NodeView) -> None:
        """The saved clock, against the one before, the stamps that were given and those that came."""
        seen = observed(world, node)
        saved, before = seen.image.clock, seen.clock_before
        floor = before or 0
        if saved < floor:
            raise self.fail(node, None, f"the saved clock went back from {floor} to {saved}")
        for operation in seen.wrote:
            if operation.renames is None and not floor <= operation.name.clock <= saved:
                what = f"{operation} is stamped {operation.name.clock}; the saved clock was {before} and is {saved}"
                raise self.fail(node, operation.place, what, clock=saved, before=before)
        horizon = (seen.wall_ms + world.drift_ms_max) << 16 | 0xFFFF
        for place, name in seen.came:
            if saved < name.clock <= horizon:
                what = f"{name} came with stamp {name.clock}, which is believable, and the saved clock is {saved}"
                raise self.fail(node, place, what, clock=saved, horizon=horizon)
        if before is not None and saved > max(floor, horizon) + _TICKS_PER_COMMIT:
            what = f"the saved clock is {saved}, beyond {max(floor, horizon)}: the wall clock and what may be believed"
            raise self.fail(node, None, what, clock=saved, horizon=horizon, wall_ms=seen.wall_ms)
