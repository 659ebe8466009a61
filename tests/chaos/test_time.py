"""Clocks that jump and processes that stand still: no write is refused, and whoever comes back goes on."""

from __future__ import annotations

import asyncio
import signal

import pytest

from .fleet import fleet, quietly

HOUR_MS = 3_600_000
YEAR_MS = 31_557_600_000
JUMPS = (0, HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS, 60_000, -24 * HOUR_MS, -48 * HOUR_MS, 0)


def clocks_of(history, node):
    """The timestamps that a node gave, in order."""
    events = (event for event in history.of(node) if event.say == "acknowledged")
    return [write["clock"] for event in events for write in event.what["writes"]]


@pytest.mark.soak
async def test_clocks_that_jump_by_years_refuse_and_lose_nothing(tmp_path, recorder):
    """By the engine's seam in the edge's process: under libfaketime a jump makes CPython's sleeps fail."""
    async with fleet(tmp_path / "fleet", ["n0", "n1", "n2"]) as found:
        times = {name: tmp_path / f"{name}.time" for name in ("n0", "n1")}
        for name, file in times.items():
            file.write_text("0")
            await found.edges[name].stop()
            await found.edges[name].start(found.proxies[name].url, env={"CHAOS_CLOCK": str(file)})
        refused = 0
        for step, jump in enumerate(JUMPS):
            times["n0"].write_text(str(jump))
            times["n1"].write_text(str(JUMPS[-step]))
            for edge in found.edges.values():
                orders = [
                    edge.order("update", key=f"k{n}", value=f"{edge.name}#{step}/{n}") for n in range(step % 3, 4)
                ]
                answers = await asyncio.gather(*orders, edge.order("sync"), return_exceptions=True)
                refused += sum(isinstance(answer, Exception) for answer in answers)
        for file in times.values():
            file.write_text("0")
        await found.heal()
        order = all(clocks == sorted(set(clocks)) for clocks in (clocks_of(found.history, n) for n in found.edges))
        ahead_ms = max(clocks_of(found.history, "n0")) >> 16
        verdict = await found.judged()
    recorder.note(
        17,
        "the engine's clock seam in two of three edges: jumps of a minute to ten years",
        runs=len(JUMPS),
        violations=len(verdict.findings) + refused,
        writes_acknowledged=verdict.acknowledged,
    )
    assert ahead_ms > 9 * YEAR_MS + 1_750_000_000_000  # the clocks did jump
    assert not refused
    assert order
    assert not verdict.findings, found.report(verdict)


async def paused(tmp_path, recorder, pause_s):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        for number in range(200):
            edge.order("put", key=f"k{number}", value=f"n0#{number}", pad=2_000)
        await edge.order("status")
        failed = 0
        for victim in (found.hub, edge, other):
            syncs = [each.order("sync", patience_s=4 * pause_s + 90) for each in (edge, other)]
            await asyncio.sleep(0.05)
            victim.signal(signal.SIGSTOP)
            if victim is not other:
                await quietly(other.order("put", key="k1", value=f"n1#{failed}"))
            await asyncio.sleep(pause_s)
            victim.signal(signal.SIGCONT)
            failed += (await quietly(*syncs)).count(None)
        await found.heal()
        verdict = await found.judged()
    recorder.note(
        42,
        f"SIGSTOP of hub and edges for {pause_s} s in the middle of syncs",
        runs=3,
        violations=len(verdict.findings),
        syncs_that_gave_up=failed,
    )
    assert not verdict.findings, found.report(verdict)


@pytest.mark.soak
async def test_processes_that_are_paused_go_on(tmp_path, recorder):
    await paused(tmp_path, recorder, 0.3)


@pytest.mark.soak
async def test_processes_that_are_paused_beyond_every_patience_go_on(tmp_path, recorder):
    await paused(tmp_path, recorder, 75)
