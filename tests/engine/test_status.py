"""What a node says about itself: log, ledger and status."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import pytest_asyncio

from holdfast import Manual, Remove, Schema, Take
from holdfast.clocks import Dot

from ..nodes import NOW_MS, Wall, assert_equal, heal, meet, one_conflict, opened

MANUAL = Schema(name="t", fields={"v": Manual()})


@pytest_asyncio.fixture
async def pair(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s", name="north", schemas=[MANUAL]) as a,
        opened(tmp_path / "hub.db", space="s", name="hub", schemas=[MANUAL]) as hub,
    ):
        yield a, hub


async def test_the_log_tells_every_operation_newest_first(node):
    await node["t"].put("k", {"a": 1, "b": 2}, author="ann", note="first")
    await node["t"].update("k", {"a": 3, "b": Remove()})
    await node["u"].put("l", {})
    await node["t"].delete("k", author="ben")
    entries = await node.log()
    assert [(e.lsn, e.kind, e.collection, e.key, e.author, e.note, e.old) for e in entries] == [
        (4, "delete", "t", "k", "ben", None, {"a": 3}),
        (3, "put", "u", "l", None, None, {}),
        (2, "update", "t", "k", None, None, {"a": 1, "b": 2}),
        (1, "put", "t", "k", "ann", "first", {}),
    ]
    assert [e.dot for e in entries] == [Dot(await node.actor(), seq) for seq in (4, 3, 2, 1)]
    assert all(NOW_MS < e.clock_ms < NOW_MS + 10_000_000 for e in entries)
    assert [e.key for e in await node.log(collection="t", limit=2)] == ["k", "k"]
    assert [e.lsn for e in await node.log(collection="u", key="l")] == [3]
    assert await node.log(key="nothing") == []


async def test_the_log_tells_what_a_merge_replaced(pair):
    a, hub = pair
    await a["t"].put("k", {"n": 1, "m": 1})
    await heal(hub, a)
    receipt = await hub["t"].update("k", {"n": 2})
    await heal(hub, a)
    (entry,) = [entry for entry in await a.log() if entry.kind == "merge"]
    assert (entry.dot, entry.old) == (receipt.dot, {"n": 1})
    assert [entry.kind for entry in await hub.log()] == ["update", "merge"]


async def test_a_bulk_put_is_logged_record_by_record(node):
    await node["t"].put_many((f"k{n}", {"n": n}) for n in range(3))
    await node["t"].put_many([("k1", {"n": 9})])
    entries = await node.log()
    assert [(e.key, e.dot.seq, e.old) for e in entries] == [
        ("k1", 4, {"n": 1}),
        ("k2", 3, {}),
        ("k1", 2, {}),
        ("k0", 1, {}),
    ]


async def test_the_ledger_keeps_what_a_decision_discarded(pair):
    a, hub = pair
    await a["t"].put("k", {"v": 0})
    await heal(hub, a)
    mine = await a["t"].update("k", {"v": {"by": "a"}})
    await hub["t"].update("k", {"v": "hub"})
    await heal(hub, a)
    assert await a.ledger() == []  # both stand
    decision = await (await one_conflict(hub)).resolve(Take(1))
    await heal(hub, a)
    for node in pair:
        (entry,) = await node.ledger()
        assert (entry.collection, entry.key, entry.field, entry.value) == ("t", "k", "v", {"by": "a"})
        assert (entry.dot, entry.reason, entry.by) == (mine.dot, "decided", decision.dot)
    assert await a.ledger(collection="u") == await a.ledger(key="x") == []


async def test_the_ledger_keeps_what_any_write_overwrote_of_a_conflict(pair):
    a, hub = pair
    await a["t"].put("k", {"v": 0})
    await heal(hub, a)
    await a["t"].update("k", {"v": "A"})
    await hub["t"].update("k", {"v": "B"})
    await heal(hub, a)
    await a["t"].put("k", {"other": 1})
    await heal(hub, a)
    for node in pair:
        assert {(entry.value, entry.reason) for entry in await node.ledger()} == {
            ("A", "overwritten"),
            ("B", "overwritten"),
        }


async def test_an_ordinary_overwrite_is_in_the_log_and_not_in_the_ledger(pair):
    a, hub = pair
    await a["t"].put("k", {"v": 0})
    await a["t"].put("k", {"v": 1})
    await heal(hub, a)
    assert await a.ledger() == await hub.ledger() == []


async def test_status_counts_what_there_is(pair):
    a, hub = pair
    await a["t"].put_many((f"k{n}", {}) for n in range(5))
    await a["t"].delete("k0")
    await a["u"].put("x", {})
    status = await a.status()
    assert (status.space, status.label, status.actor, status.incarnations) == ("s", "north", await a.actor(), 1)
    assert (status.lsn, status.operations, status.records, status.deleted) == (3, 7, 5, 1)
    assert status.collections == {"t": 4, "u": 1}
    assert status.vector == {await a.actor(): 7}
    assert (status.whole, status.quarantined, status.holes, status.peers, status.blockers) == (True, 0, 0, (), ())
    assert status.bytes["file"] > 0
    assert json.loads(json.dumps(status.as_json()))["records"] == 5
    await meet(a, hub)
    await a["t"].put("later", {})
    (peer,) = (await a.status()).peers
    assert (peer.label, peer.acknowledged, peer.pending) == ("hub", 3, 1)
    assert peer.url.endswith("hub.db")
    assert NOW_MS < peer.synced_ms < NOW_MS + 10_000_000
    (peer,) = (await hub.status()).peers
    assert (peer.actor, peer.label, peer.read) == (await a.actor(), "north", 3)
    assert (await a.status()).digest != (await hub.status()).digest
    await meet(a, hub)
    await assert_equal(a, hub)


async def test_a_cut_session_is_named_until_the_next_completes(tmp_path, pair):
    a, hub = pair
    for n in range(3):
        await a["t"].put(f"k{n}", {})
    await meet(a, hub)
    from holdfast.engine.replica import Replica

    async with opened(tmp_path / "b.db", space="s") as b:
        source, target = Replica(hub), Replica(b)
        batch = await source.read(0, (await target.facts()).vector)
        from dataclasses import replace

        await target.apply(replace(batch, drained=False), await hub.actor(), follows=True)
        status = await b.status()
        assert not status.whole
        assert any("cut" in blocker for blocker in status.blockers)
        assert status.records == 3
        await meet(b, hub)
        assert (await b.status()).blockers == ()
        await assert_equal(b, hub)


@pytest.mark.parametrize("years", [-30, 30])
async def test_a_clock_that_differs_is_named(tmp_path, years):
    wrong = Wall(NOW_MS + years * 31_557_600_000)
    async with (
        opened(tmp_path / "a.db", space="s", wall=wrong) as a,
        opened(tmp_path / "hub.db", space="s", name="hub", wall=Wall()) as hub,
    ):
        await meet(a, hub)
        assert any("clock of hub" in blocker for blocker in (await a.status()).blockers)
        assert any("clock" in blocker for blocker in (await hub.status()).blockers)


async def test_status_reads_the_same_beside_a_writer(tmp_path, pair):
    a, _ = pair
    await a["t"].put("k", {})
    async with opened(a.path, read_only=True) as reader:
        theirs, ours = await reader.status(), await a.status()
        assert (theirs.lsn, theirs.digest, theirs.actor) == (ours.lsn, ours.digest, ours.actor)
        assert (reader.label, reader.space, reader.read_only) == ("north", "s", True)


async def test_a_record_of_several_writers_that_the_peer_holds_does_not_wait_for_it(pair):
    a, hub = pair
    for node in pair:
        await node["t"].put("k", {"v": node.label})
    await heal(hub, a)
    for node in pair:
        (peer,) = (await node.status()).peers
        assert peer.pending == 0
    await a["t"].update("k", {"w": 1})
    (peer,) = (await a.status()).peers
    assert peer.pending == 1


async def test_a_log_that_a_long_read_holds_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.engine.status.LOG_REPORTED", 4_000_000)
    reading, go_on = threading.Event(), threading.Event()

    def long_read(connection):
        connection.execute("BEGIN")
        found = connection.execute("SELECT count(*) FROM record").fetchone()
        reading.set()
        go_on.wait(20)
        connection.execute("COMMIT")
        return found

    async with opened(tmp_path / "a.db") as node:
        await node["t"].put("k", {"v": 0})
        assert (await node.status()).blockers == ()
        task = asyncio.create_task(node.readers.run(long_read))
        await asyncio.to_thread(reading.wait, 20)
        for n in range(6):
            await node["t"].put_many((f"{n}-{m}", {"v": "x" * 4_000}) for m in range(250))
        status = await node.status()
        assert status.bytes["log"] >= 4_000_000
        assert status.reading_s >= 0
        assert [one for one in status.blockers if "write-ahead log" in one and "in this process" in one]
        go_on.set()
        await task
        assert node.readers.oldest_s() == 0
