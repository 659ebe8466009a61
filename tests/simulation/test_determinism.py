"""The same choices give the same world: in another process, with another hash seed, by seed or by tape."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from holdfast.errors import TapeMismatch
from holdfast.simulation.choices import SeededChoices
from holdfast.simulation.trace import first_difference

from ..sources import ROOT
from .scenario import NAMES, play, recorded, replayed


def printed(folder, seed, hash_seed, *options):
    command = [sys.executable, *options, "-W", "error", "-m", "tests.simulation.scenario", str(seed), str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


# Processes differ in addresses and hash seeds; asserts and debug allocators move more addresses.
@pytest.mark.parametrize(("hash_seed", "options"), [(1, ()), (4_000_000_000, ("-O",)), (77, ("-X", "dev"))])
def test_real_nodes_do_the_same_in_every_process(tmp_path, hash_seed, options):
    here = play(tmp_path / "here", SeededChoices("7"))
    there = printed(tmp_path / "there", 7, hash_seed, *options)
    assert there.stderr == ""
    states = [row.detail for row in here if row.what == "state"]
    assert json.loads(there.stdout) == {"digest": here.digest(), "rows": here.count, "states": states}
    assert len(states) == len(NAMES)
    assert {row.what for row in here} >= {"changed", "crashed", "state", "synced"}


def test_another_seed_is_another_world(tmp_path):
    assert play(tmp_path / "1", SeededChoices(1)).digest() != play(tmp_path / "2", SeededChoices(2)).digest()


def test_a_tape_replays_a_world_and_a_changed_one_is_refused(tmp_path):
    trace, tape = recorded(tmp_path / "recorded", 3)
    again = replayed(tmp_path / "replayed", tape)
    assert first_difference(trace, again) is None
    assert again.digest() == trace.digest()
    middle = len(tape) // 2
    with pytest.raises(TapeMismatch, match=f"choice {middle}"):
        replayed(tmp_path / "changed", [*tape[:middle], tape[middle]._replace(n=tape[middle].n + 1), *tape[middle + 1 :]])


def test_the_trace_of_steps_names_what_ran(tmp_path):
    trace = play(tmp_path / "steps", SeededChoices(1), steps=True)
    labels = {row.detail for row in trace if row.what == "step"}
    assert {"World.run", "World.life", "World.watch", "Writer._drain"} <= labels
    assert not [label for label in labels if "0x" in label or "Task-" in label]
