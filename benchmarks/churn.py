"""CHURN: what identities that come, write and go leave behind at a hub, and what a sync costs after them.

Each joins, writes three records, and is never seen again; the hub leaves it out and gives it up, and it goes into the
past of the files. In one turn they stay members for good, in the other they go. The identities are made up in the hub's
file as sessions leave them there (a fleet of 10,000 files would measure opening files); the edge that was there all the
time is real. Time is processor time of both sides in one process.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from tempfile import TemporaryDirectory
from time import process_time

from holdfast import Engine, Purge, Seams
from holdfast.clocks import Actor, VersionVector
from holdfast.engine.delta import FeedId, StretchId
from holdfast.engine.replica import Replica
from holdfast.engine.storage.peers import Peer, save_peer
from holdfast.engine.storage.retiring import retire
from holdfast.engine.storage.store import Tx
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.progress import SyncReport
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from .scenario import Aim, Plan, Result, progress

TITLE = "identities that come and go"
AIMS = {"hub_growth": Aim(bound=1.3), "write_bytes": Aim(bound=1_000), "write_cost": Aim(bound=4)}
IDENTITIES = {"quick": 600, "full": 10_000}
WRITES = 3
EACH = 100
"""Identities that come between two looks of the hub."""

SEAL_AFTER_S = 2 * 86_400
REPETITIONS = 5
PAGE_BYTES = 4_096


class Calendar:
    """A wall clock that the scenario moves."""

    ms = 1_750_000_000_000

    def now_ms(self) -> int:
        """The time."""
        self.ms += 1
        return self.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is there when so many have gone."""

    hub_bytes: int
    vector_bytes: int
    write_bytes: int
    noop_bytes: int
    write_ms: float


async def run(plan: Plan) -> Result:
    """Measures both turns, and the one in which identities go at half the size as well."""
    count = max(20, plan.count(IDENTITIES[plan.scale]))
    few = await _left(plan, 10, goes=True)
    half, whole = await _left(plan, count // 2, goes=True), await _left(plan, count, goes=True)
    kept = await _left(plan, min(count, IDENTITIES["quick"]), goes=False)
    figures = {
        "identities": count,
        "hub_bytes_each": whole.hub_bytes / count,
        "hub_bytes_per_record": whole.hub_bytes / count / WRITES,
        "vector_bytes": whole.vector_bytes,
        "kept_vector_bytes": kept.vector_bytes,
        "kept_identities": min(count, IDENTITIES["quick"]),
        "write_bytes": whole.write_bytes,
        "noop_bytes": whole.noop_bytes,
        "write_ms": whole.write_ms,
    }
    growth = (whole.hub_bytes / count) / (half.hub_bytes / (count // 2))
    return Result(figures=figures, ratios={"hub_growth": growth, "write_cost": whole.write_ms / few.write_ms})


async def _left(plan: Plan, count: int, *, goes: bool) -> Left:
    """Let so many come, and go or not."""
    progress(f"{count:,} identities that {'go' if goes else 'stay members'}")
    wall, seed = Calendar(), random.Random(plan.seed)
    seams = Seams(time=wall, entropy=seed.randbytes)
    purge = Purge(every_s=0, silent_after_s=SEAL_AFTER_S, seal_after_s=SEAL_AFTER_S) if goes else Purge()
    with TemporaryDirectory(dir=plan.directory) as name:
        hub_file, edge_file = Path(name) / "hub.db", Path(name) / "edge.db"
        async with (
            Engine.open(hub_file, space="s", seams=seams, durability="normal", purge=purge) as hub,
            Engine.open(edge_file, space="s", seams=seams, durability="normal") as edge,
        ):
            await hub.members.seize("the first hub")
            await _turn(edge, hub, 0)
            for first in range(0, count, EACH):
                await hub.write(_coming(first, min(EACH, count - first)))
                wall.ms += 86_400_000
                if goes:
                    await hub.purge()
                    await _look_after(hub)
                await _turn(edge, hub, first + 1)
            if goes:
                for _ in range(3):
                    wall.ms += 31 * 86_400_000
                    await _turn(edge, hub, -wall.ms)
                    await hub.purge()
                    await _look_after(hub, edge, at_once=1)
            turns = [await _turn(edge, hub, count + n) for n in range(REPETITIONS)]
            taken, wrote, idle = min(turns, key=lambda turn: turn[0])
            return Left(
                hub_bytes=await hub.readers.run(_bytes_used),
                vector_bytes=await hub.readers.run(_vector_bytes),
                write_bytes=_bytes(wrote),
                noop_bytes=_bytes(idle),
                write_ms=taken * 1_000,
            )


def _coming(first: int, count: int) -> Callable[[Tx], None]:
    """Each is met once: what a session stores of a peer, and what the peer wrote."""

    def come(tx: Tx) -> None:
        entropy = tx.store.seams.entropy
        for number in range(first, first + count):
            actor = Actor(entropy(16).hex())
            tx.names.number(actor, f"device {number}")
            told = tx.vector
            tx.take_in(VersionVector({actor: WRITES}))
            save_peer(
                tx,
                Peer(
                    actor=actor, label=f"device {number}", feed=FeedId(entropy(8).hex()), checkpoint=WRITES,
                    stretch=StretchId(entropy(4)), vector=tx.vector, told=told, acked_feed=tx.feed, acked=tx.lsn,
                    issued=entropy(8), pending=entropy(8), synced_ms=tx.now_ms,
                ),
            )  # fmt: skip

    return come


async def _look_after(*nodes: Engine, at_once: int = 64) -> None:
    for node in nodes:
        await node.write(lambda tx: retire(tx, at_once=at_once))


async def _turn(edge: Engine, hub: Engine, number: int) -> tuple[float, SyncReport, SyncReport]:
    """A sync with one record, and one without news; seconds of the first."""
    await edge["t"].put("k", {"n": number})
    start = process_time()
    wrote = await _meet(edge, hub)
    taken = process_time() - start
    return taken, wrote, await _meet(edge, hub)


async def _meet(edge: Engine, hub: Engine) -> SyncReport:
    link = MemoryLink(lambda chunks: respond(Replica(hub), chunks, rights="rw"), url="memory://hub")
    return await sync(Replica(edge), link)


def _bytes(report: SyncReport) -> int:
    return report.bytes_sent + report.bytes_received


def _bytes_used(connection: Connection) -> int:
    """Bytes of pages that hold something; in the hub there is one record."""
    query = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
    (pages,) = connection.execute(query).fetchone()
    return int(pages) * PAGE_BYTES


def _vector_bytes(connection: Connection) -> int:
    (size,) = connection.execute(
        "SELECT (SELECT coalesce(sum(length(vector)), 0) FROM context)"
        " + (SELECT length(fence) + length(horizon) + coalesce(length(mark), 0) FROM purging)"
        " + (SELECT coalesce(sum(length(vector)), 0) FROM past)"
    ).fetchone()
    return int(size)
