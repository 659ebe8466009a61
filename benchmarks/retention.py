"""RETENTION: a file under steady load, with a bounded log and with one that keeps everything.

The same updates of the same records go into both, in turns, in transactions of 100; after n, 2n and 4n of them
the rows of the log and the bytes of the file and its write-ahead log are looked at. With a retention they stop
growing, so the ratio `file_growth` of the bytes after 4n over those after 2n is 1; `cost` is the CPU time of the whole
process per write, with a retention over without, in the same run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

from holdfast import Engine, Retention

from .records import Pairs, extras
from .replica import COLLECTION
from .scenario import Aim, Plan, Result, progress

TITLE = "a file under steady load, with and without retention"
AIMS = {"file_growth": Aim(bound=1.05), "log_growth": Aim(bound=1.2), "cost": Aim(bound=1.5)}
RECORDS = 2_000
UPDATES = 10_000
KEPT = 5_000
"""Rows of the log that are kept."""

TOGETHER = 100
"""Writes of one transaction."""

TURN = 20
"""Transactions of one side before it is the other's turn."""

SETTLED_S = 0.05
"""What is trimmed behind a turn is done by then, and counts as its own."""

MARKS = (1, 2, 4)


@dataclass(slots=True)
class Side:
    """One of the two files, and what was seen of it."""

    engine: Engine
    cpu_s: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    async def write(self, updates: Pairs) -> None:
        """Write these updates; notes what the process has computed meanwhile, per write."""
        start = process_time()
        for first in range(0, len(updates), TOGETHER):
            async with self.engine.transaction() as tx:
                for key, fields in updates[first : first + TOGETHER]:
                    tx.update(COLLECTION, key, fields)
        await asyncio.sleep(SETTLED_S)
        self.cpu_s.append((process_time() - start) / len(updates))

    async def look(self) -> None:
        """Note how much there is."""
        status = await self.engine.status()
        self.rows.append(status.history.rows)
        self.sizes.append(sum(status.bytes.values()))


async def run(plan: Plan) -> Result:
    """Measures retention."""
    pairs = plan.records(RECORDS)
    count, kept = plan.count(UPDATES), plan.count(KEPT)
    rng = Random(plan.seed)
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        async with (
            Engine.open(directory / "bounded.db", retention=Retention(rows=kept)) as bounded,
            Engine.open(directory / "whole.db", retention=Retention()) as whole,
        ):
            sides = Side(bounded), Side(whole)
            for side in sides:
                await side.engine[COLLECTION].put_many(pairs)
            for last, mark in zip((0, *MARKS), MARKS, strict=False):
                progress(f"{count * mark:,} updates")
                await _load(sides, pairs, count * (mark - last), rng)
                for side in sides:
                    await side.look()
    return _result(*sides, marks=[count * mark for mark in MARKS])


async def _load(sides: tuple[Side, Side], pairs: Pairs, count: int, rng: Random) -> None:
    each = TOGETHER * TURN
    for turn, first in enumerate(range(0, count, each)):
        updates = [(rng.choice(pairs)[0], extras(rng)) for _ in range(min(each, count - first))]
        for side in sides if turn % 2 else sides[::-1]:
            await side.write(updates)


def _result(bounded: Side, whole: Side, *, marks: list[int]) -> Result:
    figures: dict[str, float] = {}
    for at, mark in enumerate(marks):
        figures[f"log_rows_{mark}"] = bounded.rows[at]
        figures[f"file_bytes_{mark}"] = bounded.sizes[at]
        figures[f"whole_file_bytes_{mark}"] = whole.sizes[at]
    return Result(
        figures=figures
        | {
            "write_us": median(bounded.cpu_s) * 1e6,
            "whole_write_us": median(whole.cpu_s) * 1e6,
        },
        ratios={
            "file_growth": bounded.sizes[-1] / bounded.sizes[-2],
            "log_growth": bounded.rows[-1] / bounded.rows[-2],
            "whole_growth": whole.sizes[-1] / whole.sizes[-2],
            "cost": median(bounded.cpu_s) / median(whole.cpu_s),
        },
    )
