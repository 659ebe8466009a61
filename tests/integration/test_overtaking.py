"""Sessions of one node that overtake each other: an ordinary node, so nobody may take it for a copy of itself.

A request of a process that was killed may wait in the network, or in the hub, until the next one is through.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from holdfast import Engine, Hub
from holdfast.engine.replica import Replica
from holdfast.transport.hub.server import listening
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from ..nodes import assert_equal, meet, opened


def recording(hub, requests):
    """A link to a hub that keeps every request."""

    async def answer(chunks):
        requests.append([])

        async def kept():
            async for chunk in chunks:
                requests[-1].append(chunk)
                yield chunk

        async for frame in respond(Replica(hub), kept(), rights="rw"):
            yield frame

    return MemoryLink(answer, url=f"memory://{hub.path}")


async def replay(hub, request):
    """The hub gets a request again; nobody hears its answer."""

    async def chunks():
        for chunk in request:
            yield chunk

    async for _ in respond(Replica(hub), chunks(), rights="rw"):
        pass


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("late", [-1, -2, 0])
async def test_a_request_that_comes_late_or_again_makes_no_node_a_copy(tmp_path, writes, late):
    async with (
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
        opened(tmp_path / "a.db", space="s", name="a") as a,
    ):
        requests = []
        for n in range(6):
            if writes or not n:
                await a["t"].put(f"k{n}", {"n": n})
            await sync(Replica(a), recording(hub, requests))
            await replay(hub, requests[late])
            assert a.renewed is None
        await meet(a, hub)
        assert a.renewed is None
        assert (await a.status()).incarnations == 1
        await assert_equal(a, hub)


@asynccontextmanager
async def served(directory, engine):
    """A hub over HTTP for this engine, and how to reach it."""
    from holdfast.transport.hub.app import make_app
    from holdfast.transport.hub.registry import HubRegistry

    registry = HubRegistry.init(directory)
    registry.add_space("s")

    class Kept:
        async def close(self):
            pass

    async def open_engine(name, path):
        return Kept()

    def answer(replica, chunks, *, rights):
        return respond(Replica(engine), chunks, rights=rights)

    async with listening(make_app(registry, open_engine, answer), "127.0.0.1", 0) as url:
        yield Hub(url, token=registry.add_token("s", "rw")[1])


async def test_syncs_that_run_at_once_make_no_node_a_copy(tmp_path):
    """A timer and a person may ask for a sync at the same time."""
    async with (
        Engine.open(tmp_path / "hub.db", space="s", name="hub", durability="normal") as hub,
        Engine.open(tmp_path / "a.db", space="s", name="a", durability="normal") as a,
        served(tmp_path / "hub", hub) as address,
    ):
        for n in range(12):
            writes = (a["t"].put(f"k{n}/{part}", {"n": n}) for part in range(3))
            reports = await asyncio.gather(*writes, *(a.sync(address) for _ in range(4)))
            assert all(report.completed for report in reports[3:])
        assert a.renewed is None
        assert (await a.status()).incarnations == 1
        await a.sync(address)
        await assert_equal(a, hub)
