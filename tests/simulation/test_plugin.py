"""Claims about the pytest plugin, tested in folders of a project that has nothing but Holdfast and pytest."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HOLDS = """
import asyncio
import pytest
from holdfast import HoldfastError, LastWriterWins, Schema

NOTES = Schema(name="notes", fields={"text": LastWriterWins()})

@pytest.mark.partition(seeds=2, nodes=3, hours=0.1, schemas=[NOTES], processes=1)
async def test_notes_survive(engine):
    for number in range(20):
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


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def test_a_marked_function_runs_on_the_nodes_of_worlds(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(HOLDS)
    ran = run(tmp_path, "--strict-markers")
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
    assert "Seed 3" in artefact.with_suffix(".html").read_text()


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


def test_a_project_that_does_not_use_it_pays_nothing(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    loaded = {name for name in sys.modules if name.startswith('holdfast.')}\n"
        "    assert loaded <= {'holdfast.errors', 'holdfast.simulation', 'holdfast.simulation.plugin'}\n"
        "    assert 'holdfast.simulation.plugin' in loaded\n"
        "    assert not {'aiohttp', 'sqlite3', 'hypothesis'} & {*sys.modules}\n"
    )
    ran = run(tmp_path, "-p", "no:asyncio", "-p", "no:hypothesispytest", "-p", "no:cov", "-p", "no:sybil")
    assert ran.returncode == 0, ran.stdout
