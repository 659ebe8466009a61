"""A loop with virtual time and storage without threads, for tests of the network alone: real engines on real files."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from holdfast import Engine, Seams
from holdfast.engine.replica import Replica
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.network.network import Network
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from ..nodes import Wall


class _Jumping(selectors.SelectSelector):
    """A selector that does not wait: it lets time pass."""

    now = 0.0

    def select(self, timeout=None):
        assert timeout is not None, "nothing is left to happen, and something is still waited for"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer; its tasks belong to nodes."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._tasks_of: dict[str, list[asyncio.Task]] = {}
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor, func, *args):
        """At once: no thread could wake a loop that does not wait."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the future passes it on
            future.set_exception(error)
        return future

    def spawn(self, node, coroutine):
        task = self.create_task(coroutine)
        self._tasks_of.setdefault(node, []).append(task)
        return task

    def end(self, node):
        """Cancel the tasks of a node."""
        for task in self._tasks_of.pop(node, []):
            task.cancel()


@dataclass
class Lab:
    """Nodes on files in a folder, and the network between them."""

    folder: Path
    choices: SeededChoices
    network: Network
    events: list[tuple] = field(default_factory=list)
    wall: Wall = field(default_factory=Wall)
    engines: dict[str, Engine] = field(default_factory=dict)

    async def open(self, *names: str, space: str = "plant") -> list[Engine]:
        """Open nodes, and let them answer."""
        for name in names:
            entropy = lambda size, name=name: bytes(self.choices.draw(f"ids:{name}", 256) for _ in range(size))
            disk = Disk(name, self.folder / name, self.choices)
            seams = Seams(time=self.wall, entropy=entropy, storage=disk)
            self.engines[name] = await Engine.open(disk.path, space=space, seams=seams, durability="normal")
            self.network.register(name, self._responder(name))
        return [self.engines[name] for name in names]

    async def sync(self, caller: str, callee: str):
        """One sync over the network."""
        return await sync(Replica(self.engines[caller]), self.network.link(caller, callee))

    async def shut(self, *names: str) -> None:
        """Close nodes in an orderly way."""
        for name in names or list(self.engines):
            self.network.register(name, None)
            asyncio.get_running_loop().end(name)
            await self.engines.pop(name).close()

    def traffic(self, caller: str, callee: str):
        return self.network.traffic[caller, callee]

    def happened(self, what: str) -> list[tuple]:
        return [event for event in self.events if event[3] == what]

    def _responder(self, name: str):
        def answer(chunks, caller) -> AsyncGenerator[bytes, None]:
            return respond(Replica(self.engines[name]), chunks, rights="rw")

        return answer


def run(folder: Path, test, seed: int = 1):
    """Run `test(lab)` under virtual time; no fault of a responder is passed over."""

    async def whole():
        choices, events = SeededChoices(seed), []
        network = Network(choices, asyncio.get_running_loop(), on_event=lambda *event: events.append(event))
        lab = Lab(folder, choices, network, events)
        try:
            result = await test(lab)
            assert network.faults == []
            return result
        finally:
            await lab.shut()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())
