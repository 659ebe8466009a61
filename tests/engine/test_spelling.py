"""How a peer spells a document says nothing: every node that takes it in keeps the same text, so digests agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Actor
from holdfast.engine import spelling
from holdfast.engine.delta import FeedBatch
from holdfast.engine.documents import check_document, compose, decode_object, encode_document
from holdfast.engine.edits import Delete, Put, Update
from holdfast.engine.packing import unpack
from holdfast.engine.spelling import is_canonical, looks_safe
from holdfast.resolvers.canonical import encode

from .member import Member, Wall, new_member
from .test_documents import DOCUMENTS, TEXTS
from .test_regressions import NOW, apply, document, read, write

WRITTEN = '{"v":100.0,"w":"é"}'
SPELLINGS = {
    "with spaces": '{ "v": 100.0, "w": "é" }',
    "in another order": '{"w":"é","v":100.0}',
    "with an exponent": '{"v":1e2,"w":"é"}',
    "with a zero more": '{"v":100.00,"w":"é"}',
    "with an escape": '{"v":100.0,"w":"\\u00e9"}',
    "with an escaped name": '{"\\u0076":100.0,"w":"é"}',
    "with a name twice": '{"v":1,"v":100.0,"w":"é"}',
}
NUMBERS = st.sampled_from(
    [
        *["0", "-0", "-0.0", "0.0", "1", "-1", "01", "1.0", "1.50", "0.5", ".5", "5.", "1e2", "1E2", "1e-2", "1e16"],
        *["1e400", "0.0001", "0.00001", "2.00001", "3.0000", "0.1", "0.10", "123456789.5", "12345678.0"],
        *["1234567.1234567", "12345678.12345678", "100000000000000000000.0", "123456789012345678"],
        *["1234567890123456789", "9223372036854775807", "9223372036854775808", "true", "false", "null", "NaN"],
    ]
)


@pytest.fixture
def members() -> Iterator[list[Member]]:
    found = [new_member(name, Wall(NOW), seed) for seed, name in enumerate("FAB", 1)]
    yield found
    for member in found:
        member.close()


def canonical(text: str) -> bool:
    """What `is_canonical` says, said slowly."""
    try:
        return encode(decode_object(text)) == text
    except (ValueError, RecursionError):
        return False


@given(DOCUMENTS)
def test_what_a_node_writes_is_canonical(fields: dict):
    assert is_canonical(encode_document(fields, "c/k"))


@given(DOCUMENTS, st.sampled_from([None, 1]), st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ":")]))
def test_any_other_spelling_is_not(fields: dict, indent: int | None, sort: bool, escape: bool, marks: tuple[str, str]):
    text = json.dumps(fields, indent=indent, sort_keys=sort, ensure_ascii=escape, separators=marks)
    assert is_canonical(text) == canonical(text)
    if looks_safe(text):
        assert text == encode_document(fields, "c/k")
    assert compose(check_document(text)) == encode_document(fields, "c/k")


@given(st.lists(st.tuples(TEXTS, NUMBERS), max_size=3), st.sampled_from(["", " ", "\n"]))
def test_numbers_are_canonical_as_python_writes_them(pairs: list[tuple[str, str]], gap: str):
    text = "{" + ",".join(f"{encode(name)}:{gap}{number}" for name, number in pairs) + "}"
    assert is_canonical(text) == canonical(text)


@given(st.text(st.sampled_from('{}[]",:\\ \n\x00aé10.-e'), max_size=12))
def test_any_text_is_judged_as_by_reading_and_writing_it(text: str):
    assert is_canonical(text) == canonical(text)
    assert is_canonical("{" + text + "}") == canonical("{" + text + "}")


@given(DOCUMENTS, st.lists(DOCUMENTS, max_size=3))
def test_what_was_judged_before_makes_no_difference(before: dict, fields: list[dict]):
    """After many documents of one shape a pattern tells: it must tell the same."""
    habit = encode_document(before, "c/k")
    for _ in range(2 * spelling._LEARN_EVERY):
        assert is_canonical(habit)
    for other in (*fields, *[dict.fromkeys(before, value) for drawn in fields for value in drawn.values()]):
        for text in (json.dumps(other), json.dumps(other, separators=(",", ":")), encode_document(other, "c/k")):
            assert is_canonical(text) == canonical(text)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3),
    st.text("0123456789", max_size=2),
)
def test_floats_of_many_digits_are_judged_by_writing_them_back(numbers: list[float], more: str):
    for number in numbers:
        habit = encode({"a": number, "b": [number], "c": 0.12345678901234568})
        for _ in range(2 * spelling._LEARN_EVERY):
            assert is_canonical(habit)
        for other in numbers:
            text = f'{{"a":{other}{more},"b":[{other}{more}],"c":0.5}}'
            assert is_canonical(text) == canonical(text)


@pytest.mark.parametrize("name", ['a"', "a\\", ":a", ",", "{", "a.b*", "é", ""])
def test_names_that_look_like_marks_are_judged_like_others(name: str):
    for _ in range(2 * spelling._LEARN_EVERY):
        for value in ("x", ",", '"', ":", 1):
            assert is_canonical(encode_document({name: value, "b": 1}, "c/k"))
            text = f'{{"b":1,{encode(name)}:{encode(value)}}}'
            assert is_canonical(text) == canonical(text)


def spelled(batch: FeedBatch, text: str) -> FeedBatch:
    return replace(batch, delta=replace(batch.delta, doc=[text]))


def digests(*members: Member) -> set[int]:
    return {member.connection.execute("SELECT digest FROM node").fetchone()[0] for member in members}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nodes_that_take_in_one_write_by_different_ways_keep_one_text(members: list[Member], spelling: str):
    """One inserted what came, the other joined it: their digests once parted for ever, under equal vectors."""
    foreign, a, b = members
    write(foreign, "k", Put({"v": "1"}))
    write(foreign, "k", Delete())
    apply(b, foreign, read(foreign, b))
    write(foreign, "k", Put({"v": "100.0", "w": '"é"'}))
    for member in (a, b):
        assert apply(member, foreign, spelled(read(foreign, member), SPELLINGS[spelling])).completed
        assert document(member, "k") == WRITTEN
    assert a.vector == b.vector
    assert len(digests(foreign, a, b)) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("edit", [Put({"v": "100.0", "w": '"é"'}), Update({"v": "100.0", "w": '"é"'})])
def test_a_successor_is_kept_as_any_node_writes_it(members: list[Member], spelling: str, edit: Put | Update):
    foreign, a, b = members
    write(foreign, "k", Put({"v": "1", "u": "1"}))
    apply(a, foreign, read(foreign, a))
    write(foreign, "k", edit)
    for member in (a, b):
        batch = read(foreign, member)
        (came,) = batch.delta.doc
        text = SPELLINGS[spelling] if "u" not in came else SPELLINGS[spelling].replace("{", '{"u":1,', 1)
        assert apply(member, foreign, spelled(batch, text)).completed
    assert document(a, "k") == document(b, "k") == document(foreign, "k")
    assert len(digests(foreign, a, b)) == 1


def test_siblings_in_cells_are_kept_as_any_node_writes_them():
    """Once the last of them stands alone, its text becomes part of the document."""
    actor = Actor("0a" * 16)
    shape = [[1, 3], {"v": [[0, 0, "1e2", None], [1, 0, '{ "b":1, "a":2 }', None]]}]
    cells = msgpack.packb([msgpack.packb(shape), 1, 1, 5, 0, 1, 2, 6, 0])
    cell = unpack({}, cells, {1: actor}).cells["v"]
    assert [sibling.value for sibling in cell.values()] == ["100.0", '{"a":2,"b":1}']
