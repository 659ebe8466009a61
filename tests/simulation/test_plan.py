"""Claims about plans: what is written is read again, and every mistake is refused with its place and a remedy."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import InvalidPlan, LastWriterWins, MultiValue, Schema
from holdfast.clocks import hybrid
from holdfast.resolvers import Conflict, Take
from holdfast.simulation.plans import atlas, builder, plan
from holdfast.simulation.plans.actions import ACTIONS, Crash
from holdfast.simulation.plans.atlas import healing_routes, nodes_at_end
from holdfast.simulation.plans.builder import PlanBuilder
from holdfast.simulation.plans.parse import PLAN_DEPTH_MAX, parse_plan, read_plan
from holdfast.simulation.plans.plan import CollectionPlan, NodePlan, Plan
from holdfast.simulation.plans.schemas import collection_of, schema_of, schemas_of
from holdfast.simulation.plans.strategies import plans
from tests.sources import ROOT

from .plan_reference import PARTS, table

PAGE = (ROOT / "docs" / "reference" / "plan.md").read_text(encoding="utf-8")

RECORD = {"collection": "tasks", "key": "k"}
SAMPLES: dict[str, dict[str, Any]] = {
    "put": {**RECORD, "fields": {"title": "é\u2028", "n": 2**63 - 1, "f": 1.5, "none": None}},
    "update": {**RECORD, "fields": {"a": [1, {"b": []}]}, "remove": ["title"], "upsert": True},
    "delete": RECORD,
    "compare_and_set": {**RECORD, "fields": {}, "think_ms": 5},
    "bulk_put": {"collection": "tasks", "key_prefix": "k", "records": 10, "fields": {"a": 1}},
    "transact": {"reads": [RECORD], "writes": [{"action": "delete", "args": RECORD}], "think_ms": 1},
    "decide": {"decision": "value", "value": {"a": [None]}, "state": "settled", "think_ms": 1},
    "reopen": {},
    "read": RECORD,
    "query": {"collection": "tasks", "condition": "key > 'a'", "limit": 3},
    "check_export": {},
    "sync": {"peer": "hub"},
    "watch": {},
    "sync_every": {"peer": "hub", "every_ms": 60_000, "jitter_ms": 10, "for_ms": 100_000},
    "run_program": {"program": "driver"},
    "seize": {},
    "hand_over": {"member": "edge-1"},
    "expire": {"member": "edge-2"},
    "restore": {"member": "edge-2"},
    "purge": {},
    "pause": {},
    "resume": {},
    "crash": {},
    "restart": {},
    "power_cut": {"down_ms": 5},
    "backup": {"backup": "monday"},
    "restore_backup": {"backup": "monday"},
    "clone": {"as_node": "twin"},
    "disk_full": {},
    "space_returns": {},
    "read_errors": {"per_mille": 1_000, "for_ms": 5},
    "write_errors": {"per_mille": 1, "for_ms": 5},
    "stall_disk": {"for_ms": 5},
    "slow_disk": {"latency_ms_min": 3, "latency_ms_max": 3, "for_ms": 5},
    "hold_lock": {"for_ms": 5},
    "hold_reader": {"for_ms": 5},
    "clock_skew": {"offset_ms": -5},
    "clock_jump": {"by_ms": 5},
    "clock_freeze": {"for_ms": 5},
    "clock_granularity": {"step_ms": 100},
    "cut": {"group": ["edge-1"], "peers": ["hub"], "direction": "to", "for_ms": 5},
    "heal": {"group": ["edge-1"]},
    "quality": {"group": ["edge-1"], "latency_ms_min": 2, "loss_per_mille": 5, "bytes_per_s": 9},
    "flap": {"group": ["edge-1", "edge-2"], "peers": ["hub"], "down_ms": 100, "up_ms": 50},
    "attack": {"attack": "broken cells", "times": 3},
}
ON_LINKS = {"cut", "heal", "quality", "flap"}


def event(action: str, at_ms: int = 10, **changes: Any) -> dict[str, Any]:
    place = {} if action in ON_LINKS else {"node": "edge-1"}
    return {"at_ms": at_ms, **place, "action": action, "args": SAMPLES[action] | changes}


def value(*events: dict[str, Any], **changes: Any) -> dict[str, Any]:
    nodes = [{"name": "hub", "role": "hub"}, {"name": "edge-1"}, {"name": "edge-2"}]
    return {"format": 1, "seed": 7, "length_ms": 3_600_000, "nodes": nodes, "events": list(events)} | changes


EVERYTHING = value(*(event(name, at) for at, name in enumerate(SAMPLES)))


def refused(given: Any) -> InvalidPlan:
    with pytest.raises(InvalidPlan) as caught:
        parse_plan(given if isinstance(given, str | bytes) else json.dumps(given), programs=["driver"])
    assert caught.value.remedy
    return caught.value


# ------------------------------------------------------------------------------------------------- the reference


@pytest.mark.parametrize("heading", PARTS)
def test_the_reference_lists_every_member_with_what_it_may_be_and_its_default(heading: str):
    section = PAGE.partition(f"### {heading}\n")[2].split("\n#")[0]
    expected = table(PARTS[heading]) if fields(PARTS[heading]) else "No arguments."
    assert expected in section.strip().split("\n\n")


def test_the_reference_has_no_action_that_the_code_has_not():
    assert re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE) == [*ACTIONS]


def test_the_reference_gives_the_limits_of_the_code():
    assert plan.PLAN_BYTES_MAX == 16 * 1024 * 1024
    assert f"| nesting | {PLAN_DEPTH_MAX} |" in PAGE
    assert f"| nodes, clones included | {plan.NODES_MAX:,} |" in PAGE
    assert f"| events | {plan.EVENTS_MAX:,} |" in PAGE
    assert f"fewer than {atlas.HEALING_ROUNDS_MIN} rounds" in PAGE


def test_the_atlas_believes_the_clocks_that_the_hybrid_clock_believes():
    assert atlas.CLOCK_BELIEVED_MS_MAX == hybrid._PHYSICAL_MS_MAX


# --------------------------------------------------------------------------------------------------- round trips


def test_every_action_is_read_and_written_as_it_stands():
    assert SAMPLES.keys() == ACTIONS.keys()
    read = parse_plan(json.dumps(EVERYTHING), programs=["driver"])
    assert [event.action.name for event in read.events] == [*SAMPLES]
    written = read.to_value()["events"]
    assert [entry.get("args", {}) for entry in written] == [*SAMPLES.values()]
    assert parse_plan(read.to_json(), programs=["driver"]) == read


@given(plans())
def test_a_plan_that_is_written_is_read_as_the_same_plan(drawn: Plan):
    again = parse_plan(drawn.to_json())
    assert again == drawn
    assert again.to_json() == drawn.to_json()


def test_what_has_its_default_is_not_written():
    assert parse_plan(json.dumps(value())).to_value() == {
        name: part for name, part in value().items() if name != "events"
    }


places = st.lists(st.integers(0, 5), max_size=6)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["hub", "edge-1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(places, anything)
def test_whatever_stands_somewhere_in_a_plan_it_is_read_or_refused_with_its_place(way: list[int], item: Any):
    changed = copy.deepcopy(EVERYTHING)
    parent: Any = {"plan": changed}
    key: Any = "plan"
    for step in way:
        inside = parent[key]
        names = [*inside] if isinstance(inside, dict) else [*range(len(inside))] if isinstance(inside, list) else []
        if not names:
            break
        parent, key = inside, names[step * 7 % len(names)]
    parent[key] = item
    whole = changed if key != "plan" else item
    try:
        read = parse_plan(json.dumps(whole), programs=["driver"])
    except InvalidPlan as error:
        assert error.subject  # noqa: PT017 - both ends are legal
        assert error.remedy  # noqa: PT017
    else:
        assert parse_plan(read.to_json(), programs=["driver"]) == read


# ------------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("{", "plan"),
        ("[]", "plan"),
        (b"\xff", "plan"),
        ('{"format": NaN}', "plan"),
        ('{"format": 1e999}', "plan"),
        (value(format=2), "format"),
        (value(format=True), "format"),
        ({}, "format"),
        ({"format": 1}, "seed"),
        (value(sead=1), "sead"),
        (value(seed=-1), "seed"),
        (value(seed="7"), "seed"),
        (value(length_ms=0), "length_ms"),
        (value(checkers=["dots", "dots"]), "checkers[1]"),
        (value(checkers=["luck"]), "checkers[0]"),
        (value(heal={"deadline": 1}), "heal.deadline"),
        (value(nodes=[]), "nodes"),
        (value(nodes=[{"name": "a/b"}]), "nodes[0].name"),
        (value(nodes=[{"name": "a"}, {"name": "a"}]), "nodes[1].name"),
        (value(nodes=[{"name": "a", "role": "king"}]), "nodes[0].role"),
        (value(event("put", key="")), "events[0].args.key"),
        (value(event("put", fields={"a": 2**64})), "events[0].args.fields"),
        (value(event("put", fields=[])), "events[0].args.fields"),
        (value(event("put", feilds={})), "events[0].args.feilds"),
        (value(event("put"), event("decide", value=2**64)), "events[1].args.value"),
        (value(event("cut"), event("quality", loss_per_mille=1_001)), "events[1].args.loss_per_mille"),
        (value(event("quality", latency_ms_min=50)), "events[0].args.latency_ms_min"),
        (
            value(event("quality", reset_after_bytes_max=0, reset_after_bytes_min=1)),
            "events[0].args.reset_after_bytes_min",
        ),
        (value(event("cut", group=["edge-9"])), "events[0].args.group[0]"),
        (value(event("cut", group=[])), "events[0].args.group"),
        (value(event("cut", group=["hub"])), "events[0].args.peers"),
        (value(event("cut") | {"node": "hub"}), "events[0].node"),
        (value(event("crash") | {"node": None}), "events[0].node"),
        (value(event("crash") | {"node": "edge-9"}), "events[0].node"),
        (value(event("crash") | {"action": "explode"}), "events[0].action"),
        (value(event("crash") | {"actoin": "crash"}), "events[0].actoin"),
        (value({"node": "hub", "action": "crash"}), "events[0].at_ms"),
        (value(event("crash", -1)), "events[0].at_ms"),
        (value(event("crash", 3_600_001)), "events[0].at_ms"),
        (value(event("put", 10), event("put", 9)), "events[1].at_ms"),
        (value(event("sync", peer="edge-2")), "events[0].args.peer"),
        (value(event("sync", peer="edge-9")), "events[0].args.peer"),
        (value(event("sync") | {"node": "hub"}), "events[0].args.peer"),
        (value(event("run_program", program="drvier")), "events[0].args.program"),
        (value(event("restart")), "events[0].action"),
        (value(event("crash", 1, down_ms=5), event("restart", 6)), "events[1].action"),
        (value(event("crash", 1), event("crash", 2)), "events[1].action"),
        (value(event("crash", 1), event("pause", 2)), "events[1].action"),
        (value(event("resume")), "events[0].action"),
        (value(event("pause", 1), event("pause", 2)), "events[1].action"),
        (value(event("restore_backup")), "events[0].args.backup"),
        (value(event("backup", 1), event("backup", 2)), "events[1].args.backup"),
        (value(event("backup", 1), event("restore_backup", 2) | {"node": "edge-2"}), "events[1].args.backup"),
        (value(event("clone", as_node="edge-2")), "events[0].args.as_node"),
        (value(event("clone") | {"node": "hub"}), "events[0].node"),
        (value(event("put", 1) | {"node": "twin"}, event("clone", 2)), "events[0].node"),
        (value(event("cut", 1, peers=["twin"]), event("clone", 2)), "events[0].args.peers[0]"),
        (value(event("crash"), faults_at_once_max=0), "events[0].at_ms"),
        (value(event("transact", writes=[{"action": "reopen"}])), "events[0].args.writes[0].action"),
        (value(event("transact", writes=[event("delete")])), "events[0].args.writes[0].at_ms"),
        (value(event("transact", writes=[{"action": "put", "args": RECORD}])), "events[0].args.writes[0].args.fields"),
        (value(event("read"), collections=[{"name": "notes"}]), "events[0].args.collection"),
        (
            value(event("transact"), collections=[{"name": "notes"}]),
            "events[0].args.reads[0].collection",
        ),
        (
            value(collections=[{"name": "a", "fields": [{"name": "b", "resolver": "mine"}]}]),
            "collections[0].fields[0].resolver",
        ),
        (value(collections=[{"name": "a", "on_delete": "multi-value"}]), "collections[0].on_delete"),
        (value(collections=[{"name": "a", "indexes": [["no column"]]}]), "collections[0]"),
        (value(collections=[{"name": "a"}, {"name": "a"}]), "collections[1].version"),
        (value(collections=[{"name": "a", "fields": [{"name": "b"}, {"name": "b"}]}]), "collections[0].fields[1].name"),
        (value(heal={"routes": [{"node": "edge-9", "peer": "hub"}]}), "heal.routes[0].node"),
        (value(heal={"routes": [{"node": "edge-1", "peer": "edge-2"}]}), "heal.routes[0].peer"),
    ],
)
def test_a_mistake_is_refused_with_its_place(given: Any, path: str):
    assert refused(given).subject == path


def test_a_member_that_stands_twice_is_found_wherever_it_is():
    text = json.dumps(value(event("put"), event("put", fields={"a": {"b": 1}})))
    assert refused(text.replace('{"b": 1}', '{"b": 1, "b": 1}')).subject == "events[1].args.fields.a.b"
    assert refused(text.replace('"seed": 7', '"seed": 7, "seed": 8')).subject == "seed"


def test_the_limits_are_checked_before_anything_is_built(monkeypatch: pytest.MonkeyPatch):
    def built(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("holdfast.simulation.plans.parse.read_arguments", built)
    assert "bytes" in refused(" " * (plan.PLAN_BYTES_MAX + 1)).what
    assert "bytes" in refused("é" * (plan.PLAN_BYTES_MAX // 2 + 1)).what
    assert "nest" in refused("[" * 100_000).what
    assert "nest" in refused('{"format": 1, "note": ' + "[" * (PLAN_DEPTH_MAX) + "]" * (PLAN_DEPTH_MAX) + "}").what


def test_too_many_nodes_or_events_are_refused():
    nodes = [{"name": f"n{at}"} for at in range(plan.NODES_MAX + 1)]
    assert refused(value(nodes=nodes)).subject == "nodes"
    assert refused(value(events=[0] * (plan.EVENTS_MAX + 1))).subject == "events"
    full = [{"name": "hub", "role": "hub"}, *nodes[: plan.NODES_MAX - 2], {"name": "edge-1"}]
    assert refused(value(event("clone"), nodes=full)).subject == "events[0]"


def test_a_value_as_deep_as_a_record_may_be_fits_into_a_transaction():
    deep: Any = {}
    for _ in range(62):
        deep = {"a": deep}
    write = {"action": "put", "args": {**RECORD, "fields": {"a": deep}}}
    text = json.dumps(value(event("transact", writes=[write])))
    assert parse_plan(text).events[0].action.writes[0].fields == {"a": deep}


# --------------------------------------------------------------------------------------------------------- atlas


HUB = {"name": "hub", "role": "hub"}
MILLENNIUM_MS = 10**13 * 3


@pytest.mark.parametrize(
    ("given", "path", "reason"),
    [
        (value(nodes=[{"name": "edge-1"}, {"name": "edge-2"}]), "nodes", "no node is a hub"),
        (
            value(
                *(event("backup", 1, backup=node) | {"node": node} for node in ("hub", "edge-1", "edge-2")),
                *(event("restore_backup", 2, backup=node) | {"node": node} for node in ("hub", "edge-1", "edge-2")),
            ),
            "events[5]",
            "disks of all nodes",
        ),
        (
            value(event("power_cut"), nodes=[HUB, {"name": "edge-1", "durability": "normal"}]),
            "events[0].action",
            "durability normal",
        ),
        (
            value(event("clone", 1), event("power_cut", 2) | {"node": "twin"})
            | {"nodes": [HUB, {"name": "edge-1", "durability": "normal"}]},
            "events[1].action",
            "durability normal",
        ),
        (value(nodes=[{**HUB, "clock_offset_ms": -(10**14)}]), "nodes[0].clock_offset_ms", "1970"),
        (value(event("clock_skew", offset_ms=10**14)), "events[0].args.offset_ms", "4199"),
        (value(*[event("clock_jump", at, by_ms=MILLENNIUM_MS) for at in range(3)]), "events[2].args.by_ms", "4199"),
        (
            value(event("clone"), nodes=[HUB, {"name": "hub-2", "role": "hub"}, {"name": "edge-1"}]),
            "events[0].action",
            "different hubs",
        ),
        (
            value(*[event("attack", at, attack="ordinary member", times=1, stranger="m") for at in range(2)]),
            "events[1].args",
            "under the name of one operation",
        ),
        (
            value(event("attack", attack="ordinary member", times=2, stranger="m")),
            "events[0].args",
            "under the name of one operation",
        ),
        (
            value(
                event("backup", 1, backup="it", whole=True),
                event("restore_backup", 2, backup="it"),
                nodes=[HUB, {"name": "hub-2", "role": "hub"}, {"name": "edge-1"}],
            ),
            "events[1].args.backup",
            "told so by its hub",
        ),
        (
            value(
                event("backup", 1, backup="whole", whole=True),
                event("backup", 1, backup="plain") | {"node": "hub"},
                event("restore_backup", 2, backup="whole"),
                event("restore_backup", 3, backup="plain") | {"node": "hub"},
            ),
            "events[3]",
            "put back as well",
        ),
        (value(heal={"routes": [{"node": "edge-1", "peer": "hub"}]}), "heal.routes", "no path"),
        (
            value(event("clone"), heal={"routes": [{"node": n, "peer": "hub"} for n in ("edge-1", "edge-2")]}),
            "heal.routes",
            "no path",
        ),
        (value(heal={"deadline_minutes": 1, "every_ms": 6_001}), "heal.deadline_minutes", "fewer than 10"),
    ],
)
def test_what_nothing_survives_is_refused_with_the_reason(given: Any, path: str, reason: str):
    error = refused(given)
    assert error.subject == path
    assert reason in error.what


@pytest.mark.parametrize(
    "given",
    [
        value(event("power_cut"), nodes=[HUB, {"name": "edge-1", "durability": "normal"}], checkers=["agreement"]),
        value(event("clock_skew", 1, offset_ms=6 * 10**13), event("clock_skew", 2, offset_ms=6 * 10**13)),
        value(event("crash", 1, down_ms=5), event("crash", 6, down_ms=5), event("restart", 10)),
        value(event("pause", 1), event("crash", 2), event("restart", 3), event("pause", 4)),
        value(event("backup", 1), event("crash", 2), event("restore_backup", 3), event("crash", 4)),
        value(
            *(event("backup", at, backup=f"{at}", whole=at > 1) for at in (1, 2, 3)),
            *(event("restore_backup", 3 + at, backup=f"{at}") for at in (1, 2, 3)),
        ),
        value(event("clone", 1), event("sync", 1) | {"node": "twin"}),
        value(*[event("attack", n, attack="ordinary member", times=1, stranger="m", life=n) for n in (1, 2)]),
        value(
            *[event("attack", 1, attack=name, times=1, stranger="m") for name in ("broken cells", "ordinary member")]
        ),
        value(event("crash", 1, down_ms=5), event("crash", 6) | {"node": "edge-2"}, faults_at_once_max=1),
        value(heal={"routes": [{"node": "edge-1", "peer": "hub"}, {"node": "edge-2", "peer": "hub"}]}),
    ],
)
def test_what_is_just_within_the_atlas_is_taken(given: Any):
    parse_plan(json.dumps(given))


def test_after_healing_every_edge_and_clone_syncs_with_every_hub_unless_routes_are_given():
    two = [HUB, {"name": "hub-2", "role": "hub"}, {"name": "edge-1"}]
    routes = healing_routes(read_plan(value(nodes=two)))
    assert [(route.node, route.peer) for route in routes] == [("hub-2", "hub"), ("edge-1", "hub"), ("edge-1", "hub-2")]
    cloned = read_plan(value(event("clone")))
    assert [node.name for node in nodes_at_end(cloned)] == ["hub", "edge-1", "edge-2", "twin"]
    assert ("twin", "hub") in [(route.node, route.peer) for route in healing_routes(cloned)]


# ------------------------------------------------------------------------------------------------------- schemas


class Longest:
    name = "longest"
    version = 1

    def resolve(self, conflict: Conflict) -> Take:
        return Take(0)


def test_a_schema_becomes_data_and_a_schema_again():
    longest = Longest()
    schema = Schema(
        name="tasks",
        fields={"title": longest, "tags": MultiValue()},
        indexes=["title", ("tags", "title")],
        default=LastWriterWins(),
        version=3,
    )
    data = collection_of(schema)
    given = value(collections=[], events=[]) | {
        "collections": Plan(seed=0, length_ms=1, nodes=(), collections=(data,)).to_value()["collections"]
    }
    (read,) = read_plan(given, resolvers={"longest": longest}).collections
    assert read == data
    assert schema_of(read, {"longest": longest}).fingerprint() == schema.fingerprint()
    assert "longest" in refused(given).what


def test_a_node_declares_each_collection_in_its_newest_version_up_to_its_own():
    versions = tuple(CollectionPlan(name="tasks", version=version) for version in (1, 5, 3))
    drawn = replace(read_plan(value()), collections=(*versions, CollectionPlan(name="later", version=9)))
    names = [
        [(schema.name, schema.version) for schema in schemas_of(drawn, NodePlan(name="a", schema_version=version))]
        for version in (1, 4, 9)
    ]
    assert names == [[("tasks", 1)], [("tasks", 3)], [("tasks", 5), ("later", 9)]]


# ------------------------------------------------------------------------------------------------------- builder


def test_the_builder_sorts_what_it_is_told_and_gives_what_the_parser_reads():
    longest = Longest()
    built = (
        PlanBuilder(hours=1, seed=3, note="late crash")
        .hub("hub")
        .edge("edge-1", durability="normal")
        .collection(Schema(name="tasks", fields={"title": longest}))
        .heal(deadline_minutes=10, every_seconds=5)
        .check("agreement")
        .at(minutes=30)
        .crash("edge-1", down_minutes=0.5)
        .at(minutes=5)
        .cut(["edge-1"], minutes=1, direction="from")
        .quality("edge-1", "hub", latency_ms=(5, 50), loss_per_mille=10)
        .after(seconds=1)
        .update("edge-1", "tasks", "k", {"title": "a"}, upsert=True)
        .run("edge-1", "driver")
        .build(programs=["driver"])
    )
    assert [event.at_ms for event in built.events] == [300_000, 300_000, 301_000, 301_000, 1_800_000]
    assert built.events[-1].action == Crash(down_ms=30_000)
    assert parse_plan(built.to_json(), resolvers={"longest": longest}, programs=["driver"]) == built


def test_the_builder_refuses_what_the_parser_refuses():
    with pytest.raises(InvalidPlan) as caught:
        PlanBuilder().hub("hub").sync("hub", "hub").build()
    assert caught.value.subject == "events[0].args.peer"
    with pytest.raises(InvalidPlan):
        PlanBuilder().build()


def test_the_example_of_the_builder_runs():
    import doctest

    result = doctest.testmod(builder)
    assert result.attempted
    assert not result.failed
