"""DISK: bytes on disk per record of 100,000, after closing, beside the floor's table and the bare JSON Lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from . import floor
from .records import json_lines
from .replica import put
from .scenario import Aim, Plan, Result, progress

TITLE = "bytes on disk per record"
AIMS: dict[str, Aim] = {}
RECORDS = 100_000


async def run(plan: Plan) -> Result:
    """Measures files."""
    pairs = plan.records(RECORDS)
    with TemporaryDirectory(dir=plan.directory) as name:
        for side in ("floor", "product"):
            (Path(name) / side).mkdir()
        progress("making the files")
        floor.load(Path(name) / "floor" / "floor.db", pairs)
        await put(Path(name) / "product" / "product.db", "default", pairs)
        floor_bytes, product_bytes = (_bytes_in(Path(name) / side) for side in ("floor", "product"))
    return Result(
        figures={
            "bytes_per_record": product_bytes / len(pairs),
            "floor_bytes_per_record": floor_bytes / len(pairs),
            "json_bytes_per_record": len(json_lines(pairs)) / len(pairs),
        },
        ratios={"over_floor": product_bytes / floor_bytes},
    )


def _bytes_in(directory: Path) -> int:
    """Everything that stays: the database and the small files beside it."""
    return sum(file.stat().st_size for file in directory.iterdir())
