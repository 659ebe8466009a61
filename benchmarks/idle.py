"""IDLE: the memory of a node that has opened a file of 100,000 records and waits, before and after it met its hub."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from tempfile import TemporaryDirectory

from .catch_up import fill_space
from .hub import Space, hub_process
from .measure import rss_mb
from .processes import node_process
from .replica import COLLECTION
from .scenario import Aim, Plan, Result, progress

TITLE = "memory of an idle node"
AIMS = {"rss_mb": Aim(bound=50), "synced_rss_mb": Aim(bound=50)}
RECORDS = 100_000

NODE = f"""
import asyncio, sys
from holdfast import Engine, Hub

async def main():
    file, space, key, url, token = sys.argv[1:]
    async with Engine.open(file, space=space) as engine:
        assert await engine[{COLLECTION!r}].get(key)
        if url:
            await engine.sync(Hub(url, token=token))
        print("idle", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def run(plan: Plan) -> Result:
    """Measures memory."""
    pairs = plan.records(RECORDS)
    with TemporaryDirectory(dir=plan.directory) as name:
        async with hub_process(Path(name)) as hub:
            space = hub.add_space()
            with node_process() as giver:
                file = await fill_space(giver, Path(name), space, pairs)
            progress("waiting idly")
            alone = await _idle_rss_mb(file, space, pairs[0][0], "")
            synced = await _idle_rss_mb(file, space, pairs[0][0], hub.url)
    return Result(figures={"rss_mb": alone, "synced_rss_mb": synced})


async def _idle_rss_mb(file: Path, space: Space, key: str, url: str) -> float:
    """The memory of a plain process with an open engine; with a URL, after a sync."""
    arguments = [str(file), space.name, key, url, space.hub.token]
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE, *arguments, cwd=file.parent, stdin=PIPE, stdout=PIPE
    )
    assert node.stdout
    if await node.stdout.readline() != b"idle\n":
        raise RuntimeError(f"a node that opens {file} failed")
    found = rss_mb(node.pid)
    await node.communicate(b"")
    return found
