"""Plans from a seed: a fleet, its collections, work, syncs, weather and mishaps, all within the atlas.

Knows no world. Invariant: the same arguments give the same plan on every Python and with every hash seed, and every
plan passes `check`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from holdfast.engine.schema import Schema
from holdfast.resolvers import Resolver

from ..kernel.choices import SeededChoices
from .actions import Sync, SyncEvery, Watch
from .agenda import Agenda
from .arguments import SPAN_MS_MAX, mistake
from .dice import Dice
from .mishaps import HOUR_MS, MINUTE_MS, Mishaps
from .parse import check
from .plan import EVENTS_MAX, KEYS_MAX, NODES_MAX, CollectionPlan, FieldPlan, Healing, NodePlan, Plan
from .purges import Purges
from .schemas import collection_of, resolvers_of
from .swarm import NETWORK_FAULTS, NODE_FAULTS, Swarm, swarm_of
from .weather import LEVELS, Partitions, Weather
from .work import Worker

Declared: TypeAlias = Schema | CollectionPlan

HUBS_FROM_NODES: Final = 5
"""From how many nodes on some seeds have a second hub."""

OPERATIONS_PER_NODE: Final = 25
SYNCS_MAX: Final = 4_000
"""About how many syncs a plan has at most, so that a long plan of many nodes ends within minutes."""

_FIELDS: Final = (
    FieldPlan(name="title", values="text"),
    FieldPlan(name="tags", resolver="multi-value", values="list"),
    FieldPlan(name="owner", resolver="first-writer-wins", values="text"),
    FieldPlan(name="price", resolver="manual", values="integer"),
    FieldPlan(name="extra", values="any"),
)
_ON_DELETE: Final = ("update-wins", "delete-wins", "ask-on-delete")


def plan_of(  # noqa: PLR0913 - each is one documented choice, by keyword
    seed: int,
    *,
    nodes: int = 4,
    hours: float = 1,
    partitions: Partitions = "medium",
    keys: int = 6,
    faults: Collection[str] | None = None,
    work: Collection[str] | None = None,
    schema: Declared | Sequence[Declared] | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
    operations: int | None = None,
) -> Plan:
    """The plan of a seed.

    Args:
        seed: From which everything is drawn.
        nodes: How many, hubs included.
        hours: How long the chaos lasts, in virtual hours.
        partitions: How bad the network is.
        keys: How many keys each collection has; few, so that writes meet.
        faults: Exactly these kinds (see `holdfast.simulation.plans.swarm`); None: a random subset of most.
        work: Exactly these kinds, and put and update; None: a random subset.
        schema: What the nodes declare; None: a schema with all built-in resolvers, or none.
        resolvers: The user's, by name, where `schema` is data and names them.
        operations: How many writes and reads; None: some for each node.

    Raises:
        InvalidPlan: An argument is out of range, or there is no such fault.
    """
    length_ms = _checked(seed, nodes, hours, partitions, keys, operations)
    choices = SeededChoices(seed)
    dice = Dice(choices, "plan:fleet")
    swarm = swarm_of(Dice(choices, "plan:swarm"), faults, network=partitions != "none", work=work)
    fleet = _fleet(dice, nodes, swarm)
    hubs = tuple(node.name for node in fleet if node.role == "hub")
    edges = tuple(node.name for node in fleet if node.role == "edge")
    collections = _collections(Dice(choices, "plan:schema"), schema)
    fleet = _batches(Dice(choices, "plan:batches"), fleet)
    agenda = Agenda(length_ms, nodes if "all_at_once" in swarm.faults else dice.between(1, nodes))

    clones = _mishaps(choices, hubs, edges, swarm).fill(agenda)
    _weather(choices, hubs, edges, swarm, partitions).fill(agenda)
    _syncs(Dice(choices, "plan:sync"), agenda, hubs, edges, clones)
    kinds = tuple(kind for kind in swarm.work if kind != "watch")
    written = collections or (CollectionPlan(name="things"),)
    worker = Worker(Dice(choices, "plan:work"), Dice(choices, "plan:transactions"), kinds, written, keys)
    worker.fill(agenda, (*hubs, *edges), OPERATIONS_PER_NODE * nodes if operations is None else operations)
    if "watch" in swarm.work:
        _watches(Dice(choices, "plan:watch"), agenda, (*hubs, *edges))
    _work_of_clones(dice, agenda, clones, worker)
    if "purge" in swarm.faults:
        purges = Purges(dice=Dice(choices, "plan:purges"), hubs=hubs, edges=edges, collections=written, keys=keys)
        fleet = purges.fill(agenda, fleet, cuts=partitions != "none")
    if schema is None:
        collections, fleet = _skew(Dice(choices, "plan:skew"), collections, fleet)
    plan = Plan(
        seed=seed,
        note=swarm.describe(),
        length_ms=length_ms,
        nodes=fleet,
        collections=collections,
        keys=keys,
        faults_at_once_max=agenda.budget,
        events=agenda.events,
        heal=Healing(deadline_minutes=120),
    )
    check(plan, resolvers={**_resolvers(schema), **(resolvers or {})})
    return plan


def _mishaps(choices: SeededChoices, hubs: tuple[str, ...], edges: tuple[str, ...], swarm: Swarm) -> Mishaps:
    """What happens to nodes: the faults that are on, but for what the atlas refuses together."""
    refused = {"clone", "snapshot"} if len(hubs) > 1 else {"backup"} if "snapshot" in swarm.faults else set()
    kinds = [kind for kind in swarm.faults if kind in NODE_FAULTS and kind not in refused]
    return Mishaps(
        dice=Dice(choices, "plan:mishaps"),
        returns=Dice(choices, "plan:returns"),
        hubs=hubs,
        edges=edges,
        kinds=tuple(kinds),
    )


def _weather(
    choices: SeededChoices, hubs: tuple[str, ...], edges: tuple[str, ...], swarm: Swarm, partitions: Partitions
) -> Weather:
    kinds = tuple(kind for kind in swarm.faults if kind in NETWORK_FAULTS)
    return Weather(dice=Dice(choices, "plan:weather"), hubs=hubs, edges=edges, kinds=kinds, level=LEVELS[partitions])


def _work_of_clones(dice: Dice, agenda: Agenda, clones: Sequence[tuple[int, str]], worker: Worker) -> None:
    for at_ms, clone in clones:
        for _ in range(5):
            agenda.add(dice.between(at_ms, agenda.length_ms), clone, worker.action(clone))


def _checked(seed: int, nodes: int, hours: float, partitions: str, keys: int, operations: int | None) -> int:
    """The length in milliseconds, if all arguments are in range."""
    ranges: tuple[tuple[str, object, float, float], ...] = (
        ("seed", seed, 0, 2**63 - 1),
        ("nodes", nodes, 2, NODES_MAX // 2),
        ("hours", hours, MINUTE_MS / HOUR_MS, SPAN_MS_MAX / HOUR_MS),
        ("keys", keys, 1, KEYS_MAX),
        ("operations", 0 if operations is None else operations, 0, EVENTS_MAX // 2),
    )
    for name, value, low, high in ranges:
        if not isinstance(value, int | float) or not low <= value <= high:
            raise mistake(f"{name} must be {low:g} to {high:g}, not {value!r}", name, "Choose a number in this range.")
        if name != "hours" and not isinstance(value, int):
            raise mistake(f"{name} must be a whole number, not {value!r}", name, "Leave the fraction out.")
    if partitions not in LEVELS:
        raise mistake(f"there is no level {partitions!r}", "partitions", f"Choose {', '.join(LEVELS)}.")
    return round(hours * HOUR_MS)


def _fleet(dice: Dice, nodes: int, swarm: Swarm) -> tuple[NodePlan, ...]:
    two = dice.chance(250) and nodes >= HUBS_FROM_NODES
    names = ["hub", *(["hub-2"] if two else [])]
    names += [f"edge-{number}" for number in range(1, nodes - len(names) + 1)]
    return tuple(_node(dice, name, swarm) for name in names)


def _node(dice: Dice, name: str, swarm: Swarm) -> NodePlan:
    normal = dice.chance(200) and "power_cut" not in swarm.faults
    offset_ms = dice.pick((0, 0, dice.between(-2_000, 2_000), dice.between(-HOUR_MS, HOUR_MS)))
    drift_ppm = dice.pick((0, 0, dice.between(-200, 200)))
    clock = "clock" in swarm.faults
    return NodePlan(
        name=name,
        role="hub" if name.startswith("hub") else "edge",
        durability="normal" if normal else "full",
        clock_offset_ms=offset_ms if clock else 0,
        clock_drift_ppm=drift_ppm if clock else 0,
    )


def _batches(dice: Dice, fleet: tuple[NodePlan, ...]) -> tuple[NodePlan, ...]:
    """On some seeds sessions take many batches, as those of large spaces do."""
    if dice.chance(500):
        return fleet
    return tuple(replace(node, batch_bytes=dice.pick((1, 200, 1_000, node.batch_bytes))) for node in fleet)


def _collections(dice: Dice, schema: Declared | Sequence[Declared] | None) -> tuple[CollectionPlan, ...]:
    if schema is not None:
        given = [schema] if isinstance(schema, Schema | CollectionPlan) else list(schema)
        return tuple(collection_of(item) if isinstance(item, Schema) else item for item in given)
    if dice.chance(250):  # an engine without declarations
        return ()
    tasks = CollectionPlan(
        name="tasks",
        fields=dice.some(_FIELDS, 700) or _FIELDS[:1],
        indexes=(("title",),) if dice.chance(500) else (),
        default=dice.pick(("last-writer-wins", "first-writer-wins", "manual")),
        on_delete=dice.pick(_ON_DELETE),
    )
    notes = CollectionPlan(name="notes", on_delete=dice.pick(_ON_DELETE))
    return (tasks, notes) if dice.chance(300) else (tasks,)


def _skew(
    dice: Dice, collections: tuple[CollectionPlan, ...], fleet: tuple[NodePlan, ...]
) -> tuple[tuple[CollectionPlan, ...], tuple[NodePlan, ...]]:
    """On some seeds some nodes are not upgraded yet: they declare fewer fields, keep the others and pass them on."""
    if not collections or not dice.chance(200):
        return collections, fleet
    new = replace(collections[0], version=2)
    # A field that an old node does not know is read by its default: only such fields can be new.
    fields = tuple(field for field in new.fields if field.resolver != new.default or dice.chance(500))
    known = {field.name for field in fields}
    indexes = tuple(index for index in new.indexes if known.issuperset(index))
    old = replace(new, version=1, fields=fields, indexes=indexes)
    nodes = tuple(replace(node, schema_version=dice.pick((1, 2))) for node in fleet)
    return (old, new, *collections[1:]), nodes


def _resolvers(schema: Declared | Sequence[Declared] | None) -> dict[str, Resolver]:
    """The resolvers of schemas by name; a collection that is data already names what its user registers."""
    given = [schema] if isinstance(schema, Schema | CollectionPlan) else list(schema or ())
    found: dict[str, Resolver] = {}
    for item in given:
        if isinstance(item, Schema):
            found |= resolvers_of(item)
    return found


def _syncs(
    dice: Dice,
    agenda: Agenda,
    hubs: tuple[str, ...],
    edges: tuple[str, ...],
    clones: tuple[tuple[int, str], ...],
) -> None:
    """Every edge syncs again and again, some with two hubs; second hubs with the first."""
    callers = [(0, hub, hubs[0]) for hub in hubs[1:]]
    callers += [(0, edge, hub) for edge in edges for hub in (dice.some(hubs, 600) or hubs[:1])]
    callers += [(at_ms, clone, dice.pick(hubs)) for at_ms, clone in clones]
    shortest_ms = max(5_000, agenda.length_ms * len(callers) // SYNCS_MAX)
    for at_ms, node, peer in callers:
        every_ms = dice.span(shortest_ms, max(shortest_ms, agenda.length_ms // 6))
        start_ms = min(agenda.length_ms, at_ms + dice.between(0, 1_000))
        agenda.add(start_ms, node, SyncEvery(peer=peer, every_ms=every_ms, jitter_ms=every_ms // 4))
    for _ in range(len(edges) * 2):
        agenda.add(dice.between(0, agenda.length_ms), dice.pick(edges), Sync(peer=dice.pick(hubs)))


def _watches(dice: Dice, agenda: Agenda, nodes: tuple[str, ...]) -> None:
    """On some nodes somebody watches, from some moment on."""
    for node in dice.some(nodes, 600):
        agenda.add(dice.between(0, agenda.length_ms), node, Watch())
