"""Claims about the pytest plugin, tested in folders of a project that has nothing but Holdfast and pytest."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..gate import first

HOLDS = """
import asyncio
import pytest
from holdfast import HoldfastError, LastWriterWins, Schema

NOTES = Schema(name="notes", fields={"text": LastWriterWins()})

@pytest.mark.partition(seeds=2, nodes=2, hours=0.05, operations=10, schemas=[NOTES], processes=1)
async def test_notes_survive(engine):
    for number in range(10):
        await asyncio.sleep(5)
        try:
            await engine["notes"].put(f"n{number}", {"text": "written"})
        except HoldfastError:
            pass
"""
FAILS = """
import pytest

@pytest.mark.partition(seeds=range(3, 5), nodes=2, hours=0.1, processes=1)
async def test_that_fails(engine):
    raise ValueError("mine")
"""


PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
# What this repository has besides; loading them costs more than most of these runs.
ALONE = [word for name in ("asyncio", "hypothesispytest", "cov", "sybil", "timeout") for word in ("-p", f"no:{name}")]


def run(folder: Path, *options: str, alone: bool = True, measured: bool = True) -> subprocess.CompletedProcess[str]:
    command = [*PYTEST, *(ALONE if alone else ()), *options]
    env = {name: value for name, value in os.environ.items() if measured or not name.startswith("COVERAGE_")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_a_marked_function_runs_on_the_nodes_of_worlds(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(HOLDS)
    ran = run(tmp_path, "--strict-markers", alone=False)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


def test_a_failing_seed_says_what_broke_how_to_see_it_again_and_where_the_files_are(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(FAILS)
    ran = run(tmp_path)
    assert ran.returncode == 1, ran.stdout
    assert "seed 3 failed (2 of 2 seeds did): program-fault" in ran.stdout
    assert "raised ValueError: mine" in ran.stdout
    assert "again:    pytest test_app.py::test_that_fails --partition-seeds 3-3" in ran.stdout
    assert "rows of the trace" in ran.stdout
    artefact = Path(re.search(r"^(?:E\s+)?artefact: (.*)$", ran.stdout, re.MULTILINE)[1])
    assert json.loads(artefact.read_text())["seed"] == 3
    assert (
        json.loads(artefact.read_text())["again"] == re.search(r"^(?:E\s+)?again: +(.*)$", ran.stdout, re.MULTILINE)[1]
    )
    assert "Seed 3" in artefact.with_suffix(".html").read_text()


WRITES_AND_FAILS = """
import pytest

@pytest.mark.partition(seeds=range(3, 4), nodes=3, hours=0.05, operations=20, processes=1)
async def test_that_writes(engine):
    await engine["notes"].put("mine", {"text": "written"})
    raise ValueError("mine")
"""


def test_a_failure_shrinks_with_the_functions_that_it_needs(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(WRITES_AND_FAILS)
    ran = run(tmp_path, "--partition-shrink", "2")
    assert ran.returncode == 1, ran.stdout
    said = re.search(
        r"^(?:E\s+)?smaller: +(\S+) \((\d+) of (\d+) nodes, (\d+) of (\d+) events\)$", ran.stdout, re.MULTILINE
    )
    assert said, ran.stdout
    whole = json.loads(Path(re.search(r"^(?:E\s+)?artefact: (.*)$", ran.stdout, re.MULTILINE)[1]).read_text())
    small = json.loads(Path(said[1]).read_text())
    assert small["invariant"] == whole["invariant"]
    assert small["fault"]["what"] == whole["fault"]["what"]
    assert (len(small["plan"]["nodes"]), len(small["plan"].get("events", ()))) == (int(said[2]), int(said[4]))
    assert int(said[4]) < int(said[5])
    assert small["needs"] == whole["needs"] == {"programs": ["test_that_writes"], "resolvers": [], "checks": []}
    assert "programs=..." in small["again"]


def test_a_time_to_shrink_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(WRITES_AND_FAILS)
    wrong = run(tmp_path, "--partition-shrink", "0")
    assert wrong.returncode == 4
    assert "--partition-shrink: invalid" in wrong.stderr


def test_the_option_replaces_the_seeds_and_is_checked(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(FAILS)
    assert "seed 9 failed (1 of 1 seeds did)" in run(tmp_path, "--partition-seeds", "9-9").stdout
    wrong = run(tmp_path, "--partition-seeds", "many")
    assert wrong.returncode == 4
    assert "write a number of seeds" in wrong.stderr


def test_the_fixture_runs_scenarios_and_gives_their_report(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "def test_it(simulation):\n"
        "    report = simulation(seeds=1, nodes=2, hours=0.1, partitions='none', faults=(), processes=1)\n"
        "    assert report.totals.seeds == 1\n"
    )
    ran = run(tmp_path)
    assert ran.returncode == 0, ran.stdout


def test_a_marked_function_that_is_not_async_is_told_so_and_skips_are_kept(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "import pytest\n"
        "@pytest.mark.partition(seeds=1)\n"
        "def test_plain(engine): pass\n"
        "@pytest.mark.skip\n@pytest.mark.partition(seeds=1)\n"
        "async def test_skipped(engine): pass\n"
    )
    ran = run(tmp_path)
    assert "write it as async def test_plain(engine)" in ran.stdout
    assert "1 failed, 1 skipped" in ran.stdout


MANY = """
import pytest
from holdfast import UsageError

class TestApp:
    text = "here"

    @pytest.mark.partition(seeds=1, nodes=2, hours=0.05, faults=())
    async def test_method(self, engine):
        await engine["notes"].put("n1", {"text": self.text})

@pytest.mark.partition(3)
async def test_positional(engine): pass

@pytest.mark.partition(seed=3)
async def test_misspelt(engine): pass

@pytest.mark.partition(seeds=1, nodes=1)
async def test_lonely(engine): pass

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.partition(seeds=1)
async def test_parameters(engine, n): pass

@pytest.mark.xfail
@pytest.mark.partition(seeds=1, nodes=2, hours=0.05)
async def test_expected(engine): raise ValueError("mine")

def test_fixture(simulation):
    simulation(seeds=1, nodes=2, hour=0.05)
"""


@pytest.mark.parametrize("options", first(1, [("-n", "2"), ()]))
def test_marks_that_cannot_be_understood_are_told_so_in_one_line(tmp_path: Path, options):
    (tmp_path / "test_app.py").write_text(MANY)
    ran = run(tmp_path, *options)
    assert "5 failed, 1 passed, 1 xfailed" in ran.stdout, ran.stdout
    assert "takes its arguments by name, such as partition(seeds=50)" in ran.stdout
    assert "has no argument 'seed'; there are: plan, seeds, nodes" in ran.stdout
    assert "the mark of test_lonely: nodes must be 2 to 500, not 1" in ran.stdout
    assert "test_parameters takes the engine only, not n" in ran.stdout
    assert "has no argument 'hour'" in ran.stdout
    assert "Traceback" not in ran.stdout
    assert "simulate.py" not in ran.stdout


@pytest.mark.skipif(shutil.which("script") is None, reason="no script, which makes a terminal")
def test_progress_shows_on_a_terminal(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(HOLDS)
    command = ["script", "-qec", shlex.join([*PYTEST, *ALONE]), "/dev/null"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=100, check=False)
    assert b"test_notes_survive: 1 of 2 seeds" in ran.stdout
    assert b"1 passed" in ran.stdout


def test_a_project_that_does_not_use_it_pays_nothing(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    loaded = {name for name in sys.modules if name.startswith('holdfast.')}\n"
        "    assert loaded <= {'holdfast.errors', 'holdfast.simulation', 'holdfast.simulation.plugin'}\n"
        "    assert 'holdfast.simulation.plugin' in loaded\n"
        "    assert not {'aiohttp', 'sqlite3', 'hypothesis'} & {*sys.modules}\n"
    )
    ran = run(tmp_path, measured=False)  # coverage keeps what it finds with sqlite3
    assert ran.returncode == 0, ran.stdout
