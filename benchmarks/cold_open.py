"""W7: a whole process from start to end that opens a file of 100,000 records and reads one of them.

The floor is an interpreter that imports asyncio and sqlite3 and reads one row. Small devices restart often and wait for
every import, so the ratio is to what Python itself costs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from . import floor
from .measure import in_turns
from .replica import COLLECTION, put
from .scenario import Aim, Plan, Result, progress

TITLE = "cold open to first read, whole process"
AIMS = {"over_imports": Aim(bound=4)}
RECORDS = 100_000

FLOOR = f"""
import asyncio, sqlite3, sys
assert sqlite3.connect(sys.argv[1]).execute({floor.READ!r}, (sys.argv[2],)).fetchone()
"""
PRODUCT = f"""
import asyncio, sys
from holdfast import Engine

async def main():
    async with Engine.open(sys.argv[1]) as engine:
        assert await engine[{COLLECTION!r}].get(sys.argv[2])

asyncio.run(main())
"""


async def run(plan: Plan) -> Result:
    """Measures cold opens."""
    pairs = plan.records(RECORDS)
    key = pairs[len(pairs) // 2][0]
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        progress("making the files")
        floor.load(directory / "floor.db", pairs)
        await put(directory / "product.db", "default", pairs)

        async def floor_turn(_turn: int) -> float:
            return await _whole_process(FLOOR, directory / "floor.db", key)

        async def product_turn(_turn: int) -> float:
            return await _whole_process(PRODUCT, directory / "product.db", key)

        turns = await in_turns("open", floor_turn, product_turn, plan.repetitions(quick=15, full=51))
    return Result(
        figures={"floor_ms": turns.floor_s * 1_000, "cold_open_ms": turns.product_s * 1_000},
        ratios={"over_imports": turns.slowness},
    )


async def _whole_process(code: str, file: Path, key: str) -> float:
    """Seconds from before the process starts until after it has ended."""
    start = perf_counter()
    # Not in the repository: from there, Python would search its folders for every import first.
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(file), key, cwd=file.parent)
    if await process.wait():
        raise RuntimeError(f"a process that opens {file} failed")
    return perf_counter() - start
