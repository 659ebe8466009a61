"""Real engines on real files over every condition of the network: what is healed agrees, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from holdfast.errors import LinkError
from holdfast.simulation.network.partitions import bridge, flap, heal_all, isolate, rejoin, split, swizzle

from ..nodes import assert_equal
from .virtual import run

EDGES = ("a", "b", "c")
NAMES = ("hub", *EDGES)


def every_pair(lab, **fields):
    """The same quality on every way between an edge and the hub."""
    for edge in EDGES:
        lab.network.quality(edge, "hub", **fields)
        lab.network.quality("hub", edge, **fields)


async def writing(lab, name, rounds):
    """Write what is this node's alone and what all write, and sync now and then; returns what was acknowledged."""
    engine, written = lab.engines[name], {}
    for n in range(rounds):
        await engine["t"].put(f"{name}{n}", {"n": n, "text": "x" * lab.choices.draw("work", 3_000)})
        written[f"{name}{n}"] = n
        await engine["t"].update(f"shared{n % 4}", {name: n, "all": name}, upsert=True)
        if lab.choices.draw("work", 2):
            with suppress(LinkError):
                await lab.sync(name, "hub")
        await asyncio.sleep(lab.choices.draw("work", 4_000) / 1000)
    return written


async def agreement(lab, written):
    """Heal everything, let every deadline pass, sync: all agree, and hold whatever was acknowledged."""
    lab.network.calm()
    await asyncio.sleep(4_000)
    for _ in range(2):
        for edge in EDGES:
            assert (await lab.sync(edge, "hub")).completed
    await assert_equal(*lab.engines.values())
    for engine in lab.engines.values():
        for key, n in written.items():
            assert (await engine["t"].get(key)).fields["n"] == n
    assert not lab.network._open


def campaign(tmp_path, disturb, seed, *, rounds=8):
    """Write on all edges while `disturb(lab)` goes on, then heal and compare; gives the lab."""
    labs = []

    async def test(lab):
        labs.append(lab)
        await lab.open(*NAMES)
        trouble = asyncio.ensure_future(disturb(lab))
        written = {}
        for done in await asyncio.gather(*(writing(lab, edge, rounds) for edge in EDGES)):
            written |= done
        await trouble
        await agreement(lab, written)

    run(tmp_path, test, seed)
    return labs[0]


def cuts(lab) -> Counter:
    return sum((traffic.cuts for traffic in lab.network.traffic.values()), Counter())


@pytest.mark.parametrize("seed", range(4))
def test_lost_connections(tmp_path, seed):
    async def disturb(lab):
        every_pair(lab, loss_per_mille=700, reset_after_bytes=(0, 10_000))

    assert cuts(campaign(tmp_path, disturb, seed))["loss"] > 3


@pytest.mark.parametrize("seed", range(4))
def test_repeated_requests(tmp_path, seed):
    async def disturb(lab):
        every_pair(lab, duplicate_per_mille=500, replay_per_mille=500)

    lab = campaign(tmp_path, disturb, seed)
    assert sum(traffic.repeated for traffic in lab.network.traffic.values()) > 5


@pytest.mark.parametrize("seed", range(2))
def test_slow_ways_and_long_latencies(tmp_path, seed):
    async def disturb(lab):
        every_pair(lab, bytes_per_s=700, latency_ms=(0, 9_000))

    campaign(tmp_path, disturb, seed)


@pytest.mark.parametrize("direction", ["both", "to", "from"])
@pytest.mark.parametrize("seed", [2, 4])
def test_cuts_of_every_direction(tmp_path, direction, seed):
    async def disturb(lab):
        for edge in EDGES:
            lab.network.quality(edge, "hub", near_per_mille=500, latency_ms=(1, 2_000))
        for _ in range(6):
            await asyncio.sleep(lab.choices.draw("nemesis", 5_000) / 1000)
            lab.network.cut(EDGES[lab.choices.draw("nemesis", 3)], "hub", direction)
            await asyncio.sleep(lab.choices.draw("nemesis", 30_000) / 1000)
            heal_all(lab.network, NAMES)

    assert cuts(campaign(tmp_path, disturb, seed))


def test_flapping(tmp_path):
    async def disturb(lab):
        every_pair(lab, latency_ms=(1, 500))
        await asyncio.gather(
            *(flap(lab.network, lab.choices, (e, "hub"), seconds=30, period_ms=(100, 2_000)) for e in EDGES)
        )

    lab = campaign(tmp_path, disturb, 1)
    assert len(lab.happened("heal")) > 20


def test_swizzle_clog(tmp_path):
    async def disturb(lab):
        await swizzle(lab.network, lab.choices, NAMES, seconds=60)
        assert not any(lab.network.is_cut(one, other) for one in NAMES for other in NAMES)

    campaign(tmp_path, disturb, 1)


def test_one_isolated_and_groups_apart(tmp_path):
    async def disturb(lab):
        net = lab.network
        isolate(net, "a", NAMES)
        assert [net.is_cut("a", other) for other in NAMES] == [True, False, True, True]
        rejoin(net, "a", NAMES)
        split(net, [["hub", "a"], ["b", "c"]])
        assert (net.is_cut("hub", "a"), net.is_cut("b", "hub"), net.is_cut("b", "c")) == (False, True, False)
        await asyncio.sleep(20)
        heal_all(net, NAMES)
        bridge(net, "hub", [["hub", "a"], ["b", "c"]])
        assert (net.is_cut("hub", "b"), net.is_cut("a", "b")) == (False, True)

    campaign(tmp_path, disturb, 1)


@pytest.mark.parametrize("seed", range(3))
def test_everything_at_once_and_a_hub_that_comes_and_goes(tmp_path, seed):
    async def disturb(lab):
        trouble = {"loss_per_mille": 250, "duplicate_per_mille": 250, "replay_per_mille": 250, "bytes_per_s": 5_000}
        every_pair(lab, **trouble, latency_ms=(0, 3_000))
        for _ in range(4):
            await asyncio.sleep(lab.choices.draw("nemesis", 8_000) / 1000)
            lab.network.crash("hub")
            asyncio.get_running_loop().end("hub")
            await asyncio.sleep(lab.choices.draw("nemesis", 8_000) / 1000)
            lab.network.register("hub", lab._responder("hub"))

    assert cuts(campaign(tmp_path, disturb, seed, rounds=12))
