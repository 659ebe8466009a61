"""Plans as a Hypothesis strategy: few nodes, few events, and what fails shrinks to fewer.

Imports Hypothesis when it is called, as it is an extra (`testing`). Invariant: every plan that is drawn passes `check`,
and leaving events out of the list that is drawn leaves a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.errors import MissingExtra
from holdfast.resolvers import Resolver

from .actions import (
    AnyAction,
    ClockJump,
    Crash,
    Cut,
    Delete,
    DiskFull,
    Flap,
    Pause,
    Put,
    Quality,
    Read,
    Sync,
    Update,
)
from .parse import check
from .plan import CollectionPlan, FieldPlan, NodePlan, Plan, Values
from .schedule import Schedule

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_LENGTH_MS = 600_000
_KEYS = ("k0", "k1")
_DISTURBING = (Crash, Pause, DiskFull)

_Move = tuple[int, str, AnyAction]


def plans(
    *,
    nodes_max: int = 4,
    events_max: int = 30,
    collection: CollectionPlan | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
) -> SearchStrategy[Plan]:
    """A strategy of plans of ten virtual minutes, with one hub.

    Args:
        nodes_max: At most so many nodes, the hub included; at least two.
        events_max: At most so many events.
        collection: Where to write, and with which fields; None: an undeclared one.
        resolvers: The user's, by name, if the collection names them.

    Raises:
        MissingExtra: Hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the strategy needs Hypothesis", subject="hypothesis", remedy="pip install 'holdfast[testing]'."
        ) from error

    @st.composite
    def build(draw: DrawFn) -> Plan:
        count = draw(st.integers(1, nodes_max - 1))
        edges = tuple(f"edge-{number}" for number in range(1, count + 1))
        # One list of moves, each complete in itself: Hypothesis drops events before it makes any of them smaller.
        moves = draw(st.lists(_moves(st, edges, collection), max_size=events_max))
        return _plan(edges, moves, collection, resolvers)

    return build()


def _moves(st: Any, edges: tuple[str, ...], collection: CollectionPlan | None) -> SearchStrategy[_Move]:  # noqa: ANN401 - a module
    name = collection.name if collection else "things"
    key, for_ms = st.sampled_from(_KEYS), st.integers(1, _LENGTH_MS // 10)
    declared = (collection.fields if collection else ()) or (FieldPlan(name="a"), FieldPlan(name="b"))
    fields = st.fixed_dictionaries({}, optional={field.name: _values(st, field.values) for field in declared})
    per_mille = st.integers(0, 300)
    edge = st.sampled_from(edges)
    on_node = st.one_of(
        st.builds(Put, collection=st.just(name), key=key, fields=fields),
        st.builds(Update, collection=st.just(name), key=key, fields=fields, upsert=st.booleans()),
        st.builds(Delete, collection=st.just(name), key=key),
        st.builds(Read, collection=st.just(name), key=key),
        st.builds(Crash, down_ms=for_ms),
        st.builds(Pause, for_ms=for_ms),
        st.builds(DiskFull, for_ms=for_ms),
        st.builds(ClockJump, by_ms=st.integers(-3_600_000, 3_600_000)),
    )
    on_links = st.one_of(
        st.builds(Cut, group=st.tuples(edge), direction=st.sampled_from(("both", "to", "from")), for_ms=for_ms),
        st.builds(Flap, group=st.tuples(edge), down_ms=for_ms, up_ms=for_ms, for_ms=for_ms),
        st.builds(Quality, group=st.tuples(edge), loss_per_mille=per_mille, replay_per_mille=per_mille, for_ms=for_ms),
    )
    syncs = st.builds(Sync, peer=st.just("hub"))
    node = st.sampled_from(("hub", *edges))
    moves: SearchStrategy[_Move] = st.one_of(
        st.tuples(st.integers(0, _LENGTH_MS), node, on_node),
        st.tuples(st.integers(0, _LENGTH_MS), edge, syncs),
        st.tuples(st.integers(0, _LENGTH_MS), st.just(""), on_links),
    )
    return moves


def _values(st: Any, kind: Values) -> SearchStrategy[Any]:  # noqa: ANN401 - a module
    kinds: dict[Values, SearchStrategy[Any]] = {
        "text": st.text("ab", max_size=2),
        "integer": st.integers(0, 3),
        "boolean": st.booleans(),
        "list": st.lists(st.text("ab", max_size=2), max_size=2),
        "any": st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    }
    return kinds[kind]


def _plan(
    edges: tuple[str, ...],
    moves: list[_Move],
    collection: CollectionPlan | None,
    resolvers: Mapping[str, Resolver] | None,
) -> Plan:
    """The plan of these moves; a fault of a node that has another one at that time is left out."""
    schedule = Schedule(_LENGTH_MS, len(edges) + 1)
    for at_ms, node, action in moves:
        if isinstance(action, _DISTURBING):
            schedule.disturb(at_ms, _duration(action), [(node, action)])
        else:
            schedule.add(at_ms, node or None, action)
    plan = Plan(
        seed=0,
        length_ms=_LENGTH_MS,
        nodes=(NodePlan(name="hub", role="hub"), *(NodePlan(name=edge) for edge in edges)),
        collections=(collection,) if collection else (),
        keys=len(_KEYS),
        events=schedule.events,
    )
    check(plan, resolvers=resolvers)
    return plan


def _duration(action: Crash | Pause | DiskFull) -> int:
    return (action.down_ms if isinstance(action, Crash) else action.for_ms) or 0
