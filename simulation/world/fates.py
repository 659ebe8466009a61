"""What the plan does to a node's process: stops, crashes, power cuts, backups, clones, attacks.

Invariant: whatever ends a process, its file is looked at as it was left before the next life begins.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from holdfast.errors import StorageError, Violation

from ..disk.images import CRASH_LEAVES, WITNESS, copy_files
from ..plans import actions as plan
from .node import SimNode

if TYPE_CHECKING:
    from .world import World


@dataclass(slots=True)
class Fates:
    """The fates of the nodes of a world."""

    world: World

    def meet(self, node: SimNode, action: plan.Life) -> None:
        """Let it happen now; a node that is down meets only what a device that is off can meet."""
        match action:
            case plan.Restart():
                self.restart(node)
            case plan.RestoreBackup():
                self._restore(node, action.backup)
            case plan.Clone():
                self._clone(node, action.as_node)
            case _ if node.engine is None:
                self.world.figures.skipped += 1
            case plan.Pause():
                self._pause(node, action.for_ms)
            case plan.Resume():
                self.resume(node)
            case plan.Crash():
                self.crash(node)
                self._back_later(node, action.down_ms)
            case plan.PowerCut():
                self._power_cut(node)
                self._back_later(node, action.down_ms)
            case plan.Backup():
                self._backup(node, action)
            case _:
                assert_never(action)

    def crash(self, node: SimNode) -> None:
        """Kill the process: nothing is cleaned up."""
        self._end(node, "crash")
        node.disk.crash_image(node.next_folder())
        self._look(node, "")

    def restart(self, node: SimNode) -> None:
        """Start a process that is down."""
        if node.engine is None and not node.opening:
            self.world.start(node)

    def resume(self, node: SimNode) -> None:
        """Let a stopped process go on."""
        if node.paused:
            self.world.chronicle.note(node.name, "resumed")
        node.paused = False
        self.world.loop.release(node.name)

    def escaped(self, subject: str, error: BaseException) -> Violation:
        """Something came out that nothing may raise."""
        if isinstance(error, Violation):
            return error
        fault = Violation(
            f"{type(error).__name__}: {error}",
            subject=subject,
            remedy="Nothing but the errors of the tree may come out of the engine, and those where they belong.",
        )
        fault.invariant = "one error tree"
        fault.__cause__ = error
        return fault

    def _pause(self, node: SimNode, for_ms: int | None) -> None:
        node.paused = True
        self.world.chronicle.note(node.name, "paused")
        self.world.loop.hold(node.name)
        if for_ms is not None:
            self.world.later(for_ms, lambda: self.resume(node))

    def _back_later(self, node: SimNode, down_ms: int | None) -> None:
        if down_ms is not None:
            self.world.later(down_ms, lambda: self.restart(node))

    def _end(self, node: SimNode, cause: str) -> None:
        self.world.chronicle.note(node.name, "down", cause)
        self.world.loop.abandon(node.name)
        self.world.network.crash(node.name)
        self.world.workers[node.name].busy = 0
        node.let_go()

    def _look(self, node: SimNode, rolled_back: str) -> None:
        """What the next life finds."""
        if not node.path.exists():  # it was never made, or no directory had its name when the power went
            with closing(sqlite3.connect(":memory:")) as nothing:
                if rolled_back:
                    node.recorder.reopened(nothing, wall_ms=node.clock.now_ms(), rolled_back=rolled_back)
            return
        connection, clock = node.connection, node.clock.now_ms()
        try:
            empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
            if rolled_back or not empty:  # a file that nobody has made yet has no earlier life
                node.recorder.reopened(connection, wall_ms=clock, rolled_back=rolled_back)
            if not empty:
                self.world.check(node)
        finally:
            node.let_go()

    def _power_cut(self, node: SimNode) -> None:
        self._end(node, "power cut")
        self.world.history.doubtful = True
        node.disk.power_cut(node.next_folder())
        unsafe = node.plan.durability != "full"
        self._look(node, "a power cut with durability normal" if unsafe else "")
        if unsafe:  # the witness may have gone with the writes: only a peer can tell
            self.world.history.copies.add(node.recorder.observed.image.actor)

    def _backup(self, node: SimNode, action: plan.Backup) -> None:
        target = node.folder / f"{node.name}-backup-{action.backup}"
        try:
            if action.whole:
                node.disk.snapshot(target)
            else:
                node.disk.backup(target)
        except (StorageError, OSError):
            self.world.figures.skipped += 1
            return
        node.backups[action.backup] = target

    def _is_anybody_copied(self) -> bool:
        """Whether two files live under one identity: a hub that forgets one of them is as another hub to the other.

        That is beyond what the engine promises (docs/reference/plan.md, The fault atlas), and no plan says when a copy
        is told.
        """
        actors = [each.recorder.observed.image.actor for each in self.world.nodes]
        return any(actors.count(actor) > 1 for actor in actors if actor)

    def _restore(self, node: SimNode, name: str) -> None:
        backup = node.backups.get(name)
        if backup is None or (node.plan.role == "hub" and self._is_anybody_copied()):
            self.world.figures.skipped += 1
            return
        self._end(node, f"restored from the backup {name}")
        node.disk.restore(backup, node.next_folder())
        self._look(node, f"restored from the backup {name}")
        if (backup / WITNESS).exists():  # which came back as well: only a peer can tell
            self.world.history.copies.add(node.recorder.observed.image.actor)
        self.restart(node)

    def _clone(self, node: SimNode, name: str) -> None:
        folder = node.folder / f"{name}-0"
        copy_files(node.disk.folder, folder, CRASH_LEAVES)
        clone = self.world.add(replace(node.plan, name=name), folder)
        if clone.path.exists():  # a node that has not come up yet may have none
            clone.recorder.cloned(clone.connection, wall_ms=clone.clock.now_ms())
            clone.let_go()
        clone.routines = [*node.routines]
        self.world.start(clone)
