"""W1a: durable writes that are committed one by one, by a single writer and by 64 at once.

Both are compared with the floor's single-row commits. One by one shows the cost of a round through the storage
thread; 64 writers show that writes which wait together share a commit, each still durable before its call returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from holdfast import Engine

from . import floor
from .measure import in_turns
from .records import Fields, Pairs
from .replica import COLLECTION
from .scenario import Aim, Plan, Result

TITLE = "single durable writes"
AIMS = {
    "one_by_one": Aim(bound=0.4, at_least=True, condition="where an fsync costs 200 us or more"),
    "concurrent_64": Aim(bound=5, at_least=True, condition="where an fsync costs 200 us or more"),
}
WRITES = 1_000
WRITERS = 64


async def run(plan: Plan) -> Result:
    """Measures single writes."""
    pairs = plan.records(WRITES)
    fsyncs: list[float] = []
    repetitions = plan.repetitions(quick=7, full=25)

    async def floor_turn(_turn: int) -> float:
        fsyncs.append(floor.fsync_us(plan.directory))
        with TemporaryDirectory(dir=plan.directory) as name:
            return floor.write_singly(Path(name) / "floor.db", pairs)

    async def product_turn(writers: int, _turn: int) -> float:
        with TemporaryDirectory(dir=plan.directory) as name:
            return await _write_singly(Path(name) / "product.db", pairs, writers)

    alone = await in_turns("one writer", floor_turn, partial(product_turn, 1), repetitions)
    crowd = await in_turns(f"{WRITERS} writers", floor_turn, partial(product_turn, WRITERS), repetitions)
    return Result(
        figures={
            "fsync_us": median(fsyncs),
            "writes": len(pairs),
            "floor_per_s": len(pairs) / alone.floor_s,
            "one_by_one_per_s": len(pairs) / alone.product_s,
            "concurrent_64_per_s": len(pairs) / crowd.product_s,
        },
        ratios={"one_by_one": alone.speed, "concurrent_64": crowd.speed},
    )


async def _write_singly(file: Path, pairs: Pairs, writers: int) -> float:
    """Seconds until `writers` tasks, each awaiting one write after the other, have written all records."""
    async with Engine.open(file) as engine:
        rest = iter(pairs)
        start = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(_writer(engine, rest))
        return perf_counter() - start


async def _writer(engine: Engine, rest: Iterator[tuple[str, Fields]]) -> None:
    cities = engine[COLLECTION]
    for key, fields in rest:
        await cities.put(key, fields)
