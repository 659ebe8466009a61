"""BOOTSTRAP: a new replica begins with the hub's starter, in turns with catching up by the feed.

Hub and replica are processes; the first replica waits for the starter to be drawn, and is not counted. The ratio is
the median over the turns of the feed's duration over the starter's; CPU seconds are those of the replica's process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from holdfast import Hub

from .catch_up import fill_space
from .hub import HubProcess, Space, hub_process
from .measure import in_turns, peak_rss_mb
from .processes import node_process
from .records import Pairs, generate
from .replica import Meeting, begin, meet
from .scenario import Aim, Plan, Result, progress

TITLE = "a new replica begins with the hub's starter"
AIMS = {"over_feed": Aim(bound=1.3, at_least=True), "receiver_peak_rss_mb": Aim(bound=100)}
RECORDS = {"quick": 100_000, "full": 1_000_000}

Meet = Callable[[Path, str, Hub], Awaitable[Meeting]]


async def run(plan: Plan) -> Result:
    """Measures beginning with a starter."""
    pairs = generate(plan.count(RECORDS[plan.scale]), plan.seed)
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        async with hub_process(directory) as hub:
            space = hub.add_space()
            with node_process() as giver:
                await fill_space(giver, directory, space, pairs)
            return await _measured(plan, directory, hub, space, pairs)


async def _measured(plan: Plan, directory: Path, hub: HubProcess, space: Space, pairs: Pairs) -> Result:
    count = len(pairs)
    start = perf_counter()
    first = await _alone(begin, directory, space)
    drawn_s = perf_counter() - start
    fed: list[Meeting] = []
    begun: list[Meeting] = []

    async def feed_turn(_turn: int) -> float:
        fed.append(await _alone(meet, directory, space))
        return fed[-1].seconds

    async def starter_turn(_turn: int) -> float:
        begun.append(await _alone(begin, directory, space))
        return begun[-1].seconds

    turns = await in_turns(f"{count:,} records", feed_turn, starter_turn, plan.repetitions(quick=3, full=3))
    return Result(
        figures={
            "records": count,
            "starter_per_s": count / turns.product_s,
            "feed_per_s": count / turns.floor_s,
            "first_s": drawn_s,
            "starter_cpu_us": median(meeting.cpu_seconds for meeting in begun) / count * 1e6,
            "feed_cpu_us": median(meeting.cpu_seconds for meeting in fed) / count * 1e6,
            "starter_bytes_per_record": begun[-1].bytes_received / count,
            "feed_bytes_per_record": fed[-1].bytes_received / count,
            "receiver_peak_rss_mb": max(meeting.peak_rss_mb for meeting in (first, *begun)),
            "feed_peak_rss_mb": max(meeting.peak_rss_mb for meeting in fed),
            "hub_peak_rss_mb": peak_rss_mb(hub.pid),
        },
        ratios={"over_feed": turns.speed},
    )


async def _alone(how: Meet, directory: Path, space: Space) -> Meeting:
    """One meeting of a new file in a process of its own, whose peak memory is its own."""
    progress(how.__name__)
    with TemporaryDirectory(dir=directory) as name, node_process() as node:
        return await node.run(how, Path(name) / "node.db", space.name, space.hub)
