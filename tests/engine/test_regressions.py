"""Every case that once failed, by name and in its smallest form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgpack
import pytest

from holdfast.clocks import EMPTY, Actor, Dot, Timestamp
from holdfast.engine.cells import EQUIVOCAL, REGISTER, Life, Record, Sibling, Stamp
from holdfast.engine.delta import FeedBatch
from holdfast.engine.edits import Edit, Put, Update, edited
from holdfast.engine.packing import decode
from holdfast.engine.storage.apply import Applied, apply_batch
from holdfast.engine.storage.feed import read_batch
from holdfast.engine.storage.write import Write, write_all

from .member import DAY_MS, Member, Wall, new_member
from .post import GARBAGE

NOW = 1_750_000_000_000


@pytest.fixture
def pair() -> Iterator[tuple[Member, Member]]:
    members = new_member("A", Wall(NOW), 1), new_member("B", Wall(NOW), 2)
    yield members
    for member in members:
        member.close()


def write(member: Member, keys: str, edit: Edit) -> None:
    """Write the same to several records, named by one letter each, in one transaction."""
    with member.store.transaction() as tx:
        write_all(tx, [Write(collection="c", key=key, edit=edit) for key in keys])


def read(source: Member, reader: Member, **options: object) -> FeedBatch:
    start = reader.peer(source).checkpoint_in(source.feed)
    arguments = {"start": start, "held": reader.vector, **options}
    return read_batch(source.connection, **arguments)


def apply(reader: Member, source: Member, batch: FeedBatch, *, follows: bool = True) -> Applied:
    with reader.store.transaction() as tx:
        return apply_batch(tx, batch, reader.peer(source), follows=follows)


def spoil(batch: FeedBatch, at: int) -> FeedBatch:
    return replace(batch, delta=replace(batch.delta, cells={**batch.delta.cells, at: GARBAGE}))


def document(member: Member, key: str) -> str:
    found: tuple[str] = member.connection.execute("SELECT doc FROM record WHERE key = ?", (key,)).fetchone()
    return found[0]


def half_known(a: Member, b: Member) -> None:
    """B holds k as A wrote it first; A has gone on, in several writes."""
    write(a, "k", Put({"v": "1", "w": "1"}))
    apply(b, a, read(a, b))
    write(a, "k", Update({"v": "2"}))


def test_a_record_that_could_not_be_joined_has_taken_in_nothing(pair: tuple[Member, Member]):
    """It once carried the sender's context all the same, and dropped what it lacked when that came readable."""
    a, b = pair
    half_known(a, b)
    assert apply(b, a, spoil(read(a, b), 0)).holes == 1
    apply(b, a, read(a, b, start=0, held=EMPTY, omit=False))
    assert document(b, "k") == '{"v":2,"w":1}'


def test_a_record_that_lacks_a_value_has_taken_in_nothing(pair: tuple[Member, Member]):
    a, b = pair
    half_known(a, b)
    whole = read(a, b)
    short = replace(whole, delta=replace(whole.delta, doc=["{}"]))
    assert apply(b, a, short).need_whole == (("c", "k"),)
    assert apply(b, a, whole).completed
    assert document(b, "k") == '{"v":2,"w":1}'


def test_an_old_batch_does_not_fill_a_hole_that_came_later(pair: tuple[Member, Member]):
    """Replaying what was read before the hole once closed it; the vector then claimed what had never come."""
    a, b = pair
    write(a, "k", Put({"v": "1"}))
    old = read(a, b)
    apply(b, a, old)
    write(a, "k", Update({"w": "2"}))
    assert apply(b, a, spoil(read(a, b), 0)).holes == 1
    assert apply(b, a, old).holes == 1
    assert not apply(b, a, read(a, b)).completed
    assert not b.vector.covers(Dot(a.actor, 2))
    assert apply(b, a, read(a, b, start=0, held=EMPTY, omit=False)).holes == 0
    assert apply(b, a, read(a, b)).completed
    assert document(b, "k") == '{"v":1,"w":2}'


def test_a_session_that_lost_a_batch_does_not_complete_where_another_has_come_to(pair: tuple[Member, Member]):
    """The other had read the feed later, when a record of the lost batch had moved on; the vector claimed it."""
    a, b = pair
    write(a, "xy", Put({"v": "1"}))
    write(a, "z", Put({"v": "1"}))
    lost = read(a, b, records_max=2)
    last = read(a, b, start=lost.end)
    write(a, "x", Update({"w": "2"}))
    assert apply(b, a, read(a, b, records_max=1)).checkpoint == last.start
    assert last.drained
    assert not apply(b, a, last, follows=False).completed
    assert apply(b, a, read(a, b)).completed
    assert document(b, "x") == '{"v":1,"w":2}'


def test_stamps_under_one_that_is_not_believed_are_taken_in(pair: tuple[Member, Member]):
    """A state that simply succeeded ours was once observed by its latest stamp alone."""
    a, b = pair
    write(a, "k", Put({"v": "1", "w": "1"}))
    apply(b, a, read(a, b))
    a.wall.skew = 200_000
    write(a, "k", Update({"v": "2"}))
    (believed,) = a.connection.execute("SELECT clock FROM node").fetchone()
    a.wall.skew = DAY_MS
    write(a, "k", Update({"w": "2"}))
    assert apply(b, a, read(a, b)).suspect_ms > 0
    write(b, "k", Update({"v": "3"}))
    (after,) = b.connection.execute("SELECT clock FROM node").fetchone()
    assert after > believed


def test_stamps_above_the_latest_of_the_frontier_are_taken_in():
    """An author whose clock was behind wrote on what it did not believe; a node with the right time believes it."""
    a, slow, b = (new_member(name, Wall(NOW), seed) for seed, name in enumerate(("A", "S", "B")))
    slow.wall.skew = -DAY_MS
    write(a, "k", Put({"v": "1", "w": "1"}))
    apply(b, a, read(a, b))
    write(a, "k", Update({"v": "2"}))
    a.wall.skew = b.wall.skew = 1
    (believed,) = a.connection.execute("SELECT clock FROM node").fetchone()
    assert apply(slow, a, read(a, slow)).suspect_ms > 0
    write(slow, "k", Update({"w": "2"}))
    b.wall.skew = -1
    apply(b, slow, read(slow, b))
    write(b, "k", Update({"v": "3"}))
    (after,) = b.connection.execute("SELECT clock FROM node").fetchone()
    assert after > believed
    for member in (a, slow, b):
        member.close()


UNREADABLE = {
    "NaN": '{"v":NaN}',
    "a lone surrogate": '{"v":"\\ud800"}',
    "a bracket that closes nothing": '{"v":1]',
    "a bracket that opens nothing": '["v":1}',
    "something behind": '{"v":1}x',
    "an array": "[1]",
    "nothing": "",
    "deep nesting": '{"v":' + "[" * 70 + "]" * 70 + "}",
    "very deep nesting": '{"v":' + "[" * 5_000 + "]" * 5_000 + "}",
}
NUMBERS = {
    "beyond floats": '{"v":1e999}',
    "beyond 64 bits": '{"v":123456789012345678901234567890}',
    "of more digits than Python converts": '{"v":' + "9" * 5_000 + "}",
}
READERS = {
    "that has none": [],
    "that has its own": [Put({"v": "5"})],
    "that has its own with cells": [Put({"v": "5"}), Update({"w": "5"})],
}


def forged(a: Member, b: Member, document: str) -> Applied:
    """B applies the news of A with this text in the place of its document."""
    batch = read(a, b)
    return apply(b, a, replace(batch, delta=replace(batch.delta, doc=[document])))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("document", UNREADABLE)
def test_an_unreadable_document_costs_one_record(pair: tuple[Member, Member], document: str, reader: str):
    a, b = pair
    write(a, "k", Put({"v": "1"}))
    for edit in READERS[reader]:
        write(b, "k", edit)
    applied = forged(a, b, UNREADABLE[document])
    assert (applied.holes, applied.completed, applied.fresh + applied.merged) == (1, False, 0)


@pytest.mark.parametrize("document", UNREADABLE)
def test_an_unreadable_successor_costs_one_record(pair: tuple[Member, Member], document: str):
    """Some once stopped the whole batch, for ever."""
    a, b = pair
    write(a, "k", Put({"v": "1"}))
    apply(b, a, read(a, b))
    write(a, "k", Put({"v": "2"}))
    applied = forged(a, b, UNREADABLE[document])
    assert (applied.holes, applied.completed, applied.fresh + applied.merged) == (1, False, 0)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_no_node_writes_stops_nothing(pair: tuple[Member, Member], number: str, reader: str):
    """In a conflict it once stopped the whole batch, for ever; elsewhere every later write to its record."""
    a, b = pair
    write(a, "k", Put({"v": "1"}))
    for edit in READERS[reader]:
        write(b, "k", edit)
    assert forged(a, b, NUMBERS[number]).moved
    write(b, "k", Update({"w": "2"}))
    write(b, "k", Put({"v": "3"}))
    assert document(b, "k") == '{"v":3}'


def test_put_clears_a_field_whose_one_dot_has_two_values():
    """An equivocal sibling is a register like any other: a put that does not name its field removes it."""
    first, second = (Stamp(Dot(Actor("0a" * 16), seq), Timestamp(seq)) for seq in (1, 2))
    twice = Sibling(first, EQUIVOCAL, '["1","2"]')
    record = Record({first.dot: Life(first, alive=True)}, {"v": {first.dot: twice}})
    after = edited(record, Put({"w": "3"}), second)
    assert after.cells == {"w": {second.dot: Sibling(second, REGISTER, "3")}}


def test_one_dot_with_two_stamps_ends_the_same_in_every_order(pair: tuple[Member, Member]):
    """Two copies of one identity wrote the same value at other times: who came second was once passed over."""
    a, b = pair
    c = new_member("C", Wall(NOW), 3)
    write(a, "k", Put({"v": "1"}))
    earlier = read(a, b)
    later = replace(earlier, delta=replace(earlier.delta, clock=[earlier.delta.clock[0] + 1]))
    for member, batches in ((b, (earlier, later)), (c, (later, earlier))):
        for batch in batches:
            apply(member, a, batch)
    clocks = [member.connection.execute("SELECT clock, digest FROM record").fetchall() for member in (b, c)]
    c.close()
    assert clocks[0] == clocks[1]
    assert clocks[0][0][0] == later.delta.clock[0]


def came(tag: int, value: str | bytes, a: Member, b: Member) -> Applied:
    """B takes in one readable record of A, and one whose field came with this type and value."""
    write(a, "jk", Put({"v": "1"}))
    batch = read(a, b)
    shape = msgpack.packb([[1], {"v": [[0, tag, value, None]]}])
    cells = msgpack.packb([shape, 0, batch.delta.seq[0], batch.delta.clock[0], 0])
    delta = replace(batch.delta, actor=[-1, batch.delta.actor[1]], doc=["{}", batch.delta.doc[1]], cells={0: cells})
    return apply(b, a, replace(batch, delta=delta))


@pytest.mark.parametrize("value", ['["1", "{"]', "[]", "[1]", "{}", "1", '["1","\\ud800"]', f'["{"[" * 65}"]'])
def test_claims_that_nobody_can_read_cost_one_record(pair: tuple[Member, Member], value: str):
    a, b = pair
    applied = came(EQUIVOCAL, value, a, b)
    assert (applied.holes, applied.fresh) == (1, 1)
    assert document(b, "k") == '{"v":1}'


def test_claims_are_kept_as_any_node_writes_them(pair: tuple[Member, Member]):
    a, b = pair
    assert came(EQUIVOCAL, '["1e2", "1.5", "100.0"]', a, b).conflicts == 1
    (cells,) = b.connection.execute("SELECT cells FROM record WHERE key = 'j'").fetchone()
    ((_, _, claims, _),) = decode(cells).shape.cells["v"]
    assert claims == '["1.5","100.0"]'


@pytest.mark.parametrize(("nesting", "holes"), [(63, 0), (64, 1)])
def test_a_sibling_nests_no_deeper_than_the_document_that_it_may_stand_in(
    pair: tuple[Member, Member], nesting: int, holes: int
):
    """It once was taken in, and was a hole everywhere else as soon as it stood alone."""
    a, b = pair
    assert came(REGISTER, "[" * nesting + "]" * nesting, a, b).holes == holes


def test_two_texts_of_an_unknown_type_under_one_dot_can_be_shown(pair: tuple[Member, Member]):
    a, b = pair
    assert came(9, "no {json", a, b).merged == 1
    assert came(9, "nor this", a, b).conflicts == 0  # another dot
    batch = read(a, b, start=0, held=EMPTY, omit=False)
    shape = msgpack.packb([[1], {"v": [[0, 9, "else", None]]}])
    (seq,) = b.connection.execute("SELECT seq FROM record WHERE key = 'j'").fetchone()
    (clock,) = b.connection.execute("SELECT clock FROM record WHERE key = 'j'").fetchone()
    cells = msgpack.packb([shape, 0, seq, clock, 0])
    delta = replace(batch.delta, actor=[-1, batch.delta.actor[1]], doc=["{}", batch.delta.doc[1]], cells={0: cells})
    assert apply(b, a, replace(batch, delta=delta)).conflicts == 1
