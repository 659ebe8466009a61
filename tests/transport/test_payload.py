"""Payloads: no input nests, announces or repeats its way into memory."""

from __future__ import annotations

import tracemalloc
from functools import cache

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import MalformedMessage
from holdfast.transport.payload import INT_MAX, PayloadReader, pack

READS = [
    lambda reader: reader.integer("f"),
    lambda reader: reader.boolean("f"),
    lambda reader: reader.text("f", 100),
    lambda reader: reader.blob("f", 100),
    lambda reader: reader.fixed("f", 0, 8),
    lambda reader: reader.integer_or_blob("f"),
    lambda reader: reader.integer_or_blob_or_nil("f"),
]


@cache
def hostile():
    """Payloads of one item that a generic parser would turn into much memory or a deep stack."""
    million = b"".join(msgpack.packb(f"k{number}") + b"\x01" for number in range(10**6))
    return {
        "100,000 nested arrays": b"\x91" + b"\x91" * 100_000,
        "100,000 nested maps": b"\x91" + b"\x81\x01" * 100_000,
        "nested arrays of many": b"\x91" + b"\xdc\xff\xff" * 100_000,
        "a map of a million keys": b"\x91\xdf\x00\x0f\x42\x40" + million,
        "a map that repeats a key": b"\x91\x82\x01\x01\x01\x02",
        "an array that announces 2**32": b"\x91\xdd\xff\xff\xff\xff",
        "bytes that announce 2**32": b"\x91\xc6\xff\xff\xff\xff",
        "text that announces 2**32": b"\x91\xdb\xff\xff\xff\xff",
        "an extension": b"\x91\xc9\x00\x00\x00\x01\x05a",
        "a time": b"\x91\xd6\xff\x00\x00\x00\x00",
        "a byte without meaning": b"\x91\xc1",
        "text that is no UTF-8": b"\x91\xa2\xff\xff",
        "nothing": b"\x91",
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_items_are_refused_without_their_memory(name):
    payload = hostile()[name]
    for read in READS:
        tracemalloc.start()
        reader = PayloadReader(payload, "test")
        with pytest.raises(MalformedMessage, match=r"\(test\.f\)"):
            read(reader)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 * 1024 + 2 * len(payload)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x81\x01\x01", b"\xa1x", b"\xdc\x00", b"\xc1"])
def test_a_payload_that_is_no_array_is_refused(payload):
    with pytest.raises(MalformedMessage, match="not an array"):
        PayloadReader(payload, "test")


def test_every_type_is_told_from_every_other():
    fitting = [(5,), (True,), ("text",), (b"12345678",), (b"12345678",), (5, b"12"), (5, b"12", None)]
    every = [None, True, 5, 1.5, "text", b"12345678", b"12"]
    for read, fits in zip(READS, fitting, strict=True):
        for item in every:
            if any(type(item) is type(one) for one in fits) and not (read is READS[4] and item == b"12"):
                assert read(PayloadReader(pack([item]), "test")) == item
            else:
                with pytest.raises(MalformedMessage):
                    read(PayloadReader(pack([item]), "test"))


def test_limits_are_exact():
    for value in (0, INT_MAX):
        assert PayloadReader(pack([value]), "test").integer("f") == value
    for value in (-1, INT_MAX + 1):
        with pytest.raises(MalformedMessage, match="from 0 to"):
            PayloadReader(pack([value]), "test").integer("f")
    assert PayloadReader(pack(["öö"]), "test").text("f", 4) == "öö"
    with pytest.raises(MalformedMessage, match="at most 3 bytes"):
        PayloadReader(pack(["öö"]), "test").text("f", 3)
    assert PayloadReader(pack([b"123"]), "test").blob("f", 3) == b"123"
    with pytest.raises(MalformedMessage, match="at most 2 bytes"):
        PayloadReader(pack([b"123"]), "test").blob("f", 2)


def test_items_of_a_later_version_are_skipped_and_stray_bytes_are_not():
    later = PayloadReader(msgpack.packb([1, {"new": [[]]}]), "test")
    assert later.integer("f") == 1
    later.finish()
    stray = PayloadReader(pack([1]) + b"\x01", "test")
    assert stray.integer("f") == 1
    with pytest.raises(MalformedMessage, match="follow"):
        stray.finish()


@given(st.binary(max_size=40), st.lists(st.sampled_from(READS), max_size=6))
def test_arbitrary_payloads_are_read_or_refused(payload, reads):
    try:
        reader = PayloadReader(b"\x96" + payload, "test")
        for read in reads:
            read(reader)
        reader.finish()
    except MalformedMessage:
        pass
