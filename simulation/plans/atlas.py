"""The atlas of faults: which combinations are beyond what the engine promises, so that no plan may ask for them.

A plan that did would fail whatever the engine does, and teach nobody anything. Knows the promises, not the engine.
Invariant: every refusal here stands with its reason in `docs/reference/plan.md`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .actions import WRITING, Attack, Backup, ClockJump, ClockSkew, Clone, PowerCut, RestoreBackup
from .arguments import mistake
from .plan import WALL_START_MS, NodePlan, Plan, Route

CLOCK_BELIEVED_MS_MAX: Final = 2**46 - 1
"""The latest wall clock that the hybrid clock believes, in the year 4199 (`holdfast.clocks.hybrid`)."""

HEALING_ROUNDS_MIN: Final = 10
"""News take one sync to a hub and one from it, and more where hubs stand between; ten leave room for a retry."""


def check_survivable(plan: Plan) -> None:
    """Raise InvalidPlan if the plan asks for more than the engine survives."""
    _check_hub(plan)
    _check_disks(plan)
    _check_power(plan)
    _check_snapshots(plan)
    _check_clones(plan)
    _check_strangers(plan)
    _check_clocks(plan)
    _check_healing(plan)


def nodes_at_end(plan: Plan) -> tuple[NodePlan, ...]:
    """The nodes of the plan and the clones that it makes, each with what it has from its original."""
    nodes = {node.name: node for node in plan.nodes}
    for event in plan.events:
        if isinstance(event.action, Clone) and event.node in nodes:
            original = nodes[event.node]
            nodes[event.action.as_node] = replace(original, name=event.action.as_node)
    return tuple(nodes.values())


def healing_routes(plan: Plan) -> tuple[Route, ...]:
    """Who syncs with whom after the chaos: as the plan says, or every edge with every hub, each hub with the first."""
    if plan.heal.routes is not None:
        return plan.heal.routes
    hubs = [hub.name for hub in plan.hubs]
    edges = [node.name for node in nodes_at_end(plan) if node.role == "edge"]
    return (
        *(Route(node=hub, peer=hubs[0]) for hub in hubs[1:]),
        *(Route(node=edge, peer=hub) for edge in edges for hub in hubs),
    )


def _check_hub(plan: Plan) -> None:
    if not plan.hubs:
        raise mistake(
            "no node is a hub: edges only call, so that no two of them ever meet", "nodes", 'Give one "role": "hub".'
        )


def _check_disks(plan: Plan) -> None:
    whole = {node.name for node in plan.nodes}
    for at, event in enumerate(plan.events):
        if isinstance(event.action, RestoreBackup):
            whole.discard(event.node or "")
        if not whole:
            raise mistake(
                "the disks of all nodes are lost: what was written behind their backups is nowhere",
                f"events[{at}]",
                "Leave one node as it is.",
            )


def _check_power(plan: Plan) -> None:
    weak = {node.name for node in nodes_at_end(plan) if node.durability == "normal"}
    for at, event in enumerate(plan.events):
        if isinstance(event.action, PowerCut) and event.node in weak and "acknowledged" in plan.checkers:
            raise mistake(
                f"{event.node!r} has durability normal, which may lose acknowledged writes when the power is cut",
                f"events[{at}].action",
                'Give the node "durability": "full", crash it instead, or leave "acknowledged" out of checkers.',
            )


def _check_snapshots(plan: Plan) -> None:
    actions = [event.action for event in plan.events]
    whole = {action.backup for action in actions if isinstance(action, Backup) and action.whole}
    returns = [
        (at, event.node, event.action.backup)
        for at, event in enumerate(plan.events)
        if isinstance(event.action, RestoreBackup)
    ]
    snapshots = [at for at, _, backup in returns if backup in whole]
    if not snapshots:
        return
    if len(plan.hubs) > 1:
        raise mistake(
            "a node that is put back with its witness is told so by its hub, and by two only when their data meet",
            f"events[{snapshots[0]}].args.backup",
            'Restore such a backup only where there is one hub, or take it without "whole".',
        )
    others = [at for at, node, _ in returns if node != returns[0][1]]
    if others:
        raise mistake(
            "a node that is put back with its witness is told so by those who have met it since, and these forget it"
            " when they are put back as well",
            f"events[{others[0]}]",
            'Restore one node only, or take all backups without "whole".',
        )


def _check_clones(plan: Plan) -> None:
    for at, event in enumerate(plan.events):
        if isinstance(event.action, Clone) and len(plan.hubs) > 1:
            raise mistake(
                "two live copies of one file that sync with different hubs are found only when those hubs' data meet",
                f"events[{at}].action",
                "Clone only where there is one hub.",
            )


def _check_strangers(plan: Plan) -> None:
    written: set[tuple[str, int]] = set()
    for at, event in enumerate(plan.events):
        match event.action:
            case Attack(stranger=str(name), life=life, times=times, attack=attack) if attack in WRITING:
                if (name, life) in written or times > 1:
                    raise mistake(
                        f"the stranger {name!r} would write several things under the name of one operation, which nodes"
                        " that each have taken in another of them do not compare",
                        f"events[{at}].args",
                        "Let it write once in each life, or name no stranger.",
                    )
                written.add((name, life))
            case _:
                pass


def _check_clocks(plan: Plan) -> None:
    offsets = {}
    for at, node in enumerate(plan.nodes):
        offsets[node.name] = node.clock_offset_ms
        _check_clock(plan, node.clock_offset_ms, node, f"nodes[{at}].clock_offset_ms")
    nodes = {node.name: node for node in plan.nodes}
    for at, event in enumerate(plan.events):
        match event.action:
            case Clone(as_node=name):
                offsets[name], nodes[name] = offsets[event.node or ""], nodes[event.node or ""]
            case ClockSkew(offset_ms=offset_ms):
                offsets[event.node or ""] = offset_ms
                _check_clock(plan, offset_ms, nodes[event.node or ""], f"events[{at}].args.offset_ms")
            case ClockJump(by_ms=by_ms):
                offsets[event.node or ""] += by_ms
                _check_clock(plan, offsets[event.node or ""], nodes[event.node or ""], f"events[{at}].args.by_ms")
            case _:
                pass


def _check_clock(plan: Plan, offset_ms: int, node: NodePlan, path: str) -> None:
    span_ms = plan.length_ms + plan.heal.deadline_minutes * 60_000
    start_ms = WALL_START_MS + offset_ms
    shown = (start_ms, start_ms + span_ms + span_ms * node.clock_drift_ppm // 1_000_000)
    if min(shown) < 0 or max(shown) > CLOCK_BELIEVED_MS_MAX:
        raise mistake(
            "the clock would show a time before 1970 or behind the year 4199, which no hybrid clock believes",
            path,
            "Choose a smaller step.",
        )


def _check_healing(plan: Plan) -> None:
    if plan.heal.deadline_minutes * 60_000 < plan.heal.every_ms * HEALING_ROUNDS_MIN:
        what = f"until the deadline there are fewer than {HEALING_ROUNDS_MIN} syncs of each route"
        raise mistake(what, "heal.deadline_minutes", "Move the deadline, or sync more often.")
    for at, route in enumerate(plan.heal.routes or ()):
        _check_route(plan, route, f"heal.routes[{at}]")
    reached = _connected(plan.hubs[0].name, healing_routes(plan))
    for node in nodes_at_end(plan):
        if node.name not in reached:
            what = f"after healing there is no path between {node.name!r} and {plan.hubs[0].name!r}: they cannot agree"
            raise mistake(what, "heal.routes", f"Add a route for {node.name!r}.")


def _check_route(plan: Plan, route: Route, path: str) -> None:
    if route.node not in {node.name for node in nodes_at_end(plan)}:
        raise mistake(f"there is no node {route.node!r}", f"{path}.node", "Name a node of the plan.")
    if route.peer not in {hub.name for hub in plan.hubs} or route.peer == route.node:
        raise mistake(f"{route.peer!r} is no hub that {route.node!r} could call", f"{path}.peer", "Name another hub.")


def _connected(start: str, routes: tuple[Route, ...]) -> set[str]:
    neighbours: dict[str, list[str]] = {}
    for route in routes:
        neighbours.setdefault(route.node, []).append(route.peer)
        neighbours.setdefault(route.peer, []).append(route.node)
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(neighbours.get(name, ()))
    return reached
