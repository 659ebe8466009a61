"""JSON Lines: what is written is read back, and what is broken is named."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.service import lines as module
from holdfast.service.lines import BrokenLineError, DamagedInputError, Line, line_of, lines, plain, record_of

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(texts.filter(bool), st.dictionaries(texts.filter(lambda name: name != "key"), values, max_size=4))
def test_a_record_survives_the_way_through_a_line(key, fields):
    (line,) = lines(io.BytesIO(line_of(key, fields, "key")))
    again_key, again = record_of(line, "key")
    assert (again_key, line_of(again_key, again, "key")) == (key, line_of(key, fields, "key"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "not JSON"),
        (b'{"key": "a",', "double quotes at column 13$"),
        (b'{"key": "a"} x', "not JSON"),
        (b'{"key": "a", "n": NaN}', "NaN is no JSON"),
        (b'{"key": "a", "n": 1e999}', "too large"),
        (b'\xff{"key": "a"}', "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b'{"id": "a"}', "no field 'key'"),
        (b'{"key": null}', "neither text nor an integer"),
        (b'{"key": true}', "neither text nor an integer"),
        (b'{"key": 1.5}', "neither text nor an integer"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_record_is_said(text, why):
    with pytest.raises(BrokenLineError, match=why):
        record_of(Line(1, text), "key")


def test_an_integer_key_becomes_its_digits():
    assert record_of(Line(1, b'{"id": 12, "n": 1}'), "id") == ("12", {"n": 1})


def test_lines_are_counted_as_editors_count_them_and_blank_ones_are_passed_over():
    found = list(lines(io.BytesIO(b'\xef\xbb\xbf{"key":"a"}\r\n\n  \n{"key":"b"}')))
    assert [(line.number, record_of(line, "key")[0]) for line in found] == [(1, "a"), (4, "b")]


def test_a_line_that_is_too_long_is_passed_over_as_a_whole(monkeypatch):
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 10)
    found = list(lines(io.BytesIO(b"1234567890123\n" + b"123456789\n" + b"x" * 35)))
    assert [(line.number, line.whole) for line in found] == [(1, False), (2, True), (3, False)]
    with pytest.raises(BrokenLineError, match="longer than"):
        record_of(found[0], "key")


def test_gzip_is_recognised_by_its_first_bytes():
    packed = io.BufferedReader(io.BytesIO(gzip.compress(b'{"key":"a"}\n')))
    assert [line.text for line in lines(plain(packed))] == [b'{"key":"a"}\n']


def test_damaged_gzip_ends_behind_the_last_line_that_could_be_read():
    packed = gzip.compress("".join(f'{{"key":"{at}"}}\n' for at in range(20_000)).encode())
    for damaged, least in ((packed[:-20], 1), (packed[:40] + b"\xff" * 8 + packed[48:], 0), (packed[:11], 0)):
        last = 0
        with pytest.raises(DamagedInputError) as caught:  # noqa: PT012 - the lines before it are counted
            for line in lines(plain(io.BufferedReader(io.BytesIO(damaged)))):
                last = line.number
        assert caught.value.line == last >= least
