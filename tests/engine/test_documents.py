"""Documents: the round trip, one text per value, limits to the byte, and every value that is no JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.documents import (
    DEPTH_MAX,
    INTEGER_MAX,
    KEY_BYTES_MAX,
    NAME_CHARS_MAX,
    RECORD_BYTES_MAX,
    check_document,
    check_key,
    check_name,
    compose,
    decode_object,
    encode_document,
    encode_value,
    nesting,
    split,
)
from holdfast.engine.outline import FIELDS_MAX, LEARN_AFTER, Outline
from holdfast.engine.spelling import looks_safe
from holdfast.errors import InvalidKey, InvalidName, InvalidValue

from .cells import deep

SURROGATES = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(SURROGATES, max_size=8)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-INTEGER_MAX - 1, INTEGER_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=5)


class Text(str):
    __slots__ = ()


class Fields(dict):
    pass


@given(DOCUMENTS)
def test_a_document_reads_back_as_it_was(fields: dict):
    assert repr(decode_object(encode_document(fields, "c/k"))) == repr(json.loads(encode_document(fields, "c/k")))
    assert decode_object(encode_document(fields, "c/k")) == fields


@given(DOCUMENTS)
def test_equal_documents_have_one_text(fields: dict):
    text = encode_document(fields, "c/k")
    assert encode_document(dict(reversed(fields.items())), "c/k") == text
    assert encode_document(decode_object(text), "c/k") == text


@given(DOCUMENTS)
def test_splitting_and_composing_changes_nothing(fields: dict):
    text = encode_document(fields, "c/k")
    parts = split(text)
    assert parts == {name: encode_value(value, "c/k") for name, value in fields.items()}
    assert compose(parts) == text


@given(DOCUMENTS)
def test_text_that_is_laid_out_otherwise_splits_into_the_same_values(fields: dict):
    loose = json.dumps(fields, indent=1)
    assert split(loose) == split(encode_document(fields, "c/k"))


@given(DOCUMENTS)
def test_what_a_node_writes_is_taken_from_a_peer(fields: dict):
    check_document(encode_document(fields, "c/k"))


@pytest.mark.parametrize(
    "text", ["", "1", "[1]", "{", '{"v":1]', '["v":1}', '{"v":1}x', '{"v"}', '{"v":}', "{v:1}", "{}}"]
)
def test_text_that_is_no_object_does_not_split(text: str):
    with pytest.raises(ValueError, match=r".*"):
        split(text)


BAD = {
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "an integer above 64 bits": INTEGER_MAX + 1,
    "an integer below 64 bits": -INTEGER_MAX - 2,
    "a lone surrogate": "\ud800",
    "bytes": b"x",
    "a tuple": (1,),
    "a set": {1},
    "a complex number": 1j,
    "an object": object(),
    "a text of a subclass": Text("x"),
    "a dict of a subclass": Fields(),
}
PLACES = {
    "as a field": lambda bad: {"v": bad},
    "in a list": lambda bad: {"v": [1, bad]},
    "in an object": lambda bad: {"v": {"w": bad}},
    "beside others": lambda bad: {"u": 1, "v": bad, "w": [{}]},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_value_is_refused(what: str, place: str):
    with pytest.raises(InvalidValue) as caught:
        encode_document(PLACES[place](BAD[what]), "c/k")
    assert caught.value.subject.startswith("c/k")


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_value_of_a_field_is_refused(what: str):
    with pytest.raises(InvalidValue):
        encode_value([BAD[what]], "c/k")


@pytest.mark.parametrize("name", [1, None, True, b"v", ("v",), Text("v"), "\ud800"])
@pytest.mark.parametrize("wrap", [lambda fields: fields, lambda fields: {"v": fields}, lambda fields: {"v": [fields]}])
def test_a_name_that_is_no_text_is_refused(name: object, wrap):
    with pytest.raises(InvalidValue):
        encode_document(wrap({name: 1}), "c/k")


@pytest.mark.parametrize("fields", [None, [], "{}", 1, Fields()])
def test_a_record_that_is_no_dict_is_refused(fields: object):
    with pytest.raises(InvalidValue):
        encode_document(fields, "c/k")


@pytest.mark.parametrize("value", [INTEGER_MAX, -INTEGER_MAX - 1, 0.1, -0.0, 5e-324, 1.7976931348623157e308, "", "\0"])
def test_values_at_the_edge_read_back(value: object):
    fields = {"v": value, "w": [value]}
    assert repr(decode_object(encode_document(fields, "c/k"))) == repr(fields)


def test_a_document_may_nest_so_deep_and_no_deeper():
    encode_document({"v": deep(DEPTH_MAX - 1)}, "c/k")
    with pytest.raises(InvalidValue):
        encode_document({"v": deep(DEPTH_MAX)}, "c/k")


def test_a_value_may_nest_as_deep_as_in_a_document():
    encode_value(deep(DEPTH_MAX - 1), "c/k")
    with pytest.raises(InvalidValue):
        encode_value(deep(DEPTH_MAX), "c/k")


def test_nesting_that_would_exhaust_the_stack_is_refused():
    with pytest.raises(InvalidValue):
        encode_document({"v": deep(100_000)}, "c/k")


@pytest.mark.parametrize("char", ["x", "é", "漢", "😀"])
def test_a_document_may_have_so_many_bytes_and_no_more(char: str):
    frame = len(encode_document({"v": ""}, "c/k"))
    room = RECORD_BYTES_MAX - frame
    full = char * (room // len(char.encode()))
    filled = full + "y" * (room - len(full.encode()))
    assert len(encode_document({"v": filled}, "c/k").encode()) == RECORD_BYTES_MAX
    with pytest.raises(InvalidValue):
        encode_document({"v": filled + "y"}, "c/k")


def test_a_key_may_have_so_many_bytes_and_no_more():
    for key in ("k" * KEY_BYTES_MAX, "é" * (KEY_BYTES_MAX // 2), " ", "a/b", "\x01"):
        assert check_key(key, "c") == key
    for key in (
        "k" * (KEY_BYTES_MAX + 1),
        "é" * (KEY_BYTES_MAX // 2) + "k",
        "",
        "a\0b",
        "\ud800",
        1,
        None,
        b"k",
        Text("k"),
    ):
        with pytest.raises(InvalidKey):
            check_key(key, "c")


def test_a_name_is_short_printable_text():
    for name in ("c", "Ä b", "n" * NAME_CHARS_MAX):
        assert check_name(name, "collection") == name
    for name in ("", "n" * (NAME_CHARS_MAX + 1), "a\nb", "\0", "\ud800", 1, None, Text("c")):
        with pytest.raises(InvalidName):
            check_name(name, "collection")


@given(st.text('[]{}"\\a', max_size=20))
def test_brackets_inside_text_do_not_nest(text: str):
    assert nesting(json.dumps([text])) == 1


@given(VALUES)
def test_nesting_is_the_depth_of_containers(value: object):
    def depth(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    assert nesting(json.dumps(value)) == depth(value)


@given(st.dictionaries(TEXTS, SCALARS, max_size=5))
def test_a_flat_document_of_a_node_looks_safe(fields: dict):
    text = encode_document(fields, "c/k")
    assert looks_safe(text) or "[" in text or "{" in text[1:] or "\\ud" in text


@pytest.mark.parametrize("text", ["[" * 65, '{"v":"\\ud800"}', '{"v":"\\ud83d\\ude00"}', '["v":1}', '{"v":1]', "", "1"])
def test_text_that_must_be_looked_at_does_not_look_safe(text: str):
    assert not looks_safe(text)


@pytest.mark.parametrize(
    "text", ["[1]", "1", "{", '{"v":NaN}', '{"v":"\\ud800"}', '{"\\ud800":1}', '{"v":' + "[" * 5000]
)
def test_a_document_that_no_node_writes_is_refused(text: str):
    with pytest.raises(InvalidValue):
        check_document(text)


TRICKY = st.sampled_from(
    ["x", "a,", ',"a":', '":', "{", "}", '{"a":1', "\\", '"', '\\"a":', ',\\"b":1', "a", 'b":', "\u00a0", ",", "["]
)
VALUES = st.one_of(
    TRICKY, st.integers(-9, 9), st.lists(TRICKY, max_size=3), st.dictionaries(TRICKY, TRICKY, max_size=2)
)
OUTLINED = st.dictionaries(
    st.sampled_from(["a", "b", "c", "_id", "é", ",", ":", "a,", "}", '"', "1", " a", "a b"]), VALUES, max_size=5
)


@given(OUTLINED, st.sets(st.sampled_from(["a", "b", "c", "_id", "é", ",", ":"])), st.booleans())
def test_an_outline_cuts_as_splitting_does(fields: dict, others: set[str], learnt: bool):
    text = encode_document(fields, "c/k")
    parts = split(text)
    for names in (tuple(sorted(fields)), tuple(sorted(others))):
        drawn = Outline(names)
        if learnt:
            learn(drawn)
        assert drawn.split(text) == parts
        cut = drawn.cut(text)
        assert cut is None if names != (*parts,) else [*cut] == [*parts.values()]
        if cut is not None:
            assert drawn.compose(cut) == text


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"b":"x,y","c":[1,2]}', '{"a":"\\"b\\":2","b":{"d":"}"},"c":-1.5e-07}', '{"a":"","b":[[{}]],"c":null}'],
)
def test_a_learnt_outline_knows_all_values(text: str):
    drawn = Outline(("a", "b", "c"))
    learn(drawn)
    assert drawn.cut(text) == [*split(text).values()] or drawn.cut(text) == (*split(text).values(),)


def test_a_document_of_many_fields_is_split_as_ever():
    names = tuple(sorted(f"f{number}" for number in range(FIELDS_MAX + 1)))
    drawn = Outline(names)
    learn(drawn)
    assert drawn.cut(encode_document(dict.fromkeys(names, 1), "c/k")) == ["1"] * len(names)


def learn(drawn: Outline) -> None:
    """Show an outline so many documents that it gets a pattern."""
    for _ in range(LEARN_AFTER + 1):
        drawn.cut("{}")
