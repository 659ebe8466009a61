"""Simpler plans: what can be left out of a plan or made plainer, as candidates to try.

Knows plans, runs nothing. Invariant: each candidate differs from the plan and is smaller by some measure, so that
taking candidates ends; whether one is legal is for the caller to check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..plans.actions import BulkPut
from ..plans.plan import Event, Plan

LENGTH_MS_MIN = 1_000


def until(plan: Plan, at_ms: int) -> Plan:
    """Without what comes after a moment of the chaos."""
    length_ms = min(plan.length_ms, max(at_ms, LENGTH_MS_MIN))
    return replace(plan, length_ms=length_ms, events=tuple(e for e in plan.events if e.at_ms <= length_ms))


def fewer_nodes(plan: Plan) -> Iterator[Plan]:
    """Without one node and what happens to it; the last ones first."""
    for gone in reversed(plan.nodes):
        events = tuple(event for event in (_without(event, gone.name) for event in plan.events) if event is not None)
        yield replace(plan, nodes=tuple(node for node in plan.nodes if node is not gone), events=events)


def fewer_keys(plan: Plan) -> Iterator[Plan]:
    """With one key less: another, smaller one in its place."""
    keys = sorted({key for event in plan.events for key in _keys(event.action)})
    for key in reversed(keys[1:]):
        for other in keys[: keys.index(key)]:
            yield _mapped(
                plan, lambda name, value, old=key, new=other: new if name == "key" and value == old else value
            )


def plainer(plan: Plan) -> Iterator[Plan]:
    """With less in one event: fewer fields, shorter values, fewer records, no pauses for thought."""
    for at, event in enumerate(plan.events):
        for action in _plainer(event.action):
            events = (*plan.events[:at], replace(event, action=action), *plan.events[at + 1 :])
            yield replace(plan, events=events)


def shorter(plan: Plan) -> Iterator[Plan]:
    """In less time: everything at once, a hundredth, a tenth, half of the time."""
    for divisor in (1_000, 100, 10, 2):
        length_ms = max(LENGTH_MS_MIN, plan.length_ms // divisor)
        if length_ms < plan.length_ms:
            events = tuple(replace(event, at_ms=event.at_ms * length_ms // plan.length_ms) for event in plan.events)
            yield replace(plan, length_ms=length_ms, events=events)


def barer(plan: Plan) -> Iterator[Plan]:
    """Without collections, fields, indexes or odd clocks that nothing needs."""
    if plan.collections:
        yield replace(plan, collections=())
    for at, collection in enumerate(plan.collections):
        others = (plan.collections[:at], plan.collections[at + 1 :])
        yield replace(plan, collections=(*others[0], *others[1]))
        for field in collection.fields:
            bare = replace(collection, fields=tuple(other for other in collection.fields if other is not field))
            yield replace(plan, collections=(*others[0], bare, *others[1]))
        if collection.indexes:
            yield replace(plan, collections=(*others[0], replace(collection, indexes=()), *others[1]))
    for at, node in enumerate(plan.nodes):
        plain = replace(node, clock_offset_ms=0, clock_drift_ppm=0, clock_step_ms=1, durability="full")
        if plain != node:
            yield replace(plan, nodes=(*plan.nodes[:at], plain, *plan.nodes[at + 1 :]))


def _without(event: Event, node: str) -> Event | None:
    action: Any = event.action
    if event.node == node or getattr(action, "peer", None) == node:
        return None
    if event.node is None:  # on links
        group = tuple(name for name in action.group if name != node)
        peers = tuple(name for name in action.peers if name != node)
        if not group or bool(peers) != bool(action.peers):
            return None
        return replace(event, action=replace(action, group=group, peers=peers))
    return event


def _keys(action: Any) -> Iterator[str]:  # noqa: ANN401 - any action
    if isinstance(getattr(action, "key", None), str):
        yield action.key
    for part in (*getattr(action, "reads", ()), *getattr(action, "writes", ())):
        yield from _keys(part)


def _mapped(plan: Plan, change: Callable[..., Any]) -> Plan:
    return replace(plan, events=tuple(replace(e, action=_changed(e.action, change)) for e in plan.events))


def _changed(action: Any, change: Callable[..., Any]) -> Any:  # noqa: ANN401 - any action, of its own kind
    changes: dict[str, Any] = {}
    if isinstance(getattr(action, "key", None), str):
        changes["key"] = change("key", action.key)
    for name in ("reads", "writes"):
        if parts := getattr(action, name, ()):
            once = {(getattr(p, "collection", ""), p.key): p for p in (_changed(part, change) for part in parts)}
            changes[name] = tuple(once.values())
    return replace(action, **changes) if changes else action


def _plainer(action: Any) -> Iterator[Any]:  # noqa: ANN401 - any action
    if getattr(action, "think_ms", 0):
        yield replace(action, think_ms=0)
    if getattr(action, "jitter_ms", 0):
        yield replace(action, jitter_ms=0)
    if isinstance(action, BulkPut) and action.records > 1:
        yield replace(action, records=1)
        yield replace(action, records=action.records // 2)
    fields = getattr(action, "fields", None)
    if isinstance(fields, dict):
        for name in fields:
            if len(fields) > 1:
                yield replace(action, fields={other: value for other, value in fields.items() if other != name})
            if fields[name] != 1 and not _is_short(fields[name]):
                yield replace(action, fields={**fields, name: 1})
    writes = getattr(action, "writes", ())
    for at in range(len(writes)):
        if len(writes) > 1:
            yield replace(action, writes=(*writes[:at], *writes[at + 1 :]))
    if getattr(action, "reads", ()):
        yield replace(action, reads=())


def _is_short(value: object) -> bool:
    """Texts of generated plans say who wrote what, which a person wants to know."""
    return isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= 16)  # noqa: PLR2004 - a glance
