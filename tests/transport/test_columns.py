"""Columns: what was packed is read, and no column makes more rows than were announced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import MalformedMessage
from holdfast.transport.columns import (
    pack_blobs,
    pack_integers,
    pack_steps,
    pack_texts,
    read_blobs,
    read_integers,
    read_steps,
    read_texts,
)
from holdfast.transport.payload import INT_MAX, PayloadReader, pack

SIGNED = st.one_of(st.integers(-200, 200), st.integers(-(2**63), 2**63 - 1))
EDGES = [-129, -128, 127, 128, -(2**15) - 1, -(2**15), 2**15, -(2**31) - 1, 2**31 - 1, 2**31, -(2**63), 2**63 - 1]


def reader_of(*items):
    return PayloadReader(pack(items), "test")


@given(st.lists(SIGNED))
def test_integers_round_trip(values):
    assert read_integers(reader_of(pack_integers(values)), "n", len(values), low=-(2**63)) == values


@pytest.mark.parametrize("edge", EDGES)
def test_integers_at_the_edge_of_a_width_round_trip(edge):
    assert read_integers(reader_of(pack_integers([edge, 0])), "n", 2, low=-(2**63)) == [edge, 0]


@pytest.mark.parametrize(("top", "size"), [(127, 2), (128, 4), (2**15, 8), (2**31, 16)])
def test_integers_take_the_narrowest_width(top, size):
    assert len(pack_integers([0, top])) == size
    assert pack_integers([top, top]) == top


@given(st.lists(st.one_of(st.integers(0, 200), st.integers(0, INT_MAX))))
def test_steps_round_trip(values):
    assert read_steps(reader_of(*pack_steps(values)), "n", len(values)) == values


@given(st.lists(st.text(st.sampled_from("aö\n€😀"), max_size=4)))
def test_texts_round_trip_with_line_feeds_or_without(texts):
    assert read_texts(reader_of(*pack_texts(texts)), "t", len(texts), 1000) == texts


@given(st.lists(st.binary(max_size=5)))
def test_blobs_round_trip(blobs):
    assert read_blobs(reader_of(*pack_blobs(blobs)), "b", len(blobs), 1000) == blobs


def test_a_column_of_another_length_is_refused():
    for column in (b"123", b"1" * 12, b"1" * 32, b""):
        with pytest.raises(MalformedMessage, match=r"no column of 2 integers \(test\.n\)"):
            read_integers(reader_of(column), "n", 2)
    with pytest.raises(MalformedMessage, match="no column of 0"):
        read_integers(reader_of(b"1"), "n", 0)


def test_integers_out_of_range_are_refused():
    for values in ([3, 9], [-1, 3]):
        with pytest.raises(MalformedMessage, match="from 0 to 8"):
            read_integers(reader_of(pack_integers(values)), "n", 2, high=8)
    with pytest.raises(MalformedMessage, match="each must be from 0"):
        read_steps(reader_of(INT_MAX, 1), "n", 2)
    with pytest.raises(MalformedMessage, match="each must be from 0"):
        read_steps(reader_of(5, -6), "n", 2)


def test_a_count_of_lines_that_lies_is_refused():
    for count, joined in ((0, b"a"), (1, b"a\nb"), (3, b"a\nb"), (0, b"\n")):
        with pytest.raises(MalformedMessage, match=f"must be {count} lines"):
            read_texts(reader_of(None, joined), "t", count, 100)


def test_lengths_that_lie_are_refused():
    for lengths in (b"\x01\x01", b"\x03\x01", b"\xff\x04", 2**62, -1):
        with pytest.raises(MalformedMessage, match=r"lengths add up|each must be"):
            read_blobs(reader_of(lengths, b"abc"), "b", 2, 100)


def test_texts_of_a_forbidden_size_or_encoding_are_refused():
    assert read_texts(reader_of(None, b"a\nbbb"), "t", 2, 100, range(1, 4)) == ["a", "bbb"]
    for joined in (b"a\nbbbb", b"a\n"):
        with pytest.raises(MalformedMessage, match="1 to 3 bytes"):
            read_texts(reader_of(None, joined), "t", 2, 100, range(1, 4))
    for joined in (b"\xff", b"\xed\xa0\x80"):
        with pytest.raises(MalformedMessage, match="UTF-8"):
            read_texts(reader_of(None, joined), "t", 1, 100)


@pytest.mark.parametrize("item", [None, True, "text", 1.5])
def test_an_integer_column_of_another_type_is_refused(item):
    with pytest.raises(MalformedMessage, match="integer or bytes"):
        read_integers(reader_of(item), "n", 1)
