"""A process that writes until it is killed, and tells each write that was acknowledged on its standard output.

Run as a program: ``python writer.py FILE SEED [HUB]``. With HUB, a file, it also syncs with that hub in this process.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

from holdfast import Engine
from holdfast.engine.replica import Replica
from holdfast.engine.storage import connection
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync


def told(*what: object) -> None:
    """One line, at once: what was printed, happened."""
    print(json.dumps(what), flush=True)  # noqa: T201 - a program for other programs


async def write(engine: Engine, rng: random.Random, name: str) -> None:
    """Write for ever, in every way there is."""
    count = 0
    while True:
        count += 1
        dice = rng.random()
        if dice < 0.7:
            key, value = f"{name}{rng.randrange(40)}", rng.randrange(10**9)
            receipt = await engine["t"].put(key, {"v": value, "pad": "x" * rng.randrange(2_000)})
            told("put", key, value, receipt.dot.actor, receipt.dot.seq)
        elif dice < 0.85:
            keys = [f"tx{rng.randrange(10**6)}" for _ in range(5)]
            async with engine.transaction() as tx:
                for key in keys:
                    tx.put("t", key, {"v": count})
            for key, receipt in zip(keys, tx.receipts, strict=True):
                told("put", key, count, receipt.dot.actor, receipt.dot.seq)
        else:
            start = rng.randrange(10**6)
            rows = [(f"bulk{start}/{n}", {"v": n, "pad": "y" * 200}) for n in range(300)]
            report = await engine["t"].put_many(rows)
            told("bulk", start, report.records)


async def meet(engine: Engine, hub: Engine) -> None:
    """Sync for ever."""
    while True:
        report = await sync(
            Replica(engine), MemoryLink(lambda chunks: respond(Replica(hub), chunks, rights="rw"), url="memory://hub")
        )
        told("synced", report.sent, report.received)


async def main(path: Path, seed: int, hub_path: Path | None) -> None:
    """Write, and sync, until the end."""
    connection.CHECKPOINT_PAGES = 60  # many checkpoints: some kills fall into one
    rng = random.Random(seed)
    async with Engine.open(path, space="s", name="edge") as engine, asyncio.TaskGroup() as tasks:
        told("open", await engine.actor())
        if hub_path is None:
            for writer in range(4):
                tasks.create_task(write(engine, random.Random(rng.random()), f"w{writer}/"))
            return
        hub = await Engine.open(hub_path, space="s", name="hub")
        tasks.create_task(write(engine, random.Random(rng.random()), "edge/"))
        tasks.create_task(write(hub, random.Random(rng.random()), "hub/"))
        tasks.create_task(meet(engine, hub))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))
