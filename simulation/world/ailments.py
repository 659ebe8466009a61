"""What the plan does to one node's disk and clock.

Knows no other node. Invariant: a fault with a length ends by itself; a later one of the same kind replaces it; healing
ends all of the disk's, and clocks stay as wrong as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

from holdfast.errors import StorageError

from ..disk.conditions import HEALTHY
from ..plans import actions as plan
from .node import SimNode


@dataclass(slots=True)
class Ailments:
    """The faults of one node's disk and clock."""

    node: SimNode
    _turns: dict[str, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def strike(self, action: plan.Storage | plan.Clock) -> None:
        """Let it begin; it ends by itself if it has a length."""
        match action:
            case plan.ClockSkew() | plan.ClockJump() | plan.ClockFreeze() | plan.ClockGranularity():
                self._strike_clock(action)
            case _:
                self._strike_disk(action)

    def _strike_clock(self, action: plan.Clock) -> None:
        clock = self.node.clock
        match action:
            case plan.ClockSkew():
                clock.correct()
                clock.jump(action.offset_ms)
            case plan.ClockJump():
                clock.jump(action.by_ms)
            case plan.ClockFreeze():
                clock.freeze()
                self._ends("clock", action.for_ms, clock.correct)
            case plan.ClockGranularity():
                clock.tick_by(action.step_ms)
            case _:
                assert_never(action)

    def _strike_disk(self, action: plan.Storage) -> None:
        match action:
            case plan.DiskFull():
                self._set(full=True)
                self._ends("full", action.for_ms, lambda: self._set(full=False))
            case plan.SpaceReturns():
                self._set(full=False)
                self._ends("full", None, lambda: None)
            case plan.ReadErrors():
                self._set(read_error_per_mille=action.per_mille)
                self._ends("read", action.for_ms, lambda: self._set(read_error_per_mille=0))
            case plan.WriteErrors():
                self._set(write_error_per_mille=action.per_mille)
                self._ends("write", action.for_ms, lambda: self._set(write_error_per_mille=0))
            case plan.StallDisk():
                self._latency((action.for_ms * 1000, action.for_ms * 1000), action.for_ms)
            case plan.SlowDisk():
                self._latency((action.latency_ms_min * 1000, action.latency_ms_max * 1000), action.for_ms)
            case plan.HoldLock() | plan.HoldReader():
                self._hold(action)
            case _:
                assert_never(action)

    def heal(self) -> None:
        """All faults of the disk end; a frozen clock runs again."""
        for kind in [*self._turns]:
            self._turns[kind] += 1
        self.node.disk.condition = HEALTHY
        self.node.disk.release_lock()
        self.node.clock.thaw()

    def _latency(self, bounds: tuple[int, int], for_ms: int) -> None:
        self.node.disk.condition = replace(self.node.disk.condition, latency_us=bounds)
        self._ends("latency", for_ms, lambda: self._set(latency_us=HEALTHY.latency_us))

    def _hold(self, action: plan.HoldLock | plan.HoldReader) -> None:
        try:
            self.node.disk.hold_lock("write" if isinstance(action, plan.HoldLock) else "read")
        except StorageError:
            return  # another has it, or the disk fails: the other tool is told so
        self._ends("lock", action.for_ms, self.node.disk.release_lock)

    def _set(self, **fields: object) -> None:
        self.node.disk.condition = replace(self.node.disk.condition, **fields)  # type: ignore[arg-type] # those of Condition

    def _ends(self, kind: str, for_ms: int | None, end: Callable[[], object]) -> None:
        turn = self._turns[kind] = self._turns.get(kind, 0) + 1

        async def later(wait_ms: int) -> None:
            await asyncio.sleep(wait_ms / 1000)
            if self._turns[kind] == turn:
                end()

        if for_ms is not None:
            task = asyncio.create_task(later(for_ms))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
