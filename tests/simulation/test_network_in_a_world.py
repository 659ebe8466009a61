"""Claims about the network under the loop of a world: nodes that are abandoned in the middle of an exchange."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import LinkError
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.loop import SimLoop
from holdfast.simulation.kernel.trace import Trace
from holdfast.simulation.network.network import Network

from ..transport.hubs import chunks, collected


def crashed(seed: int, victim: str, *, network_first: bool):
    """One of two nodes is abandoned while the hub answers; gives what the other one met, and all events."""
    events, ends, met = [], [], []
    choices = SeededChoices(seed)
    loop = SimLoop(choices, Trace())
    network = Network(choices, loop, on_event=lambda *event: events.append(event))

    async def slow(body, _):
        try:
            whole = await collected(body)
            yield whole[:1]
            await asyncio.sleep(30)
            yield whole[1:]
        finally:
            ends.append(asyncio.get_running_loop().time())

    async def calling():
        try:
            met.append(await collected(network.link("a", "hub").exchange(chunks(b"xyz"))))
        except LinkError as error:
            met.append(error.code)

    async def world():
        network.register("hub", slow)
        loop.spawn("a", calling())
        await asyncio.sleep(5)
        steps = [lambda: network.crash(victim), lambda: loop.abandon(victim)]
        for step in steps if network_first else reversed(steps):
            step()
        await asyncio.sleep(4_000)
        assert not network._open
        network.register("hub", slow)
        loop.spawn("a", calling())
        await asyncio.sleep(4_000)

    try:
        loop.run_until_complete(world())
    finally:
        loop.close()
    return met, len(ends), events


@pytest.mark.parametrize("network_first", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_an_abandoned_hub_cuts_its_callers_and_comes_back(seed, network_first):
    met, ends, _ = crashed(seed, "hub", network_first=network_first)
    assert met == ["link-cut", b"xyz"]
    assert ends == 1, "the abandoned answer must not have been cleaned up"


@pytest.mark.parametrize("network_first", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_an_abandoned_caller_leaves_an_answer_that_ends_by_itself(seed, network_first):
    met, ends, _ = crashed(seed, "a", network_first=network_first)
    assert met == [b"xyz"]
    assert ends == 2


def test_the_same_seed_gives_the_same_events():
    assert crashed(3, "hub", network_first=True) == crashed(3, "hub", network_first=True)
