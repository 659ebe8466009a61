"""Wrong clocks, when a rule of time is broken."""

from __future__ import annotations

from holdfast.clocks import HybridClock
from holdfast.clocks.hybrid import pack
from holdfast.engine import replica
from holdfast.engine.cells import Record
from holdfast.engine.join import join
from holdfast.engine.storage import apply
from holdfast.errors import SessionRefused

from .mutants import Patch, mutant

_FAR_MS = 2**46


@mutant("stamps from beyond the drift bound move the clock", "Clocks; B5", "clocks")
def _(patch: Patch) -> None:
    patch.setattr(HybridClock, "horizon", lambda self: pack(_FAR_MS, 0))


@mutant("operations from beyond the drift bound are refused", "Clocks; B5", "clocks")
def _(patch: Patch) -> None:
    original = replica.Replica.apply

    async def apply_sensible(self, batch, actor, **how):
        horizon = self._node.seams.time.now_ms() + 300_000
        if any(clock >> 16 > horizon for clock in batch.delta.clock):
            raise SessionRefused("its clock is wrong", subject=actor, remedy="Set it.")
        return await original(self, batch, actor, **how)

    patch.setattr(replica.Replica, "apply", apply_sensible)


@mutant("stamps are wall time", "Clocks; B5; B9", "clocks")
def _(patch: Patch) -> None:
    def tick(self):
        self._last = pack(self._physical_ms(), 0)
        return self._last

    patch.setattr(HybridClock, "tick", tick)


@mutant("the logical counter wraps", "Clocks; B7", "clocks")
def _(patch: Patch) -> None:
    def tick(self):
        last = self._last & ~0xFFFF | (self._last + 1) & 3
        self._last = max(last, self._physical_ms() << 16)
        return self._last

    patch.setattr(HybridClock, "tick", tick)


@mutant("a merge keeps the latest value and forgets its siblings", "Join; B9; B10", "network")
def _(patch: Patch) -> None:
    def latest(ours, our_context, theirs, their_context):
        joined = join(ours, our_context, theirs, their_context)
        cells = {
            name: dict([max(cell.items(), key=lambda each: each[1].stamp.clock)]) for name, cell in joined.cells.items()
        }
        return Record(joined.existence, cells)

    patch.setattr(apply, "join", latest)


@mutant("a later clock wins over a write that has seen the value", "Clocks; B5; B9", "clocks")
def _(patch: Patch) -> None:
    def by_clock(ours, our_context, theirs, their_context):
        joined = join(ours, our_context, theirs, their_context)
        cells = {}
        for name, cell in joined.cells.items():
            before = ours.cells.get(name, {})
            newest = max((sibling.stamp.clock for sibling in cell.values()), default=0)
            later = {dot: sibling for dot, sibling in before.items() if sibling.stamp.clock > newest}
            cells[name] = {**cell, **later}
        return Record(joined.existence, cells)

    patch.setattr(apply, "join", by_clock)
    patch.setattr(apply.Follower, "settle", lambda self, rows, found: [*rows])
