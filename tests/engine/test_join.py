"""The laws of the join over states that nodes can reach, and what it makes of one dot with two values."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given

from holdfast.clocks import EMPTY, Dot, Timestamp, VersionVector
from holdfast.engine.cells import ABSENT, EQUIVOCAL, REGISTER, Life, Record, Sibling, Stamp, plain_record
from holdfast.engine.detector import agreed
from holdfast.engine.documents import compose, split
from holdfast.engine.edits import Update, edited
from holdfast.engine.join import ValueLeftOutError, claims, discarded, join
from holdfast.engine.packing import lay_out
from holdfast.engine.succession import succeed

from .cells import NODES, State, reachable

ONE, TWO = NODES[:2]
STAMP = Stamp(Dot(ONE, 1), Timestamp(7))


def single(value: str | bytes | None, tag: int = REGISTER, base: bytes | None = None) -> Record:
    return Record({STAMP.dot: Life(STAMP, alive=True)}, {"v": {STAMP.dot: Sibling(STAMP, tag, value, base)}})


def met(ours: Record, theirs: Record) -> Record:
    """Both have taken in the one operation."""
    context = VersionVector({ONE: 1})
    return join(ours, context, theirs, context)


@given(reachable())
def test_join_commutes(states: list[State]):
    a, b, _ = states
    assert a.joined(b) == b.joined(a)


@given(reachable())
def test_join_associates(states: list[State]):
    a, b, c = states
    assert a.joined(b).joined(c) == a.joined(b.joined(c))


@given(reachable())
def test_join_is_idempotent(states: list[State]):
    joined = reduce(State.joined, states)
    for state in states:
        assert state.joined(state) == state
        assert joined.joined(state) == joined


@given(reachable())
def test_join_with_what_knows_nothing_changes_nothing(states: list[State]):
    for state in states:
        assert state.joined(State()) == state == State().joined(state)


@given(reachable())
def test_every_dot_of_a_cell_is_in_the_context(states: list[State]):
    joined = reduce(State.joined, states)
    assert joined.context.covers_all(stamp.dot for stamp in joined.record.stamps())
    assert all(joined.record.cells.values())


def test_a_dot_survives_where_the_other_side_never_took_it_in():
    other = Stamp(Dot(TWO, 1), Timestamp(3))
    mine, theirs = plain_record(STAMP, {"v": "1"}), plain_record(other, {"v": "2"})
    joined = join(mine, VersionVector({ONE: 1}), theirs, VersionVector({TWO: 1}))
    assert set(joined.cells["v"]) == joined.frontier == {STAMP.dot, other.dot}


def test_a_dot_goes_where_the_other_side_took_it_in_and_let_it_go():
    mine = plain_record(STAMP, {"v": "1"})
    assert join(mine, VersionVector({ONE: 1}), ABSENT, VersionVector({ONE: 1})) == ABSENT


def test_a_value_left_out_is_taken_from_this_side():
    assert met(single("1"), single(None)) == single("1")


def test_a_value_left_out_and_missing_here_is_asked_for():
    with pytest.raises(ValueLeftOutError):
        join(ABSENT, EMPTY, single(None), VersionVector({ONE: 1}))


def test_two_values_under_one_dot_are_both_kept():
    joined = met(single("1"), single("2"))
    (sibling,) = joined.cells["v"].values()
    assert (sibling.tag, claims(sibling)) == (EQUIVOCAL, ["1", "2"])
    assert agreed(joined.cells["v"]) is None


def test_equivocation_is_the_same_in_every_order():
    records = [single("1"), single('"x"'), single("2")]
    a, b, c = records
    assert met(met(a, b), c) == met(a, met(b, c)) == met(met(c, b), a)
    everything = met(met(a, b), c)
    assert all(met(everything, record) == everything for record in records)


def test_equivocation_keeps_the_bytes_of_a_type_that_nobody_knows():
    joined = met(single(b"\x01", tag=9), single(b"\x02", tag=9))
    (sibling,) = joined.cells["v"].values()
    assert claims(sibling) == ['"01"', '"02"']


def test_a_life_that_two_copies_tell_differently_is_alive():
    dead = Record({STAMP.dot: Life(STAMP, alive=False)})
    alive = Record({STAMP.dot: Life(STAMP, alive=True)})
    assert met(dead, alive).alive
    assert met(alive, dead).alive


def test_only_values_of_a_conflict_that_are_gone_were_discarded():
    other, later = Stamp(Dot(TWO, 1), Timestamp(3)), Stamp(Dot(TWO, 2), Timestamp(9))
    siblings = {stamp.dot: Sibling(stamp, REGISTER, text) for stamp, text in ((STAMP, "1"), (other, "2"))}
    lives = {dot: Life(sibling.stamp, alive=True) for dot, sibling in siblings.items()}
    alone = {STAMP.dot: Sibling(STAMP, REGISTER, "5")}
    before = Record(lives, {"v": siblings, "w": alone})
    after = plain_record(later, {"v": "2"})
    assert discarded(before, after) == [("v", siblings[STAMP.dot])]
    assert discarded(before, before) == []


@given(reachable())
def test_a_successor_is_what_the_join_gives(states: list[State]):
    """The short way over packed cells, which builds no record; it may decline, and never differ."""
    for ours, theirs in permutations(states, 2):
        if not (ours.record.plain() or _is_flat(ours.record)) or not _is_flat(theirs.record):
            continue
        if not theirs.context.covers_all(ours.record.frontier):
            continue
        doc, cells = lay_out(ours.record)
        sent, their_cells = lay_out(theirs.record, ours.context)
        plain = ours.record.plain()
        news = [not ours.context.covers(Dot(actor, seq)) for actor, seq, *_ in their_cells.each()]
        successor = succeed(
            compose(doc), (*plain.dot, *plain[1:]) if plain else cells, compose(sent), their_cells, news
        )
        if successor is None:
            continue
        joined = ours.joined(theirs).record
        assert lay_out(joined) == (split(successor.doc), their_cells)
        after = {name: text for name, text in doc.items() if split(successor.doc).get(name) != text}
        assert successor.old == (compose(after) if after else None)


def test_a_plain_update_has_a_successor():
    ours = plain_record(STAMP, {"a": "1", "b": "2"})
    stamp = Stamp(Dot(TWO, 1), Timestamp(9))
    theirs = edited(ours, Update({"b": "3"}), stamp)
    doc, cells = lay_out(theirs, VersionVector({ONE: 1}))
    assert succeed('{"a":1,"b":2}', (*STAMP.dot, *STAMP[1:]), compose(doc), cells, [True, False]) == (
        '{"a":1,"b":3}',
        '{"b":2}',
    )


def test_a_successor_may_hold_fields_that_are_named_like_its_own():
    ours = edited(plain_record(STAMP, {"a": "1", "b": "2"}), Update({"b": "3"}), Stamp(Dot(ONE, 2), Timestamp(8)))
    nested = '{"a":1,"b":2}'
    theirs = edited(ours, Update({"a": nested, "b": nested}), Stamp(Dot(TWO, 1), Timestamp(9)))
    theirs = edited(theirs, Update({"b": "5"}), Stamp(Dot(TWO, 2), Timestamp(9)))
    doc, cells = lay_out(theirs, VersionVector({ONE: 2}))
    successor = succeed('{"a":1,"b":3}', lay_out(ours)[1], compose(doc), cells, [True, True])
    assert successor == (f'{{"a":{nested},"b":5}}', '{"a":1,"b":3}')


def test_one_dot_with_two_stamps_is_no_succession():
    """Two copies of one identity wrote the same value at other times: the join keeps the later time."""
    theirs = edited(plain_record(STAMP, {"a": "1", "b": "2"}), Update({"b": "3"}), Stamp(Dot(TWO, 1), Timestamp(9)))
    doc, cells = lay_out(theirs, VersionVector({ONE: 1}))
    assert succeed('{"a":1,"b":2}', (ONE, 1, 8, 0), compose(doc), cells, [True, False]) is None


def _is_flat(record: Record) -> bool:
    return bool(record.existence) and lay_out(record)[1].is_flat()
