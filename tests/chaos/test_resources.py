"""Edges and hubs without disk, descriptors or the lock on their file: a clear refusal, no loss, and on they go."""

from __future__ import annotations

import asyncio
import resource
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ..disk import fill, small_disk
from .fleet import SPACE, fleet, quietly
from .processes import Edge, OrderError

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
cursor = connection.execute(sys.argv[2])
cursor = connection.execute("SELECT * FROM record") if "IMMEDIATE" not in sys.argv[2] else cursor
cursor.fetchone()
print("held", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def held(path, statement):
    """Another tool has begun a transaction on a file, and stays in it until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(path), statement, stdin=PIPE, stdout=PIPE
    )
    assert await process.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def codes(*orders):
    """How orders were refused; those that were carried out are left out."""
    found = await asyncio.gather(*orders, return_exceptions=True)
    return [error.code for error in found if isinstance(error, OrderError)]


def puts(edge, count, mark, pad=0):
    return [edge.order("put", key=f"{mark}{n}", value=f"{edge.name}#{mark}{n}", pad=pad) for n in range(count)]


async def locked(tmp_path, recorder, hold_s):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        await quietly(*puts(edge, 5, "a"), *puts(other, 5, "b"))
        await found.heal()
        await quietly(*puts(other, 5, "c"))
        await other.order("sync")
        await edge.order("status")
        refused = []
        async with held(edge.path, "BEGIN IMMEDIATE"):
            loop = asyncio.get_running_loop()
            end = loop.time() + hold_s
            while loop.time() < end:
                refused += await codes(*puts(edge, 1, "w"), edge.order("sync"))
                await edge.order("read", key="a1")
                await asyncio.sleep(0.05)
        stall_ms = (await edge.order("status"))["stall_s"] * 1000
        await quietly(*puts(edge, 3, "after"))
        await found.heal()
        verdict = await found.judged()
    assert set(refused) == {"file-locked"}
    recorder.note(
        16,
        f"BEGIN IMMEDIATE by another process for {hold_s} s",
        violations=len(verdict.findings),
        orders_refused_by_name=len(refused),
        max_stall_of_the_loop_ms=stall_ms,
    )
    assert not verdict.findings, found.report(verdict)


async def test_a_lock_that_another_tool_holds_is_named_and_loses_nothing(tmp_path, recorder):
    await locked(tmp_path, recorder, 0.5)


@pytest.mark.soak
async def test_a_lock_that_is_held_for_30_s_loses_nothing(tmp_path, recorder):
    await locked(tmp_path, recorder, 30)


@pytest.mark.soak
async def test_a_long_reader_lets_the_log_grow_no_longer_than_it_reads(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0"]) as found:
        edge = found.edges["n0"]
        wal = edge.path.with_name(edge.path.name + "-wal")
        await quietly(*puts(edge, 50, "a"))
        await edge.order("status")
        async with held(edge.path, "BEGIN"):
            for _ in range(4):
                assert not await codes(*puts(edge, 100, "w", pad=250_000))
            grown = wal.stat().st_size
        stall_ms = (await edge.order("status"))["stall_s"] * 1000
        assert not await codes(*puts(edge, 30, "after", pad=250_000))
        left = wal.stat().st_size
        await found.heal()
        verdict = await found.judged()
    recorder.note(
        16,
        "a SELECT of another process left open while 100 MB are written",
        violations=len(verdict.findings),
        max_WAL_MB_meanwhile=grown / 1e6,
        max_WAL_MB_afterwards=left / 1e6,
        max_stall_of_the_loop_ms=stall_ms,
    )
    assert not verdict.findings, found.report(verdict)
    assert grown < 3 * 100e6
    assert left <= 64 * 1024 * 1024


@pytest.mark.soak
async def test_of_many_processes_on_one_file_one_writes_it(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", []) as found:
        path, token = tmp_path / "fleet" / "one.db", found.hub.registry.add_token(SPACE, "rw")[1]
        rivals = [Edge(f"r{number}", path, found.history, SPACE, token) for number in range(4)]
        try:
            started = await asyncio.gather(*(each.start(found.hub.url) for each in rivals))
            (winner,) = [each for each, running in zip(rivals, started, strict=True) if running]
            await quietly(*puts(winner, 5, "a"))
            winner.name = "one"
            await winner.kill()
            assert await winner.start(found.hub.url)
            status = await winner.order("status")
            assert (status["incarnations"], status["operations"], status["renewed"]) == (1, 5, None)
            assert await winner.order("verify") == []
        finally:
            for each in rivals:
                await each.kill()
    recorder.note(15, "four processes open one new file at once, and its writer is killed", processes=4)


async def test_without_descriptors_an_edge_answers_and_recovers(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        await quietly(*puts(edge, 5, "a"), *puts(other, 5, "b"))
        await found.heal()  # what is imported on first use is imported now
        await quietly(*puts(other, 5, "c"))
        await other.order("sync")
        with few_descriptors(edge.pid, 0):
            assert not await codes(*puts(edge, 20, "w"))
            await edge.order("read", key="a1")
            refused = await codes(edge.order("sync"))
        assert refused
        await found.heal()
        verdict = await found.judged()
    recorder.note(
        43, "RLIMIT_NOFILE of an edge at what it has open", violations=len(verdict.findings), writes_meanwhile=20
    )
    assert not verdict.findings, found.report(verdict)


async def first_syncs(tmp_path, recorder, spares):
    """What is imported on first use is not there yet, and each spare descriptor gets the import a little further."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, refused = found.edges["n0"], []
        for spare in spares:
            await edge.stop()
            await found.start("n0")
            await quietly(*puts(edge, 2, f"a{spare}/"))
            with few_descriptors(edge.pid, spare):
                refused += await codes(edge.order("sync"))
                assert not await codes(*puts(edge, 2, f"b{spare}/"))
            assert not await codes(edge.order("sync"))
        await found.heal()
        verdict = await found.judged()
    how = "RLIMIT_NOFILE of an edge before its first sync: what it has open, and some more"
    figures = {"syncs_refused_by_name": len(refused)}
    recorder.note(43, how, runs=len(spares), violations=len(verdict.findings), **figures)
    assert refused
    assert set(refused) <= {"unreachable", "link-cut", "file-unreadable"}
    assert not verdict.findings, found.report(verdict)


async def test_a_first_sync_without_descriptors_is_refused_by_name(tmp_path, recorder):
    await first_syncs(tmp_path, recorder, [0])


@pytest.mark.soak
async def test_a_first_sync_with_few_descriptors_is_refused_by_name(tmp_path, recorder):
    await first_syncs(tmp_path, recorder, range(10))


@pytest.mark.soak
async def test_without_descriptors_a_hub_refuses_and_recovers(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", [f"n{number}" for number in range(4)]) as found:
        edges = [*found.edges.values()]
        await quietly(*(order for edge in edges for order in puts(edge, 5, edge.name)))
        await found.heal()
        refused = []
        for spare in range(8):
            await quietly(*(order for edge in edges for order in puts(edge, 2, f"{edge.name}w{spare}/")))
            with few_descriptors(found.hub.pid, spare):
                refused += await codes(*(edge.order("sync", patience_s=5) for edge in edges))
        await found.heal()
        verdict = await found.judged()
    how = "RLIMIT_NOFILE of the hub at what it has open, and 1 to 7 more"
    recorder.note(43, how, runs=8, violations=len(verdict.findings), syncs_refused=len(refused))
    assert refused
    assert not verdict.findings, found.report(verdict)


class few_descriptors:  # noqa: N801 - a context manager that reads as one
    """A process may open only so many files more."""

    def __init__(self, pid, more):
        self.pid = pid
        self.limit = max(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()) + 1 + more

    def __enter__(self):
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.limit, self.before[1]))

    def __exit__(self, *_):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)


@pytest.mark.soak
async def test_an_edge_on_a_full_disk_keeps_what_it_acknowledged(tmp_path, recorder):
    with small_disk(tmp_path / "small") as small:
        async with fleet(tmp_path / "fleet", ["n0"]) as found:
            edge = Edge("full", small / "full.db", found.history, SPACE, found.edges["n0"].token)
            found.edges["full"], found.proxies["full"] = edge, found.proxies["n0"]
            await found.start("full")
            await quietly(*puts(edge, 5, "a"))
            ballast = fill(small, leave=100_000)
            refused = await codes(*puts(edge, 40, "w", pad=20_000))
            await edge.order("read", key="a1")
            await edge.kill()
            await found.start("full")
            await quietly(edge.order("sync"))
            await asyncio.to_thread(ballast.unlink)
            await quietly(*puts(edge, 5, "after"))
            await found.heal()
            verdict = await found.judged()
    assert set(refused) <= {"disk-full", "file-unreadable"}
    assert refused
    how = "tmpfs of 4 MiB, filled; the edge is killed while it is full"
    recorder.note(11, how, violations=len(verdict.findings), writes_refused_by_name=len(refused))
    assert not verdict.findings, found.report(verdict)


@pytest.mark.soak
async def test_a_hub_on_a_full_disk_refuses_and_recovers(tmp_path, recorder):
    with small_disk(tmp_path / "small") as small:
        async with fleet(tmp_path / "fleet", ["n0", "n1"], hub=small / "hub") as found:
            edge = found.edges["n0"]
            await quietly(*puts(edge, 5, "a"))
            await edge.order("sync")
            ballast = fill(small, leave=200_000)
            await quietly(*puts(edge, 60, "w", pad=20_000))
            refused = await codes(edge.order("sync"), edge.order("sync"))
            await found.hub.kill()
            await found.hub.start()
            refused += await codes(edge.order("sync"))
            await asyncio.to_thread(ballast.unlink)
            await found.heal()
            verdict = await found.judged()
    assert set(refused) <= {"hub-error", "link-cut"}
    assert refused
    how = "tmpfs of 4 MiB under the hub, filled; the hub is killed while it is full"
    recorder.note(11, how, violations=len(verdict.findings), syncs_refused_by_name=len(refused))
    assert not verdict.findings, found.report(verdict)
