"""COPIES: what it costs to keep, carry and check 100,000 records: snapshots, bundles, verify, a look into the past.

The floor of a snapshot is a plain copy of the file, synced. The floor of the others is none: they are rates.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from holdfast import Engine

from .measure import in_turns
from .records import json_lines
from .replica import COLLECTION, edit, put
from .scenario import Aim, Plan, Result, progress

TITLE = "snapshots, bundles, verify, the past"
AIMS: dict[str, Aim] = {}
RECORDS = 100_000
EDITED = 10
"""One record of so many is edited, so that there is something to take back."""


async def run(plan: Plan) -> Result:
    """Measures copies of one file."""
    pairs = plan.records(RECORDS)
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        file = directory / "node.db"
        progress("making the file")
        await put(file, "default", pairs)
        await edit(file, "default", [(key, {"note": "edited"}) for key, _ in pairs[::EDITED]])

        async def floor_turn(turn: int) -> float:
            return await asyncio.to_thread(_copy, file, directory / f"copy-{turn}.db")

        async def product_turn(turn: int) -> float:
            async with Engine.open(file, read_only=True) as engine:
                return await _timed(engine.snapshots.take(f"turn-{turn}"))

        turns = await in_turns("snapshot", floor_turn, product_turn, plan.repetitions(quick=5, full=21))
        rates = await _rates(directory, file, len(pairs))
        size = (directory / "all.bundle").stat().st_size
    return Result(
        figures={"floor_ms": turns.floor_s * 1_000, "snapshot_ms": turns.product_s * 1_000, **rates},
        ratios={"over_copy": turns.slowness, "bundle_over_json": size / len(json_lines(pairs))},
    )


async def _rates(directory: Path, file: Path, count: int) -> dict[str, float]:
    """Records per second of everything else."""
    bundle = directory / "all.bundle"
    async with Engine.open(file) as engine:
        progress("verifying")
        verify_s = await _timed(engine.verify())
        lsn = (await engine.status()).lsn
        progress("looking into the past")
        past_s = await _timed(_read_past(engine, max(1, lsn - 5)))
        progress("making a bundle")
        export_s = await _timed(engine.export_bundle(bundle))
    async with Engine.open(directory / "new.db", space="default") as engine:
        progress("taking in a bundle")
        import_s = await _timed(engine.import_bundle(bundle))
    seconds = {"verify": verify_s, "past": past_s, "export": export_s, "import": import_s}
    return {f"{name}_per_s": count / spent for name, spent in seconds.items()}


async def _read_past(engine: Engine, lsn: int) -> int:
    return sum([1 async for _ in engine[COLLECTION].as_of(lsn).documents()])


async def _timed(work: Awaitable[object]) -> float:
    start = perf_counter()
    await work
    return perf_counter() - start


def _copy(source: Path, target: Path) -> float:
    """Seconds of a plain copy that is durable."""
    start = perf_counter()
    shutil.copyfile(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return perf_counter() - start
