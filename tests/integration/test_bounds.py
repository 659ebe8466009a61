"""What one batch may hold is bounded, whatever was written, merged, asked for or named anew."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import EngineClosed, TransactionTooLarge
from holdfast.clocks import EMPTY, Actor, Dot, Timestamp, VersionVector
from holdfast.engine.cells import REGISTER, Life, Record, Sibling, Stamp
from holdfast.engine.delta import Delta, FeedBatch, FeedId
from holdfast.engine.join import Memory, join
from holdfast.engine.replica import Replica
from holdfast.engine.storage.feed import read_keys
from holdfast.transport import answering
from tests.nodes import assert_equal, heal, meet, opened

LARGE = "x" * 100_000


async def test_a_transaction_is_bounded_by_the_records_that_it_touches(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put_many((f"k{n}", {"x": LARGE, "n": 0}) for n in range(200))
        before = await a.status()
        tx = a.transaction()
        for n in range(200):
            tx.update("t", f"k{n}", {"n": 1})
        with pytest.raises(TransactionTooLarge):
            await tx.__aexit__(None, None, None)
        after = await a.status()
        assert (after.lsn, after.operations, after.digest) == (before.lsn, before.operations, before.digest)


async def test_an_upsert_is_bounded_like_the_record_that_it_makes(tmp_path):
    """Alone and in a group: each field may be as large as a record, all together may not."""
    async with opened(tmp_path / "a.db", space="s") as a:
        fields = {f"f{n}": LARGE for n in range(30)}
        writes = [a["t"].update(f"k{n}", fields, upsert=True) for n in range(3)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [TransactionTooLarge] * 3
        with pytest.raises(TransactionTooLarge):
            await a["t"].update("k", fields, upsert=True)
        assert (await a["t"].count(), (await a.status()).operations) == (0, 0)


async def test_small_writes_that_meet_large_records_reach_everyone(tmp_path):
    """The hub merges a small batch into records that together are more than one batch can carry."""
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "b.db", space="s") as b,
        opened(tmp_path / "c.db", space="s") as c,
    ):
        await meet(b, hub)
        await hub["t"].put_many((f"k{n}", {"x": LARGE, "n": 0}) for n in range(400))
        await b["t"].put_many((f"k{n}", {"n": n}) for n in range(400))
        await heal(hub, b, c)
        assert len({(await node.status()).digest for node in (hub, b, c)}) == 1
        assert (await c["t"].count(), (await c.verify()).ok) == (400, True)


async def test_a_new_identity_of_many_unshared_operations_can_still_be_read(tmp_path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put_many((f"k{n}", {"n": n}) for n in range(12_000))
        await Replica(a).renew("a test")
        query = "SELECT DISTINCT l.lsn, r.lsn FROM log l JOIN record r ON r.id = l.record WHERE l.kind = 6"
        parts = await a.readers.run(lambda connection: connection.execute(query).fetchall())
        assert len(parts) == 2
        assert all(noted == stands for noted, stands in parts)  # or the first part would acknowledge both
        report = await meet(a, hub)
        assert (report.completed, await hub["t"].count()) == (True, 12_000)


async def test_two_renewals_in_a_row_leave_no_dot_that_no_vector_covers(tmp_path):
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await a["t"].put("k", {"n": 1})
        await Replica(a).renew("once")
        await Replica(a).renew("twice")
        assert (await a.verify()).problems == ()
        await heal(hub, a, b)
        await b["t"].update("k", {"n": 2})
        await heal(hub, a, b)
        for node in (a, b, hub):
            document = await node["t"].get("k")
            assert (document.fields, document.conflicted) == ({"n": 2}, False)


async def test_asking_for_one_record_many_times_gives_it_once(tmp_path):
    async with opened(tmp_path / "h.db", space="s") as hub:
        await hub["t"].put_many((f"k{n}", {"x": LARGE}) for n in range(60))
        batch = await hub.readers.run(read_keys, [("t", "k1")] * 2_000)
        assert batch.delta.key == ["k1"]
        batch = await hub.readers.run(read_keys, [("t", f"k{n}") for n in range(60)])
        assert 1 < len(batch.delta) < 60


async def test_who_may_only_read_leaves_nothing_behind(tmp_path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub["t"].put("k", {})
        before = await hub.status()
        for _ in range(2):
            report = await meet(a, hub, rights="r")
            assert (report.completed, report.received) in ((True, 1), (True, 0))
        await a["t"].put("own", {})
        report = await meet(a, hub, rights="r")
        assert (report.completed, report.sent) == (False, 0), "nothing was taken"
        after = await hub.status()
        assert (after.actor, after.space_id, after.peers) == (before.actor, before.space_id, ())


async def test_a_key_that_no_node_can_write_costs_one_record(tmp_path):
    stranger, feed = Actor("ab" * 16), FeedId("cd" * 8)

    def batch(start: int, seq: int) -> FeedBatch:
        delta = Delta(
            actors=(stranger,), labels=("",), collections=("t",), collection=[0, 0], key=["a\0b", f"k{seq}"],
            actor=[0, 0], seq=[seq, seq + 1], clock=[1, 1], flags=[0, 0], doc=['{"n":1}', '{"n":2}'],
        )  # fmt: skip
        vector = VersionVector({stranger: seq + 1})
        return FeedBatch(feed=feed, start=start, end=start + 1, drained=True, vector=vector, delta=delta)

    async with opened(tmp_path / "a.db", space="s") as a:
        for start, seq in ((0, 1), (1, 3)):
            outcome = await Replica(a).apply(batch(start, seq), stranger)
            assert (outcome.fresh, outcome.holes, outcome.completed) in ((1, 1, False), (0, 1, False))
        assert await a["t"].count() == 2


async def test_closing_twice_at_once_keeps_what_was_accepted(tmp_path):
    a = await opened(tmp_path / "a.db", space="s")
    writes = [asyncio.ensure_future(a["t"].put(f"k{n}", {})) for n in range(600)]
    await asyncio.sleep(0)
    await asyncio.gather(a.close(), a.close())
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, EngineClosed)]
    assert len(refused) + sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 600
    async with opened(tmp_path / "a.db", space="s") as again:
        assert await again["t"].count() == 600 - len(refused)


def test_clones_that_used_one_dot_at_different_times_join_to_the_same():
    dot = Dot(Actor("ab" * 16), 5)

    def record(clock: int, value: str) -> Record:
        stamp = Stamp(dot, Timestamp(clock))
        return Record({dot: Life(stamp, alive=True)}, {"f": {dot: Sibling(stamp, REGISTER, value)}})

    context = VersionVector({dot.actor: 5})
    for other in ("1", "2"):
        a, b = record(100, "1"), record(200, other)
        assert join(a, Memory(context), b, Memory(context)) == join(b, Memory(context), a, Memory(context))
    assert join(Record(), Memory(EMPTY), record(100, "1"), Memory(context)) == record(100, "1")


async def test_a_first_catch_up_of_several_exchanges_completes(tmp_path, monkeypatch):
    """The last exchange begins before the node has taken in anything; it once said that the peer could not follow."""
    monkeypatch.setattr(answering, "ANSWER_BYTES_MAX", 1)
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub, opened(tmp_path / "n.db", space="s") as node:
        for part in range(3):
            await hub["t"].put_many((f"{part}-{n}", {"text": "x" * 1_000}) for n in range(1_500))
        report = await meet(node, hub)
        assert report.round_trips > 2
        assert (report.completed, report.blockers) == (True, ())
        await assert_equal(node, hub)
