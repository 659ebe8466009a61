"""GROWTH: how bulk put, catching up and a sync without news grow with the number of records.

The first two must stay near linear, so their ratio is time per record at the largest size over that at the smallest;
the last must stay constant, so its ratio is plain time. "quick" ends at 100,000 records, "full" at 1,000,000; the
records are always made, because no file comes in these sizes.
"""

from __future__ import annotations

from . import bulk_put, catch_up, noop
from .records import generate
from .scenario import Aim, Plan, Result, progress

TITLE = "growth with the number of records"
AIMS = {"bulk_put": Aim(bound=2), "catch_up": Aim(bound=2), "noop": Aim(bound=2)}
SIZES = (10_000, 100_000, 1_000_000)


async def run(plan: Plan) -> Result:
    """Measures growth."""
    sizes = [plan.count(size) for size in (SIZES[:2] if plan.scale == "quick" else SIZES)]
    figures: dict[str, float] = {}
    for size in sizes:
        figures |= await _at(plan, size)
    small, large = sizes[0], sizes[-1]
    ratios = {
        name: figures[f"{name}_{unit}_{large}"] / figures[f"{name}_{unit}_{small}"]
        for name, unit in (("bulk_put", "us"), ("catch_up", "us"), ("noop", "ms"))
    }
    return Result(figures=figures, ratios=ratios)


async def _at(plan: Plan, size: int) -> dict[str, float]:
    """The figures at one size; microseconds are per record."""
    progress(f"making {size:,} records")
    pairs = generate(size, plan.seed)
    repetitions = plan.repetitions(quick=2, full=3)
    put = await bulk_put.measure(plan, pairs, repetitions)
    caught_up = await catch_up.measure(plan, pairs, repetitions)
    idle = await noop.measure(plan, pairs, 20)
    return {
        f"bulk_put_us_{size}": put.product_s / len(pairs) * 1e6,
        f"bulk_put_{size}": put.speed,
        f"catch_up_us_{size}": caught_up.turns.product_s / len(pairs) * 1e6,
        f"catch_up_{size}": caught_up.turns.speed,
        f"receiver_peak_rss_mb_{size}": caught_up.receiver_peak_rss_mb,
        f"hub_peak_rss_mb_{size}": caught_up.hub_peak_rss_mb,
        f"noop_ms_{size}": idle.ms,
        f"noop_bytes_{size}": idle.bytes,
    }
