"""Plans as a Hypothesis strategy: few nodes, few events, and what fails shrinks to fewer.

Imports Hypothesis when it is called, as it is an extra (`testing`). Invariant: every plan that is drawn passes `check`,
and leaving events out of the list that is drawn leaves a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.engine.schema import Schema
from holdfast.errors import MissingExtra
from holdfast.resolvers import Resolver

from .actions import (
    AnyAction,
    ClockJump,
    Crash,
    Cut,
    Delete,
    Direction,
    DiskFull,
    Flap,
    LinkAction,
    Pause,
    Put,
    Quality,
    Read,
    Reopen,
    RunProgram,
    Sync,
    Update,
)
from .agenda import Agenda
from .parse import check
from .plan import CollectionPlan, FieldPlan, NodePlan, Plan, Values
from .schemas import collection_of, resolvers_of

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_LENGTH_MS = 600_000
_KEYS = ("k0", "k1")
_DURATIONS_MS = (1, 1_000, 60_000)
_DIRECTIONS: tuple[Direction, ...] = ("both", "to", "from")
_VALUES: dict[Values, tuple[Any, ...]] = {
    "text": ("", "a", "b"),
    "integer": (0, 1, 2),
    "boolean": (False, True),
    "list": ([], ["a"], ["b"]),
    "any": (0, 1, None, "a", ["a"]),
}
_DISTURBING = (Crash, Pause, DiskFull)

_Move = tuple[int, str, AnyAction]


def plans(
    *,
    nodes_max: int = 4,
    events_max: int = 30,
    collection: Schema | CollectionPlan | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
    programs: Collection[str] = (),
) -> SearchStrategy[Plan]:
    """A strategy of plans of ten virtual minutes, with one hub.

    Args:
        nodes_max: At most so many nodes, the hub included; at least two.
        events_max: At most so many events.
        collection: Where to write, and with which fields; None: an undeclared one.
        resolvers: The user's, by name, if the collection names them and is no schema, which has its own.
        programs: Names of programs that run on every edge from the start.

    Raises:
        MissingExtra: Hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the strategy needs Hypothesis", subject="hypothesis", remedy="pip install 'holdfast[testing]'."
        ) from error

    # An event is complete in itself and few draws only (when, to whom, and what of all that can happen): so Hypothesis
    # finds that it can be dropped, which it does before it makes any of them plainer.
    if isinstance(collection, Schema):
        resolvers, collection = {**resolvers_of(collection), **(resolvers or {})}, collection_of(collection)
    declared, known = collection, resolvers
    names = ("edge-1", "hub", *(f"edge-{number}" for number in range(2, nodes_max)))
    things = {name: _things(name, collection or CollectionPlan(name="things")) for name in names}
    move = st.tuples(st.integers(0, _LENGTH_MS), st.sampled_from(names), st.integers(0, len(things["hub"]) - 1)).map(
        lambda drawn: (drawn[0], drawn[1], things[drawn[1]][drawn[2]])
    )
    moves = st.lists(move, max_size=events_max)

    @st.composite
    def build(draw: DrawFn) -> Plan:
        return _plan(draw(moves), declared, known, programs)

    return build()


def _things(node: str, collection: CollectionPlan) -> list[AnyAction]:
    """All that can happen to a node, plain things first; as many for each."""
    name = collection.name
    declared = collection.fields or (FieldPlan(name="a"), FieldPlan(name="b"))
    documents: list[dict[str, Any]] = [{field.name: value} for field in declared for value in _VALUES[field.values]]
    works: list[AnyAction] = []
    for key in _KEYS:
        works += [Put(collection=name, key=key, fields=fields) for fields in documents]
        works += [Update(collection=name, key=key, fields=fields, upsert=True) for fields in documents]
        works += [Delete(collection=name, key=key), Read(collection=name, key=key)]
    faults: list[AnyAction] = []
    for for_ms in _DURATIONS_MS:
        faults += [Crash(down_ms=for_ms), Pause(for_ms=for_ms), DiskFull(for_ms=for_ms)]
    jumps: list[AnyAction] = [ClockJump(by_ms=by_ms) for by_ms in (1, -1_000, 3_600_000, -3_600_000)]
    links = [action for for_ms in _DURATIONS_MS for action in _conditions((node,), for_ms)]
    meeting: AnyAction = Sync(peer="hub") if node != "hub" else Reopen()
    return [meeting, *works, *links, *faults, *jumps]


def _conditions(group: tuple[str, ...], for_ms: int) -> list[AnyAction]:
    return [
        *(Cut(group=group, direction=direction, for_ms=for_ms) for direction in _DIRECTIONS),
        Flap(group=group, down_ms=1_000, up_ms=1_000, for_ms=for_ms),
        Quality(group=group, loss_per_mille=300, for_ms=for_ms),
        Quality(group=group, duplicate_per_mille=300, replay_per_mille=300, for_ms=for_ms),
    ]


def _plan(
    moves: list[_Move],
    collection: CollectionPlan | None,
    resolvers: Mapping[str, Resolver] | None,
    programs: Collection[str],
) -> Plan:
    """The plan of these moves; a fault of a node that has another one at that time is left out."""
    last = max((int(name.removeprefix("edge-")) for _, name, _ in moves if name != "hub"), default=1)
    edges = [f"edge-{number}" for number in range(1, last + 1)]
    agenda = Agenda(_LENGTH_MS, len(edges) + 1)
    for edge in edges:
        for name in programs:
            agenda.add(0, edge, RunProgram(program=name))
    for at_ms, node, action in moves:
        if isinstance(action, _DISTURBING):
            agenda.disturb(at_ms, _duration(action), [(node, action)])
        else:
            agenda.add(at_ms, None if isinstance(action, LinkAction) else node, action)
    plan = Plan(
        seed=0,
        length_ms=_LENGTH_MS,
        nodes=(NodePlan(name="hub", role="hub"), *(NodePlan(name=edge) for edge in edges)),
        collections=(collection,) if collection else (),
        keys=len(_KEYS),
        events=agenda.events,
    )
    check(plan, resolvers=resolvers, programs=programs)
    return plan


def _duration(action: Crash | Pause | DiskFull) -> int:
    return (action.down_ms if isinstance(action, Crash) else action.for_ms) or 0
