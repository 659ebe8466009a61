"""Real engines in a world, as a program: prints what another process must print as well.

python -m tests.simulation.scenario SEED FOLDER
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from hashlib import blake2b
from pathlib import Path

from holdfast import Engine, Seams
from holdfast.engine.storage.connection import connect_reader, connect_writer
from holdfast.engine.storage.faults import translated
from holdfast.engine.witness import SideFile
from holdfast.errors import EngineClosed
from holdfast.simulation.kernel.choices import (
    RecordingChoices,
    SeededChoices,
    TapedChoices,
    between,
    bytes_source,
    chance,
)
from holdfast.simulation.kernel.clock import drawn_clock
from holdfast.simulation.kernel.loop import SimLoop
from holdfast.simulation.kernel.trace import Trace
from tests.nodes import meet

NAMES = ("hub", "a", "b", "c")


class Inline:
    """A connection whose functions run in line, after a virtual latency."""

    def __init__(self, storage, connection, path):
        self.storage, self.connection, self.path = storage, connection, str(path)
        self.lock = asyncio.Lock()

    async def run(self, function, *args, **kwargs):
        async with self.lock:
            await asyncio.sleep(between(self.storage.choices, f"disk:{self.storage.node}", 20, 3_000) / 1_000_000)
            if self.connection is None:
                raise EngineClosed("the engine is closed", subject=self.path, remedy="Open it again.")
            with translated(self.path):
                return function(self.connection, *args, **kwargs)

    def hand(self, function, done):
        self.handed = asyncio.create_task(self._handed(function, done))

    async def _handed(self, function, done):
        try:
            result, error = await self.run(function), None
        except Exception as fault:  # noqa: BLE001 - it belongs to whom `done` tells
            result, error = None, fault
        done(result, error)

    async def close(self):
        async with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    def interrupt_reading(self):
        pass


class InlineStorage:
    """What opens them."""

    def __init__(self, choices, node):
        self.choices, self.node, self.opened = choices, node, []

    async def open_writer(self, path, durability="full"):
        return self._keep(Inline(self, connect_writer(path, durability), path))

    async def open_reader(self, path):
        return self._keep(Inline(self, connect_reader(path), path))

    def _keep(self, connection):
        self.opened.append(connection)
        return connection


class World:
    """A hub and three nodes that write the same few records, meet, and crash now and then."""

    def __init__(self, folder, choices, trace):
        self.folder, self.choices, self.trace = folder, choices, trace
        self.loop = SimLoop(choices, trace)
        self.engines, self.storages, self.lives = {}, [], dict.fromkeys(NAMES, 0)

    def seams(self, name):
        clock = drawn_clock(self.choices, name, lambda: self.loop.now_us)
        storage = InlineStorage(self.choices, name)
        self.storages.append(storage)
        return Seams(time=clock, entropy=bytes_source(self.choices, f"ids:{name}"), storage=storage)

    async def open(self, name):
        path = self.folder / f"{name}-{self.lives[name]}.db"
        witness = SideFile(path, bound=False)
        seams = self.seams(name)
        options = {"space": "s", "name": name, "durability": "normal"}
        self.engines[name] = await Engine.open(path, witness=witness, seams=seams, **options)
        return path

    async def life(self, name):
        """Write, watch and sync for ever."""
        await self.open(name)
        engine = self.engines[name]
        watchers = [asyncio.create_task(self.watch(name, engine, number)) for number in range(3)]
        for number in range(10_000):
            key = f"k{between(self.choices, 'work', 0, 3)}"
            await asyncio.gather(
                engine["notes"].put(key, {"by": name, "n": number}),
                engine["notes"].put(f"{name}-{number % 5}", {"n": number}),
            )
            if name != "hub" and "hub" in self.engines and chance(self.choices, "work", 400):
                report = await meet(engine, self.engines["hub"])
                self.trace.add(
                    self.loop.now_us, name, "synced", f"{report.rounds}" if hasattr(report, "rounds") else ""
                )
            await asyncio.sleep(between(self.choices, "work", 1, 400) / 1000)
        await asyncio.wait(watchers)

    async def watch(self, name, engine, number):
        async for change in engine.watch(0):
            self.trace.add(self.loop.now_us, name, "changed", f"{number}: {change.collection}/{change.key}")

    async def crash(self, name):
        """Copy the files as they lie, and go on with the copy."""
        del self.engines[name]
        self.loop.abandon(name)
        old = self.folder / f"{name}-{self.lives[name]}.db"
        self.lives[name] += 1
        for suffix in ("", "-wal", "-witness"):
            image = old.with_name(old.name + suffix)
            if image.exists():
                shutil.copy(image, self.folder / f"{name}-{self.lives[name]}.db{suffix}")
        self.trace.add(self.loop.now_us, name, "crashed")

    def close(self):
        """Close what crashes left open: the files that it belongs to were given up."""
        for connection in [one for storage in self.storages for one in storage.opened]:
            if connection.connection is not None:
                connection.connection.close()
        self.loop.close()

    async def run(self):
        for name in NAMES:
            self.loop.spawn(name, self.life(name))
        for _ in range(3):
            await asyncio.sleep(between(self.choices, "work", 300, 900) / 1000)
            victim = NAMES[1 + between(self.choices, "work", 0, 2)]
            await self.crash(victim)
            await asyncio.sleep(0.2)
            self.loop.spawn(victim, self.life(victim))
        await asyncio.sleep(1)
        for name in NAMES:
            self.loop.abandon(name)
        await self.settle()

    async def settle(self):
        """Open what the crashes left, meet until all agree, and note every state."""
        self.engines.clear()
        for name in NAMES:
            old = self.folder / f"{name}-{self.lives[name]}.db"
            self.lives[name] += 1
            for suffix in ("", "-wal", "-witness"):
                if (image := old.with_name(old.name + suffix)).exists():
                    shutil.copy(image, self.folder / f"{name}-{self.lives[name]}.db{suffix}")
            await self.open(name)
        for _ in range(2):
            for name in NAMES[1:]:
                await meet(self.engines[name], self.engines["hub"])
        for name in NAMES:
            status = await self.engines[name].status()
            said = json.dumps([status.digest, status.vector, status.records], sort_keys=True)
            self.trace.state(self.loop.now_us, name, blake2b(said.encode(), digest_size=8).digest())
        for name in NAMES:
            await self.engines[name].close()


def play(folder, choices, *, steps=False):
    """Run it; gives the trace and the digests of all nodes."""
    trace = Trace(keep=None, steps=steps)
    folder.mkdir(parents=True)
    world = World(folder, choices, trace)
    try:
        world.loop.run_until_complete(world.run())
    finally:
        world.close()
    assert not world.loop.complaints, world.loop.complaints
    return trace


def recorded(folder, seed):
    """Run it by seed; gives the trace and the tape."""
    choices = RecordingChoices(SeededChoices(seed))
    return play(folder, choices), choices.tape


def replayed(folder, tape):
    """Run it by tape."""
    choices = TapedChoices(tape)
    trace = play(folder, choices)
    assert choices.position == len(tape)
    return trace


if __name__ == "__main__":
    done = play(Path(sys.argv[2]), SeededChoices(sys.argv[1]))
    states = [row.detail for row in done if row.what == "state"]
    sys.stdout.write(json.dumps({"digest": done.digest(), "rows": done.count, "states": states}) + "\n")
