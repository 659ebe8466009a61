"""Hypothesis strategies for domain values; every test that needs arbitrary ones draws them here.

Actors come from a small pool by default, lives of few nodes, so that two drawn values often meet: laws
about values that never share an actor would hold of almost anything.
"""

from __future__ import annotations

from hypothesis import strategies as st

from holdfast.clocks import SEQ_MAX, Actor, Dot, NodeId, VersionVector, actor_of

POOL = tuple(actor_of(NodeId(node * 8), incarnation * 8) for node in ("0a", "7f", "f0") for incarnation in ("01", "e9"))


def actors() -> st.SearchStrategy[Actor]:
    """Actors of the pool: three nodes with two lives each."""
    return st.sampled_from(POOL)


def any_actors() -> st.SearchStrategy[Actor]:
    """Actors of the whole range."""
    names = st.binary(min_size=8, max_size=8).map(bytes.hex)
    return st.builds(lambda node, incarnation: actor_of(NodeId(node), incarnation), names, names)


def dots(seq_max: int = 6) -> st.SearchStrategy[Dot]:
    """Dots of the pool's actors, numbered 1 to `seq_max`."""
    return st.builds(Dot, actors(), st.integers(1, seq_max))


PASTS = (VersionVector({POOL[0]: 1, POOL[3]: 2}), VersionVector({POOL[0]: 2, POOL[1]: 1, POOL[2]: 1, POOL[5]: 2}))
"""Shared, as those of a file are: vectors over one past are compared by their differences."""


def kept(vector: VersionVector) -> st.SearchStrategy[VersionVector]:
    """The same vector, plain or over one of the pasts."""
    return st.sampled_from((vector, *map(vector.over, PASTS)))


def vectors(seq_max: int = 6) -> st.SearchStrategy[VersionVector]:
    """Vectors over the pool's actors; small numbers, so that they are often equal, above or below."""
    return st.dictionaries(actors(), st.integers(1, seq_max)).map(VersionVector).flatmap(kept)


def any_vectors() -> st.SearchStrategy[VersionVector]:
    """Vectors over any actors (some of them lives of one node) and the whole range of numbers."""
    numbers = st.one_of(st.integers(1, 300), st.integers(1, SEQ_MAX))
    return st.dictionaries(st.one_of(actors(), any_actors()), numbers, max_size=12).map(VersionVector).flatmap(kept)
