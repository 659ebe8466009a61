"""What the tests of simulated disks share: virtual time, engines that can die, and how a file is judged."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from holdfast import Engine, Seams, SideFile
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.mortal import Mortal

from ..nodes import Wall


class Patient(selectors.DefaultSelector):
    """Waits by moving the clock of its loop."""

    now = 0.0

    def select(self, timeout=None):
        assert timeout is not None, "nothing is left to happen"
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The standard loop on virtual time."""

    def __init__(self) -> None:
        self.patient = Patient()
        super().__init__(self.patient)

    def time(self) -> float:
        return self.patient.now


def virtually(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class MortalEngine(Mortal, Engine):
    """An engine of a simulated node."""


def booted(disk: Disk, life: int = 0, **options: Any) -> Any:
    """Open the engine of a disk; `life` makes the randomness of one life differ from another's."""
    seams = Seams(time=Wall(), entropy=random.Random(f"{disk.name}:{life}").randbytes, storage=disk)
    return MortalEngine.open(
        disk.path, seams=seams, witness=SideFile(disk.path, bound=False), space="plant", name=disk.name, **options
    )


async def keys(node: Engine, collection: str = "t") -> list[str]:
    """The keys of the living records, in order."""
    return sorted(record.key for record in await node[collection].query())


def files(folder: Path) -> list[str]:
    """The names of a folder's files, in order."""
    return sorted(file.name for file in folder.iterdir())
