"""A campaign that never was in a rare state fails, over however many processes; one that was in all does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.engine.reached import OUT_OF_REACH, RARE_STATES, counting, reached

from .reached import SEEDS_DEMANDED, never_reached

ROOT = Path(__file__).parents[1]

_CONFTEST = """
from tests.reached import Reached
def pytest_configure(config):
    config.pluginmanager.register(Reached(config), "reached")
"""

_TEST = """
import pytest
from tests.reached import RARE_STATES, SEEDS_DEMANDED
@pytest.mark.parametrize("part", range(2))
def test_worlds(part, request):
    names = sorted(RARE_STATES)[part::2]
    seeds = SEEDS_DEMANDED // 2
    request.config.pluginmanager.get_plugin("reached").add(seeds, {name: 1 for name in names if name not in LEFT_OUT})
"""


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("left_out", [[], [min(RARE_STATES)]])
def test_a_run_fails_if_its_campaign_never_was_in_a_rare_state(tmp_path, processes, left_out):
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_it.py").write_text(f"LEFT_OUT = {left_out!r}\n{_TEST}")
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "-p", "xdist"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-n", str(processes), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # other plugins cost more than the run
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == (1 if left_out else 0), done.stdout
    assert re.findall(r"NEVER REACHED by \d+ simulated worlds: (.*)", done.stdout) == left_out


def test_fewer_seeds_owe_nothing():
    assert never_reached({}, SEEDS_DEMANDED) == sorted(RARE_STATES)
    assert never_reached({}, SEEDS_DEMANDED - 1) == []


def test_every_name_is_given_somewhere_and_every_given_name_is_declared():
    sources = [path.read_text() for folder in ("engine", "transport") for path in (ROOT / folder).rglob("*.py")]
    given = {name for text in sources for name in re.findall(r'\breached\(\s*"([^"]+)"', text)}
    assert given == RARE_STATES | OUT_OF_REACH.keys()
    assert not RARE_STATES & OUT_OF_REACH.keys()


def test_an_undeclared_name_is_refused_while_somebody_counts():
    reached("nobody counts")
    with counting() as counts, pytest.raises(AssertionError):
        reached("undeclared")
    assert not counts
