"""One file under several names, queries that nobody waits for, and tickets of sessions that were overtaken."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import FileLocked, FileUnreadable, LinkCut, Unreachable
from holdfast.engine.replica import Replica
from holdfast.engine.storage.apply import Applied
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import BACKLOG_MAX, respond
from holdfast.transport.session import Initiator
from holdfast.transport.sync import sync
from holdfast.transport.wire import encode
from tests.nodes import link_to, meet, opened

ENDLESS = "(WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r) > 0"


async def test_a_symbolic_link_is_the_same_file(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        with pytest.raises(FileLocked):
            await opened(tmp_path / "link.db")
    async with opened(tmp_path / "link.db") as again:
        assert (await again["t"].count(), again.renewed) == (1, None)


async def test_a_file_with_several_names_is_refused(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
    (tmp_path / "b.db").hardlink_to(tmp_path / "a.db")
    with pytest.raises(FileUnreadable, match="several names"):
        await opened(tmp_path / "b.db")


async def test_a_cancelled_query_ends_and_its_reader_serves_others(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {"n": 1})
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(a["t"].query(ENDLESS), 0.05)
        assert (await asyncio.wait_for(a["t"].get("k"), 20)).fields == {"n": 1}


async def test_closing_ends_a_query(tmp_path):
    a = await opened(tmp_path / "a.db", space="s")
    await a["t"].put("k", {})
    query = asyncio.ensure_future(a["t"].query(ENDLESS))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(a.close(), 20)
    with pytest.raises(Exception, match="interrupted"):
        await query


async def test_a_session_that_was_overtaken_gives_no_ticket(tmp_path):
    """Its process was killed and came back: a ticket of the old session would make it look like a copy."""
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        await meet(a, hub)
        await a["t"].put("l", {})
        await meet(a, hub)
        answer, actor = Replica(hub), await a.actor()
        assert await answer.issue_ticket(actor, b"an older ticket") == b""
        await a["t"].put("m", {})
        report = await meet(a, hub)
        assert (report.completed, a.renewed, await a.actor()) == (True, None, actor)


async def test_a_hub_that_was_long_unreachable_takes_nobody_for_a_copy(tmp_path):
    async def nobody(_chunks):
        raise Unreachable("no connection", subject="hub", remedy="Try again later.")
        yield b""

    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        await meet(a, hub)
        actor = await a.actor()
        for n in range(80):
            await a["t"].put(f"k{n}", {})
            with pytest.raises(Unreachable):
                await sync(Replica(a), MemoryLink(nobody, url=f"memory://{hub.path}"))
        facts = await Replica(a).facts(url=f"memory://{hub.path}")
        assert len(facts.peer.ticket) < 30
        report = await meet(a, hub)
        assert (report.completed, a.renewed, await a.actor()) == (True, None, actor)


@pytest.mark.parametrize("stored", [True, False])
async def test_a_sync_behind_a_lost_acknowledgement_completes(tmp_path, stored):
    """Whether the hub has stored what it was sent by then, or its writer is still at it."""
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await meet(a, hub)
        await a["t"].put("k", {})
        with pytest.raises(LinkCut):
            await meet(a, hub, cut_after=(None, 0))
        if stored:
            await hub.write(lambda tx: tx.seq)  # behind what waits
            assert await hub["t"].count() == 1
        report = await meet(a, hub)
        assert (report.completed, report.blockers) == (True, ())
        assert await hub["t"].count() == 1


async def test_a_hub_that_is_out_of_reach_makes_no_copy_for_another_that_is_met_meanwhile(tmp_path):
    """What the first drew back, the second had seen: its next ticket looked like that of a copy."""
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await meet(a, hub)
        await a["t"].put("k", {})

        async def out_of_reach(_):
            with pytest.raises(LinkCut):
                await meet(a, hub, cut_after=(None, 0))
            raise Unreachable("no connection", subject="hub", remedy="Try again later.")
            yield b""

        with pytest.raises(Unreachable):
            await sync(Replica(a), MemoryLink(out_of_reach, url="memory://elsewhere"))
        assert (await meet(a, hub)).completed
        assert a.renewed is None


class Stuck(Replica):
    """A node whose writer does not come back."""

    applying: asyncio.Event

    async def apply(self, *_: object, **__: object) -> Applied:
        self.applying.set()
        return await asyncio.Event().wait()


async def test_an_exchange_that_is_cancelled_while_batches_wait_leaves_nothing_running(tmp_path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await meet(a, hub)
        await a["t"].put("k", {})
        replica, stuck, before = Replica(a), Stuck(hub), asyncio.all_tasks()
        stuck.applying = asyncio.Event()
        session = Initiator(await replica.facts(url=link_to(hub).url), link_to(hub).url)
        hello, begun = session.opening()
        (batch,) = session.fed(await replica.read(begun.start, begun.held))

        async def request():
            for message in (hello.message, *[batch.message] * (BACKLOG_MAX + 3)):
                for frame in encode(message):
                    yield frame

        exchange = asyncio.create_task(anext(respond(stuck, request(), rights="rw")))
        await stuck.applying.wait()
        for _ in range(100):  # until as many wait as may
            await asyncio.sleep(0)
        assert "holdfast-intake" in {task.get_name() for task in asyncio.all_tasks() - before}
        exchange.cancel()
        await asyncio.gather(exchange, return_exceptions=True)
        for task in asyncio.all_tasks() - before:
            await asyncio.wait_for(asyncio.wait([task]), 10)
