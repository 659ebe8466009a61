"""Claims about generated plans: they follow from the seed alone, are within the atlas, and differ as swarms do."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, find, settings
from hypothesis import strategies as st

from holdfast import InvalidPlan, LastWriterWins, MissingExtra, Schema
from holdfast.simulation.plans.actions import (
    ACTIONS,
    UNJOINABLE,
    Attack,
    Backup,
    Clone,
    Crash,
    Cut,
    Delete,
    DiskFull,
    LinkAction,
    PowerCut,
    Put,
    Quality,
    ReadErrors,
    RestoreBackup,
    Transact,
    Update,
    WriteErrors,
)
from holdfast.simulation.plans.generate import plan_of
from holdfast.simulation.plans.parse import check, parse_plan
from holdfast.simulation.plans.plan import CollectionPlan, FieldPlan, Plan
from holdfast.simulation.plans.schemas import collection_of
from holdfast.simulation.plans.strategies import plans
from holdfast.simulation.plans.swarm import FAULTS, NETWORK_FAULTS, ON_REQUEST, WORK
from holdfast.simulation.plans.weather import LEVELS

SEEDS = range(80)
FINDING = settings(max_examples=400, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
PRINT_DIGEST = """
from hashlib import blake2b
from holdfast.simulation.plans.generate import plan_of
text = "".join(plan_of(seed, nodes=2 + seed, partitions="heavy").to_json() for seed in range(6))
print(blake2b(text.encode(), digest_size=16).hexdigest())
"""


def kinds(plan: Plan) -> set[str]:
    return {event.action.name for event in plan.events}


def noted(plan: Plan) -> tuple[set[str], set[str]]:
    """The faults and the kinds of work that a plan says are on."""
    faults, work = (part.partition(": ")[2].split(", ") for part in plan.note.split("; "))
    return set(faults) - {"none"}, set(work)


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_a_seed_gives_the_same_plan_in_every_process(hash_seed: str):
    run = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        env={"PYTHONHASHSEED": hash_seed, "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    text = "".join(plan_of(seed, nodes=2 + seed, partitions="heavy").to_json() for seed in range(6))
    assert run.stdout.strip() == blake2b(text.encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize("partitions", LEVELS)
def test_every_generated_plan_is_one_that_the_parser_takes(partitions: Any):
    for seed in SEEDS[:30]:
        plan = plan_of(seed, nodes=2 + seed % 9, hours=(0.1, 1, 72)[seed % 3], partitions=partitions)
        assert parse_plan(plan.to_json()) == plan, seed


def test_every_action_is_generated_but_those_that_only_end_a_fault():
    drawn = set().union(*(kinds(plan_of(seed, faults=FAULTS, nodes=5)) for seed in range(20)))
    assert ACTIONS.keys() - drawn == {"resume", "restart", "space_returns", "heal", "run_program"}


def test_each_seed_has_some_faults_and_some_work_and_says_which():
    faults: Counter[str] = Counter()
    work: Counter[str] = Counter()
    for seed in SEEDS:
        plan = plan_of(seed, nodes=5)
        on, doing = noted(plan)
        faults.update(on)
        work.update(doing)
        assert kinds(plan) & set(WORK) <= doing | ({"delete"} if "purge" in on else set())
    assert faults.keys() == set(FAULTS) - ON_REQUEST
    assert work.keys() == set(WORK)
    assert all(12 < number < 70 for number in faults.values()), faults
    assert all(12 < number < 75 for name, number in work.items() if name not in ("put", "update")), work


def test_strangers_whose_records_nobody_can_join_come_back_elsewhere_or_as_another():
    visits: dict[tuple[int, str], list[Any]] = {}
    for seed in SEEDS:
        for event in plan_of(seed, nodes=3, faults=["attack"]).events:
            if isinstance(event.action, Attack) and event.action.stranger:
                visits.setdefault((seed, event.action.stranger), []).append(event)
    assert len(visits) > 10
    assert all(first.action.attack in UNJOINABLE for first, _ in visits.values())
    assert {again.action.attack for _, again in visits.values()} == {"ordinary member"}
    moved = [again.action.life == 2 for first, again in visits.values() if first.node == again.node]
    elsewhere = [again.action.life == 1 for first, again in visits.values() if first.node != again.node]
    assert all(moved + elsewhere)
    assert min(len(moved), len(elsewhere)) > 3


def test_some_plans_start_nodes_on_bad_disks_mix_versions_and_refuse_transactions_half_way():
    plans = [plan_of(seed, nodes=3) for seed in SEEDS]
    bad = (DiskFull, ReadErrors, WriteErrors)
    starts = [
        (crash, fault)
        for plan in plans
        for crash in plan.events
        for fault in plan.events
        if isinstance(crash.action, Crash) and isinstance(fault.action, bad)
        if (crash.at_ms, crash.node) == (fault.at_ms, fault.node) and fault.action.for_ms > crash.action.down_ms
    ]
    mixed = [plan for plan in plans if len({node.schema_version for node in plan.nodes}) > 1]
    actions = [event.action for plan in plans for event in plan.events]
    parts = {type(write) for action in actions if isinstance(action, Transact) for write in action.writes}
    assert len(starts) > 5
    assert 3 < len(mixed) < len(SEEDS) // 3
    assert parts == {Put, Update, Delete}
    for plan in mixed:
        old, new = plan.collections[:2]
        gone = {field.name for field in new.fields} - {field.name for field in old.fields}
        assert {field.resolver for field in new.fields if field.name in gone} <= {new.default}


def test_who_purges_shifts_nothing_else_that_a_seed_draws():
    added = {"seize", "hand_over", "expire", "restore", "purge", "delete", "cut"}
    for seed in SEEDS[:20]:
        without, purging = (plan_of(seed, nodes=4, faults=["crash", *more]) for more in ([], ["purge"]))
        assert [event for event in without.events if event not in purging.events] == []
        extra = [event for event in purging.events if event not in without.events]
        assert {event.action.name for event in extra} <= added
        assert {"seize", "expire", "purge", "delete", "cut"} <= {event.action.name for event in extra}
        assert [replace(node, purge_every_ms=3_600_000, silent_after_ms=None) for node in purging.nodes] == [
            *without.nodes
        ]


def test_exactly_the_faults_that_are_asked_for_are_on():
    for seed in range(20):
        plan = plan_of(seed, faults=("crash", "power_cut"), nodes=5)
        assert noted(plan)[0] == {"crash", "power_cut"}
        assert not any(isinstance(event.action, LinkAction) for event in plan.events)
        assert all(node.durability == "full" for node in plan.nodes)
    quiet = plan_of(1, faults=())
    assert kinds(quiet) <= {*WORK, "sync", "sync_every"}


def test_without_partitions_the_links_are_left_alone():
    for seed in SEEDS:
        plan = plan_of(seed, partitions="none")
        assert not noted(plan)[0] & set(NETWORK_FAULTS)
        assert not any(isinstance(event.action, LinkAction) for event in plan.events)


def _offline_ms(plans: Iterable[Plan]) -> int:
    cuts = [event.action for plan in plans for event in plan.events if isinstance(event.action, Cut)]
    return sum(cut.for_ms or 0 for cut in cuts)


def test_each_level_of_partitions_is_worse_than_the_one_before():
    drawn = {level: [plan_of(seed, partitions=level, faults=NETWORK_FAULTS) for seed in range(20)] for level in LEVELS}
    offline = [_offline_ms(drawn[level]) for level in LEVELS]
    assert offline == sorted(offline)
    assert offline[0] == 0 < offline[1]
    long_cuts = [
        event
        for plan in drawn["heavy"]
        for event in plan.events
        if isinstance(event.action, Cut) and (event.action.for_ms or 0) >= plan.length_ms / 2
    ]
    assert long_cuts


def test_nodes_meet_at_the_same_records():
    for seed in range(20):
        plan = plan_of(seed, keys=4, nodes=5, faults=())
        writers: dict[str, set[str | None]] = {}
        close = 0
        writes = [event for event in plan.events if event.action.name in ("put", "update", "delete")]
        for before, event in pairwise(writes):
            writers.setdefault(event.action.key, set()).add(event.node)  # type: ignore[union-attr]
            close += event.at_ms - before.at_ms <= 3_000 and event.node != before.node
        assert writers.keys() <= {"k0", "k1", "k2", "k3"}
        assert max(len(names) for names in writers.values()) >= 4
        assert close >= 5


def test_hubs_restart_and_all_nodes_crash_at_once():
    hubs = [plan_of(seed, faults=["hub_restart"]) for seed in range(5)]
    assert all({event.node for event in plan.events if isinstance(event.action, Crash)} == {"hub"} for plan in hubs)
    for seed in range(5):
        plan = plan_of(seed, faults=["all_at_once"], nodes=4)
        moments = Counter(event.at_ms for event in plan.events if isinstance(event.action, Crash))
        assert set(moments.values()) == {4}


def test_any_event_can_be_left_out_but_a_backup_or_clone_that_others_need():
    plan = plan_of(3, nodes=4, faults=[fault for fault in FAULTS if fault != "snapshot"])
    left_out = 0
    for at, event in enumerate(plan.events):
        if not isinstance(event.action, Backup | Clone):
            check(replace(plan, events=plan.events[:at] + plan.events[at + 1 :]))
            left_out += 1
    assert left_out > 100
    assert {"backup", "clone", "restore_backup"} <= kinds(plan)


def test_one_disk_stays_whole():
    for seed in SEEDS:
        plan = plan_of(seed, faults=["backup"], nodes=2, hours=20)
        restored = {event.node for event in plan.events if isinstance(event.action, RestoreBackup)}
        assert restored < {node.name for node in plan.nodes}


def test_of_machines_that_are_put_back_whole_a_plan_has_one_and_no_other_restores():
    returns = 0
    for seed in SEEDS:
        plan = plan_of(seed, faults=["snapshot", "backup"], nodes=2 + seed % 4)
        restored = [event.node for event in plan.events if isinstance(event.action, RestoreBackup)]
        whole = {event.action.whole for event in plan.events if isinstance(event.action, Backup)}
        assert whole == {len(plan.hubs) == 1}
        if whole == {True}:
            assert len({*restored}) <= 1
            returns += len(restored)
    assert returns > len(SEEDS)


def test_what_is_drawn_on_request_only_is_in_no_other_plan():
    for seed in SEEDS:
        for event in plan_of(seed).events:
            assert not isinstance(event.action, PowerCut)
            assert not (isinstance(event.action, Backup) and event.action.whole)
            assert not (isinstance(event.action, Quality) and event.action.corrupt_per_mille)
            assert not (isinstance(event.action, Quality) and event.action.reset_after_bytes_min)


@pytest.mark.parametrize(
    ("fault", "member"), [("corruption", "corrupt_per_mille"), ("midway", "reset_after_bytes_min")]
)
def test_a_fault_of_links_that_is_asked_for_is_in_its_plans(fault: str, member: str):
    for seed in SEEDS[:10]:
        actions = [event.action for event in plan_of(seed, faults=[fault]).events]
        drawn = [getattr(action, member) for action in actions if isinstance(action, Quality)]
        assert drawn
        assert all(drawn)


def test_work_is_what_was_asked_for():
    for seed in SEEDS[:10]:
        plan = plan_of(seed, work=["decide"], faults=())
        assert noted(plan)[1] == {"put", "update", "decide"}
        assert kinds(plan) - {"sync", "sync_every"} <= {"put", "update", "decide"}


class Longest(LastWriterWins):
    name = "longest"


def test_a_schema_of_the_user_is_what_nodes_declare_and_write():
    schema = Schema(name="stops", fields={"state": Longest()}, indexes=["state"])
    plan = plan_of(1, schema=schema, faults=())
    (stops,) = plan.collections
    assert stops == CollectionPlan(
        name="stops", fields=(FieldPlan(name="state", resolver="longest", values="text"),), indexes=(("state",),)
    )
    with pytest.raises(InvalidPlan):
        parse_plan(plan.to_json())
    assert parse_plan(plan.to_json(), resolvers={"longest": Longest()}) == plan
    puts = [event.action for event in plan.events if event.action.name == "put"]
    assert all(put.collection == "stops" and put.fields.keys() == {"state"} for put in puts)  # type: ignore[union-attr]
    data = CollectionPlan(name="n", fields=(FieldPlan(name="n", resolver="sum", values="integer"),))
    assert plan_of(1, schema=data, resolvers={"sum": Longest()}).collections == (data,)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"nodes": 1},
        {"hours": 0},
        {"hours": 100_000},
        {"keys": 0},
        {"partitions": "some"},
        {"faults": ["crush"]},
        {"faults": "crash,cut"},
        {"work": ["walk"]},
        {"work": "put"},
    ],
)
def test_an_argument_out_of_range_is_refused_by_its_name(arguments: dict[str, Any]):
    with pytest.raises(InvalidPlan) as caught:
        plan_of(**({"seed": 1} | arguments))
    assert caught.value.subject == next(iter(arguments))
    assert caught.value.remedy


# ---------------------------------------------------------------------------------------------------- strategies


def test_a_failing_plan_shrinks_to_the_events_that_matter():
    def fails(plan: Plan) -> bool:
        names = [event.action.name for event in plan.events]
        return "cut" in names and "crash" in names[names.index("cut") :]

    found = find(plans(events_max=10), fails, settings=FINDING)
    assert [event.action.name for event in found.events] == ["cut", "crash"]
    assert [node.name for node in found.nodes] == ["hub", "edge-1"]


def test_plans_write_to_the_collection_that_they_are_given():
    collection = CollectionPlan(name="stops", fields=(FieldPlan(name="n", resolver="sum", values="integer"),))
    drawn = find(
        plans(collection=collection, resolvers={"sum": Longest()}),
        lambda plan: any(event.action.name == "put" and event.action.fields for event in plan.events),  # type: ignore[union-attr]
        settings=FINDING,
    )
    (put,) = drawn.events
    assert (put.action.collection, put.action.fields) == ("stops", {"n": 0})  # type: ignore[union-attr]


def test_plans_take_a_schema_with_its_resolvers_and_programs():
    schema = Schema(name="stops", fields={"n": Longest()})
    drawn = find(
        plans(collection=schema, programs=["mine"]),
        lambda plan: any(event.action.name == "put" and event.action.fields for event in plan.events),  # type: ignore[union-attr]
        settings=FINDING,
    )
    assert drawn.collections == (collection_of(schema),)
    assert [(event.node, event.action.name) for event in drawn.events] == [("edge-1", "run_program"), ("edge-1", "put")]


def test_without_hypothesis_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtra) as caught:
        plans()
    assert "testing" in caught.value.remedy


def test_a_strategy_of_plans_is_a_strategy():
    assert isinstance(plans(), st.SearchStrategy)
