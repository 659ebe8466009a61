"""Many edges in one process, for numbers that processes of their own would not allow.

Run as a program: ``python swarm.py FOLDER SPACE URL FIRST COUNT``, with HOLDFAST_TOKEN. Each edge writes, syncs until
it got through, and says so; a line on stdin begins the next round. Failed syncs are tried again after a random time,
as applications do. Invariant: an edge is "through" only when a sync was completed after its write.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from holdfast import Engine, HoldfastError, Hub

BACKOFF_S_MAX = 1.0


def say(**what: object) -> None:
    """One report, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def through(engine: Engine, hub: Hub) -> int:
    """Sync until it is completed; gives how often that failed."""
    failed = 0
    while True:
        try:
            async with asyncio.timeout(20):
                report = await engine.sync(hub)
        except (HoldfastError, TimeoutError):
            failed += 1
        else:
            if report.completed:
                return failed
        await asyncio.sleep(random.uniform(0, BACKOFF_S_MAX))


async def main(folder: str, space: str, url: str, first: str, count: str) -> None:
    """Rounds until stdin ends."""
    hub, loop = Hub(url, token=os.environ["HOLDFAST_TOKEN"]), asyncio.get_running_loop()
    numbers = range(int(first), int(first) + int(count))
    engines = [await Engine.open(Path(folder) / f"s{n}.db", space=space, durability="normal") for n in numbers]
    for turn in range(1_000):
        for number, engine in zip(numbers, engines, strict=True):
            await engine["t"].put(f"edge{number}", {"v": f"{number}#{turn}"})
        failed = await asyncio.gather(*(through(engine, hub) for engine in engines))
        lives = [(await engine.status()).incarnations for engine in engines]
        say(turn=turn, failed=sum(failed), renewed=sum(count > 1 for count in lives))
        if not await loop.run_in_executor(None, sys.stdin.readline):
            break
    for engine in engines:
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
