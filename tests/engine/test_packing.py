"""Packed cells: the round trip for all that can be packed, and nothing but one error for all that cannot be read."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Actor, Dot, VersionVector
from holdfast.engine.cells import REGISTER, Record
from holdfast.engine.cohorts import cohorts, covered, encode_columns, forward
from holdfast.engine.documents import compose, split
from holdfast.engine.packing import (
    CELLS_BYTES_MAX,
    UnreadableCellsError,
    decode,
    lay_out,
    pack,
    unpack,
)
from tests.strategies import POOL, vectors

from .cells import State, any_records, reachable

NUMBERS = {actor: number for number, actor in enumerate(POOL, 3)}
ACTORS = {number: actor for actor, number in NUMBERS.items()}


def packed(record: Record) -> tuple[dict[str, str], bytes]:
    return pack(record, NUMBERS.__getitem__)


def as_bytes(what: object) -> bytes:
    """`[stamps, existence, cells]` as it stands at rest, or whatever stands for it, as msgpack."""
    if not isinstance(what, list):
        return msgpack.packb(what)
    stamps, *shape = what
    return msgpack.packb([msgpack.packb(shape), *(stamps if isinstance(stamps, list) else [stamps])])


@given(any_records())
def test_what_was_packed_comes_back(record: Record):
    assert unpack(*packed(record), ACTORS) == record


@given(any_records())
def test_packing_does_not_depend_on_the_order_of_cells(record: Record):
    mirrored = Record(
        dict(reversed(record.existence.items())),
        {name: dict(reversed(cell.items())) for name, cell in reversed(record.cells.items())},
    )
    assert packed(mirrored)[1] == packed(record)[1]


@given(any_records())
def test_single_registers_stand_in_the_document_and_nowhere_else(record: Record):
    doc, cells = packed(record)
    single = {
        name: next(iter(cell.values()))
        for name, cell in record.cells.items()
        if len(cell) == 1 and next(iter(cell.values())).tag == REGISTER and next(iter(cell.values())).base is None
    }
    assert doc == {name: sibling.value for name, sibling in single.items()}
    assert {name for name, entry in decode(cells).shape.cells.items() if isinstance(entry, int)} == set(single)


@given(any_records(), vectors())
def test_what_a_vector_covers_is_left_out_and_nothing_else(record: Record, held: VersionVector):
    doc, cells = pack(record, NUMBERS.__getitem__, held)
    sent = unpack(doc, cells, ACTORS)
    assert sent.existence == record.existence
    for name, cell in record.cells.items():
        for dot, sibling in cell.items():
            expected = sibling._replace(value=None) if held.covers(dot) else sibling
            assert sent.cells[name][dot] == expected


@given(reachable(), vectors())
def test_forwarding_cohorts_is_packing_their_records(states: list[State], held: VersionVector):
    """The short way, which builds no record, gives what the long way gives."""
    records = [state.record for state in states if state.record.existence] * 2
    stored = [packed(record) for record in records]
    has = {number: held.seq(actor) for number, actor in ACTORS.items()}
    found = cohorts(enumerate(cells for _, cells in stored))
    assert sorted(at for cohort in found for at in cohort.ats) == [*range(len(records))]
    for cohort in found:
        for known, part in cohort.parts(zip(*covered(cohort.stamps, has), strict=True)).items():
            docs, bodies = forward(part, [compose(stored[at][0]) for at in part.ats], known)
            cells = encode_columns(bodies, part.renamed(ACTORS).stamps)
            for at, doc, encoded in zip(part.ats, docs, cells, strict=True):
                dots = {(stamp.dot, held.covers(stamp.dot)) for stamp in records[at].stamps()}
                assert sorted(is_held for _, is_held in dots) == sorted(known)
                assert (split(doc), decode(encoded)) == lay_out(records[at], held)


@given(any_records(), st.data())
def test_mutated_bytes_raise_nothing_but_unreadable(record: Record, data: st.DataObject):
    doc, cells = packed(record)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(cells) - 1))
        piece = data.draw(st.binary(max_size=2))
        cells = cells[:at] + piece + cells[at + data.draw(st.integers(0, 2)) :]
    with_luck_unpack(doc, cells)


@given(st.binary(max_size=60))
def test_any_bytes_raise_nothing_but_unreadable(cells: bytes):
    with_luck_unpack({}, cells)


def with_luck_unpack(doc: dict[str, str], cells: bytes) -> None:
    try:
        record = unpack(doc, cells, ACTORS)
    except UnreadableCellsError:
        return
    assert record.frontier
    for stamp in record.stamps():
        assert stamp.dot.actor in NUMBERS
        assert 0 < stamp.dot.seq < 1 << 63
        assert 0 <= stamp.clock < 1 << 63
    unpack(*packed(record), ACTORS)


STAMP = [3, 1, 7, 0]
BAD = {
    "no lists": 1,
    "no list but a map": {},
    "too few": [STAMP, [1]],
    "too many": [STAMP, [1], {}, 1],
    "no existence": [STAMP, [], {}],
    "stamps in a map": [{}, [1], {}],
    "half a stamp": [[3, 1, 7], [1], {}],
    "an actor beyond the table": [[99, 1, 7, 0], [1], {}],
    "an actor that is text": [["3", 1, 7, 0], [1], {}],
    "an actor that is a list": [[[3], 1, 7, 0], [1], {}],
    "seq 0": [[3, 0, 7, 0], [1], {}],
    "a negative seq": [[3, -1, 7, 0], [1], {}],
    "a seq beyond 63 bits": [[3, 1 << 63, 7, 0], [1], {}],
    "a seq that is true": [[3, True, 7, 0], [1], {}],
    "a clock beyond 63 bits": [[3, 1, 1 << 63, 0], [1], {}],
    "a negative clock": [[3, 1, -1, 0], [1], {}],
    "a clock that is a float": [[3, 1, 7.0, 0], [1], {}],
    "flags that are text": [[3, 1, 7, "0"], [1], {}],
    "existence of a stamp that is missing": [STAMP, [8], {}],
    "existence that is negative": [STAMP, [-1], {}],
    "existence that is text": [STAMP, ["1"], {}],
    "a field of a stamp that is missing": [STAMP, [1], {"v": 8}],
    "a field of a negative stamp": [STAMP, [1], {"v": -1}],
    "a field named by bytes": [STAMP, [1], {b"v": 0}],
    "a field named by a number": [STAMP, [1], {1: 0}],
    "a field that is text": [STAMP, [1], {"v": "0"}],
    "a field that is true": [STAMP, [1], {"v": True}],
    "a cell without siblings": [STAMP, [1], {"v": []}],
    "a sibling that is short": [STAMP, [1], {"v": [[0, 0, "1"]]}],
    "a sibling of a negative stamp": [STAMP, [1], {"v": [[-1, 0, "1", None]]}],
    "a tag that is text": [STAMP, [1], {"v": [[0, "0", "1", None]]}],
    "a value that is a number": [STAMP, [1], {"v": [[0, 0, 1, None]]}],
    "a register that is no JSON": [STAMP, [1], {"v": [[0, 0, "{", None]]}],
    "a register of bytes": [STAMP, [1], {"v": [[0, 0, b"1", None]]}],
    "a base that is text": [STAMP, [1], {"v": [[0, 0, "1", "b"]]}],
}


@pytest.mark.parametrize("what", BAD)
def test_what_no_node_packs_is_unreadable(what: str):
    with pytest.raises(UnreadableCellsError):
        unpack({"v": "1"}, as_bytes(BAD[what]), ACTORS)


def test_a_shape_is_bytes():
    for shape in (None, "shape", [[1], {}], 7):
        with pytest.raises(UnreadableCellsError):
            unpack({"v": "1"}, msgpack.packb([shape, *STAMP]), ACTORS)


def test_cells_beyond_the_limit_are_unreadable():
    with pytest.raises(UnreadableCellsError):
        unpack({}, b"\x00" * (CELLS_BYTES_MAX + 1), ACTORS)


def test_a_number_that_the_table_lacks_is_not_guessed():
    doc, cells = packed(unpack({"v": "1"}, as_bytes([STAMP, [1], {"v": 0}]), ACTORS))
    other = {3: Actor("ff" * 16)}
    assert unpack(doc, cells, other).frontier == {Dot(other[3], 1)}
    with pytest.raises(UnreadableCellsError):
        unpack(doc, cells, {})
