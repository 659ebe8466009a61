"""Starters: a file that began with one is as if it had read the feed, and nothing travels that no reader may see."""

from __future__ import annotations

import random
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

from holdfast import Schema
from holdfast.clocks import node_of
from holdfast.engine.replica import Replica
from holdfast.engine.starters import Beginning, Offering
from holdfast.engine.storage.migrations import scripts
from holdfast.engine.storage.starter import COPIED, LEFT_OUT
from holdfast.errors import HoldfastError, LinkCut, SpaceMismatch
from holdfast.resolvers import FirstWriterWins

from ..nodes import NOW_MS, Wall, assert_equal, heal, meet, opened, raw
from .test_quarantine import STRANGER, from_the_future

URL = "http://hub"


@asynccontextmanager
async def full_hub(tmp_path, **options):
    """A hub with records of every kind, and what is only its own: a log, replaced values, peers, visitors."""
    async with (
        opened(tmp_path / "hub.db", space="default", **options) as hub,
        opened(tmp_path / "a.db", space="default", name="writer-a") as a,
        opened(tmp_path / "b.db", space="default", name="writer-b") as b,
        opened(tmp_path / "visitor.db", space="default", name="visitor-only-reads") as visitor,
    ):
        await a["t"].put_many((f"k{n}", {"n": n, "text": "ü" * (n % 7), "x": n / 7}) for n in range(300))
        await a["t"].put("secret", {"v": "replaced-value"}, note="a-private-note")
        await heal(hub, a, b)
        await a["t"].put("secret", {"v": "open"})
        for n in range(40):
            await a["t"].update(f"k{n}", {"n": -n})
            await b["t"].update(f"k{n + 20}", {"n": n + 1000, "more": {"a": [n]}})
        await b["t"].delete("k1")
        await a["t"].update("k200", {"late": 1})
        await b["t"].delete("k200")
        await hub["own"].put("h", {"by": "hub"})
        await Replica(a).apply(from_the_future("odd"), STRANGER)
        await heal(hub, a, b)
        await meet(visitor, hub, rights="r")
        await meet(visitor, hub)
        yield hub, a


async def drawn(hub, beginning):
    beginning.clear()
    return await Offering(hub).draw(beginning.path)


async def started(node, hub):
    beginning = Beginning(node)
    await drawn(hub, beginning)
    try:
        return await beginning.take(await beginning.check(), URL)
    finally:
        beginning.clear()


def test_every_table_is_copied_or_left_out():
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in scripts().values():
            connection.executescript(script)
        tables = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if not name.startswith("sqlite_")
        }
    assert tables == COPIED | LEFT_OUT | {"node", "stretch"}
    assert not COPIED & LEFT_OUT


async def test_a_node_that_begins_so_is_as_if_it_had_read_the_feed(tmp_path):
    async with full_hub(tmp_path) as (hub, a), opened(tmp_path / "new.db", space="default", name="new") as new:
        before = await new.actor()
        async with opened(tmp_path / "read.db", space="default") as reader:
            await meet(reader, hub)
            assert await started(new, hub)
            await assert_equal(hub, new, reader)
            for state in ("open", "settled"):
                shown = [{c.id for c in await n.conflicts(state)} for n in (reader, new)]
                assert shown[0] == shown[1]
                assert state == "open" or shown[0]
            status, read = await new.status(), await reader.status()
            assert (status.records, status.deleted, status.quarantined) == (
                read.records,
                read.deleted,
                read.quarantined,
            )
            assert status.quarantined == 1
            assert status.collections == read.collections
        assert await new.actor() == before
        assert node_of(before) != node_of(await hub.actor())
        assert status.operations == 0
        assert (await new["t"].get("odd")).quarantined == ("odd", "tensor")
        assert [entry.kind for entry in await new.log(collection="t", key="k30")] == ["merge"]
        assert (await new["t"].as_of(0).get("k30")) is None
        assert (await new.verify()).problems == ()
        await new["t"].update("k5", {"n": "mine"})
        await meet(new, hub)
        await meet(a, hub)
        await meet(new, hub)
        await assert_equal(hub, new, a)
    async with opened(tmp_path / "new.db", space="default") as again:
        assert again.renewed is None


async def test_a_session_goes_on_from_the_position_of_the_starter(tmp_path):
    async with full_hub(tmp_path) as (hub, a), opened(tmp_path / "new.db", space="default") as new:
        beginning = Beginning(new)
        await drawn(hub, beginning)
        await a["t"].put("since", {"n": 1})
        await a["t"].update("k3", {"n": 3.5})
        await meet(a, hub)
        url = f"memory://{hub.path}"  # as `meet` calls it
        assert await beginning.take(await beginning.check(), url)
        report = await meet(new, hub)
        assert (report.received, report.sent, report.completed, report.round_trips) == (2, 0, True, 1)
        await assert_equal(hub, new)
        assert hub.renewed is None
        assert (await hub.status()).incarnations == 1


async def test_records_of_a_cut_session_keep_their_context(tmp_path):
    half_way, blank = (opened(tmp_path / f"{name}.db", space="default") for name in ("half", "new"))
    async with full_hub(tmp_path, batch_bytes=2_000) as (hub, a), half_way as half, blank as new:
        with pytest.raises(LinkCut):
            await meet(half, hub, cut_after=(None, 3))
        assert not (await half.status()).whole
        assert await started(new, half)
        assert not (await new.status()).whole
        assert (await new.status()).digest == (await half.status()).digest
        assert (await new.verify()).problems == ()
        await heal(hub, a, half, new)
        await assert_equal(hub, a, half, new)
        assert (await new.status()).whole


async def test_nothing_leaves_that_a_reader_does_not_get(tmp_path):
    async with full_hub(tmp_path) as (hub, _), opened(tmp_path / "new.db", space="default") as new:
        beginning = Beginning(new)
        await drawn(hub, beginning)
        data = beginning.path.read_bytes()
        with raw(hub.path) as connection:
            tickets = [bytes(t) for row in connection.execute("SELECT issued, pending FROM peer") for t in row if t]
        stored = hub.path.read_bytes() + hub.path.with_name("hub.db-wal").read_bytes()
        for word in (b"replaced-value", b"visitor-only-reads", *tickets):
            assert word in stored, "the hub holds it"
            assert word not in data
        assert b"writer-a" in data
        assert len(tickets) >= 3
        with raw(beginning.path) as connection:
            for table in sorted(LEFT_OUT):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_the_rules_and_indexes_of_the_node_hold(tmp_path):
    schema = Schema(name="t", fields={"n": FirstWriterWins()}, indexes=["n", ("text", "n")])
    async with full_hub(tmp_path) as (hub, _):
        async with opened(tmp_path / "new.db", space="default", schemas=[schema]) as new:
            assert await started(new, hub)
            async with opened(tmp_path / "read.db", space="default", schemas=[schema]) as reader:
                await meet(reader, hub)
                for n in range(60):
                    one, other = await new["t"].get(f"k{n}"), await reader["t"].get(f"k{n}")
                    assert (one and one.fields) == (other and other.fields)
            assert (await new.verify()).problems == ()
        async with opened(tmp_path / "kept.db", space="default", schemas=[schema]):
            pass
        async with opened(tmp_path / "kept.db", schemas=None) as kept:
            assert await started(kept, hub)
            assert (await kept.verify()).problems == ()
        for name in ("new", "kept"):
            with raw(tmp_path / f"{name}.db") as connection:
                (count,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'field_*'").fetchone()
            assert count == 2


async def test_a_node_that_holds_something_keeps_it(tmp_path):
    async with full_hub(tmp_path) as (hub, _), opened(tmp_path / "new.db", space="default") as new:
        beginning = Beginning(new)
        await drawn(hub, beginning)
        starter = await beginning.check()
        await new["t"].put("mine", {"n": 1})  # between the look and the taking
        assert not await beginning.take(starter, URL)
        assert not await beginning.is_blank()
        assert (await new.status()).records == 1


async def test_a_starter_of_another_space_is_refused(tmp_path):
    async with full_hub(tmp_path) as (hub, _), opened(tmp_path / "new.db", space="default") as new:
        await Replica(new).fix_space("ef" * 16)
        with pytest.raises(SpaceMismatch):
            await started(new, hub)
        assert await Beginning(new).is_blank()
        async with opened(tmp_path / "named.db", space="elsewhere") as other:
            with pytest.raises(SpaceMismatch):
                await started(other, hub)


async def test_a_hub_whose_space_nobody_knows_offers_none(tmp_path):
    async with opened(tmp_path / "hub.db", space="default") as hub:
        await hub["t"].put("k", {"n": 1})
        assert await Offering(hub).worth() == 0


async def test_a_clock_that_is_far_ahead_is_not_believed(tmp_path):
    ahead = Wall(NOW_MS + 10 * 86_400_000)
    async with (
        full_hub(tmp_path, wall=ahead) as (hub, _),
        opened(tmp_path / "new.db", space="default", wall=Wall()) as new,
    ):
        assert await started(new, hub)
        await new["t"].put("mine", {"n": 1})
        with raw(new.path) as connection:
            (clock,) = connection.execute("SELECT clock FROM record WHERE key = 'mine'").fetchone()
            (latest,) = connection.execute("SELECT max(clock) FROM record").fetchone()
        assert clock >> 16 < NOW_MS + 86_400_000 < latest >> 16


SPOILS = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON record BEGIN SELECT 1; END",
    "a view": "CREATE VIEW v AS SELECT 1",
    "a table": "CREATE TABLE more (a)",
    "another index": "CREATE INDEX more ON record (doc)",
    "a document": """UPDATE record SET doc = '{"n":77}' WHERE key = 'k100'""",
    "a spelling": """UPDATE record SET doc = ' ' || doc WHERE key = 'k100'""",
    "no document": "UPDATE record SET doc = '[]' WHERE key = 'k100'",
    "a number": "UPDATE record SET seq = seq + 100000 WHERE key = 'k100'",
    "a clock": "UPDATE record SET clock = clock + 1 WHERE key = 'k100'",
    "the clock of an updated record": "UPDATE record SET clock = clock + 1 WHERE key = 'k2'",
    "cells": "UPDATE record SET cells = x'c1' WHERE key = 'k2'",
    "other cells": "UPDATE record SET cells = (SELECT cells FROM record WHERE key = 'k3') WHERE key = 'k2'",
    "siblings": "UPDATE record SET digest = digest + 1 WHERE key = 'k25'",
    "a position": "UPDATE record SET lsn = 1000000 WHERE key = 'k100'",
    "a key": "UPDATE record SET key = printf('%600c', 'x') WHERE key = 'k100'",
    "an empty key": "UPDATE record SET key = '' WHERE key = 'k100'",
    "a context to come": "UPDATE record SET extra = 999 WHERE key = 'k100'",
    "an identity": "UPDATE record SET node = 999 WHERE key = 'k100'",
    "a collection": "UPDATE record SET collection = 99 WHERE key = 'k100'",
    "liveness": "UPDATE record SET live = 0 WHERE key = 'k100'",
    "a record less": "DELETE FROM record WHERE key = 'k100'",
    "the vector": "UPDATE vector SET seq = 5",
    "an actor": "UPDATE actor SET actor = 'nobody' WHERE id = 1",
    "the feed": "UPDATE node SET feed = 'x'",
    "no node": "DELETE FROM node",
    "the space": "UPDATE node SET space = '../../etc'",
    "the sum": "UPDATE node SET digest = digest + 1",
    "a format to come": "PRAGMA user_version = 99",
    "a format before": "PRAGMA user_version = 1",
    "a stranger's file": "PRAGMA application_id = 7",
}


async def test_a_starter_that_is_not_what_it_must_be_is_refused(tmp_path):
    async with full_hub(tmp_path) as (hub, _), opened(tmp_path / "new.db", space="default") as new:
        beginning = Beginning(new)
        await drawn(hub, beginning)
        data = beginning.path.read_bytes()
        assert (await beginning.check()).records > 300
        passed = []
        for name, spoil in SPOILS.items():
            beginning.path.write_bytes(data)
            with raw(beginning.path) as connection:
                before = connection.total_changes
                connection.execute("PRAGMA ignore_check_constraints = ON")
                connection.execute(spoil)
                assert connection.total_changes > before or spoil.split()[0] in {"CREATE", "PRAGMA"}
            try:
                await beginning.check()
            except HoldfastError:
                continue
            passed.append(name)
        assert passed == []


async def test_damaged_bytes_are_found_or_say_nothing(tmp_path):
    """What no check finds may only be what nobody reads: the file that took it in is as the hub."""
    chance = random.Random(7)
    async with full_hub(tmp_path) as (hub, _):
        found = 0
        async with opened(tmp_path / "new.db", space="default") as new:
            await drawn(hub, Beginning(new))
            whole = Beginning(new).path.read_bytes()
        for turn in range(40):
            async with opened(tmp_path / f"new{turn}.db", space="default") as new:
                beginning, data = Beginning(new), bytearray(whole)
                for _ in range(3):
                    data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
                beginning.path.write_bytes(data)
                try:
                    starter = await beginning.check()
                except HoldfastError:
                    found += 1
                    continue
                if await beginning.take(starter, URL):
                    assert (await new.status()).digest == (await hub.status()).digest
                    assert (await new.verify()).problems == ()
        assert found >= 10
