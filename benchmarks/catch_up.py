"""W2: a fresh replica catches up on 100,000 records from a hub process over loopback, durable when sync returns.

Hub, receiver and floor are three processes. The receiver opens a new file each turn; what its process imports, it
imports in the warm-up. Bytes are counted by a meter on the sockets, in a pass of its own by a process of its own,
whose memory is the receiver's peak. The hub's peak covers taking the records in as well as giving them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from . import floor
from .hub import HubProcess, Space, hub_process
from .measure import Turns, in_turns, peak_rss_mb
from .meter import metered
from .processes import NodeProcess, node_process
from .records import Pairs, packed_bytes
from .replica import meet, put
from .scenario import Aim, Plan, Result, progress

TITLE = "a fresh replica catches up over loopback"
AIMS = {
    "catch_up": Aim(bound=0.35, at_least=True),
    "wire": Aim(bound=1.25),
    "receiver_peak_rss_mb": Aim(bound=100),
    "hub_peak_rss_mb": Aim(bound=100),
}
RECORDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What catching up took: durations in turns with the floor, bytes on the sockets, and peaks of memory."""

    turns: Turns
    socket_bytes: int
    receiver_peak_rss_mb: float
    hub_peak_rss_mb: float


async def run(plan: Plan) -> Result:
    """Measures catching up."""
    pairs = plan.records(RECORDS)
    caught_up = await measure(plan, pairs, plan.repetitions(quick=5, full=15))
    return Result(
        figures={
            "bytes_per_record": caught_up.socket_bytes / len(pairs),
            "receiver_peak_rss_mb": caught_up.receiver_peak_rss_mb,
            "hub_peak_rss_mb": caught_up.hub_peak_rss_mb,
            "records": len(pairs),
            "floor_per_s": len(pairs) / caught_up.turns.floor_s,
            "catch_up_per_s": len(pairs) / caught_up.turns.product_s,
        },
        ratios={"catch_up": caught_up.turns.speed, "wire": caught_up.socket_bytes / packed_bytes(pairs)},
    )


async def measure(plan: Plan, pairs: Pairs, repetitions: int) -> CatchUp:
    """Fills a hub and lets fresh replicas catch up, in turns with the floor."""
    with TemporaryDirectory(dir=plan.directory) as name:
        directory = Path(name)
        async with hub_process(directory) as hub:
            space = hub.add_space()
            with node_process() as giver:
                await fill_space(giver, directory, space, pairs)
            turns = await _in_turns(directory, space, pairs, repetitions)
            socket_bytes, receiver_peak = await _metered(directory, hub, space)
            return CatchUp(
                turns=turns,
                socket_bytes=socket_bytes,
                receiver_peak_rss_mb=receiver_peak,
                hub_peak_rss_mb=peak_rss_mb(hub.pid),
            )


async def fill_space(giver: NodeProcess, directory: Path, space: Space, pairs: Pairs) -> Path:
    """Puts the records into a new file of the process and carries them to an empty space; gives the file."""
    progress(f"filling a hub with {len(pairs):,} records")
    file = directory / f"giver-{space.name}.db"
    await giver.run(put, file, space.name, pairs)
    await giver.run(meet, file, space.name, space.hub)
    return file


async def catch_up(receiver: NodeProcess, directory: Path, space: Space) -> float:
    """Seconds that a fresh file of the process takes to catch up."""
    with TemporaryDirectory(dir=directory) as name:
        return (await receiver.run(meet, Path(name) / "receiver.db", space.name, space.hub)).seconds


async def _in_turns(directory: Path, space: Space, pairs: Pairs, repetitions: int) -> Turns:
    with node_process() as receiver:

        async def floor_turn(_turn: int) -> float:
            with TemporaryDirectory(dir=directory) as name:
                return floor.load(Path(name) / "floor.db", pairs)

        async def product_turn(_turn: int) -> float:
            return await catch_up(receiver, directory, space)

        return await in_turns(f"{len(pairs):,} records", floor_turn, product_turn, repetitions)


async def _metered(directory: Path, hub: HubProcess, space: Space) -> tuple[int, float]:
    """The bytes of one catch-up on the sockets, and the peak memory of the process that did it."""
    progress("counting bytes")
    with node_process() as receiver:
        async with metered(hub.address) as meter:
            meeting = await receiver.run(meet, directory / "metered.db", space.name, space.through(meter.url))
            return meter.total, meeting.peak_rss_mb
