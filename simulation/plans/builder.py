"""Write a plan in Python: nodes first, then what happens, with the time running along.

    >>> plan = (
    ...     PlanBuilder(hours=2, seed=7)
    ...     .hub("hub")
    ...     .edge("van-1")
    ...     .edge("van-2")
    ...     .sync_every("van-1", "hub", minutes=5)
    ...     .put("van-1", "stops", "s1", {"state": "open"})
    ...     .after(minutes=10)
    ...     .cut("van-1", "hub", minutes=30)
    ...     .update("van-2", "stops", "s1", {"state": "done"})
    ...     .crash("van-2", down_minutes=1)
    ...     .build()
    ... )
    >>> [event.at_ms for event in plan.events]
    [0, 0, 600000, 600000, 600000]

Knows no world. Invariant: each method plans its event at the builder's present time, and `build` gives only plans that
`parse_plan` would take.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Self

from holdfast.engine.schema import Schema
from holdfast.resolvers import Resolver

from .actions import (
    AnyAction,
    Backup,
    ClockJump,
    Clone,
    Crash,
    Cut,
    Delete,
    Direction,
    DiskFull,
    LinkAction,
    Pause,
    Put,
    Quality,
    RestoreBackup,
    RunProgram,
    Sync,
    SyncEvery,
    Update,
)
from .arguments import mistake
from .parse import read_plan
from .plan import CollectionPlan, Durability, Event, Healing, NodePlan, Plan, Role
from .schemas import collection_of

Names = str | Sequence[str]


class PlanBuilder:
    """Collects nodes, collections and events; every method returns the builder.

    Args:
        hours: How long the chaos lasts, in virtual hours.
        seed: Of the choices that the plan leaves open.
        note: For people.
    """

    def __init__(self, *, hours: float = 1, seed: int = 0, note: str = "") -> None:
        length_ms = _milliseconds(hours=hours)
        self._plan = Plan(seed=seed, note=note, length_ms=length_ms, nodes=())
        self._nodes: list[NodePlan] = []
        self._collections: list[CollectionPlan] = []
        self._events: list[Event] = []
        self._resolvers: dict[str, Resolver] = {}
        self._now_ms = 0

    def hub(self, name: str, *, durability: Durability = "full", clock_offset_ms: int = 0) -> Self:
        """Add a node that others sync with."""
        return self._node(name, "hub", durability, clock_offset_ms)

    def edge(self, name: str, *, durability: Durability = "full", clock_offset_ms: int = 0) -> Self:
        """Add a node that calls hubs."""
        return self._node(name, "edge", durability, clock_offset_ms)

    def node(self, node: NodePlan) -> Self:
        """Add a node with everything that a plan can say about one."""
        self._nodes.append(node)
        return self

    def collection(self, declared: Schema | CollectionPlan) -> Self:
        """Declare a collection; the resolvers of a schema are known to the plan from then on."""
        if isinstance(declared, Schema):
            for resolver in (*declared.fields.values(), declared.default, declared.on_delete):
                self._resolvers[resolver.name] = resolver
            declared = collection_of(declared)
        self._collections.append(declared)
        return self

    def heal(self, *, deadline_minutes: int = 60, every_seconds: float = 30) -> Self:
        """Say how long the nodes have to agree after the chaos, and how often they then sync."""
        every_ms = _milliseconds(seconds=every_seconds)
        self._plan = replace(self._plan, heal=Healing(deadline_minutes=deadline_minutes, every_ms=every_ms))
        return self

    def check(self, *checkers: str) -> Self:
        """Check these invariants and no others."""
        self._plan = replace(self._plan, checkers=checkers)
        return self

    # ------------------------------------------------------------------------------------------------------ time

    def at(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> Self:
        """Go to a time since the start; what follows happens then. It may lie before the present one."""
        self._now_ms = _milliseconds(hours, minutes, seconds)
        return self

    def after(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> Self:
        """Let time pass; what follows happens then."""
        self._now_ms += _milliseconds(hours, minutes, seconds)
        return self

    # ------------------------------------------------------------------------------------------------------ work

    def put(self, node: str, collection: str, key: str, fields: Mapping[str, Any]) -> Self:
        """Write a whole record."""
        return self.do(node, Put(collection=collection, key=key, fields=dict(fields)))

    def update(self, node: str, collection: str, key: str, fields: Mapping[str, Any], *, upsert: bool = False) -> Self:
        """Write some fields."""
        return self.do(node, Update(collection=collection, key=key, fields=dict(fields), upsert=upsert))

    def delete(self, node: str, collection: str, key: str) -> Self:
        """Delete a record."""
        return self.do(node, Delete(collection=collection, key=key))

    def run(self, node: str, program: str) -> Self:
        """Run a program of the user, by its registered name."""
        return self.do(node, RunProgram(program=program))

    def sync(self, node: str, hub: str) -> Self:
        """Sync once."""
        return self.do(node, Sync(peer=hub))

    def sync_every(self, node: str, hub: str, *, minutes: float = 0, seconds: float = 0) -> Self:
        """Sync again and again, a tenth of the period sooner or later."""
        every_ms = _milliseconds(minutes=minutes, seconds=seconds)
        return self.do(node, SyncEvery(peer=hub, every_ms=every_ms, jitter_ms=every_ms // 10))

    # ---------------------------------------------------------------------------------------------------- faults

    def crash(self, node: str, *, down_minutes: float) -> Self:
        """Kill a node's process and start it again later."""
        return self.do(node, Crash(down_ms=_milliseconds(minutes=down_minutes)))

    def pause(self, node: str, *, minutes: float) -> Self:
        """Stop a node's process and let it go on later."""
        return self.do(node, Pause(for_ms=_milliseconds(minutes=minutes)))

    def disk_full(self, node: str, *, minutes: float) -> Self:
        """Leave a node's disk no space for a while."""
        return self.do(node, DiskFull(for_ms=_milliseconds(minutes=minutes)))

    def clock_jump(self, node: str, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> Self:
        """Let a node's clock jump; negative: back."""
        return self.do(node, ClockJump(by_ms=_milliseconds(hours, minutes, seconds)))

    def backup(self, node: str, backup: str) -> Self:
        """Copy a node's file, under a name."""
        return self.do(node, Backup(backup=backup))

    def restore(self, node: str, backup: str) -> Self:
        """Put a backup in the place of a node's file."""
        return self.do(node, RestoreBackup(backup=backup))

    def clone(self, node: str, as_node: str) -> Self:
        """Start a second node on a copy of a node's file."""
        return self.do(node, Clone(as_node=as_node))

    # --------------------------------------------------------------------------------------------------- network

    def cut(self, group: Names, peers: Names = (), *, minutes: float, direction: Direction = "both") -> Self:
        """Let nothing pass between the nodes of a group and their peers (none named: all others)."""
        for_ms = _milliseconds(minutes=minutes)
        return self.do(None, Cut(group=_names(group), peers=_names(peers), direction=direction, for_ms=for_ms))

    def quality(
        self, group: Names, peers: Names = (), *, latency_ms: tuple[int, int] = (1, 20), loss_per_mille: int = 0
    ) -> Self:
        """Say how well links work from now on; `do` takes a `Quality` with everything else."""
        least_ms, most_ms = latency_ms
        quality = Quality(
            group=_names(group),
            peers=_names(peers),
            latency_ms_min=least_ms,
            latency_ms_max=most_ms,
            loss_per_mille=loss_per_mille,
        )
        return self.do(None, quality)

    # ------------------------------------------------------------------------------------------------ everything

    def do(self, node: str | None, action: AnyAction) -> Self:
        """Plan any action; None as node for one on links."""
        assert (node is None) == isinstance(action, LinkAction), action
        self._events.append(Event(at_ms=self._now_ms, node=node, action=action))
        return self

    def build(self, *, resolvers: Mapping[str, Resolver] | None = None, programs: Collection[str] = ()) -> Plan:
        """The plan.

        Args:
            resolvers: The user's, by name, beside those of the schemas.
            programs: Names of the programs that it may run.

        Raises:
            InvalidPlan: As `parse_plan`; paths are those of the plan as JSON, with its events sorted.
        """
        if not self._nodes:
            raise mistake("the plan has no nodes", "nodes", 'Add some: PlanBuilder().hub("hub").edge("edge-1").')
        plan = replace(
            self._plan,
            nodes=tuple(self._nodes),
            collections=tuple(self._collections),
            events=tuple(sorted(self._events, key=attrgetter("at_ms"))),
        )
        return read_plan(plan.to_value(), resolvers={**self._resolvers, **(resolvers or {})}, programs=programs)

    def _node(self, name: str, role: Role, durability: Durability, clock_offset_ms: int) -> Self:
        return self.node(NodePlan(name=name, role=role, durability=durability, clock_offset_ms=clock_offset_ms))


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _milliseconds(hours: float = 0, minutes: float = 0, seconds: float = 0) -> int:
    return round(hours * 3_600_000 + minutes * 60_000 + seconds * 1_000)
