"""The same choices give the same world: in another process, with another hash seed, by seed or by tape.

That generated worlds do is part of the campaign: runs/test_campaign.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from holdfast.errors import TapeMismatch
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.trace import first_difference

from ..sources import ROOT
from .scenario import NAMES, play, recorded, replayed
from .seeds import elsewhere


def printed(folder, seed, hash_seed, *options):
    command = [sys.executable, *options, "-W", "error", "-m", "tests.simulation.scenario", str(seed), str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def seventh(tmp_path_factory):
    """The world of seed 7, in this process."""
    return play(tmp_path_factory.mktemp("seventh") / "world", SeededChoices("7"))


# Processes differ in addresses and hash seeds; the debug allocator moves more addresses.
@pytest.mark.parametrize(
    ("hash_seed", "options"), [pytest.param(1, (), marks=pytest.mark.thorough), (4_000_000_000, ("-X", "dev"))]
)
def test_real_nodes_do_the_same_in_every_process(seventh, tmp_path, hash_seed, options):
    there = printed(tmp_path / "there", 7, hash_seed, *options)
    assert there.stderr == ""
    states = [row.detail for row in seventh if row.what == "state"]
    assert json.loads(there.stdout) == {"digest": seventh.digest(), "rows": seventh.count, "states": states}
    assert len(states) == len(NAMES)
    assert {row.what for row in seventh} >= {"changed", "crashed", "state", "synced"}


def test_an_order_that_hashes_decide_is_noticed():
    one, other = (elsewhere(range(3, 4), hash_seed, "--planted") for hash_seed in (1, 2))
    assert one.keys() == other.keys() == {"3"}
    assert one != other


def test_a_tape_replays_a_world_and_a_changed_one_is_refused(seventh, tmp_path):
    trace, tape = recorded(tmp_path / "recorded", 3)
    assert trace.digest() != seventh.digest()
    again = replayed(tmp_path / "replayed", tape)
    assert first_difference(trace, again) is None
    assert again.digest() == trace.digest()
    middle = len(tape) // 2
    with pytest.raises(TapeMismatch, match=f"choice {middle}"):
        replayed(
            tmp_path / "changed", [*tape[:middle], tape[middle]._replace(n=tape[middle].n + 1), *tape[middle + 1 :]]
        )


def test_the_trace_of_steps_names_what_ran(tmp_path):
    trace = play(tmp_path / "steps", SeededChoices(1), steps=True)
    labels = {row.detail for row in trace if row.what == "step"}
    assert {"World.run", "World.life", "World.watch"} <= labels
    assert not [label for label in labels if "0x" in label or "Task-" in label]
