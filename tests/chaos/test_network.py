"""Networks that fail in every way a proxy can make them fail: local work goes on, and so does the next sync."""

from __future__ import annotations

import asyncio

import pytest

from .fleet import fleet
from .processes import OrderError
from .proxy import Weather

IDLE_S = 60
"""Standstill after which a link counts as cut (docs/reference/limits.md)."""


async def refused(order):
    """The code with which an order was refused."""
    with pytest.raises(OrderError) as caught:
        await order
    return caught.value.code


async def cut_answers(tmp_path, recorder, places):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other, proxy = found.edges["n0"], found.edges["n1"], found.proxies["n0"]
        cuts = 0
        for place in places:
            await edge.order("put", key=f"k{place % 7}", value=f"n0#{place}")
            await other.order("update", key=f"k{place % 5}", value=f"n1#{place}")
            await other.order("sync")
            proxy.clear()
            proxy.down = Weather(cut_after=place)
            try:
                await edge.order("sync")
            except OrderError as error:
                assert error.code in {"link-cut", "hub-error"}, error  # noqa: PT017 - it need not be refused
                cuts += 1
            if place % 3:
                proxy.clear()
                await edge.order("sync")
        await found.heal()
        incarnations = (await edge.order("status"))["incarnations"]
        verdict = await found.judged()
    recorder.note(
        21, "proxy resets after n bytes of the answer", runs=cuts, violations=len(verdict.findings), duplicates=0
    )
    assert not verdict.findings, found.report(verdict)
    assert incarnations == 1
    return cuts


async def test_an_answer_that_is_lost_after_the_commit_is_made_good(tmp_path, recorder):
    assert await cut_answers(tmp_path, recorder, range(1, 900, 180)) >= 2


@pytest.mark.soak
async def test_an_answer_that_is_lost_at_any_byte_is_made_good(tmp_path, recorder):
    assert await cut_answers(tmp_path, recorder, range(1, 1_200)) >= 300


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["hole up", "hole down", "half open", "half open before the first sync"])
async def test_a_link_that_says_nothing_is_given_up_and_resumed(tmp_path, recorder, fault):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, proxy = found.edges["n0"], found.proxies["n0"]
        for number in range(300):
            await edge.order("put", key=f"k{number}", value=f"n0#{number}", pad=1_000)
        if fault != "half open before the first sync":
            await edge.order("sync")
            await edge.order("update", key="k1", value="n0#again")
        loop = asyncio.get_running_loop()
        match fault:
            case "hole up":
                proxy.up.hole = True
                for connection in proxy.connections:
                    connection.up.hole = True
            case "hole down":
                proxy.down.hole = True
                for connection in proxy.connections:
                    connection.down.hole = True
            case _:
                for connection in proxy.connections:
                    connection.leave_half_open()
                proxy.up = Weather(hole=True)
        begun = loop.time()
        sync = edge.order("sync", patience_s=4 * IDLE_S)
        await edge.order("put", key="meanwhile", value="n0#meanwhile")
        assert await refused(sync) == "link-cut"
        seconds = loop.time() - begun
        proxy.clear()
        before = proxy.bytes_up
        await edge.order("sync")
        resumed = proxy.bytes_up - before
        await found.heal()
        verdict = await found.judged()
    row = 3 if fault.startswith("hole") else 34
    figures = {"max_seconds_until_it_was_given_up": seconds, "max_bytes_to_resume": resumed}
    recorder.note(row, f"proxy: {fault}", violations=len(verdict.findings), **figures)
    assert not verdict.findings, found.report(verdict)
    assert seconds < 2 * IDLE_S + 20
