"""Much at once: long partitions, a first sync that is larger than the process may be, many identities, one tick."""

from __future__ import annotations

import asyncio
import inspect
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from holdfast.clocks import EMPTY, Actor, HybridClock, VersionVector
from holdfast.engine.delta import Delta
from holdfast.engine.replica import Replica
from holdfast.transport.messages import Ack, VectorNote
from holdfast.transport.sync import sync as sync_over

from ..integration.test_hostile_peers import FEED, batch, greeting, peer
from ..nodes import assert_equal, meet, opened
from .attacks import cpu_s
from .checker import read_file
from .fleet import fleet

APART = 100_000
LARGE_RECORDS, LARGE_BYTES = 100_000, 2_000
MEMORY_BYTES = 256 * 1024 * 1024
IDENTITIES = 1_000
MANY = 10_000
TICKS = 1_000_000


class Frozen:
    """A wall clock that stands still."""

    def now_ms(self):
        return 1_750_000_000_000


def peak_mb(pid: int) -> float:
    """The most memory that a process has held."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


async def agreed(found, edges):
    """Stop everybody; the files, equal and sound."""
    for edge in edges:
        await edge.stop()
    await found.hub.stop()
    files = [await read_file(found.file, "hub"), *[await read_file(edge.path, edge.name) for edge in edges]]
    return files, [file.name for file in files if file.problems or file.digest != files[0].digest]


@pytest.mark.soak
async def test_a_long_partition_with_much_on_either_side(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edges = [*found.edges.values()]
        await found.heal()
        for edge in edges:
            found.proxies[edge.name].open = False
        for edge in edges:
            await edge.order("bulk", prefix=edge.name, count=APART, pad=60)
            await edge.order("bulk", prefix="both", count=100, pad=10)
        pids = [found.hub.pid, *(edge.pid for edge in edges)]
        before = sum(map(cpu_s, pids))
        for proxy in found.proxies.values():
            proxy.clear()
        for _ in range(2):
            for edge in edges:
                assert (await edge.order("sync", patience_s=600))["completed"]
        cpu, most = sum(map(cpu_s, pids)) - before, max(map(peak_mb, pids))
        files, wrong = await agreed(found, edges)
    how = f"{APART:,} operations on either side of a partition"
    figures = {"max_records_over_the_network_for_a_CPU_second": 4 * APART / cpu, "max_peak_MB_of_a_process": most}
    recorder.note(5, how, violations=len(wrong), **figures)
    assert not wrong
    assert len(files[0].values) == 2 * APART + 100
    assert len(files[0].listed) == 100


@pytest.mark.soak
async def test_a_first_sync_that_is_larger_than_the_process_may_be(tmp_path, recorder):
    """Killed in the middle, it goes on from there."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        source, edge = found.edges["n0"], found.edges["n1"]
        await source.order("bulk", prefix="k", count=LARGE_RECORDS, pad=LARGE_BYTES)
        assert (await source.order("sync", patience_s=900))["completed"]
        small = ["prlimit", f"--data={MEMORY_BYTES}"]
        await edge.stop()
        await edge.start(found.proxies["n1"].url, prefix=small)
        before, total = found.proxies["n1"].bytes_down, LARGE_RECORDS * LARGE_BYTES
        cut = edge.order("sync", patience_s=900)
        while found.proxies["n1"].bytes_down - before < total * 0.3 and not cut.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        assert not cut.done()
        most = peak_mb(edge.pid)
        await edge.kill()
        await edge.start(found.proxies["n1"].url, prefix=small)
        held = (await edge.order("status"))["records"]
        assert (await edge.order("sync", patience_s=900))["completed"]
        most = max(most, peak_mb(edge.pid))
        files, wrong = await agreed(found, [source, edge])
    figures = {
        "max_peak_MB_of_the_edge": most,
        "max_peak_MB_of_files": found.file.stat().st_size / 1e6,
        "records_that_stood_after_the_kill": held,
    }
    how = f"{LARGE_RECORDS:,} records of {LARGE_BYTES} bytes to an edge under RLIMIT_DATA of 256 MiB, killed on the way"
    recorder.note(37, how, violations=len(wrong), **figures)
    assert not wrong
    assert len(files[-1].values) == LARGE_RECORDS
    assert 0 < held < LARGE_RECORDS


@pytest.mark.soak
async def test_thousands_of_identities_make_a_vector_and_no_more(tmp_path, recorder):
    """One file that takes a new identity after each sync, as so many devices that came and went would leave it."""
    async with opened(tmp_path / "hub.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as node:
        replica = Replica(node)
        for number in range(IDENTITIES):
            await node["t"].put(f"k{number % 50}", {"n": number})
            await meet(node, hub)  # what no peer has would be given a new name
            await replica.renew("a test", of=await node.actor())
        await measure_identities(recorder, node, hub, f"{IDENTITIES:,} identities in one space", IDENTITIES)


def carrier(count):
    """One who brings a record of each of so many identities, all that it has."""
    actors = tuple(Actor(sha256(bytes(str(number), "ascii")).hexdigest()[:32]) for number in range(count))
    vector, zeros = VersionVector(dict.fromkeys(actors, 1)), [0] * count
    delta = Delta(
        actors=actors,
        labels=tuple(f"pump {number}" for number in range(count)),
        collections=("t",),
        collection=zeros,
        key=[f"k{number}" for number in range(count)],
        actor=[*range(count)],
        seq=[1] * count,
        clock=[1_750_000_000_000 << 16] * count,
        flags=[1] * count,
        doc=[f'{{"n":{number}}}' for number in range(count)],
    )

    def answer(said):
        known = said.peer_feed == FEED and said.checkpoints.get(0, 0)
        hello = greeting(said, vector=VectorNote(b"", vector))
        sent = batch(said, vector=VectorNote(vector.fingerprint(), EMPTY))
        sent = sent if known else replace(sent, end=1, delta=delta)
        return [hello, sent, Ack(feed=said.feed, checkpoint=said.head, taken=True)]

    return peer(answer)


@pytest.mark.soak
async def test_ten_thousand_identities_that_came_at_once(tmp_path, recorder):
    """The metadata as it is today: no identity is ever retired."""
    async with opened(tmp_path / "hub.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as node:
        report = await sync_over(Replica(hub), carrier(MANY))
        assert report.completed
        assert await hub["t"].count() == MANY
        first = await meet(node, hub)
        how = f"{MANY:,} identities, a record of each, in one batch"
        await measure_identities(recorder, node, hub, how, MANY, max_bytes_of_the_first_sync=first.bytes_received)


async def measure_identities(recorder, node, hub, how, least, **figures):
    """What a space of many identities costs those that are in it."""
    first, idle = await meet(node, hub), await meet(node, hub)
    await node["t"].put("one", {})
    one = await meet(node, hub)
    await assert_equal(node, hub)
    vector = VersionVector({Actor(actor): seq for actor, seq in (await hub.status()).vector.items()})
    figures |= {
        "max_bytes_of_the_vector": len(vector.encode()),
        "max_ms_of_CPU_for_a_comparison": await cpu_ms(20, lambda: vector.dominates(vector)),
        "max_ms_of_CPU_for_an_idle_sync": await cpu_ms(5, lambda: meet(node, hub)),
        "max_ms_of_CPU_for_a_write": await cpu_ms(20, lambda: node["t"].put("two", {})),
        "max_bytes_of_an_idle_sync": idle.bytes_sent + idle.bytes_received,
        "max_bytes_of_a_sync_of_one_record": one.bytes_sent + one.bytes_received,
    }
    recorder.note(25, how, violations=int(not first.completed), **figures)
    assert len(vector) >= least
    assert figures["max_bytes_of_an_idle_sync"] < 2_000


async def cpu_ms(times, work):
    """Processor time of one call, as the mean of so many; awaited if there is something to await."""
    start = time.process_time()
    for _ in range(times):
        done = work()
        if inspect.isawaitable(done):
            await done
    return (time.process_time() - start) * 1000 / times


@pytest.mark.soak
def test_a_million_operations_in_one_tick_of_the_clock(recorder):
    clock, before, wrong = HybridClock(Frozen()), -1, 0
    for _ in range(TICKS):
        stamp = clock.tick()
        wrong += stamp <= before
        before = stamp
    recorder.note(19, "ticks of a clock that stands still", runs=TICKS, violations=wrong)
    assert not wrong
