"""Frames: the header refuses before anything is stored, and a damaged body is never taken for another."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from contextlib import suppress
from functools import cache
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import FrameTooLarge, IncompatibleProtocol, MalformedFrame, ProtocolError
from holdfast.transport.frame import (
    EXPANSION_MAX,
    FRAME_RAW_BYTES_MAX,
    HEADER_BYTES,
    Frame,
    FrameReader,
    FrameType,
    decode_body,
    decode_header,
    encode_frame,
)

PAYLOAD = b"".join(b'{"key":%d,"title":"a title"}' % number for number in range(200))
MIB = 1024 * 1024


def forged(body, raw_length, *, magic=b"HF", version=1, kind=2, flags=1, stream=0, payload=b"", body_length=None):
    """A frame whose header says what the test wants, with a right checksum for `payload`."""
    length = len(body) if body_length is None else body_length
    prefix = struct.pack(">2sBBBBHII", magic, version, kind, flags, 0, stream, raw_length, length)
    return prefix + struct.pack(">I", zlib.crc32(payload, zlib.crc32(prefix))) + body


def read(data):
    """All frames of one chunk."""
    reader = FrameReader()
    reader.feed(data)
    frames = []
    while (frame := reader.next()) is not None:
        frames.append(frame)
    return frames, reader


def peak_of(data, error):
    """Bytes that Python allocated at most while refusing `data`."""
    reader = FrameReader()
    reader.feed(data)
    tracemalloc.start()
    try:
        with pytest.raises(error):
            reader.next()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(st.sampled_from(FrameType), st.binary(max_size=400), st.booleans(), st.integers(1, 3))
def test_what_was_framed_is_read(kind, payload, more, repeated):
    frames, reader = read(encode_frame(kind, payload * repeated, more=more))
    assert frames == [Frame(type=kind, more=more, payload=payload * repeated)]
    assert reader.idle


@given(st.lists(st.binary(max_size=300), max_size=5), st.lists(st.integers(0, 1600), max_size=8))
def test_any_chunking_reads_as_the_whole(payloads, cuts):
    stream = b"".join(encode_frame(FrameType.BATCH, payload * 3) for payload in payloads)
    reader, frames = FrameReader(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        reader.feed(stream[start:end])
        while (frame := reader.next()) is not None:
            frames.append(frame)
    assert frames == read(stream)[0]
    assert [frame.payload for frame in frames] == [payload * 3 for payload in payloads]


def test_a_compressible_payload_travels_compressed_and_a_small_one_as_it_is():
    assert len(encode_frame(FrameType.BATCH, PAYLOAD)) < len(PAYLOAD) / 4
    assert encode_frame(FrameType.ACK, b"aaaaaaaa").endswith(b"aaaaaaaa")


def test_every_truncation_is_an_unfinished_frame():
    whole = encode_frame(FrameType.BATCH, PAYLOAD)
    for size in range(len(whole)):
        frames, reader = read(whole[:size])
        assert frames == []
        assert reader.idle == (size == 0)


@pytest.mark.parametrize("payload", [b"a short payload", PAYLOAD], ids=["stored", "compressed"])
def test_no_flipped_bit_yields_another_frame(payload):
    whole = encode_frame(FrameType.BATCH, payload)
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            frames, _ = read(bytes(damaged))
        except ProtocolError:
            continue
        # A greater length waits for bytes that never come; zstd has bits that mean nothing.
        assert frames in ([], [Frame(type=FrameType.BATCH, more=False, payload=payload)])


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"magic": b"HT"}, MalformedFrame, "magic"),
        ({"version": 2}, IncompatibleProtocol, "version 2"),
        ({"version": 0}, IncompatibleProtocol, "version 0"),
        ({"kind": 0}, MalformedFrame, "type 0"),
        ({"kind": 11}, MalformedFrame, "type 11"),
        ({"flags": 4}, IncompatibleProtocol, "encrypted"),
        ({"flags": 8}, IncompatibleProtocol, "signed"),
        ({"flags": 16}, IncompatibleProtocol, "reserves"),
        ({"stream": 1}, IncompatibleProtocol, "reserves"),
        ({"flags": 0, "raw_length": 4}, MalformedFrame, "uncompressed"),
    ],
)
def test_a_header_that_this_version_does_not_read_is_refused(fields, error, words):
    given = {"raw_length": 5, "payload": b"12345"} | fields
    with pytest.raises(error, match=words):
        decode_header(forged(b"12345", **given))


def test_a_short_header_and_a_short_body_are_refused():
    whole = encode_frame(FrameType.ACK, b"12345")
    with pytest.raises(MalformedFrame, match="header of 19 bytes"):
        decode_header(whole[: HEADER_BYTES - 1])
    with pytest.raises(MalformedFrame, match="4 bytes of body"):
        decode_body(decode_header(whole), b"1234")


def test_a_payload_at_the_limit_passes_and_one_byte_more_is_refused():
    payload = b"x" * FRAME_RAW_BYTES_MAX
    assert read(encode_frame(FrameType.BATCH, payload))[0][0].payload == payload
    with pytest.raises(AssertionError):
        encode_frame(FrameType.BATCH, payload + b"x")
    longer = payload + b"x"
    for data in (
        forged(zstandard.compress(longer), len(longer), payload=longer),
        forged(longer, len(longer), flags=0, payload=longer),
        forged(b"", 5, body_length=FRAME_RAW_BYTES_MAX + 1),
    ):
        with pytest.raises(FrameTooLarge, match="limit is 4194304"):
            read(data)


def test_expansion_at_the_limit_passes_and_one_byte_more_is_refused():
    assert decode_header(forged(b"12", 2 * EXPANSION_MAX)).raw_length == 2 * EXPANSION_MAX
    with pytest.raises(FrameTooLarge, match="1000 for each"):
        decode_header(forged(b"12", 2 * EXPANSION_MAX + 1))


@cache
def bombs():
    """Bodies that hold or state 50 MiB, under headers that announce less, and the words of their refusal."""
    bomb = zstandard.compress(bytes(50 * MIB))
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50 * MIB))
    # By hand: a content size of 4 bytes, a window of 2**27 bytes, one uncompressed block.
    wide = b"\x28\xb5\x2f\xfd\x80\x88" + struct.pack("<I", 1000) + (1 | 1000 << 3).to_bytes(3, "little") + bytes(1000)
    two = zstandard.compress(b"a" * 500) + bomb
    return {
        "announced small": (forged(bomb, 1000), "states 52428800"),
        "announced as large as may be": (forged(bomb, EXPANSION_MAX * len(bomb)), "states 52428800"),
        "announced large": (forged(bomb, 50 * MIB), "announces 52428800"),
        "without a size": (forged(streamed, 1000), "states 18446744073709551615|states -1|states 0"),
        "behind a small one": (forged(two, 500), "cannot be decompressed"),
        "no zstd": (forged(b"not compressed at all", 1000), "cannot be decompressed"),
        "wide window": (forged(wide, 1000, payload=bytes(1000)), "window 134217728"),
        "a size that lies": (forged(lying(b"a" * 900), 1000, payload=b"a" * 900), "cannot be decompressed"),
    }


def lying(data):
    """A zstd frame of `data` whose stated content size is 100 bytes too large."""
    body = bytearray(zstandard.ZstdCompressor(write_checksum=False).compress(data))
    at = 5 if body[4] >> 5 & 1 else 6
    body[at : at + 2] = struct.pack("<H", len(data) + 100 - 256)
    assert zstandard.get_frame_parameters(bytes(body)).content_size == len(data) + 100
    return bytes(body)


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_without_its_memory(name):
    data, words = bombs()[name]
    assert peak_of(data, ProtocolError) < 64 * 1024 + 2 * len(data)
    with pytest.raises(ProtocolError, match=words):
        read(data)


def test_a_body_that_needs_a_dictionary_is_refused():
    samples = [b"record %d of a dictionary" % number for number in range(4000)]
    dictionary = zstandard.train_dictionary(2048, samples)
    payload = b"record 17 of a dictionary" * 10
    body = zstandard.ZstdCompressor(dict_data=dictionary).compress(payload)
    with pytest.raises(MalformedFrame, match="dictionary"):
        read(forged(body, len(payload), payload=payload))


def test_a_payload_beyond_the_expansion_limit_travels_as_it_is():
    payload = bytes(MIB)
    assert len(encode_frame(FrameType.BATCH, payload)) == HEADER_BYTES + MIB


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused_or_unfinished(data):
    for chunk in (data, b"HF\x01" + data):
        with suppress(ProtocolError):
            assert all(isinstance(frame, Frame) for frame in read(chunk)[0])


@given(st.data())
def test_mutated_frames_are_refused_or_equal(data):
    whole = bytearray(encode_frame(FrameType.BATCH, PAYLOAD))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        frames, _ = read(bytes(whole))
    except ProtocolError:
        return
    assert frames in ([], [Frame(type=FrameType.BATCH, more=False, payload=PAYLOAD)])
