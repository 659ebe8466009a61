"""What node processes do: open a file, meet a hub, edit, tell what they hold.

Every function here runs in a process of its own and takes and gives what can be pickled. It must not know floors.
Invariant: a duration covers the meeting and nothing else: the file is open before, and closed after.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from holdfast import Engine, Hub

from .measure import peak_rss_mb
from .records import Pairs

COLLECTION = "cities"
EDITS_PER_TRANSACTION = 1_000
CONFLICTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What one sync did: how long it took, what it moved by the product's own account, the process's peak memory."""

    seconds: float
    cpu_seconds: float
    sent: int
    received: int
    bytes_sent: int
    bytes_received: int
    round_trips: int
    peak_rss_mb: float


async def put(file: Path, space: str, pairs: Pairs) -> float:
    """Puts records into a file in bulk; seconds until they are durable."""
    async with Engine.open(file, space=space) as engine:
        start = perf_counter()
        await engine[COLLECTION].put_many(pairs)
        return perf_counter() - start


async def meet(file: Path, space: str, hub: Hub) -> Meeting:
    """Syncs a file, new or not, with a hub, by its feed."""
    async with Engine.open(file, space=space) as engine:
        return await _meet(engine, hub)


async def begin(file: Path, space: str, hub: Hub) -> Meeting:
    """Begins a new file with the hub's starter."""
    async with Engine.open(file, space=space) as engine:
        return await _meet(engine, hub, starter=True)


async def meet_often(file: Path, space: str, hub: Hub, times: int) -> list[Meeting]:
    """Syncs a file with a hub several times in a row."""
    async with Engine.open(file, space=space) as engine:
        return [await _meet(engine, hub) for _ in range(times)]


async def edit(file: Path, space: str, edits: Pairs) -> float:
    """Updates fields of existing records, 1,000 edits per transaction; seconds until they are durable."""
    async with Engine.open(file, space=space) as engine:
        start = perf_counter()
        for first in range(0, len(edits), EDITS_PER_TRANSACTION):
            async with engine.transaction() as transaction:
                for key, fields in edits[first : first + EDITS_PER_TRANSACTION]:
                    transaction.update(COLLECTION, key, fields)
        return perf_counter() - start


async def count_conflicts(file: Path, space: str) -> int:
    """How many conflicts a file accounts for, whether still open or settled by a rule."""
    async with Engine.open(file, space=space) as engine:
        return len(await engine.conflicts(state=None, limit=CONFLICTS_MAX))


async def fingerprint(file: Path, space: str) -> str:
    """A hash over every visible record, equal where the data is."""
    digest = hashlib.blake2b()
    async with Engine.open(file, space=space) as engine:
        async for page in engine[COLLECTION].pages("TRUE ORDER BY key"):
            for document in page:
                digest.update(repr((document.key, sorted(document.fields.items()))).encode())
    return digest.hexdigest()


async def _meet(engine: Engine, hub: Hub, *, starter: bool = False) -> Meeting:
    start, cpu = perf_counter(), process_time()
    report = await engine.sync(hub, starter=starter)
    seconds, cpu_seconds = perf_counter() - start, process_time() - cpu
    if starter and not report.started:
        raise RuntimeError("the hub had no starter")
    if not report.completed:
        raise RuntimeError(f"a sync without faults did not complete: {report.blockers}")
    return Meeting(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        sent=report.sent,
        received=report.received,
        bytes_sent=report.bytes_sent,
        bytes_received=report.bytes_received,
        round_trips=report.round_trips,
        peak_rss_mb=peak_rss_mb(),
    )
