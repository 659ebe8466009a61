"""Real engines on real files without threads, each watched by a recorder: what fleets and checkers are tested with."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import AskOnDelete, DeleteWins, Engine, FirstWriterWins, Manual, MultiValue, Schema, Seams, SideFile, Take
from holdfast.simulation.observed.recorder import Recorder, intents_of, merges

START_MS = 1_750_000_000_000
DRIFT_MS = 300_000


@dataclass(frozen=True)
class Longest:
    """A resolver as a user would write it."""

    name: str = "longest"
    version: int = 1

    def resolve(self, conflict):
        return Take(max(range(len(conflict.siblings)), key=lambda at: (len(conflict.siblings[at].text), at)))


SCHEMAS = [
    Schema(name="tasks", fields={"a": MultiValue(), "b": Manual(), "c": Longest()}, on_delete=AskOnDelete()),
    Schema(name="sites", default=FirstWriterWins(), on_delete=DeleteWins()),
]


@dataclass(slots=True)
class Wall:
    ms: int = START_MS

    def now_ms(self) -> int:
        return self.ms


class InlineConnection:
    """A connection whose functions run at once; the one that writes is watched."""

    def __init__(self, node: Node, *, writes: bool) -> None:
        self.path, self.node, self.writes = str(node.path), node, writes
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute(f"PRAGMA {'synchronous = OFF' if writes else 'query_only = ON'}")
        self.closed = False

    async def run(self, function, *args, **kwargs):
        await asyncio.sleep(0)
        return self.now(function, *args, **kwargs)

    def hand(self, function, done):
        def step():
            try:
                result, error = self.now(function), None
            except Exception as fault:  # noqa: BLE001 - as the storage thread hands it over
                result, error = None, fault
            if not self.closed:
                done(result, error)

        asyncio.get_running_loop().call_soon(step)

    def now(self, function, *args, **kwargs):
        if self.closed:
            raise asyncio.CancelledError
        if not self.writes:
            return function(self.connection, *args, **kwargs)
        recorder = self.node.recorder
        self.node.commits += 1
        recorder.observe_before(self.connection)
        try:
            result = function(self.connection, *args, **kwargs)
        except BaseException:
            recorder.undone()
            raise
        if recorder.observe_after(self.connection, wall_ms=self.node.wall.ms):
            self.node.fleet.check(self.node)
        return result

    async def close(self) -> None:
        self.closed = True
        self.connection.close()

    def interrupt_reading(self) -> None:
        pass


@dataclass(slots=True)
class Inline:
    node: Node

    async def open_writer(self, path, durability="full"):
        return InlineConnection(self.node, writes=True)

    async def open_reader(self, path):
        return InlineConnection(self.node, writes=False)


class WatchedEngine(Engine):
    """The engine whose jobs are announced to the recorder."""

    async def write(self, job):
        recorder = self.seams.storage.node.recorder
        recorder.submitted(intents_of(job))
        if not merges(job):
            return await super().write(job)

        def watched(tx):
            recorder.observe_between(tx.connection)
            result = job(tx)
            recorder.observe_between(tx.connection)
            return result

        return await super().write(watched)


@dataclass(slots=True)
class Node:
    """One node and its view for checkers."""

    fleet: Any
    name: str
    path: Path
    wall: Wall
    recorder: Recorder
    entropy: random.Random
    engine: Any = None
    raw: sqlite3.Connection | None = None
    commits: int = 0
    backup: Path | None = None
    status: Any = None
    verified: Any = None
    exported: Any = None
    watched: Any = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self.raw is None:
            self.raw = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        return self.raw

    async def open(self) -> None:
        seams = Seams(time=self.wall, entropy=self.entropy.randbytes, storage=Inline(self), drift_ms_max=DRIFT_MS)
        witness = SideFile(self.path, bound=False)
        self.engine = await WatchedEngine.open(
            self.path, space="fleet", name=self.name, schemas=SCHEMAS, seams=seams, witness=witness
        )

    async def close(self) -> None:
        if self.raw is not None:
            self.raw.close()
            self.raw = None
        if self.engine is not None:
            await self.engine.close()
            self.engine = None

    def save(self, folder: Path) -> None:
        """Copy the file as it stands."""
        folder.mkdir(exist_ok=True)
        for suffix in ("", "-wal", "-witness"):
            source = Path(f"{self.path}{suffix}")
            (folder / f"db{suffix}").unlink(missing_ok=True)
            if source.exists():
                shutil.copy(source, folder / f"db{suffix}")

    def put_back(self, folder: Path, suffixes=("", "-wal", "-witness")) -> None:
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        for suffix in ("", "-wal"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        for suffix in suffixes:
            if (folder / f"db{suffix}").exists():
                shutil.copy(folder / f"db{suffix}", f"{self.path}{suffix}")
