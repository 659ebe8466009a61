"""Check that a plan's parts fit each other: names that it uses are names that it has, and events stand in their order.

Knows nothing of the order of lives (`lives.py`) or of what can be survived (`atlas.py`). Invariant: behind this check
every name in a plan leads to one thing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from holdfast.resolvers import Resolver

from .actions import (
    Action,
    Clone,
    Cut,
    Flap,
    Heal,
    LinkAction,
    Quality,
    RunProgram,
    SlowDisk,
    Sync,
    SyncEvery,
    Transact,
)
from .arguments import ListOf, Name, Node, mistake
from .plan import Event, Plan
from .schemas import schema_of


def check_names(plan: Plan, resolvers: Mapping[str, Resolver], programs: Collection[str]) -> None:
    """Raise InvalidPlan for the first name that leads nowhere, or twice somewhere."""
    _check_nodes(plan)
    _check_collections(plan, resolvers)
    _check_once(plan.checkers, "checkers[{}]", "the checker is named twice")
    known = {node.name for node in plan.nodes}
    known |= {event.action.as_node for event in plan.events if isinstance(event.action, Clone)}
    hubs = {node.name for node in plan.hubs}
    before_ms = 0
    for at, event in enumerate(plan.events):
        path = f"events[{at}]"
        _check_time(plan, event, before_ms, path)
        _check_place(event, known, path)
        _check_arguments(event, known, hubs, f"{path}.args")
        _check_collection_names(plan, event.action, f"{path}.args")
        if isinstance(event.action, RunProgram) and event.action.program not in programs:
            remedy = f"Register it; there are: {', '.join(sorted(programs)) or 'none'}."
            raise mistake(f"there is no program {event.action.program!r}", f"{path}.args.program", remedy)
        before_ms = event.at_ms


def _check_nodes(plan: Plan) -> None:
    _check_once((node.name for node in plan.nodes), "nodes[{}].name", "the name is taken")


def _check_collections(plan: Plan, resolvers: Mapping[str, Resolver]) -> None:
    versions = ((collection.name, collection.version) for collection in plan.collections)
    _check_once(versions, "collections[{}].version", "the collection has this version twice")
    for at, collection in enumerate(plan.collections):
        path = f"collections[{at}]"
        _check_once((field.name for field in collection.fields), path + ".fields[{}].name", "the field is named twice")
        schema_of(collection, resolvers, path)


def _check_once(names: Iterable[object], path: str, what: str) -> None:
    seen: set[object] = set()
    for at, name in enumerate(names):
        if name in seen:
            raise mistake(what, path.format(at), "Choose another, or remove it.")
        seen.add(name)


def _check_time(plan: Plan, event: Event, before_ms: int, path: str) -> None:
    if event.at_ms > plan.length_ms:
        what = f"the event comes after the end of the plan at {plan.length_ms} ms"
        raise mistake(what, f"{path}.at_ms", "Move it to before the end, or lengthen the plan.")
    if event.at_ms < before_ms:
        raise mistake(f"the event before it is later, at {before_ms} ms", f"{path}.at_ms", "Sort the events by at_ms.")


def _check_place(event: Event, known: Collection[str], path: str) -> None:
    on_links = isinstance(event.action, LinkAction)
    if on_links and event.node is not None:
        remedy = "Remove it; name the nodes in group and peers."
        raise mistake(f"{event.action.name} is about links, not about a node", f"{path}.node", remedy)
    if not on_links and event.node is None:
        raise mistake(f"{event.action.name} happens to a node, and none is named", f"{path}.node", "Name it.")
    if event.node is not None:
        _check_known(event.node, known, f"{path}.node")


def _check_arguments(event: Event, known: Collection[str], hubs: Collection[str], path: str) -> None:
    for name, kind, value in event.action.arguments():
        if isinstance(kind, Node) and kind.role != "new":
            _check_known(value, known, f"{path}.{name}")
        if isinstance(kind, ListOf) and isinstance(kind.kind, Node):
            for at, node in enumerate(value):
                _check_known(node, known, f"{path}.{name}[{at}]")
    match event.action:
        case Sync(peer=peer) | SyncEvery(peer=peer):
            _check_peer(event.node, peer, hubs, f"{path}.peer")
        case SlowDisk(latency_ms_min=low, latency_ms_max=high):
            _check_range(low, high, f"{path}.latency_ms_min")
        case Quality(latency_ms_min=low, latency_ms_max=high):
            _check_range(low, high, f"{path}.latency_ms_min")
            low, high = event.action.reset_after_bytes_min, event.action.reset_after_bytes_max
            _check_range(low, high, f"{path}.reset_after_bytes_min")
        case _:
            pass
    match event.action:
        case Cut() | Heal() | Quality() | Flap() if event.action.peers:
            if len({*event.action.group, *event.action.peers}) == 1:
                remedy = "Name other nodes, or none for all."
                raise mistake("there is no link from a node to itself", f"{path}.peers", remedy)
        case _:
            pass


def _check_known(name: str, known: Collection[str], path: str) -> None:
    if name not in known:
        shown = sorted(known)
        others = f" and {len(shown) - 20} more" if len(shown) > 20 else ""  # noqa: PLR2004 - the list stands below
        raise mistake(f"there is no node {name!r}", path, f"There are: {', '.join(shown[:20])}{others}.")


def _check_peer(node: str | None, peer: str, hubs: Collection[str], path: str) -> None:
    if peer not in hubs:
        remedy = f"Name a hub: {', '.join(sorted(hubs)) or 'there is none'}."
        raise mistake(f"{peer!r} is an edge, and only hubs listen", path, remedy)
    if peer == node:
        raise mistake("a node does not sync with itself", path, "Name another node.")


def _check_range(low: int, high: int, path: str) -> None:
    if low > high:
        raise mistake(f"the least, {low}, is above the most, {high}", path, "Swap them.")


def _check_collection_names(plan: Plan, action: Action, path: str) -> None:
    names = {collection.name for collection in plan.collections}
    if not names:  # without declarations any collection may be used, as in an engine
        return
    for place, name in _collections_in(action, path):
        if name not in names:
            remedy = f"Declare it in collections; there are: {', '.join(sorted(names))}."
            raise mistake(f"the plan declares no collection {name!r}", place, remedy)


def _collections_in(action: Action, path: str) -> Iterable[tuple[str, str]]:
    for name, kind, value in action.arguments():
        if kind == Name("collection"):
            yield f"{path}.{name}", value
    if isinstance(action, Transact):
        for at, record in enumerate(action.reads):
            yield f"{path}.reads[{at}].collection", record.collection
        for at, write in enumerate(action.writes):
            yield f"{path}.writes[{at}].args.collection", write.collection
