"""Local writes: what each supersedes, and what it leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Dot, Timestamp
from holdfast.engine.cells import ABSENT, BIRTH, REGISTER, Life, Record, Sibling, Stamp, plain_record
from holdfast.engine.edits import Delete, Edit, Put, Update, edited

from .cells import NODES, State, edits, reachable

LATER_TAG = 9
NEW = Stamp(Dot(NODES[0], 100), Timestamp(50))
OLD, OTHER = Stamp(Dot(NODES[1], 1), Timestamp(1), BIRTH), Stamp(Dot(NODES[2], 1), Timestamp(2), BIRTH)


def rivals() -> Record:
    """A record with a conflict in v, and in w a value of a type that this version does not know."""
    cells = {
        "v": {stamp.dot: Sibling(stamp, REGISTER, str(number)) for number, stamp in enumerate((OLD, OTHER))},
        "w": {OLD.dot: Sibling(OLD, LATER_TAG, b"\x01")},
    }
    return Record({stamp.dot: Life(stamp, alive=True) for stamp in (OLD, OTHER)}, cells)


def dead(record: Record) -> Record:
    return Record({dot: Life(life.stamp, alive=False) for dot, life in record.existence.items()}, record.cells)


@given(reachable(), edits())
def test_every_write_is_the_frontier_of_what_its_author_saw(states: list[State], edit: Edit):
    after = edited(states[0].record, edit, NEW)
    assert after.existence == {NEW.dot: Life(NEW, alive=not isinstance(edit, Delete))}


@given(reachable(), edits(), st.data())
def test_a_write_keeps_what_its_author_had_not_read(states: list[State], edit: Edit, data: st.DataObject):
    before = states[0].record
    known = sorted({stamp.dot for stamp in before.stamps()})
    seen = data.draw(st.frozensets(st.sampled_from(known))) if known else frozenset()
    after = edited(before, edit, NEW, seen)
    assert after.existence.keys() == {NEW.dot, *(before.existence.keys() - seen)}
    for name, cell in before.cells.items():
        kept = {dot: sibling for dot, sibling in cell.items() if dot not in seen}
        assert kept.items() <= after.cells.get(name, {}).items()


@given(reachable(), edits())
def test_no_cell_is_left_without_siblings(states: list[State], edit: Edit):
    assert all(edited(states[0].record, edit, NEW).cells.values())


@given(reachable(), edits())
def test_the_record_that_is_written_to_stays_as_it_was(states: list[State], edit: Edit):
    before = states[0].record
    copy = Record(dict(before.existence), {name: dict(cell) for name, cell in before.cells.items()})
    edited(before, edit, NEW)
    assert before == copy


def test_a_put_on_nothing_is_a_plain_record():
    assert edited(ABSENT, Put({"v": "1"}), NEW) == plain_record(NEW, {"v": "1"})


def test_a_put_clears_registers_and_leaves_types_that_it_does_not_know():
    after = edited(rivals(), Put({"x": "1"}), NEW)
    assert after.cells == {"w": rivals().cells["w"], "x": {NEW.dot: Sibling(NEW, REGISTER, "1")}}


def test_a_put_on_a_dead_record_clears_what_was_hidden():
    assert edited(dead(rivals()), Put({"x": "1"}), NEW) == plain_record(NEW, {"x": "1"})


def test_an_update_writes_its_fields_only():
    after = edited(rivals(), Update({"x": "1"}), NEW)
    assert after.cells == {**rivals().cells, "x": {NEW.dot: Sibling(NEW, REGISTER, "1")}}


@pytest.mark.parametrize("name", ["v", "w"])
def test_an_update_removes_a_field_of_any_type(name: str):
    assert name not in edited(rivals(), Update(removed=frozenset({name})), NEW).cells


def test_a_field_that_is_removed_and_written_is_written():
    after = edited(rivals(), Update({"v": "9"}, frozenset({"v"})), NEW)
    assert after.cells["v"] == {NEW.dot: Sibling(NEW, REGISTER, "9")}


def test_a_delete_changes_nothing_but_existence():
    assert edited(rivals(), Delete(), NEW) == Record({NEW.dot: Life(NEW, alive=False)}, rivals().cells)


def test_a_decision_supersedes_only_the_siblings_it_carries():
    after = edited(rivals(), Update({"v": "9"}), NEW, frozenset({OLD.dot}))
    assert set(after.cells["v"]) == set(after.existence) == {NEW.dot, OTHER.dot}
