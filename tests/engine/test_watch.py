"""Watching: every change is seen, by any number of watchers, however slow they are."""

from __future__ import annotations

import asyncio

import pytest

from ..nodes import meet, opened, python_at


async def take(changes, count):
    async with asyncio.timeout(10):
        return [await anext(changes) for _ in range(count)]


async def listening(changes):
    """The next change, once the watcher has found its place."""
    task = asyncio.create_task(anext(changes))
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


async def test_a_watcher_sees_what_is_written_after_it_began(node):
    await node["t"].put("before", {})
    changes = node["t"].watch()
    task = await listening(changes)
    receipt = await node["t"].put("k", {"n": 1})
    change = await asyncio.wait_for(task, 5)
    assert (change.lsn, change.collection, change.key, change.live) == (receipt.lsn, "t", "k", True)
    assert (change.fields, change.version) == ({"n": 1}, receipt.version)
    await node["t"].delete("k")
    (gone,) = await take(changes, 1)
    assert (gone.key, gone.live, gone.fields) == ("k", False, None)
    await changes.aclose()


async def test_a_watcher_sees_what_a_peer_brought(trio):
    a, b, hub = trio
    changes = b.watch()
    task = await listening(changes)
    await a["t"].put("k", {"n": 1})
    await a["u"].put("l", {"n": 2})
    await meet(a, hub)
    await meet(b, hub)
    found = [await asyncio.wait_for(task, 5), *await take(changes, 1)]
    assert [(change.collection, change.key, change.fields) for change in found] == [
        ("t", "k", {"n": 1}),
        ("u", "l", {"n": 2}),
    ]
    await changes.aclose()


async def test_a_watcher_can_start_behind_any_lsn(node):
    lsns = [(await node["t"].put(f"k{n}", {})).lsn for n in range(5)]
    changes = node.watch(since=lsns[2])
    assert [change.key for change in await take(changes, 2)] == ["k3", "k4"]
    await changes.aclose()
    changes = node.watch(since=0)
    assert [change.key for change in await take(changes, 5)] == [f"k{n}" for n in range(5)]
    await changes.aclose()


async def test_the_changes_of_one_transaction_come_together_however_many(node):
    await node["t"].put_many((f"k{n:04}", {}) for n in range(1_200))
    changes = node.watch(since=0)
    found = await take(changes, 1_200)
    assert {change.lsn for change in found} == {1}
    assert [change.key for change in found] == [f"k{n:04}" for n in range(1_200)]
    await changes.aclose()


async def test_a_slow_watcher_sees_net_changes_and_misses_nothing(node):
    changes = node["t"].watch(since=0)
    await node["t"].put("k0", {"n": 0})
    seen = dict(await _entries(changes, 1))
    for n in range(1, 2_001):
        async with node.transaction() as tx:
            tx.put("t", f"k{n % 100}", {"n": n})
    count = 0
    while len(seen) < 100 or min(seen.values()) <= 1_900:
        seen |= await _entries(changes, 1)
        count += 1
    assert sorted(seen.values()) == list(range(1_901, 2_001))
    assert count < 700  # a page that was read before the burst, and the net changes
    await changes.aclose()


async def _entries(changes, count):
    return {change.key: change.fields["n"] for change in await take(changes, count)}


async def test_positions_never_go_back(node):
    changes = node.watch(since=0)
    writer = asyncio.create_task(_write(node, 200))
    last = 0
    while last < 200:
        (change,) = await take(changes, 1)
        assert change.lsn >= last
        last = change.lsn
    await writer
    await changes.aclose()


async def _write(node, count):
    for n in range(count):
        await node["t"].put(f"k{n % 7}", {"n": n})


async def test_every_watcher_sees_everything_of_its_collection(node):
    watchers = [node["t"].watch(since=0) for _ in range(10)]
    everything = node.watch(since=0)
    await asyncio.gather(*(node["t"].put(f"k{n}", {}) for n in range(20)), node["u"].put("x", {}))
    for watcher in watchers:
        assert {change.key for change in await take(watcher, 20)} == {f"k{n}" for n in range(20)}
    assert len(await take(everything, 21)) == 21
    for watcher in [*watchers, everything]:
        await watcher.aclose()
    assert not node._watchers


@pytest.mark.parametrize("read_only", [False, True])
async def test_closing_ends_every_watcher(tmp_path, read_only):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})
    node = await opened(tmp_path / "n.db", read_only=read_only)

    async def watch():
        return [change.key async for change in node.watch()]

    watchers = [asyncio.create_task(watch()) for _ in range(5)]
    await asyncio.sleep(0.05)
    await node.close()
    assert await asyncio.wait_for(asyncio.gather(*watchers), 5) == [[]] * 5


async def test_closing_in_the_middle_of_a_page_ends_the_watcher(tmp_path):
    node = await opened(tmp_path / "n.db")
    await node["t"].put_many((f"k{n:04}", {}) for n in range(2_000))
    changes = node.watch(since=0)
    await take(changes, 1)
    await node.close()
    assert len([change async for change in changes]) == 499


WRITER = """
import asyncio, sys
from holdfast import Engine

async def main():
    async with Engine.open(sys.argv[1]) as engine:
        print("open", flush=True)
        for n in range(5):
            await asyncio.to_thread(sys.stdin.readline)
            await engine["t"].put(f"k{n}", {"n": n})

asyncio.run(main())
"""


@pytest.fixture
def writer(tmp_path):
    """A process that writes one record for each line it gets."""
    with python_at(tmp_path / "n.db", WRITER) as process:
        yield process
    assert process.returncode == 0


async def test_a_process_that_only_reads_watches_one_that_writes(tmp_path, writer):
    async with opened(tmp_path / "n.db", read_only=True) as reader:
        changes = reader.watch(since=0)
        for n in range(5):
            writer.stdin.write(b"\n")
            writer.stdin.flush()
            (change,) = await take(changes, 1)
            assert change.fields == {"n": n}
            assert (await reader["t"].get(f"k{n}")).fields == {"n": n}
        await changes.aclose()
