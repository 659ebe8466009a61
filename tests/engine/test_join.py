"""The laws of the join over states that nodes can reach, and what it makes of one dot with two values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given

from holdfast.clocks import EMPTY, Actor, Dot, Timestamp, VersionVector
from holdfast.engine.cells import ABSENT, EQUIVOCAL, REGISTER, Life, Record, Sibling, Stamp, plain_record
from holdfast.engine.cohorts import columns
from holdfast.engine.detector import agreed
from holdfast.engine.documents import compose, split
from holdfast.engine.edits import Put, Update, edited
from holdfast.engine.flat_join import Encounter, FlatJoin, are_distinct
from holdfast.engine.join import Memory, ValueLeftOutError, claims, discarded, join
from holdfast.engine.outline import FIELDS_MAX
from holdfast.engine.packing import lay_out
from holdfast.engine.reached import counting

from .cells import NODES, State, reachable

ONE, TWO = NODES[:2]
ACTORS = {actor: actor for actor in NODES}
STAMP = Stamp(Dot(ONE, 1), Timestamp(7))


def single(value: str | bytes | None, tag: int = REGISTER, base: bytes | None = None) -> Record:
    return Record({STAMP.dot: Life(STAMP, alive=True)}, {"v": {STAMP.dot: Sibling(STAMP, tag, value, base)}})


def met(ours: Record, theirs: Record) -> Record:
    """Both have taken in the one operation."""
    context = VersionVector({ONE: 1})
    return join(ours, Memory(context), theirs, Memory(context))


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
    joined = join(mine, Memory(VersionVector({ONE: 1})), theirs, Memory(VersionVector({TWO: 1})))
    assert set(joined.cells["v"]) == joined.frontier == {STAMP.dot, other.dot}


def test_a_dot_goes_where_the_other_side_took_it_in_and_let_it_go():
    mine = plain_record(STAMP, {"v": "1"})
    assert join(mine, Memory(VersionVector({ONE: 1})), ABSENT, Memory(VersionVector({ONE: 1}))) == ABSENT


def test_a_value_left_out_is_taken_from_this_side():
    assert met(single("1"), single(None)) == single("1")


def test_a_value_left_out_and_missing_here_is_asked_for():
    with pytest.raises(ValueLeftOutError):
        join(ABSENT, Memory(EMPTY), single(None), Memory(VersionVector({ONE: 1})))


def test_two_values_under_one_dot_are_both_kept():
    with counting() as states:
        joined = met(single("1"), single("2"))
    (sibling,) = joined.cells["v"].values()
    assert (sibling.tag, claims(sibling)) == (EQUIVOCAL, ["1", "2"])
    assert agreed(joined.cells["v"]) is None
    assert states["apply: one dot with two values"]


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
def test_two_flat_states_join_as_records_do(states: list[State]):
    """The short way over packed cells, which builds no record; it may decline, and never differ."""
    for ours, theirs in permutations(states, 2):
        if _is_flat(ours.record) and _is_flat(theirs.record):
            joined = flat_joined(ours, theirs)
            if joined is not None:
                assert joined == laid_out(ours.joined(theirs).record, ours.record)


@dataclass
class Joined:
    """What became of a record: stamps, bytes of the shape, the document without siblings, what it lacks of ours."""

    stamps: list[object]
    body: bytes
    doc: dict[str, str]
    gone: dict[str, str]


def flat_joined(ours: State, theirs: State) -> Joined | None:
    """As the engine joins flat states; None where it is not sure."""
    (joined,) = flat_joined_all([(ours, theirs)])
    return joined


def flat_joined_all(pairs: list[tuple[State, State]]) -> list[Joined | None]:
    """The same of pairs whose states have the same two shapes, with the contexts of the first."""
    ours, theirs = pairs[0]
    held = {actor: ours.context.seq(actor) for actor in NODES}
    context = {actor: theirs.context.seq(actor) for actor in NODES}
    here, there = ([lay_out(state.record)[1] for state in side] for side in zip(*pairs, strict=True))
    stamps = columns([each.stamps for each in here]), columns([each.stamps for each in there])
    joins = Encounter(held, context, ACTORS).joins(here[0].shape, there[0].shape, *stamps)
    return [joined_one(*pair, how) if how else None for pair, how in zip(pairs, joins, strict=True)]


def joined_one(ours: State, theirs: State, how: FlatJoin) -> Joined | None:
    """What one record becomes."""
    texts = [*lay_out(ours.record)[0].values()]
    taken = how.taken(texts, compose(lay_out(theirs.record, ours.context)[0]))
    if taken is None:
        return None
    if not how.changed:
        return laid_out(ours.record, ours.record)
    here, there = (columns([lay_out(each.record)[1].stamps]) for each in (ours, theirs))
    stamps = how.stamps(here, there)
    if not all(are_distinct(stamps)):
        return None
    everything = columns([(*texts, *taken)])
    (doc,) = how.singles.composed([everything[at] for at in how.values], 1)
    (body,) = how.bodies(everything, 1)
    (gone,) = how.replaced([*everything, *[[None]] * len(how.siblings)], 1)
    return Joined([item for (item,) in stamps], body, split(doc), split(gone) if gone else {})


def laid_out(record: Record, ours: Record) -> Joined:
    doc, cells = lay_out(record)
    gone = {name: text for name, text in lay_out(ours)[0].items() if doc.get(name) != text}
    return Joined(cells.stamps, cells.shape.body, doc, gone)


def state(record: Record, **context: int) -> State:
    return State(record, VersionVector({ONE: context.get("one", 0), TWO: context.get("two", 0)}))


OURS = plain_record(STAMP, {"a": "1", "b": "2"})
LATER = Stamp(Dot(TWO, 1), Timestamp(9))


def test_a_plain_update_is_joined_without_records():
    ours, theirs = state(OURS, one=1), state(edited(OURS, Update({"b": "3"}), LATER), one=1, two=1)
    joined = flat_joined(ours, theirs)
    assert joined is not None
    assert (joined.doc, joined.gone) == ({"a": "1", "b": "3"}, {"b": "2"})
    assert joined.stamps == [TWO, 1, 9, 0, ONE, 1, 7, 0]
    assert flat_joined(theirs, ours) == laid_out(theirs.record, theirs.record)  # nothing new


@pytest.mark.parametrize("field", ["a", "b"])
def test_concurrent_updates_are_joined_without_records(field: str):
    mine = Stamp(Dot(ONE, 2), Timestamp(8))
    ours = state(edited(OURS, Update({"b": "3"}), mine), one=2)
    theirs = state(edited(OURS, Update({field: "4"}), LATER), one=1, two=1)
    for here, there in ((ours, theirs), (theirs, ours)):
        joined = flat_joined(here, there)
        assert joined is not None
        assert joined == laid_out(here.joined(there).record, here.record)
        assert joined.doc == ({"a": "4", "b": "3"} if field == "a" else {"a": "1"})


def test_a_put_replaces_the_fields_that_it_does_not_name():
    theirs = state(edited(OURS, Put({"b": "3", "c": "4"}), LATER), one=1, two=1)
    joined = flat_joined(state(OURS, one=1), theirs)
    assert joined is not None
    assert (joined.doc, joined.gone, joined.stamps) == ({"b": "3", "c": "4"}, {"a": "1", "b": "2"}, [TWO, 1, 9, 0])


def test_records_of_many_fields_are_joined_without_records():
    wide = plain_record(STAMP, {f"f{number:03}": "1" for number in range(FIELDS_MAX + 1)})
    ours = state(edited(wide, Update({"f000": "2"}), Stamp(Dot(ONE, 2), Timestamp(8))), one=2)
    theirs = state(edited(wide, Update({"f000": "3", "f001": "4"}), LATER), one=1, two=1)
    assert flat_joined(ours, theirs) == laid_out(ours.joined(theirs).record, ours.record)


def test_values_may_look_like_the_documents_that_hold_them():
    ours = edited(OURS, Update({"b": "3"}), Stamp(Dot(ONE, 2), Timestamp(8)))
    nested = '{"a":1,"b":2}'
    theirs = edited(ours, Update({"a": nested, "b": nested}), LATER)
    theirs = edited(theirs, Update({"b": "5"}), Stamp(Dot(TWO, 2), Timestamp(9)))
    joined = flat_joined(state(ours, one=2), state(theirs, one=2, two=2))
    assert joined is not None
    assert (joined.doc, joined.gone) == ({"a": nested, "b": "5"}, {"a": "1", "b": "3"})


def test_one_dot_with_two_stamps_is_for_the_join():
    """Two copies of one identity wrote the same value at other times: the join keeps the later time."""
    copy = plain_record(Stamp(STAMP.dot, Timestamp(8)), {"a": "1", "b": "2"})
    theirs = state(edited(OURS, Update({"b": "3"}), LATER), one=1, two=1)
    assert flat_joined(state(copy, one=1), theirs) is None
    assert flat_joined(state(copy, one=1), state(OURS, one=1)) is None


def test_records_of_the_same_shapes_are_joined_each_by_its_own_stamps():
    """A successor there, one here, one written by both, and one that is the same."""
    first = edited(OURS, Update({"b": "3"}), Stamp(Dot(ONE, 2), Timestamp(8)))
    later = edited(first, Update({"b": "4"}), Stamp(Dot(ONE, 3), Timestamp(8)))
    other = edited(OURS, Update({"b": "5"}), LATER)
    newest = edited(other, Update({"b": "6"}), Stamp(Dot(TWO, 2), Timestamp(9)))
    pairs = [
        (state(ours, one=3, two=1), state(theirs, one=2, two=2))
        for ours, theirs in ((other, newest), (later, first), (later, newest), (first, first))
    ]
    joined = flat_joined_all(pairs)
    assert joined == [laid_out(ours.joined(theirs).record, ours.record) for ours, theirs in pairs]
    assert [len(each.doc) for each in joined if each is not None] == [2, 2, 1, 2]


def test_one_dot_with_two_values_is_for_the_join():
    how = one_join(OURS, plain_record(STAMP, {"a": "1", "b": "9"}), {ONE: 1}, {ONE: 1})
    assert how.taken(["1", "2"], '{"a":1,"b":9}') is None
    assert how.taken(["1", "2"], '{"a":1,"b":2}') == []


def test_a_value_that_was_left_out_is_for_the_join():
    theirs = edited(OURS, Update({"b": "3"}), LATER)
    how = one_join(OURS, theirs, {ONE: 1, TWO: 0}, {ONE: 1, TWO: 1})
    assert how.taken(["1", "2"], "{}") is None


def one_join(ours: Record, theirs: Record, held: dict[Actor, int], context: dict[Actor, int]) -> FlatJoin:
    """How two flat records join."""
    here, there = lay_out(ours)[1], lay_out(theirs)[1]
    stamps = columns([here.stamps]), columns([there.stamps])
    (how,) = Encounter(held, context, ACTORS).joins(here.shape, there.shape, *stamps)
    assert how is not None
    return how


def _is_flat(record: Record) -> bool:
    return bool(record.existence) and lay_out(record)[1].is_flat()
