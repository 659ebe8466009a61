"""W5: a sync that finds nothing to do, with 100,000 records in common.

A node that is always on its way asks far more often than it has news, so this must not grow with what the two hold.
Bytes and round trips are counted on the socket, connection set-up included; durations go straight to the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .catch_up import fill_space
from .hub import hub_process
from .meter import metered
from .processes import node_process
from .records import Pairs
from .replica import meet_often
from .scenario import Aim, Plan, Result, progress

TITLE = "a sync without news"
AIMS = {"bytes": Aim(bound=1_000), "round_trips": Aim(bound=1)}
RECORDS = 100_000
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Noop:
    """What one sync without news took."""

    bytes: int
    round_trips: int
    ms: float


async def run(plan: Plan) -> Result:
    """Measures syncs without news."""
    found = await measure(plan, plan.records(RECORDS), plan.repetitions(quick=50, full=500))
    return Result(figures={"bytes": found.bytes, "round_trips": found.round_trips, "ms": found.ms})


async def measure(plan: Plan, pairs: Pairs, repetitions: int) -> Noop:
    """Lets a node and a hub agree on the records, and meet again and again."""
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        async with hub_process(directory) as hub, metered(hub.address) as meter:
            space = hub.add_space()
            with node_process() as node:
                file = await fill_space(node, directory, space, pairs)
                progress(f"{repetitions} syncs without news")
                meetings = await node.run(meet_often, file, space.name, space.hub, WARM_UP + repetitions)
                # A node knows hubs by their address, so the first sync by way of the meter is not yet one without news.
                await node.run(meet_often, file, space.name, space.through(meter.url), WARM_UP)
                bytes_before, round_trips_before = meter.total, meter.round_trips
                await node.run(meet_often, file, space.name, space.through(meter.url), 1)
            return Noop(
                bytes=meter.total - bytes_before,
                round_trips=meter.round_trips - round_trips_before,
                ms=median(meeting.seconds for meeting in meetings[WARM_UP:]) * 1_000,
            )
