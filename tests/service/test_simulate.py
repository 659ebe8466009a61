"""The command simulate: figures, files of failures, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.service.simulate import Seeds

from ..engine.mutants import MUTANTS
from .commands import holdfast

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
    small = holdfast("simulate", "--shrink", file, "--seconds", 5, "--json")
    assert small.code == 1
    assert json.loads(Path(small.value["file"]).read_text())["kind"] == "holdfast-simulation-failure"
    assert "before" in holdfast("simulate", "--shrink", file, "--seconds", 5).out


def test_a_plan_is_run_and_a_bad_one_is_refused(tmp_path):
    plan = {"format": 1, "seed": 1, "length_ms": 1000, "nodes": [{"name": "hub", "role": "hub"}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = holdfast("simulate", "--plan", tmp_path / "plan.json", "--json")
    assert (found.code, found.value["totals"]["seeds"]) == (0, 1)
    assert holdfast("simulate", "--plan", tmp_path / "plan.json", "--nodes", 3).code == 2
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "nodes": []}))
    refused = holdfast("simulate", "--plan", tmp_path / "plan.json", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-plan")


@pytest.mark.parametrize(
    "words", [("--seed", 1, "--seeds", 2), ("--replay", __file__, "--shrink", __file__), ("--seeds", "5-2")]
)
def test_calls_that_make_no_sense_are_refused(words):
    assert holdfast("simulate", *words).code == 2


def test_seeds_are_a_number_or_a_range():
    assert Seeds().convert("100", None, None) == range(100)
    assert Seeds().convert("5-20", None, None) == range(5, 21)
