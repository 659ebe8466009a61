"""Version vectors: the lattice laws, and agreement with a naive model that keeps every dot in a set."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import EMPTY, SEQ_MAX, Actor, Causality, Dot, VersionVector
from tests.strategies import POOL, actors, dots, vectors

ONE, OTHER = POOL[0], POOL[1]
OPPOSITE = {
    Causality.BEFORE: Causality.AFTER,
    Causality.AFTER: Causality.BEFORE,
    Causality.EQUAL: Causality.EQUAL,
    Causality.CONCURRENT: Causality.CONCURRENT,
}


def dots_of(vector: VersionVector) -> frozenset[Dot]:
    """The naive model: the set of every dot that the vector stands for."""
    return frozenset(Dot(actor, n) for actor, seq in vector.items() for n in range(1, seq + 1))


def relation_of(mine: frozenset[Dot], theirs: frozenset[Dot]) -> Causality:
    if mine == theirs:
        return Causality.EQUAL
    if mine > theirs:
        return Causality.AFTER
    return Causality.BEFORE if mine < theirs else Causality.CONCURRENT


class TestModel:
    @given(vectors(), dots())
    def test_a_vector_covers_exactly_the_dots_of_its_model(self, vector: VersionVector, dot: Dot) -> None:
        assert vector.covers(dot) == (dot in dots_of(vector))

    @given(vectors(), st.lists(dots(), max_size=4))
    def test_covering_all_is_covering_each(self, vector: VersionVector, some: list[Dot]) -> None:
        assert vector.covers_all(some) == (dots_of(vector) >= set(some))

    @given(vectors(), vectors())
    def test_join_is_the_union(self, a: VersionVector, b: VersionVector) -> None:
        assert dots_of(a.join(b)) == dots_of(a) | dots_of(b)

    @given(vectors(2), vectors(2))
    def test_compare_is_inclusion(self, a: VersionVector, b: VersionVector) -> None:
        assert a.compare(b) is relation_of(dots_of(a), dots_of(b))

    @given(vectors(2), vectors(2))
    def test_dominates_is_superset(self, a: VersionVector, b: VersionVector) -> None:
        assert a.dominates(b) == (dots_of(a) >= dots_of(b))

    @given(vectors(), vectors())
    def test_vectors_are_equal_when_their_dots_are(self, a: VersionVector, b: VersionVector) -> None:
        assert (a == b) == (dots_of(a) == dots_of(b))

    @given(vectors(), vectors())
    def test_changes_touch_exactly_the_actors_with_new_dots(self, a: VersionVector, b: VersionVector) -> None:
        changes = a.changes_since(b)
        assert {actor for actor, _ in changes.items()} == {dot.actor for dot in dots_of(a) - dots_of(b)}


class TestPast:
    @given(vectors(), vectors())
    def test_a_vector_over_a_past_shows_as_the_same(self, a: VersionVector, past: VersionVector) -> None:
        over = a.over(past)
        assert over == a
        assert hash(over) == hash(a)
        assert over.encode() == VersionVector(dict(a.items())).encode()
        assert over.over(past) == a

    @given(vectors(), vectors())
    def test_what_is_otherwise_restores_the_vector(self, a: VersionVector, base: VersionVector) -> None:
        apart = a.otherwise(base)
        assert base.replaced(apart) == a
        assert apart.keys() == {actor for actor in POOL if a.seq(actor) != base.seq(actor)}

    def test_what_stands_in_the_past_costs_nothing(self) -> None:
        past = VersionVector(dict.fromkeys(POOL, 5))
        grown = past.over(past).advance(ONE, 6).join(VersionVector({OTHER: 7}).over(past))
        assert grown.otherwise(past) == {ONE: 6, OTHER: 7}
        assert grown._seqs == {ONE: 6, OTHER: 7}
        assert grown.join(past.over(past))._past is grown._past


class TestLattice:
    @given(vectors(), vectors())
    def test_join_commutes(self, a: VersionVector, b: VersionVector) -> None:
        assert a.join(b) == b.join(a)

    @given(vectors(), vectors(), vectors())
    def test_join_associates(self, a: VersionVector, b: VersionVector, c: VersionVector) -> None:
        assert a.join(b).join(c) == a.join(b.join(c))

    @given(vectors())
    def test_join_is_idempotent_and_empty_is_its_unit(self, a: VersionVector) -> None:
        assert a.join(a) is a
        assert a.join(EMPTY) is a
        assert EMPTY.join(a) == a

    @given(vectors(2), vectors(2), vectors(2))
    def test_join_is_the_least_upper_bound(self, a: VersionVector, b: VersionVector, c: VersionVector) -> None:
        joined = a.join(b)
        assert joined.dominates(a)
        assert joined.dominates(b)
        assert c.dominates(joined) == (c.dominates(a) and c.dominates(b))

    @given(vectors(2), vectors(2))
    def test_join_returns_the_vector_itself_exactly_when_it_dominates(self, a: VersionVector, b: VersionVector) -> None:
        assert (a.join(b) is a) == a.dominates(b)

    @given(vectors(), vectors())
    def test_join_leaves_its_operands_alone(self, a: VersionVector, b: VersionVector) -> None:
        before = dict(a.items()), dict(b.items())
        a.join(b)
        assert (dict(a.items()), dict(b.items())) == before


class TestOrder:
    @given(vectors())
    def test_a_vector_equals_itself(self, a: VersionVector) -> None:
        assert a.dominates(a)
        assert a.compare(a) is Causality.EQUAL

    @given(vectors(2), vectors(2))
    def test_compare_is_antisymmetric(self, a: VersionVector, b: VersionVector) -> None:
        assert a.compare(b) is OPPOSITE[b.compare(a)]
        assert (a.compare(b) is Causality.EQUAL) == (a == b)

    @given(vectors(2), vectors(2), vectors(2))
    def test_dominates_is_transitive(self, a: VersionVector, b: VersionVector, c: VersionVector) -> None:
        top, middle = a.join(b).join(c), b.join(c)
        assert top.dominates(middle)
        assert middle.dominates(c)
        assert top.dominates(c)
        if a.dominates(b) and b.dominates(c):
            assert a.dominates(c)

    @given(vectors(2), vectors(2))
    def test_compare_agrees_with_dominates(self, a: VersionVector, b: VersionVector) -> None:
        expected = {
            (True, True): Causality.EQUAL,
            (True, False): Causality.AFTER,
            (False, True): Causality.BEFORE,
            (False, False): Causality.CONCURRENT,
        }
        assert a.compare(b) is expected[a.dominates(b), b.dominates(a)]


class TestChanges:
    @given(vectors(), vectors())
    def test_base_joined_with_the_changes_is_the_join(self, a: VersionVector, base: VersionVector) -> None:
        assert base.join(a.changes_since(base)) == base.join(a)

    @given(vectors(), vectors())
    def test_an_older_base_is_restored_to_the_vector(self, a: VersionVector, b: VersionVector) -> None:
        now = a.join(b)
        assert a.join(now.changes_since(a)) == now

    @given(vectors(2), vectors(2))
    def test_there_are_no_changes_exactly_when_the_base_dominates(self, a: VersionVector, b: VersionVector) -> None:
        assert (a.changes_since(b) == EMPTY) == b.dominates(a)


class TestAdvance:
    @given(vectors(), actors(), st.integers(0, 6))
    def test_it_joins_the_one_dot_or_refuses_to_go_back(self, a: VersionVector, actor: Actor, seq: int) -> None:
        if seq < a.seq(actor):
            with pytest.raises(ValueError, match="cannot go back"):
                a.advance(actor, seq)
        else:
            assert a.advance(actor, seq) == a.join(VersionVector({actor: seq}))

    def test_standing_still_returns_the_vector_itself(self) -> None:
        vector = VersionVector({ONE: 3})
        assert vector.advance(ONE, 3) is vector
        assert vector.advance(OTHER, 0) is vector

    def test_it_stops_at_the_highest_number(self) -> None:
        assert EMPTY.advance(ONE, SEQ_MAX).seq(ONE) == SEQ_MAX
        with pytest.raises(ValueError, match="outside"):
            EMPTY.advance(ONE, SEQ_MAX + 1)


class TestValue:
    def test_entries_with_zero_are_left_out(self) -> None:
        assert VersionVector({ONE: 0}) == EMPTY
        assert len(VersionVector({ONE: 0, OTHER: 2})) == 1
        assert ONE not in VersionVector({ONE: 0})

    @pytest.mark.parametrize("seq", [-1, SEQ_MAX + 1])
    def test_a_number_outside_its_range_is_refused(self, seq: int) -> None:
        with pytest.raises(ValueError, match="outside"):
            VersionVector({ONE: seq})

    def test_it_does_not_follow_the_mapping_it_was_made_of(self) -> None:
        mapping = {ONE: 1}
        vector = VersionVector(mapping)
        mapping[ONE] = 2
        assert vector.seq(ONE) == 1

    @given(vectors())
    def test_seq_len_and_in_read_the_items(self, vector: VersionVector) -> None:
        entries = dict(vector.items())
        assert len(vector) == len(entries)
        for actor in POOL:
            assert vector.seq(actor) == entries.get(actor, 0)
            assert (actor in vector) == (actor in entries)

    @given(vectors())
    def test_equal_vectors_hash_equal_whatever_their_history(self, vector: VersionVector) -> None:
        rebuilt = EMPTY
        for actor, seq in sorted(vector.items(), reverse=True):
            rebuilt = rebuilt.advance(actor, seq)
        assert rebuilt == vector
        assert hash(rebuilt) == hash(vector)
        assert repr(rebuilt) == repr(vector)

    def test_it_equals_no_dict(self) -> None:
        assert VersionVector({ONE: 1}) != {ONE: 1}

    @given(vectors())
    def test_copies_and_pickles_are_equal(self, vector: VersionVector) -> None:
        vector.fingerprint()
        assert copy.deepcopy(vector) == vector
        assert pickle.loads(pickle.dumps(vector)).fingerprint() == vector.fingerprint()
