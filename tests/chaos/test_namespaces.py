"""Partitions of a real network: links between namespaces are cut, without a word to either side's TCP."""

from __future__ import annotations

import asyncio

import pytest

from .checker import judge, read_file
from .history import History
from .namespaces import star
from .processes import Edge, Hub, OrderError

pytestmark = [pytest.mark.soak, pytest.mark.needs_netns]

EDGES = 4
IDLE_S = 60


async def settled(edges):
    """Syncs until nothing moves."""
    for _ in range(4):
        reports = [await edge.order("sync", patience_s=150) for edge in edges]
        if not any(report["sent"] + report["received"] for report in reports):
            return
    raise AssertionError(reports)


async def test_edges_in_a_partitioned_network_agree_when_it_heals(tmp_path, recorder, soak_seed):
    history = History(tmp_path / "history.jsonl")
    with star(EDGES) as network:
        hub = Hub(tmp_path / "hub", host=network.address)
        token, file = hub.add_space("s")
        edges = [Edge(f"n{number}", tmp_path / f"n{number}.db", history, "s", token) for number in range(EDGES)]
        try:
            await hub.start(prefix=network.inside(network.hub))
            for edge, name in zip(edges, network.edges, strict=True):
                await edge.start(hub.url, prefix=network.inside(name))
            await settled(edges)
            cut = {soak_seed % EDGES, (soak_seed + 1) % EDGES}
            for number in cut:
                network.cut(number)
            seconds = await in_the_partition(edges, cut)
            for number in range(EDGES):
                network.mend(number)
            begun = asyncio.get_running_loop().time()
            await settled(edges)
            equal_s = asyncio.get_running_loop().time() - begun
            for edge in edges:
                await edge.stop()
            await hub.stop()
        finally:
            for edge in edges:
                await edge.kill()
            await hub.kill()
    files = [await read_file(file, "hub"), *[await read_file(edge.path, edge.name) for edge in edges]]
    verdict = judge(history, files)
    recorder.note(
        2,
        "network namespaces: 2 of 4 links taken down without RST",
        violations=len(verdict.findings),
        writes_acknowledged=verdict.acknowledged,
        max_seconds_until_a_cut_link_was_given_up=seconds,
        max_seconds_to_equal=equal_s,
    )
    assert not verdict.findings, verdict.findings[:20]


async def in_the_partition(edges, cut):
    """Everybody writes and tries to sync; gives how long the cut ones waited at worst."""
    begun = asyncio.get_running_loop().time()
    syncs = {number: edge.order("sync", patience_s=4 * IDLE_S) for number, edge in enumerate(edges)}
    for number, edge in enumerate(edges):
        for write in range(20):
            await edge.order("put", key=f"k{write % 6}", value=f"n{number}#{write}")
        assert (await edge.order("status"))["operations"] >= 20
    for number, sync in syncs.items():
        if number in cut:
            with pytest.raises(OrderError) as caught:
                await sync
            assert caught.value.code in {"unreachable", "link-cut"}
        else:
            await sync
    return asyncio.get_running_loop().time() - begun
