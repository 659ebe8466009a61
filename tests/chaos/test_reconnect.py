"""A hub that is restarted under two hundred edges: all of them come back, nobody under another name."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from .checker import read_file
from .processes import running_hub

PROCESSES, EDGES_EACH = 4, 50
PROGRAM = Path(__file__).with_name("swarm.py")


@pytest.mark.soak
async def test_two_hundred_edges_come_back_to_a_hub_that_was_killed(tmp_path, recorder):
    async with running_hub(tmp_path / "hub") as hub:
        token, file = hub.add_space("s")
        command = [sys.executable, str(PROGRAM), str(tmp_path), "s", hub.url]
        options = {"stdin": PIPE, "stdout": PIPE, "env": {**os.environ, "HOLDFAST_TOKEN": token}}
        swarm = [
            await asyncio.create_subprocess_exec(*command, str(n * EDGES_EACH), str(EDGES_EACH), **options)
            for n in range(PROCESSES)
        ]
        try:
            await turn(swarm)
            await hub.kill()
            answers = [asyncio.create_task(turn(swarm, again=True))]
            await asyncio.sleep(2)
            begun = asyncio.get_running_loop().time()
            await hub.start()
            (reports,) = await asyncio.gather(*answers)
            seconds = asyncio.get_running_loop().time() - begun
            await turn(swarm, again=True)
            for process in swarm:
                process.stdin.close()
                assert await process.wait() == 0
        finally:
            for process in swarm:
                if process.returncode is None:
                    process.kill()
        await hub.stop()
    held = await read_file(file, "hub")
    edges = PROCESSES * EDGES_EACH
    recorder.note(
        36,
        f"SIGKILL and restart of a hub with {edges} edges in {PROCESSES} processes",
        violations=len(held.problems) + sum(report["renewed"] for report in reports),
        syncs_that_failed_meanwhile=sum(report["failed"] for report in reports),
        max_seconds_until_all_were_back=seconds,
    )
    assert not held.problems
    assert held.values == {f"edge{number}": f"{number}#2" for number in range(edges)}
    assert sum(report["renewed"] for report in reports) == 0


async def turn(swarm, *, again=False):
    """One round of everybody."""
    if again:
        for process in swarm:
            process.stdin.write(b"go\n")
    return [json.loads(await asyncio.wait_for(process.stdout.readline(), 300)) for process in swarm]
