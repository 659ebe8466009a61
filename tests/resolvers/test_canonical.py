"""Canonical JSON: one text per value, and nothing illegal gets through the check."""

from __future__ import annotations

import math
import random
import sys
from collections import OrderedDict
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resolvers import JSON, check_legal, decode, encode
from holdfast.resolvers.canonical import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, VALUE_SIZE_MAX, parse

from .strategies import json_values, look_alikes


def nested(depth: int) -> JSON:
    value: JSON = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Level(IntEnum):
    HIGH = 1


@given(json_values | look_alikes)
def test_every_legal_value_survives_the_text(value: JSON) -> None:
    check_legal(value)
    assert encode(decode(encode(value))) == encode(value)
    assert decode(encode(value)) == value


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=5), st.randoms())
def test_the_order_of_keys_leaves_no_trace(value: dict[str, JSON], rng: random.Random) -> None:
    names = list(value)
    rng.shuffle(names)
    assert encode({name: value[name] for name in names}) == encode(value)


def test_integers_and_floats_stay_different() -> None:
    assert [encode(value) for value in (1, 1.0, True, -0.0)] == ["1", "1.0", "true", "-0.0"]
    assert type(decode("1")) is int
    assert type(decode("1.0")) is float


def test_the_text_has_no_spaces_and_no_needless_escapes() -> None:
    assert encode({"b": [1, 2], "a": "é\n"}) == '{"a":"é\\n","b":[1,2]}'


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]", "", "{", "1 2", "[" * 100_000])
def test_decode_refuses_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode(text)


def test_decode_never_shares_a_value() -> None:
    assert decode("[[]]") is not decode("[[]]")


def test_encode_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match=r"\S"):
        encode(math.inf)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "NaN or infinite"),
        ([math.inf], "NaN or infinite"),
        ({"a": {1: 2}}, "key is of type int"),
        ({None: 2}, "key is of type NoneType"),
        (INTEGER_MAX + 1, "64 bits"),
        (INTEGER_MIN - 1, "64 bits"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ((1, 2), "tuple is no JSON type"),
        ({1, 2}, "set is no JSON type"),
        (b"x", "bytes is no JSON type"),
        (object(), "object is no JSON type"),
        (Level.HIGH, "Level is no JSON type"),
        (OrderedDict(a=1), "OrderedDict is no JSON type"),
        (nested(DEPTH_MAX + 1), "deeper than 64"),
        (["x" * (VALUE_SIZE_MAX // 4)] * 4, "larger than"),
    ],
    ids=lambda part: part if isinstance(part, str) and part.isascii() and len(part) < 40 else "",
)
def test_illegal_values_are_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_legal(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.extend([loop, loop])
    with pytest.raises(ValueError, match="deeper"):
        check_legal(loop)


@pytest.mark.parametrize(
    "value", [INTEGER_MAX, INTEGER_MIN, nested(DEPTH_MAX), {"a": nested(DEPTH_MAX - 1)}, "\U0001f680"]
)
def test_the_bounds_themselves_are_legal(value: JSON) -> None:
    check_legal(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e999", sys.float_info.max),
        ("-1e999", -sys.float_info.max),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -(2**63)),
        ("9" * 10_000, 2**63 - 1),
    ],
)
def test_a_number_that_no_value_can_hold_reads_as_the_nearest(text: str, value: float):
    assert decode(text) == value
    encode(decode(text))


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "{", "[" * 100_000])
def test_what_somebody_wrote_is_not_bent_into_a_value(text: str):
    with pytest.raises(ValueError, match=r"too|JSON|Expecting"):
        parse(text)


def test_an_integer_that_somebody_wrote_keeps_all_its_digits():
    assert parse("99999999999999999999") == 99999999999999999999
