"""Hostile clients of a hub that runs as a process: they are refused and closed, and an honest edge notices nothing."""

from __future__ import annotations

import asyncio

import pytest

from .attacks import ask, bombs, cpu_s, drip, head, rss_bytes
from .fleet import SPACE, fleet

HANDSHAKES = 500
BODIES = 60


async def honest_syncs(found, count):
    """CPU seconds of the hub, and seconds, of so many syncs of an honest edge that writes."""
    edge, before, seconds = found.edges["n0"], cpu_s(found.hub.pid), []
    for number in range(count):
        await edge.order("put", key=f"honest{number}", value=f"n0#{edge.acknowledged}")
        report = await edge.order("sync")
        assert report["completed"]
        seconds.append(report["seconds"])
    return cpu_s(found.hub.pid) - before, max(seconds)


@pytest.mark.soak
async def test_bombs_are_refused_and_cost_little(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0"]) as found:
        await honest_syncs(found, 2)
        token, pid = found.edges["n0"].token, found.hub.pid
        worst_mb = worst_s = 0.0
        before = rss_bytes(pid)
        for name, bomb in bombs().items():
            start = cpu_s(pid)
            request = head(SPACE, token, f"Content-Length: {len(bomb)}", "Connection: close") + bomb
            reply = await ask(found.hub.address, request)
            assert reply.startswith(b"HTTP/1.1 4"), (name, reply[:200])
            worst_s = max(worst_s, cpu_s(pid) - start)
            worst_mb = max(worst_mb, (rss_bytes(pid) - before) / 1e6)
        await honest_syncs(found, 2)
        verdict = await found.judged()
    how = "raw HTTP to the hub: compression, lengths, depth, keys, digits, limits ±2 bytes"
    figures = {"max_CPU_ms_for_one": worst_s * 1000, "max_MB_more_of_RSS": worst_mb}
    recorder.note(31, how, runs=len(bombs()), violations=len(verdict.findings), **figures)
    assert not verdict.findings, found.report(verdict)
    assert worst_mb < 64


@pytest.mark.soak
async def test_slow_clients_disturb_nobody(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0"]) as found:
        _, calm_s = await honest_syncs(found, 20)
        address, token = found.hub.address, found.edges["n0"].token
        slow = [drip(address, b"POST /v1/spaces/", 1.0, 40.0) for _ in range(HANDSHAKES)]
        chunked = head(SPACE, token, "Transfer-Encoding: chunked")
        slow += [drip(address, chunked + b"5\r\nab", 5.0, 150.0) for _ in range(BODIES)]
        attack = [asyncio.create_task(each) for each in slow]
        await asyncio.sleep(2)
        _, slow_s = await honest_syncs(found, 20)
        lasted = [await task for task in attack]
        verdict = await found.judged()
    recorder.note(
        32,
        f"{HANDSHAKES} handshakes at 1 byte/s and {BODIES} half bodies with a good token",
        runs=len(slow),
        violations=len(verdict.findings) + sum(seconds >= 150 for seconds in lasted),
        max_seconds_until_a_handshake_was_closed=max(lasted[:HANDSHAKES]),
        max_seconds_until_a_body_was_closed=max(lasted[HANDSHAKES:]),
        max_ratio_of_the_slowest_honest_sync=slow_s / calm_s,
    )
    assert not verdict.findings, found.report(verdict)
    assert max(lasted[:HANDSHAKES]) < 40
    assert max(lasted[HANDSHAKES:]) < 150


@pytest.mark.soak
async def test_readers_that_never_read_hold_little_of_the_hub(tmp_path, recorder):
    names = [f"n{number}" for number in range(6)]
    async with fleet(tmp_path / "fleet", names) as found:
        writer, pid = found.edges["n0"], found.hub.pid
        for number in range(60):
            await writer.order("put", key=f"big{number}", value=f"n0#{number}", pad=400_000)
        await writer.order("sync", patience_s=120)
        before = rss_bytes(pid)
        for name in names[2:]:
            found.proxies[name].down.stalled = True
        stuck = [found.edges[name].order("sync", patience_s=20) for name in names[2:]]
        await asyncio.sleep(6)
        more_mb = (rss_bytes(pid) - before) / 1e6
        _, slowest_s = await honest_syncs(found, 10)
        ended = await asyncio.gather(*stuck, return_exceptions=True)
        await found.heal()
        verdict = await found.judged()
    assert all(isinstance(each, Exception) for each in ended)
    how = f"{len(stuck)} edges behind a proxy that takes nothing of an answer of 24 MB"
    figures = {"max_MB_more_of_RSS": more_mb, "max_seconds_of_an_honest_sync": slowest_s}
    recorder.note(33, how, runs=len(stuck), violations=len(verdict.findings), **figures)
    assert not verdict.findings, found.report(verdict)
    assert more_mb < 64 * len(stuck)
