"""Scenarios as data: the nodes, the collections, what happens when, and how the world heals.

Values and their JSON only; `parse.py` reads text and `atlas.py` refuses what nothing could survive. Invariant:
``parse_plan(plan.to_json()) == plan``, and a plan holds no object that JSON has not (resolvers and programs by name).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from holdfast.engine.delta import BATCH_BYTES_TARGET

from .actions import CLOCK_MS_MAX, AnyAction, read_action, write_action
from .arguments import (
    SPAN_MS_MAX,
    Integer,
    ListOf,
    Maybe,
    Name,
    Node,
    Part,
    Text,
    Word,
    below,
    mistake,
    read_object,
    write_arguments,
)

FORMAT: Final = 1
PLAN_BYTES_MAX: Final = 16 * 1024 * 1024
EVENTS_MAX: Final = 100_000
NODES_MAX: Final = 1_000
COLLECTIONS_MAX: Final = 100
FIELDS_MAX: Final = 1_000
KEYS_MAX: Final = 100_000

WALL_START_MS: Final = 1_767_225_600_000
"""What right clocks show when a plan starts: 2026-01-01, midnight UTC."""

CHECKERS: Final = (
    "acknowledged",
    "dots",
    "state",
    "agreement",
    "causality",
    "atomicity",
    "vectors",
    "clocks",
    "deletes",
    "inbox",
    "bounds",
    "status",
    "watches",
    "purges",
)
"""The invariants that a plan may ask for, by the names of their files in `simulation/checkers`."""

Role = Literal["hub", "edge"]
Durability = Literal["full", "normal"]
Values = Literal["any", "text", "integer", "boolean", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A node: its name, role, disk and clock.

    Attributes:
        durability: As `Engine.open` takes it.
        clock_offset_ms: How far its clock is from true time at the start.
        clock_drift_ppm: How much faster (or slower) than true time it runs, in millionths.
        clock_step_ms: The steps in which it advances.
        batch_bytes: At which a batch that it sends is closed: small ones make sessions that can be cut in the middle.
        schema_version: It declares each collection in its newest version up to this one.
        purge_every_ms: At most so often it looks what may be purged, where it decides; silent_after_ms: then it leaves
            out members that it has not met for longer.
    """

    name: Annotated[str, Node("new")]
    role: Annotated[Role, Word(("hub", "edge"))] = "edge"
    durability: Annotated[Durability, Word(("full", "normal"))] = "full"
    clock_offset_ms: Annotated[int, Integer(-CLOCK_MS_MAX, CLOCK_MS_MAX, "ms")] = 0
    clock_drift_ppm: Annotated[int, Integer(-100_000, 100_000, "ppm")] = 0
    clock_step_ms: Annotated[int, Integer(1, 3_600_000, "ms")] = 1
    batch_bytes: Annotated[int, Integer(1, BATCH_BYTES_TARGET, "bytes")] = BATCH_BYTES_TARGET
    schema_version: Annotated[int, Integer(1, 1_000_000)] = 1
    purge_every_ms: Annotated[int, Integer(0, SPAN_MS_MAX, "ms")] = 3_600_000
    silent_after_ms: Annotated[int | None, Maybe(Integer(0, SPAN_MS_MAX, "ms"), "nobody is left out so")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlan:
    """A declared field: which resolver reads it, and which values generated writes give it."""

    name: Annotated[str, Name("field")]
    resolver: Annotated[str, Name("resolver")] = "last-writer-wins"
    values: Annotated[Values, Word(("any", "text", "integer", "boolean", "list"))] = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPlan:
    """A collection as `holdfast.Schema` declares it, with resolvers by name."""

    name: Annotated[str, Name("collection")]
    version: Annotated[int, Integer(1, 1_000_000)] = 1
    fields: Annotated[tuple[FieldPlan, ...], ListOf(Part(FieldPlan, "Field"), 0, FIELDS_MAX)] = ()
    indexes: Annotated[tuple[tuple[str, ...], ...], ListOf(ListOf(Name("field"), 1, 16), 0, 100)] = ()
    default: Annotated[str, Name("resolver")] = "last-writer-wins"
    on_delete: Annotated[str, Name("resolver")] = "update-wins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """After healing, `node` syncs with `peer`."""

    node: Annotated[str, Node()]
    peer: Annotated[str, Node("hub")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """What follows the chaos: faults end, nodes start, and all sync until they agree.

    Attributes:
        deadline_minutes: Virtual minutes in which they must.
        every_ms: How often each node of a route syncs.
        routes: Who syncs with whom; None: every edge with every hub, and each hub with the first.
    """

    deadline_minutes: Annotated[int, Integer(1, SPAN_MS_MAX // 60_000, "minutes")] = 60
    every_ms: Annotated[int, Integer(1, SPAN_MS_MAX, "ms")] = 30_000
    routes: Annotated[
        tuple[Route, ...] | None,
        Maybe(ListOf(Part(Route, "Route"), 0, NODES_MAX * 10), "every edge with every hub, each hub with the first"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happens.

    Attributes:
        at_ms: When, in virtual milliseconds since the start.
        node: To which node; None for an action on links, which names its nodes itself.
        action: What.
    """

    at_ms: int
    node: str | None
    action: AnyAction


class _Events:
    """The kind of an event: what it says of time and place, and the action with its arguments beside that."""

    def read(self, value: object, path: str) -> Event:
        given = read_object(value, path)
        for name in given:
            if name not in ("at_ms", "node", "action", "args"):
                raise mistake(
                    "an event has no such member", below(path, f"{name:.40}"), "It has at_ms, node, action, args."
                )
        if "at_ms" not in given:
            raise mistake("an event says when it happens", f"{path}.at_ms", "Write it: milliseconds since the start.")
        at_ms = Integer(0, SPAN_MS_MAX, "ms").read(given["at_ms"], f"{path}.at_ms")
        node = Maybe(Node(), "an action on links").read(given.get("node"), f"{path}.node")
        return Event(at_ms=at_ms, node=node, action=read_action(value, path))

    def write(self, value: Event) -> object:
        place = {} if value.node is None else {"node": value.node}
        return {"at_ms": value.at_ms, **place, **write_action(value.action)}

    def describe(self) -> str:
        return "[Event](#event)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole scenario.

    Attributes:
        seed: Of the choices that the plan leaves open (latencies, losses, the order of what is due at once).
        note: For people; of a generated plan, which faults and kinds of work the seed has on.
        length_ms: How long the chaos lasts, in virtual milliseconds.
        collections: What nodes declare; several entries of one name are its versions.
        keys: From how many keys of each collection generated writes choose.
        faults_at_once_max: How many nodes may be disturbed (down, paused, with a bad disk) at one moment.
        events: Sorted by time.
        checkers: The invariants to check.
    """

    format: Annotated[int, Integer(FORMAT, FORMAT)] = FORMAT
    seed: Annotated[int, Integer(0, 2**63 - 1)]
    note: Annotated[str, Text(4_000)] = ""
    length_ms: Annotated[int, Integer(1, SPAN_MS_MAX, "ms")]
    nodes: Annotated[tuple[NodePlan, ...], ListOf(Part(NodePlan, "Node"), 1, NODES_MAX)]
    collections: Annotated[
        tuple[CollectionPlan, ...], ListOf(Part(CollectionPlan, "Collection"), 0, COLLECTIONS_MAX)
    ] = ()
    keys: Annotated[int, Integer(1, KEYS_MAX, "keys")] = 8
    faults_at_once_max: Annotated[int, Integer(0, NODES_MAX, "nodes")] = NODES_MAX
    checkers: Annotated[tuple[str, ...], ListOf(Word(CHECKERS), 0, len(CHECKERS))] = CHECKERS
    heal: Annotated[Healing, Part(Healing, "Healing")] = Healing()
    events: Annotated[tuple[Event, ...], ListOf(_Events(), 0, EVENTS_MAX)] = ()

    @property
    def hours(self) -> float:
        """How long the chaos lasts, in virtual hours."""
        return self.length_ms / 3_600_000

    @property
    def hubs(self) -> tuple[NodePlan, ...]:
        """The nodes that others sync with."""
        return tuple(node for node in self.nodes if node.role == "hub")

    def to_value(self) -> dict[str, Any]:
        """The plan as a JSON value, without what has its default."""
        return {"format": self.format, **write_arguments(self)}

    def to_json(self) -> str:
        """The plan as text, with a line for each node, collection and event."""
        parts = [f"{json.dumps(name)}: {_lines(part)}" for name, part in self.to_value().items()]
        return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _lines(part: object) -> str:
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return "[\n    " + ",\n    ".join(_text(item) for item in part) + "\n  ]"
    return _text(part)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
