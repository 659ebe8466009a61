"""W3: two replicas share 20,000 records, edit 10,000 fields each offline, 2,000 of them in common, and reconnect.

One of the two is served (a hub is a node that listens), the other one syncs with it; one sync brings both to the same
state. 18,000 records have changed; how many of them per second is compared with the records per second of W2, measured
in turns with it. Every one of the 2,000 common fields must become a conflict at both, and nothing else.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, mkdtemp
from typing import TypeVar

from . import catch_up
from .hub import Space, hub_process
from .measure import in_turns
from .meter import metered
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
    """What a turn runs on: a folder, and a process for each replica while it is not served."""

    directory: Path
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
        bed = Bed(directory=Path(name), **processes)
        async with hub_process(bed.directory) as hub:
            big = hub.add_space()
            await catch_up.fill_space(bed.first, bed.directory, big, everything)

            async def catch_up_turn(_turn: int) -> float:
                return await catch_up.catch_up(bed.first, bed.directory, big) / len(everything)

            async def reconnect_turn(turn: int) -> float:
                done.append(await reconnect(bed, pairs, edits, counted=not turn))
                return done[-1].seconds / edits.changed

            turns = await in_turns("reconnect", catch_up_turn, reconnect_turn, plan.repetitions(quick=3, full=9))
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
    """Lets two replicas share the records, edit offline, and meet until both hold the same.

    Args:
        bed: Where it happens.
        pairs: What they share.
        edits: What each changes.
        counted: Go through a meter, whose time nobody reads; otherwise straight.
    """
    directory = Path(mkdtemp(dir=bed.directory))
    async with hub_process(directory) as hub:
        space = hub.add_space()
        first, second = await catch_up.fill_space(bed.first, directory, space, pairs), hub.file(space)
    await asyncio.gather(
        bed.first.run(edit, first, space.name, edits.first),
        bed.second.run(edit, second, space.name, edits.second),
    )
    async with hub_process(directory) as hub, metered(hub.address) as meter:
        progress("reconnecting")
        meeting = await bed.first.run(meet, first, space.name, space.through(meter.url if counted else hub.url))
    conflicts = await _settled(bed, space, first, second)
    return Reconnection(seconds=meeting.seconds, bytes=meter.total, conflicts=conflicts)


async def _settled(bed: Bed, space: Space, first: Path, second: Path) -> int:
    """The number of conflicts, once both replicas have proved to hold the same records and the same conflicts."""
    ends = ((bed.first, first), (bed.second, second))
    _agreed(set(await asyncio.gather(*(process.run(fingerprint, file, space.name) for process, file in ends))))
    return _agreed({await process.run(count_conflicts, file, space.name) for process, file in ends})


def _agreed(found: set[T]) -> T:
    if len(found) > 1:
        raise RuntimeError(f"what must be equal differs: {found}")
    return found.pop()
