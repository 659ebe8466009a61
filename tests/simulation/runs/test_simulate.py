"""`simulate` runs seeds, adds them up, and tells whose fault a failure is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from holdfast import InvalidPlan, Manual, ProgramFault, UsageError, Violation
from holdfast.simulation import PlanBuilder, Progress, simulate
from holdfast.simulation.kernel import loop
from holdfast.simulation.runs import lived
from holdfast.simulation.runs.results import ResultsFile

from . import users

SMALL = {"nodes": 3, "hours": 0.05, "operations": 15, "faults": ["cut", "crash"]}


def fault_of(**options):
    failure = simulate(**options).first_failure
    assert failure is not None
    return failure.fault


def test_seeds_in_processes_give_what_they_give_in_this_one():
    here = simulate(seeds=range(3, 6), processes=1, **SMALL)
    there = simulate(seeds=range(3, 6), processes=2, **SMALL)
    assert [outcome.seed for outcome in there.outcomes] == [3, 4, 5]
    assert [result.digest for result in here.results] == [result.digest for result in there.results]
    assert [replace(result, cpu_s=0) for result in here.results] == [replace(r, cpu_s=0) for r in there.results]
    assert len({result.digest for result in here.results}) == 3


def test_a_report_says_what_was_answered_and_accounted_for():
    report = simulate(seeds=2, **SMALL)
    assert report.ok
    assert report.first_failure is None
    totals = report.totals
    assert totals.seeds == 2
    assert totals.acknowledged > 0
    assert totals.accuracy == 1
    assert totals.virtual_s > 300
    assert totals.converged_ms_p50 <= totals.converged_ms_p99
    assert json.loads(json.dumps(report.as_json()))["totals"]["seeds"] == 2


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(lived, "memory", lambda: tmp_path)
    assert simulate(seeds=1, **SMALL).ok
    assert not [*tmp_path.iterdir()]


def test_a_users_schema_programs_and_checks_are_run():
    plan = users.meeting()
    report = simulate(plan, schemas=users.schema(), resolvers=[users.Longest()], checks=[users.has_nodes], seeds=[1, 2])
    assert report.ok, report.first_failure.fault
    assert report.totals.conflicts == report.totals.seeds
    drawn = simulate(schemas=users.schema(), programs={"patient": users.patient}, seeds=1, **SMALL)
    assert drawn.ok, drawn.first_failure.fault
    assert drawn.outcomes[0].plan.events[-1].at_ms > 0


@pytest.mark.parametrize(
    ("resolver", "said"),
    [
        (users.Raising, "raised KeyError"),
        (users.Timed, "time.time()"),
        (users.Stateful, "not deterministic"),
        (users.Answerless, "an answer that is none"),
    ],
)
def test_a_resolver_that_breaks_its_contract_is_the_users_fault_with_its_line(resolver, said):
    fault = fault_of(plan=users.meeting(), resolvers=[resolver()], schemas=())
    assert isinstance(fault, ProgramFault)
    assert said in fault.what
    assert "users.py:" in fault.subject


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (users.raising, "raised KeyError"),
        (users.careless, "did not catch"),
        (users.lost, "syncs with 'sync.example.com', which is no hub of this world"),
        (users.closing, "closed the engine of its node"),
        (users.leaving, "raised SystemExit"),
        (users.parting, "raised SystemExit"),
        (users.worse, "raised Worse: mine"),
        (users.grouped, "raised KeyError"),
        (users.spinning, "never waits"),
        (users.plain, "is not asynchronous"),
        (users.sleeping, "time.sleep()"),
        (users.deaf, "goes on after it was cancelled"),
        (users.changing, "not deterministic"),
    ],
)
def test_a_program_that_fails_is_the_users_fault_with_its_line(program, said, monkeypatch):
    monkeypatch.setattr(loop, "BUSY_STEPS_MAX", 1_000)
    builder = PlanBuilder(hours=0.05).hub("hub").edge("a").cut("a", "hub", minutes=1).run("a", "mine")
    fault = fault_of(plan=builder.build(programs=["mine"]), programs={"mine": program})
    assert isinstance(fault, ProgramFault)
    assert said in fault.what
    assert "users.py:" in fault.subject


def test_a_program_that_follows_the_order_of_a_set_is_found_where_several_processes_run(monkeypatch):
    """One process never sees it: texts keep their hashes as long as it lives."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    report = simulate(seeds=2, processes=2, programs={"unsorted": users.unsorted}, **{**SMALL, "faults": []})
    failure = report.first_failure
    assert (failure.seed, type(failure.fault)) == (0, ProgramFault)
    assert "not deterministic: two runs of seed 0 differ" in failure.fault.what
    assert "no order of a set" in failure.fault.remedy
    assert "users.py" in failure.fault.subject


def test_a_check_that_fails_is_a_broken_rule_and_one_that_raises_is_to_be_mended():
    plan, resolvers = users.meeting(), [users.Longest()]
    broken = fault_of(plan=plan, resolvers=resolvers, checks=users.titles_are_short)
    assert isinstance(broken, Violation)
    assert broken.invariant == "your check titles_are_short"
    assert "k0 at hub" in broken.what
    totals = simulate(plan, resolvers=resolvers, checks=users.titles_are_short).totals
    assert (totals.conflicts, totals.resolved) == (1, 1.0)
    assert isinstance(fault_of(plan=plan, resolvers=resolvers, checks=users.broken_check), ProgramFault)
    late = fault_of(plan=plan, resolvers=resolvers, checks=users.late_check)
    assert "is asynchronous" in late.what
    timed = fault_of(plan=plan, resolvers=resolvers, checks=users.timed_check)
    assert timed.what == "a simulated program called time.time()"
    assert "users.py:" in timed.subject


def test_functions_that_cannot_travel_run_here():
    seen = []
    report = simulate(users.meeting(), resolvers=[users.Longest()], checks=[seen.append], seeds=2)
    assert report.ok
    assert len(seen) >= 2


def test_results_in_a_file_are_not_run_again_and_add_up(tmp_path):
    file = tmp_path / "results.jsonl"
    first = simulate(seeds=range(2), results=file, **SMALL)
    file.write_text(file.read_text() + '{"half a li')
    seen = []
    both = simulate(seeds=range(3), results=file, on_progress=seen.append, **SMALL)
    assert [outcome.seed for outcome in both.outcomes] == [2]
    assert [(step.done, step.total) for step in seen] == [(3, 3)]
    assert [result.seed for result in both.results] == [0, 1, 2]
    assert both.totals.acknowledged > first.totals.acknowledged
    assert [*ResultsFile(file, both.scenario.digest).found] == [0, 1, 2]
    with pytest.raises(UsageError, match="another scenario"):
        simulate(seeds=1, results=file, **{**SMALL, "nodes": 4})


@pytest.mark.parametrize(
    "arguments",
    [
        {"plan": "{"},
        {"nodes": 1},
        {"partitions": "stormy"},
        {"faults": ["earthquake"]},
        {"plan": {"format": 1}},
        {"faults": "cut"},
        {"nodes": "3"},
        {"nodes": 3.5},
        {"hours": "1"},
        {"keys": None},
        {"operations": -1},
        {"operations": 10**9},
        {"hours": float("nan")},
        {"hours": float("inf")},
        {"programs": [users.patient]},
        {"programs": {"": users.patient}},
        {"programs": {"mine": "patient"}},
        {"programs": {"mine": users.without_engine}},
        {"programs": {"mine": users.yielding}},
        {"checks": users.asynchronous_check},
        {"checks": [lambda: True]},
        {"checks": ["short"]},
        {"schemas": ["tasks"]},
        {"resolvers": [users.Longest]},
        {"resolvers": {"longest": object()}},
        {"schemas": [users.schema(), users.schema(Manual()), replace(users.schema(users.Raising()), name="other")]},
    ],
)
def test_what_cannot_be_run_is_refused(arguments):
    with pytest.raises(InvalidPlan):
        simulate(**arguments)


@pytest.mark.parametrize("arguments", [{"processes": 0}, {"processes": "2"}, {"results": 5}, {"on_progress": "print"}])
def test_arguments_of_the_run_are_checked_before_it(arguments):
    with pytest.raises(UsageError):
        simulate(**{**SMALL, **arguments})


@pytest.mark.parametrize("seeds", [[], 0, -1, "3", [1.5], 2.5, range(-1, 3), [2**63], 10**30])
def test_no_seeds_and_seeds_that_are_none_are_a_mistake(seeds):
    with pytest.raises(UsageError, match="no seeds"):
        simulate(seeds=seeds)


def test_one_long_seed_shows_how_far_it_is(monkeypatch):
    monkeypatch.setattr(loop, "COLLECT_STEPS", 100)
    seen = []
    simulate(seeds=1, on_progress=seen.append, **SMALL)
    shares = [progress.running for progress in seen if not progress.done]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1
    assert seen[-1] == Progress(1, 1, 0)
