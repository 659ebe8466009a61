"""Strategies for conflicts: few actors, close clocks and small values, so that ties are common."""

from __future__ import annotations

from hypothesis import strategies as st

from holdfast.clocks import Actor, Dot, Timestamp
from holdfast.resolvers import JSON, Conflict, ConflictKind, Version, canonical, conflict_id, encode
from holdfast.resolvers.canonical import INTEGER_MAX, INTEGER_MIN

ACTORS = tuple(Actor(digit * 32) for digit in "0af")

texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values: st.SearchStrategy[JSON] = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)
look_alikes: st.SearchStrategy[JSON] = st.sampled_from([0, 0.0, -0.0, False, None, "", "0", 1, 1.0, True, [], {}])

dots = st.builds(Dot, st.sampled_from(ACTORS), st.integers(1, 4))
clocks = st.integers(0, 3).map(Timestamp)


@st.composite
def versions(draw: st.DrawFn, *, dot: st.SearchStrategy[Dot] = dots, existence: bool = False) -> Version:
    """A version of a field, or of a record's existence, which has no value."""
    deleted = draw(st.booleans())
    value = None if existence or deleted else draw(json_values | look_alikes)
    return Version(
        dot=draw(dot),
        clock=draw(clocks),
        value=value,
        text="" if existence or deleted else encode(value),
        deleted=deleted,
        birth=draw(st.booleans()),
        decision=draw(st.booleans()),
    )


def siblings(*, existence: bool = False) -> st.SearchStrategy[list[Version]]:
    """Two or more versions in any order, sometimes with one dot twice, as two live clones write it."""
    return st.lists(versions(existence=existence), min_size=2, max_size=5)


def conflict_of(versions: list[Version], *, existence: bool = False, base: Version | None = None) -> Conflict:
    """The conflict that every node builds from these siblings."""
    field = None if existence else "title"
    return Conflict(
        id=conflict_id("tasks", "t1", field, [version.dot for version in versions]),
        collection="tasks",
        key="t1",
        field=field,
        kind=ConflictKind.UPDATE_DELETE if existence else ConflictKind.UPDATE_UPDATE,
        base=base,
        base_status="none" if base is None else "exact",
        siblings=canonical(versions),
        record={"site": "north", "tags": ["a", "b"]},
    )


def conflicts(*, existence: bool = False) -> st.SearchStrategy[Conflict]:
    """Conflicts with and without a base."""
    base = st.none() | versions(existence=existence)
    return st.builds(
        lambda found, base: conflict_of(found, existence=existence, base=base), siblings(existence=existence), base
    )
