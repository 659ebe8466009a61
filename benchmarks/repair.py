"""REPAIR: 100,000 records are checked, compared with a hub, damaged, salvaged and repaired; what digests cost a write.

Bytes are counted on the socket, in both directions, HTTP headers included; what is damaged is counted in whole pages.
What digests cost is their own processor time over that of the writes, in one run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, thread_time
from typing import ParamSpec
from unittest.mock import patch

from holdfast import Engine, salvage_file
from holdfast.engine.digest import alike_digests, plain_digests

from .hub import Space, hub_process
from .meter import Meter, metered
from .records import Pairs
from .replica import COLLECTION, put
from .scenario import Aim, Plan, Result, progress

P = ParamSpec("P")

TITLE = "check, compare, salvage, repair"
AIMS = {"digest_share": Aim(bound=0.05)}
RECORDS = 100_000
DAMAGED = 0.01
"""The share of pages with records that are zeroed."""

PAGE = 4_096
LEAF = 0x0D
"""First byte of a page of a table."""

WRITES = 2_000


async def run(plan: Plan) -> Result:
    """Measures a file and a hub that agree, then the same file damaged."""
    pairs = plan.records(RECORDS)
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        single, bulk = await _digest_shares(directory, pairs)
        async with hub_process(directory) as hub, metered(hub.address) as meter:
            space = hub.add_space()
            figures, ratios = await _repair(directory, pairs, space, meter, plan.seed)
    return Result(figures=figures, ratios={**ratios, "digest_share": single, "digest_share_bulk": bulk})


async def _repair(
    directory: Path, pairs: Pairs, space: Space, meter: Meter, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    file, hub = directory / "node.db", space.through(meter.url)
    await put(file, space.name, pairs)
    async with Engine.open(file) as engine:
        await engine.sync(hub)
        await engine.sync(hub)
        progress("verifying and comparing")
        verify_s = await _seconds(engine)
        start = perf_counter()
        compared = await engine.compare(hub)
        compare_s = perf_counter() - start
        assert compared.alike, compared
    progress("salvaging")
    damaged = _damage(file, seed)
    start = process_time()
    report = await asyncio.to_thread(salvage_file, file)
    salvage_s = process_time() - start
    progress("repairing")
    async with Engine.open(file) as engine:
        before = meter.total
        assert (await engine.sync(hub)).completed
        moved = meter.total - before
        assert (await engine.compare(hub)).alike
    count = len(pairs)
    figures = {
        "verify_per_s": count / verify_s,
        "compare_per_s": count / compare_s,
        "compare_bytes": compared.bytes_sent + compared.bytes_received,
        "salvage_per_cpu_s": count / salvage_s,
        "damaged_bytes": damaged,
        "lost_records": report.lost,
        "repair_bytes": moved,
    }
    return figures, {"repair": moved / damaged}


async def _seconds(engine: Engine) -> float:
    start = perf_counter()
    assert (await engine.verify()).ok
    return perf_counter() - start


def _damage(file: Path, seed: int) -> int:
    """Zero some pages that hold records; gives how many bytes."""
    data = bytearray(file.read_bytes())
    held = [at for at in range(PAGE, len(data), PAGE) if data[at] == LEAF and b'{"' in data[at : at + PAGE]]
    gone = random.Random(seed).sample(held, max(1, round(len(held) * DAMAGED)))
    for at in gone:
        data[at : at + PAGE] = bytes(PAGE)
    file.write_bytes(data)
    return PAGE * len(gone)


async def _digest_shares(directory: Path, pairs: Pairs) -> tuple[float, float]:
    """The share of digests in the processor time of single writes, and of writes in bulk.

    Their own time over that of the writes: the difference of a run with them and one without is lost in the noise.
    """
    progress("writes and their digests")
    async with Engine.open(directory / "writes.db", space="digests", durability="normal") as engine:
        with _digests_timed() as spent:
            start = process_time()
            for key, fields in pairs[:WRITES]:
                await engine[COLLECTION].put(key, fields)
            single = spent[0] / (process_time() - start)
        with _digests_timed() as spent:
            start = process_time()
            await engine["bulk"].put_many(pairs)
            return single, spent[0] / (process_time() - start)


@contextmanager
def _digests_timed() -> Iterator[list[float]]:
    """Adds up the processor time that digests take."""
    spent = [0.0]

    def timed(digests: Callable[P, list[int]]) -> Callable[P, list[int]]:
        def run(*arguments: P.args, **named: P.kwargs) -> list[int]:
            start = thread_time()
            found = digests(*arguments, **named)
            spent[0] += thread_time() - start
            return found

        return run

    with (
        patch("holdfast.engine.storage.plain.plain_digests", timed(plain_digests)),
        patch("holdfast.engine.storage.bulk.alike_digests", timed(alike_digests)),
    ):
        yield spent
