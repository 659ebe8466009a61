"""W4: 100 records take 100,000 updates offline, 1,000 per transaction, and travel to a fresh replica.

The same records, updated once each with the last of those values, travel the same way: from the writer to the hub and
from there to a fresh replica. The ratio of the bytes on the sockets shows that a sync costs what changed, not what
happened; what the updates cost in time and on disk stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from .hub import HubProcess, hub_process
from .meter import Meter, metered
from .processes import NodeProcess, node_process
from .records import Pairs, extras
from .replica import edit, meet, put
from .scenario import Aim, Plan, Result, progress

TITLE = "few records updated often, then synced"
AIMS = {"against_once": Aim(bound=1.3)}
RECORDS = 100
UPDATES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """What the journeys run on: the hub with a meter before it, and the process that writes and receives."""

    directory: Path
    hub: HubProcess
    meter: Meter
    process: NodeProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What it took to update the records, and to carry them to a fresh replica."""

    update_s: float
    file_bytes: int
    socket_bytes: int


async def run(plan: Plan) -> Result:
    """Measures rewriting."""
    pairs = plan.records(RECORDS)
    updates = draw_updates(pairs, plan.count(UPDATES), plan.seed)
    once = list(dict(updates).items())
    with TemporaryDirectory(dir=plan.directory) as name, node_process() as process:
        async with hub_process(Path(name)) as hub, metered(hub.address) as meter:
            bed = Bed(directory=Path(name), hub=hub, meter=meter, process=process)
            repetitions = range(plan.repetitions(quick=1, full=5))
            journeys = [(await _travel(bed, pairs, updates), await _travel(bed, pairs, once)) for _ in repetitions]
    return Result(
        figures={
            "bytes": median(often.socket_bytes for often, _ in journeys),
            "bytes_once": median(once.socket_bytes for _, once in journeys),
            "updates_per_s": len(updates) / median(often.update_s for often, _ in journeys),
            "disk_bytes_per_update": median(often.file_bytes for often, _ in journeys) / len(updates),
        },
        ratios={"against_once": median(often.socket_bytes / once.socket_bytes for often, once in journeys)},
    )


def draw_updates(pairs: Pairs, count: int, seed: int) -> Pairs:
    """Draws updates of the fields that change in a record; every record has its turn."""
    rng = Random(seed)
    keys = [pairs[number % len(pairs)][0] for number in range(count)]
    rng.shuffle(keys)
    return [(key, extras(rng)) for key in keys]


async def _travel(bed: Bed, pairs: Pairs, updates: Pairs) -> Journey:
    progress(f"{len(pairs):,} records, {len(updates):,} updates")
    space = bed.hub.add_space()
    writer, fresh = (bed.directory / f"{who}-{space.name}.db" for who in ("writer", "fresh"))
    await bed.process.run(put, writer, space.name, pairs)
    update_s = await bed.process.run(edit, writer, space.name, updates)
    before = bed.meter.total
    for file in (writer, fresh):
        await bed.process.run(meet, file, space.name, space.through(bed.meter.url))
    return Journey(update_s=update_s, file_bytes=writer.stat().st_size, socket_bytes=bed.meter.total - before)
