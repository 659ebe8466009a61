"""W3: two replicas share 20,000 records, edit 10,000 fields each offline, 2,000 of them in common, and reconnect.

One sync of the first replica, one of the second, and one more of the first bring both to the same state; their
durations add up. 18,000 records have changed; how many of them per second is compared with the records per second of
W2, measured in turns with it. Every one of the 2,000 common fields must become a conflict at both, and nothing else.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TypeVar

from . import catch_up
from .hub import HubProcess, Space, hub_process
from .measure import in_turns
from .meter import Meter, metered
from .processes import NodeProcess, node_process
from .records import Pairs
from .replica import count_conflicts, edit, fingerprint, meet
from .scenario import Aim, Plan, Result, progress

T = TypeVar("T")

TITLE = "two replicas edit offline and reconnect"
AIMS = {"against_w2": Aim(bound=0.33, at_least=True)}
RECORDS = 20_000
EDITS = 10_000
COMMON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What each replica edits while it is offline: one field of each of its records."""

    first: Pairs
    second: Pairs
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """What a turn runs on: the hub with a meter before it, and a process for each replica."""

    directory: Path
    hub: HubProcess
    meter: Meter
    first: NodeProcess
    second: NodeProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnection:
    """What one reconnection took, and the conflicts that each replica found."""

    seconds: float
    bytes: int
    conflicts: int


async def run(plan: Plan) -> Result:
    """Measures reconnecting."""
    everything = plan.records(catch_up.RECORDS)
    pairs = everything[: plan.count(RECORDS)]
    edits = draw_edits(plan, pairs)
    done: list[Reconnection] = []
    with TemporaryDirectory(dir=plan.directory) as name, ExitStack() as stack:
        processes = {who: stack.enter_context(node_process()) for who in ("first", "second")}
        async with hub_process(Path(name)) as hub, metered(hub.address) as meter:
            bed = Bed(directory=Path(name), hub=hub, meter=meter, **processes)
            big = hub.add_space()
            await catch_up.fill_space(bed.first, bed.directory, big, everything)

            async def catch_up_turn(_turn: int) -> float:
                return await catch_up.catch_up(bed.first, bed.directory, big) / len(everything)

            async def reconnect_turn(turn: int) -> float:
                done.append(await reconnect(bed, pairs, edits, counted=not turn))
                return done[-1].seconds / edits.changed

            turns = await in_turns("reconnect", catch_up_turn, reconnect_turn, plan.repetitions(quick=2, full=9))
    return Result(
        figures={
            "seconds": turns.product_s * edits.changed,
            "bytes": done[0].bytes,
            "conflicts": _agreed({each.conflicts for each in done}),
            "changed_per_s": 1 / turns.product_s,
            "catch_up_per_s": 1 / turns.floor_s,
        },
        ratios={"against_w2": turns.speed},
    )


def draw_edits(plan: Plan, pairs: Pairs) -> Edits:
    """Draws the records that each replica edits, of which some are common; new values never agree by chance."""
    rng = Random(plan.seed)
    edits, common = plan.count(EDITS), plan.count(COMMON)
    keys = [key for key, _ in rng.sample(pairs, 2 * edits - common)]
    return Edits(
        first=[(key, {"population": number * 2}) for number, key in enumerate(keys[:edits])],
        second=[(key, {"population": number * 2 + 1}) for number, key in enumerate(keys[edits - common :])],
        changed=len(keys),
    )


async def reconnect(bed: Bed, pairs: Pairs, edits: Edits, *, counted: bool) -> Reconnection:
    """Lets two fresh replicas share the records, edit offline, and meet the hub until both hold the same.

    Args:
        bed: Where it happens.
        pairs: What they share.
        edits: What each changes.
        counted: Go through the meter, whose time nobody reads; otherwise straight.
    """
    space = bed.hub.add_space()
    first = await catch_up.fill_space(bed.first, bed.directory, space, pairs)
    second = bed.directory / f"second-{space.name}.db"
    await bed.second.run(meet, second, space.name, space.hub)
    await asyncio.gather(
        bed.first.run(edit, first, space.name, edits.first),
        bed.second.run(edit, second, space.name, edits.second),
    )
    progress("reconnecting")
    hub = space.through(bed.meter.url) if counted else space.hub
    before = bed.meter.total
    seconds = 0.0
    for process, file in ((bed.first, first), (bed.second, second), (bed.first, first)):
        seconds += (await process.run(meet, file, space.name, hub)).seconds
    conflicts = await _settled(bed, space, first, second)
    return Reconnection(seconds=seconds, bytes=bed.meter.total - before, conflicts=conflicts)


async def _settled(bed: Bed, space: Space, first: Path, second: Path) -> int:
    """The number of conflicts, once both replicas have proved to hold the same records and the same conflicts."""
    ends = ((bed.first, first), (bed.second, second))
    _agreed(set(await asyncio.gather(*(process.run(fingerprint, file, space.name) for process, file in ends))))
    return _agreed({await process.run(count_conflicts, file, space.name) for process, file in ends})


def _agreed(found: set[T]) -> T:
    if len(found) > 1:
        raise RuntimeError(f"what must be equal differs: {found}")
    return found.pop()
