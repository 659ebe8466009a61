"""Deleted records that go for good, between real nodes: fences, absences, and those who were away."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from pathlib import Path

from holdfast import Engine, LinkCut, Purge
from holdfast.engine.replica import Replica

from ..nodes import Wall, assert_equal, heal, meet, opened, purge


async def rows(node: Engine) -> dict[str, bool]:
    def read(connection):
        return {key: bool(live) for key, live in connection.execute("SELECT key, live FROM record")}

    return await node.readers.run(read)


async def test_who_comes_back_hears_of_what_was_deleted_and_keeps_what_it_wrote(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as away:
        tasks = hub["t"]
        await tasks.put_many([(f"k{n}", {"n": n}) for n in range(50)])
        await heal(hub, away)
        for n in range(40):
            await tasks.delete(f"k{n}")
        await purge(hub)
        assert await rows(hub) == {f"k{n}": True for n in range(40, 50)}
        await away["t"].put("own", {"written": "offline"})
        await away["t"].update("k1", {"m": 1})  # revives the whole record
        report = await meet(away, hub)
        assert report.completed
        live = {f"k{n}" for n in range(40, 50)} | {"own", "k1"}
        for node in (hub, away):
            assert {key for key, _ in (await rows(node)).items()} == live
            assert (await node["t"].get("k1")).fields == {"n": 1, "m": 1}
        await heal(hub, away)
        await assert_equal(hub, away)
        assert (await meet(away, hub)).round_trips == 1


async def test_a_hub_from_a_backup_hears_of_what_its_clients_saw_deleted(tmp_path: Path):
    path = tmp_path / "h.db"
    async with opened(path, space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub["t"].put_many([(f"k{n}", {"n": n}) for n in range(50)])
        await heal(hub, a)
        await hub.backup(tmp_path / "copy.db")
        for n in range(40):
            await hub["t"].delete(f"k{n}")
        await purge(hub)
        await heal(hub, a)
        assert len(await rows(a)) == 10
    async with opened(tmp_path / "copy.db") as hub, opened(tmp_path / "a.db") as a:
        assert len(await rows(hub)) == 50
        report = await meet(a, hub)
        assert report.completed, report
        await heal(hub, a)
        assert len(await rows(hub)) == len(await rows(a)) == 10
        await assert_equal(hub, a)


async def test_a_cut_return_goes_on(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as away:
        await hub["t"].put_many([(f"k{n}", {"n": n}) for n in range(300)])
        await heal(hub, away)
        for n in range(290):
            await hub["t"].delete(f"k{n}")
        await purge(hub)
        for cut in range(400, 40_000, 1_500):
            with suppress(LinkCut):
                await meet(away, hub, cut_after=(None, cut))
        await heal(hub, away)
        assert len(await rows(away)) == 10
        await assert_equal(hub, away)


async def test_who_was_cut_on_its_return_syncs_with_another_who_was_away(tmp_path: Path):
    """Both meet a fence that neither of their vectors covers: each asks the other once in a session, not for ever."""
    names = ("h", "a", "b")
    async with AsyncExitStack() as stack:
        hub, a, b = [await stack.enter_async_context(opened(tmp_path / f"{name}.db", space="s")) for name in names]
        await hub["t"].put_many([(f"k{n}", {"n": n}) for n in range(50)])
        await heal(hub, a, b)
        for n in range(40):
            await hub["t"].delete(f"k{n}")
        await purge(hub)
        fence = (await Replica(hub).facts()).fence
        for node in (a, b):
            await node["t"].put(f"own-{node.label}", {"written": "offline"})
        await a.write(lambda tx: tx.raise_fence(fence))  # as a session leaves it that is cut behind the hello
        for node, other in ((a, b), (b, a), (a, b)):
            report = await meet(node, other)
            assert report.completed, report
        assert (await rows(a)).keys() == (await rows(b)).keys() == {f"k{n}" for n in range(50)} | {"own-a", "own-b"}
        await heal(hub, a, b)
        await assert_equal(hub, a, b)
        assert len(await rows(a)) == 12


async def test_history_tells_of_purged_records(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as node:
        first = await node["t"].put("k", {"n": 1})
        await node["t"].delete("k")
        await purge(node)
        assert await rows(node) == {}
        again = await node["t"].put("k", {"n": 2})
        assert [entry.kind for entry in await node["t"].history("k")] == ["put", "delete", "put"]
        past = node["t"].as_of(first.lsn)
        assert [fields async for _, fields in past.documents()] == [{"n": 1}]
        assert (await node.verify()).ok
        assert again.lsn > first.lsn


async def test_a_tombstone_that_only_one_side_has_dropped_is_no_difference(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub["t"].put("k", {})
        await hub["t"].delete("k")
        await heal(hub, a)
        await purge(hub)
        first = await meet(a, hub)
        assert first.completed
        assert first.blockers == ()
        await heal(hub, a)
        assert await rows(a) == {}
        await assert_equal(hub, a)


async def test_a_reader_that_was_away_hears_of_what_was_deleted(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as reader:
        await hub["t"].put_many([(f"k{n}", {"n": n}) for n in range(20)])
        await meet(reader, hub, rights="r")
        for n in range(15):
            await hub["t"].delete(f"k{n}")
        await purge(hub)
        report = await meet(reader, hub, rights="r")
        assert len(await rows(reader)) == 5
        assert report.blockers == ()


async def test_who_watches_hears_of_a_record_that_an_absence_empties(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as away:
        await hub["t"].put_many([("k", {"n": 1}), ("other", {"n": 2})])
        await heal(hub, away)
        changes = away.watch(0)
        assert {(await anext(changes)).key for _ in range(2)} == {"k", "other"}
        await hub["t"].delete("k")
        await purge(hub)
        await meet(away, hub)
        gone = await anext(changes)
        assert (gone.key, gone.live, gone.fields, gone.version) == ("k", False, None, "")
        await away["t"].put("last", {})
        assert (await anext(changes)).key == "last"
        await changes.aclose()


async def test_a_slow_watcher_hears_of_what_was_deleted_and_purged_before_it_looked(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as node:
        changes = node.watch(0)
        await node["t"].put("k", {"n": 1})
        assert (await anext(changes)).live
        await node["t"].delete("k")
        await purge(node)
        await node["t"].put("k", {"n": 2})
        assert [(change.key, change.live) for change in [await anext(changes), await anext(changes)]] == [
            ("k", False),
            ("k", True),
        ]
        await changes.aclose()


async def test_records_of_several_operations_that_returned_are_pending_like_all_that_returned(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as away:
        await hub["t"].put_many([("one", {"n": 1}), ("two", {"n": 1})])
        await heal(hub, away)
        for key in ("one", "two"):
            await hub["t"].delete(key)
        await purge(hub)
        await away["t"].put("one", {"n": 2})  # one operation makes all of it
        await away["t"].update("two", {"m": 2})
        before = (await hub.status()).vector
        await meet(away, hub)
        assert len(before) < len((await hub.status()).vector)
        for node in (hub, away):
            returned = await node.readers.run(
                lambda c: [key for (key,) in c.execute("SELECT key FROM record WHERE returned IS NOT NULL")]
            )
            ahead = [peer.pending for peer in (await node.status()).peers]
            to_send = await node.readers.run(
                lambda c: c.execute("SELECT count(*) FROM record r, peer p WHERE r.lsn > p.acked").fetchone()[0]
            )
            assert returned
            assert ahead == [to_send]


async def test_a_fence_that_rises_in_an_idle_session_lets_go_at_once(tmp_path: Path):
    wall = Wall()
    async with (
        opened(tmp_path / "h.db", space="s", purge=Purge(every_s=0), wall=wall) as hub,
        opened(tmp_path / "a.db", space="s", wall=wall) as a,
        opened(tmp_path / "b.db", space="s", wall=wall) as away,
    ):
        await hub.members.seize("the test says so")
        await hub["t"].put_many([("k", {}), ("kept", {})])
        await heal(hub, a, away)
        await hub["t"].delete("k")
        for _ in range(4):
            await meet(a, hub)
        assert await rows(hub) == {"k": False, "kept": True}
        (waits_for,) = [member.actor for member in await hub.members.list() if member.awaited]
        await hub.members.expire(waits_for)
        wall.ms += 24 * 3_600_000
        report = await meet(a, hub)
        assert (report.received, report.sent, report.round_trips) == (0, 0, 1)
        assert await rows(hub) == {"kept": True}
