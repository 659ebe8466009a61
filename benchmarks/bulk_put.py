"""W1b: a bulk put of 100,000 records, durable when it returns, against the floor's one big transaction."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from . import floor
from .measure import Turns, in_turns
from .records import Pairs
from .replica import put
from .scenario import Aim, Plan, Result

TITLE = "bulk put"
AIMS = {"bulk_put": Aim(bound=0.5, at_least=True)}
RECORDS = 100_000


async def run(plan: Plan) -> Result:
    """Measures bulk puts."""
    pairs = plan.records(RECORDS)
    turns = await measure(plan, pairs, plan.repetitions(quick=5, full=15))
    return Result(
        figures={
            "records": len(pairs),
            "floor_per_s": len(pairs) / turns.floor_s,
            "bulk_put_per_s": len(pairs) / turns.product_s,
        },
        ratios={"bulk_put": turns.speed},
    )


async def measure(plan: Plan, pairs: Pairs, repetitions: int) -> Turns:
    """Loads the records into fresh files of the floor and of the product, in turns."""

    async def floor_turn(_turn: int) -> float:
        with TemporaryDirectory(dir=plan.directory) as name:
            return floor.load(Path(name) / "floor.db", pairs)

    async def product_turn(_turn: int) -> float:
        with TemporaryDirectory(dir=plan.directory) as name:
            return await put(Path(name) / "product.db", "default", pairs)

    return await in_turns(f"{len(pairs):,} records", floor_turn, product_turn, repetitions)
