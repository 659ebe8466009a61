"""Kills at every system call of a deed: what was acknowledged is there, no number is used twice."""

from __future__ import annotations

import pytest

from .killing import CALLS, DEEDS, Sweep
from .nursery import Nursery
from .processes import running_hub

pytestmark = pytest.mark.needs_strace


async def sweep(tmp_path, recorder, deed, call, **numbers):
    async with running_hub(tmp_path / "hub") as hub:
        with Nursery() as nursery:
            found = Sweep(deed, call, hub, nursery, tmp_path)
            await found.run(**numbers)
    figures = {f"at {call}": found.points, "writes acknowledged": found.acknowledged}
    how = f"strace, SIGKILL at each call ({deed})"
    recorder.note(6, how, runs=found.points, violations=len(found.findings), **figures)
    assert not found.findings, found.findings[:20]
    return found


async def test_a_kill_point_of_a_write(tmp_path, recorder):
    found = await sweep(tmp_path, recorder, "put", "fdatasync", numbers=[24])
    assert found.points == 1
    assert found.acknowledged


@pytest.mark.soak
async def test_a_kill_point_of_a_sync(tmp_path, recorder):
    found = await sweep(tmp_path, recorder, "both ways", "fdatasync", numbers=[3])
    assert found.points == 1


@pytest.mark.soak
@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("call", CALLS)
async def test_every_kill_point(tmp_path, recorder, deed, call):
    await sweep(tmp_path, recorder, deed, call)
