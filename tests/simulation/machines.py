"""What the tests of simulated disks share: virtual time, engines that can die, and how a file is judged."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from holdfast import Engine, Seams, SideFile
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.mortal import Mortal
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.loop import SimLoop
from holdfast.simulation.kernel.trace import Trace

from ..nodes import Wall


def virtually(coroutine: Coroutine[Any, Any, Any], seed: int = 0) -> Any:
    """Run to the end on virtual time, on the loop of worlds; what still runs then is abandoned."""
    loop = SimLoop(SeededChoices(seed), Trace())
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


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
