"""Kills at the system calls of chores: what the file held is there, and the chore can be done again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from .chore_kills import SOURCE, SYSTEM_CALLS
from .chores import CHORES

pytestmark = pytest.mark.needs_strace


def sweep(tmp_path, recorder, name, call, every=1):
    source = tmp_path / SOURCE
    source.mkdir()
    asyncio.run(CHORES[name].prepare(source))
    words = [sys.executable, "-m", "tests.chaos.chore_kills", name, call, str(every), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    how = f"strace, SIGKILL at each call ({name})"
    figures = {f"at {call}": found["points"]}
    recorder.note(CHORES[name].row or 6, how, runs=found["points"], violations=len(found["findings"]), **figures)
    assert found["findings"] == []
    return found["points"]


def test_a_kill_in_going_back_to_a_snapshot_leaves_one_or_the_other(tmp_path, recorder):
    assert sweep(tmp_path, recorder, "restore", "fdatasync", every=3)


@pytest.mark.soak
@pytest.mark.parametrize("name", CHORES)
@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_every_kill_point_of_a_chore(tmp_path, recorder, name, call):
    sweep(tmp_path, recorder, name, call)
