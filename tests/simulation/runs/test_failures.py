"""A failure becomes a file, comes again exactly, and shrinks to what a person can read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from holdfast import InvalidPlan, SimulationFault
from holdfast.simulation import PlanBuilder, replay, shrink, simulate
from holdfast.simulation.runs.artefact import artefact_of, plan_in, read_artefact

from ...engine.mutants import MUTANTS
from . import users

MUTANT = MUTANTS["the join keeps what the other side has superseded"]
DRAWN = {"nodes": 3, "hours": 0.1, "operations": 40, "faults": ["cut"], "processes": 1}


@pytest.fixture
def planted(monkeypatch):
    """An engine with a broken rule."""
    MUTANT.plant(monkeypatch)
    return monkeypatch


@pytest.fixture(scope="module")
def hunted():
    """The text of the file of its first failure."""
    with pytest.MonkeyPatch.context() as patch:
        MUTANT.plant(patch)
        for seed in range(20):
            report = simulate(seeds=[seed], **DRAWN)
            if not report.ok:
                break
    assert report.first_failure is not None, "the mutant lives"
    return artefact_of(report.first_failure, report.scenario).to_json()


@pytest.fixture
def failure(hunted, planted, tmp_path):
    """The file of that failure, beside an engine that has the broken rule."""
    path = tmp_path / "failure.json"
    path.write_text(hunted, encoding="utf-8")
    return path


def test_a_failure_comes_again_to_the_step(failure):
    artefact = read_artefact(failure)
    assert artefact.to_json() == failure.read_text(encoding="utf-8")
    assert {"holdfast", "python", "sqlite"} <= artefact.versions.keys()
    assert artefact.fault["code"] == "violation"
    assert artefact.trace[-1].what == "FAULT"
    found = replay(failure)
    assert (found.by, found.same, found.exact, found.notes) == ("tape", True, True, ())


def test_a_failure_that_is_mended_does_not_come_again(failure, planted):
    planted.undo()
    found = replay(failure)
    assert not found.same
    assert found.outcome.ok
    with pytest.raises(SimulationFault, match="does not come again"):
        shrink(failure)


def test_a_tape_that_does_not_fit_says_so_and_the_seed_is_tried(failure):
    artefact = read_artefact(failure)
    broken = replace(artefact, tape=artefact.tape[: len(artefact.tape) // 2])
    found = replay(broken)
    assert (found.by, found.same, found.exact) == ("seed", True, True)
    assert "the tape does not fit any more" in found.notes[-1]


def test_a_failure_shrinks_to_what_a_person_can_read(failure):
    before = read_artefact(failure)
    seen = []
    small = shrink(before, seconds=60, on_progress=seen.append)
    assert small.invariant == before.invariant
    assert len(plan_in(small).events) <= 12
    assert len(plan_in(small).events) < len(plan_in(before).events) / 4
    assert small.shrunk["to"]["picks"] <= small.shrunk["from"]["picks"]
    assert seen[-1].events == len(plan_in(small).events)
    assert replay(small).exact


def test_a_shrink_without_time_gives_what_it_was_given(failure):
    before = read_artefact(failure)
    assert shrink(before, tries=0) == before
    assert shrink(before, tries=1).digest == before.digest


def test_a_failure_of_a_users_rule_needs_that_rule(tmp_path):
    report = simulate(users.meeting(), resolvers=[users.Longest()], checks=[users.titles_are_short])
    artefact = artefact_of(report.first_failure, report.scenario)
    with pytest.raises(InvalidPlan, match="not here: resolvers longest; checks titles_are_short"):
        replay(artefact)
    with pytest.raises(InvalidPlan, match="not here: checks"):
        replay(artefact, resolvers=[users.Longest()])
    assert replay(artefact, resolvers=[users.Longest()], checks=[users.titles_are_short]).exact
    assert artefact.again == "in Python: holdfast.simulation.replay(THIS_FILE, resolvers=..., checks=...)"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "holdfast-simulation-failure", "format": 99}', '{"kind": "x"}', "\xff"]
)
def test_what_is_no_artefact_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidPlan, match="no artefact"):
        replay(tmp_path / "x.json")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"tape": {"streams": ["sched"], "draws": [10_000, 2, 0]}},
        {"tape": {"streams": ["sched"], "draws": [0, 2]}},
        {"needs": {"programs": 5}},
        {"needs": {"programs": "ab"}},
        {"needs": {"spells": ["a"]}},
        {"trace": [["a", "b", "c", "d"]]},
        {"trace": [[1, "b", "c"]]},
        {"seed": "x"},
        {"shrunk": 1},
    ],
    ids=str,
)
def test_an_artefact_with_a_spoilt_part_is_refused(tmp_path, spoilt):
    report = simulate(users.meeting(), resolvers=[users.Longest()], checks=[users.titles_are_short])
    value = {**json.loads(artefact_of(report.first_failure, report.scenario).to_json()), **spoilt}
    (tmp_path / "x.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(InvalidPlan, match="no artefact"):
        replay(tmp_path / "x.json")


def test_a_shrink_does_not_slide_into_another_failure_of_the_same_invariant(tmp_path):
    """Without its tags the record breaks the rule elsewhere, with fewer events: that is another failure."""
    builder = PlanBuilder(hours=0.05).hub("hub").edge("a").heal(every_seconds=10)
    for number in range(6):
        builder.put("a", "tasks", f"k{number}", {"title": "one", "tags": "kept"}).after(seconds=1)
    report = simulate(builder.build(), checks=[users.many_and_tagged])
    assert "all are here" in report.first_failure.fault.what
    small = shrink(artefact_of(report.first_failure, report.scenario), checks=[users.many_and_tagged], seconds=60)
    assert "all are here" in small.fault["what"]
    assert len(plan_in(small).events) == 3
