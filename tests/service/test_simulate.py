"""The command simulate: figures, files of failures, exit codes."""

from __future__ import annotations

import fcntl
import html
import json
import os
import re
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.service.simulate import Seeds
from holdfast.simulation.checkers.dots import Dots
from holdfast.simulation.runs.folders import PREFIX, world_folder

from ..engine.mutants import MUTANTS
from .commands import holdfast, started

SMALL = ("--nodes", 3, "--hours", 0.05, "--faults", "cut,crash")


def test_a_healthy_run_ends_with_figures(tmp_path):
    found = holdfast("simulate", *SMALL, "--seeds", "3-4", "--results", tmp_path / "r.jsonl", "--out", tmp_path / "out")
    assert found.code == 0, found.out
    assert "acknowledged writes" in found.out
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "out").exists()


def test_a_failure_becomes_a_file_that_is_replayed_and_shrunk(tmp_path, monkeypatch):
    MUTANTS["the join keeps what the other side has superseded"].plant(monkeypatch)
    words = ("--nodes", 3, "--hours", 0.1, "--faults", "cut", "--processes", 1, "--out", tmp_path)
    found = holdfast("simulate", *words, "--seeds", "0-3", "--json")
    assert found.code == 1
    file = found.value["artefacts"][0]
    again = holdfast("simulate", "--replay", file)
    assert again.code == 1
    assert "the same failure, step by step (followed the tape)" in again.out
    assert holdfast("simulate", "--replay", file, "--json").value["exact"]
    small = holdfast("simulate", "--shrink", file, "--seconds", 1, "--out", tmp_path / "small", "--json")
    assert small.code == 1
    assert Path(small.value["file"]).parent == tmp_path / "small"
    assert json.loads(Path(small.value["file"]).read_text())["kind"] == "holdfast-simulation-failure"
    assert "before" in holdfast("simulate", "--shrink", file, "--seconds", 1).out


def test_a_plan_is_run_and_a_bad_one_is_refused(tmp_path):
    plan = {"format": 1, "seed": 1, "length_ms": 1000, "nodes": [{"name": "hub", "role": "hub"}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = holdfast("simulate", "--plan", tmp_path / "plan.json", "--json")
    assert (found.code, found.value["totals"]["seeds"]) == (0, 1)
    assert holdfast("simulate", "--plan", tmp_path / "plan.json", "--nodes", 3).code == 2
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "nodes": []}))
    refused = holdfast("simulate", "--plan", tmp_path / "plan.json", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-plan")


def test_a_plan_without_an_end_is_refused():
    refused = holdfast("simulate", "--plan", "/dev/zero", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-plan")
    assert "bytes" in refused.error["message"]


@pytest.mark.parametrize(
    "words", [("--seed", 1, "--seeds", 2), ("--replay", __file__, "--shrink", __file__), ("--seeds", "5-2")]
)
def test_calls_that_make_no_sense_are_refused(words):
    assert holdfast("simulate", *words).code == 2


def test_seeds_are_a_number_or_a_range():
    assert Seeds().convert("100", None, None) == range(100)
    assert Seeds().convert("5-20", None, None) == range(5, 21)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def eventually(look):
    while not (found := look()):
        time.sleep(0.05)
    return found


def folders_of(*pids: int) -> set[Path]:
    """The folders of worlds that live in these processes: each holds its own open, locked."""
    links = []
    for opened in (opened for pid in pids for opened in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(opened.readlink())
    return {link for link in links if link.name.startswith(PREFIX)}


@pytest.mark.parametrize(
    ("seeds", "number"), [("5000", signal.SIGTERM), ("5000", signal.SIGINT), (None, signal.SIGTERM)]
)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into processes as Linux shows them")
def test_one_that_is_ended_leaves_no_process_and_no_folder(tmp_path, seeds, number):
    results = tmp_path / "results.jsonl"
    words = ["--seeds", seeds, "--hours", 0.05] if seeds else ["--seed", 1, "--nodes", 30, "--hours", 1000]
    with started("simulate", *words, "--results", results, "--processes", 2) as running:
        folders = eventually(lambda: folders_of(running.pid, *children(running.pid)))
        workers = children(running.pid)
        assert bool(workers) == bool(seeds)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert b"Interrupted" in said
    assert f"What was done stands in {results}: the same command goes on from there.".encode() in said
    assert b"Traceback" not in said
    assert not [pid for pid in workers if alive(pid)]
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into processes as Linux shows them")
def test_workers_of_one_that_is_killed_end_and_their_folders_are_removed():
    with started("simulate", "--seeds", 5000, "--nodes", 30, "--hours", 100, "--processes", 2) as running:
        folders = eventually(lambda: folders_of(*children(running.pid)))
        workers = children(running.pid)
        running.kill()
        running.communicate(timeout=60)
    eventually(lambda: not [pid for pid in workers if alive(pid)])
    assert not [folder for folder in folders if folder.exists()]


def test_a_folder_that_a_killed_process_left_is_removed_by_the_next_and_a_living_one_is_kept(tmp_path):
    left, living, other = tmp_path / f"{PREFIX}left", tmp_path / f"{PREFIX}living", tmp_path / "holdfast-notes"
    with world_folder(tmp_path) as mine:
        for folder in (left, living, other):
            folder.mkdir()
            os.utime(folder, (0, 0))
        lock = os.open(living, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with world_folder(tmp_path) as yours:
            assert {*tmp_path.iterdir()} == {mine, yours, living, other}
        os.close(lock)
    with world_folder(tmp_path) as mine:
        assert {*tmp_path.iterdir()} == {mine, other}


@pytest.mark.parametrize("option", ["--report", "--results", "--out"])
def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path, option):
    (tmp_path / "file").write_text("")
    found = holdfast("simulate", "--hours", 80_000, option, tmp_path / "file" / "below" / "x", "--json")
    assert (found.code, found.error["code"]) == (3, "file-unreadable")


@pytest.mark.parametrize(
    "words", [("--nodes", 3), ("--seed", 1), ("--results", "r.jsonl"), ("--seconds", 9), ("--out", "x")]
)
def test_the_file_of_a_failure_says_everything_itself(words):
    found = holdfast("simulate", "--replay", __file__, *words)
    assert found.code == 2
    assert f"leave out {words[0]}" in found.err


@pytest.mark.parametrize("option", ["--plan", "--replay", "--shrink"])
def test_a_report_never_writes_over_what_is_read(tmp_path, option):
    file = tmp_path / "file.json"
    file.write_text("{}")
    found = holdfast("simulate", option, file, "--report", tmp_path / "." / "file.json")
    assert (found.code, file.read_text()) == (2, "{}")
    assert "write over" in found.err


def test_results_and_report_are_two_files(tmp_path):
    found = holdfast("simulate", "--hours", 80_000, "--results", tmp_path / "x", "--report", tmp_path / "x")
    assert found.code == 2
    assert not (tmp_path / "x").exists()


def test_what_is_made_small_has_a_place_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    found = holdfast("simulate", "--shrink", tmp_path / "file", "--out", tmp_path / "file" / "below", "--json")
    assert (found.code, found.error["code"], found.error["subject"]) == (
        3,
        "file-unreadable",
        str(tmp_path / "file" / "below"),
    )


def test_seconds_belong_to_shrinking():
    found = holdfast("simulate", "--seconds", 5, "--hours", 80_000)
    assert (found.code, "leave it out" in found.err) == (2, True)


def test_a_folder_of_failures_that_cannot_be_made_is_told(monkeypatch):
    monkeypatch.setattr(Dots, "step", _fail)
    words = ("--nodes", 2, "--hours", 0.05, "--faults", "cut", "--processes", 1, "--out", "/proc/below", "--json")
    found = holdfast("simulate", *words)
    assert (found.code, found.error["code"], found.error["subject"]) == (3, "file-unreadable", "/proc/below")


def test_a_report_shows_a_command_that_works_as_it_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(Dots, "step", _fail)
    out, page = tmp_path / "my failures", tmp_path / "report.html"
    words = ("--nodes", 2, "--hours", 0.05, "--faults", "cut", "--processes", 1)
    assert holdfast("simulate", *words, "--seed", 3, "--out", out, "--report", page).code == 1
    shown = shlex.split(html.unescape(re.search(r'<code id="command"[^>]*>(.*?)</code>', page.read_text())[1]))
    assert shown == ["holdfast", "simulate", "--replay", str(out / "failure-3.json")]
    again = tmp_path / "again.html"
    assert "the same failure, step by step" in holdfast(*shown[1:], "--report", again).out
    assert "First divergence" in again.read_text()
    assert str(out / "failure-3.json") in html.unescape(again.read_text())


def test_a_report_of_a_run_that_holds_shows_how_to_see_it_again(tmp_path):
    page = tmp_path / "report.html"
    words = ("--nodes", 2, "--hours", 0.05, "--faults", "cut,pause", "--seed", 3)
    whole = holdfast("simulate", *words, "--report", page, "--json")
    shown = shlex.split(html.unescape(re.search(r'<code id="command"[^>]*>(.*?)</code>', page.read_text())[1]))
    assert holdfast(*shown[1:], "--json").value["totals"]["steps"] == whole.value["totals"]["steps"]


def _fail(self, world, node):
    raise self.fail(node, None, "planted")
