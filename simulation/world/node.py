"""One node of a world: its disk, its clock, its lives, and what it does again after each start.

Knows no plan and no other node. Invariants: `engine` is None from the step of a crash until the node has opened again;
everything that runs on the node belongs to its life in the loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast import Purge, SideFile
from holdfast.engine.schema import Schema
from holdfast.engine.status import Status
from holdfast.engine.verify import VerifyReport

from ..disk.disk import Disk
from ..kernel.choices import Choices, bytes_source
from ..kernel.clock import NodeClock
from ..observed.image import Place
from ..observed.recorder import Recorder
from ..plans.plan import NodePlan
from .engine import SimEngine, SimSeams, Surroundings

SPACE = "simulation"
Routine = Callable[[str, SimEngine], Coroutine[Any, Any, None]]
"""What a node, given by its name, does again after each start; a clone does the same for itself."""


@dataclass(slots=True)
class SimNode:
    """A node, up or down.

    Attributes:
        plan: What the plan says of it.
        disk, clock, recorder: Its parts.
        schemas: What its application declares.
        folder: Where the folders of its lives are.
        routines: What it does again after each start.
        engine: While it is up.
        paused: Whether its process is stopped.
        status, verified, exported: What it said when it was asked last.
        watched: What a watcher was told last of each record; None if nobody watches.
        backups: By name.
    """

    plan: NodePlan
    disk: Disk
    clock: NodeClock
    recorder: Recorder
    schemas: tuple[Schema, ...]
    folder: Path
    choices: Choices
    routines: list[Routine] = field(default_factory=list)
    engine: SimEngine | None = None
    opening: bool = False
    paused: bool = False
    status: Status | None = None
    verified: VerifyReport | None = None
    exported: Mapping[Place, str] | None = None
    watched: dict[Place, tuple[int, bool]] | None = None
    backups: dict[str, Path] = field(default_factory=dict)
    _lives: int = 0
    _raw: sqlite3.Connection | None = None

    @property
    def name(self) -> str:
        """Its name in the plan."""
        return self.plan.name

    @property
    def path(self) -> Path:
        """Its file."""
        return self.disk.path

    @property
    def connection(self) -> sqlite3.Connection:
        """A raw, query-only connection to the file as it is now."""
        if self._raw is None:
            self._raw = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        return self._raw

    def next_folder(self) -> Path:
        """A folder for the next life."""
        self._lives += 1
        return self.folder / f"{self.name}-{self._lives}"

    def let_go(self) -> None:
        """The file is going to be another one."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self.engine, self.opening, self.paused, self.status, self.watched = None, False, False, None, None

    async def open(self, around: Surroundings) -> SimEngine:
        """Open the file; the caller says when the node counts as up."""
        seams = SimSeams(
            time=self.clock,
            entropy=bytes_source(self.choices, f"ids:{self.name}"),
            storage=self.disk,
            batch_bytes=self.plan.batch_bytes,
            around=around,
        )
        return await SimEngine.open(
            self.path,
            space=SPACE,
            name=self.name,
            schemas=self.schemas,
            durability=self.plan.durability,
            purge=_patience(self.plan),
            witness=SideFile(self.path, bound=False),
            seams=seams,
        )

    def begin_watch(self) -> dict[Place, tuple[int, bool]]:
        """Where a watch that begins now notes what it is told."""
        self.watched = {}
        return self.watched

    def forget_routine(self, routine: Routine) -> None:
        """Do it no more after the next start."""
        with suppress(ValueError):
            self.routines.remove(routine)


def _patience(plan: NodePlan) -> Purge:
    silent_ms = plan.silent_after_ms
    return Purge(every_s=plan.purge_every_ms / 1000, silent_after_s=None if silent_ms is None else silent_ms / 1000)
