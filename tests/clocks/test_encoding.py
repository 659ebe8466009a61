"""The byte form of vectors: canonical, compact, and closed to everything else."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clocks import EMPTY, SEQ_MAX, Actor, NodeId, VersionVector, actor_of
from holdfast.clocks.encoding import ENTRIES_MAX
from holdfast.errors import MalformedVector
from tests.strategies import any_vectors, vectors

LOW, HIGH = b"\x0a" * 8, b"\xf0" * 8


def decode_or_refuse(data: bytes) -> None:
    """Bytes are either refused or the only bytes of what they decode to."""
    try:
        vector = VersionVector.decode(data)
    except MalformedVector:
        return
    assert vector.encode() == data


@given(any_vectors())
def test_decode_restores_what_encode_wrote(vector: VersionVector) -> None:
    assert VersionVector.decode(vector.encode()) == vector


@given(vectors(2), vectors(2))
def test_equal_vectors_have_equal_bytes_and_fingerprints(a: VersionVector, b: VersionVector) -> None:
    assert (a.encode() == b.encode()) == (a == b)
    assert (a.fingerprint() == b.fingerprint()) == (a == b)
    assert a.join(b).encode() == b.join(a).encode()


@given(any_vectors())
def test_the_fingerprint_is_a_hash_of_the_bytes(vector: VersionVector) -> None:
    assert vector.fingerprint() == blake2b(vector.encode(), digest_size=8).digest()
    assert VersionVector.decode(vector.encode()).fingerprint() == vector.fingerprint()


def test_the_bytes_are_the_documented_ones() -> None:
    vector = VersionVector(
        {
            actor_of(NodeId(HIGH.hex()), LOW.hex()): 300,
            actor_of(NodeId(LOW.hex()), HIGH.hex()): 1,
            actor_of(NodeId(LOW.hex()), LOW.hex()): SEQ_MAX,
        }
    )
    group_low = LOW + b"\x02" + LOW + b"\xff" * 8 + b"\x7f" + HIGH + b"\x01"
    assert vector.encode() == b"\x01\x02" + group_low + HIGH + b"\x01" + LOW + b"\xac\x02"
    assert EMPTY.encode() == b"\x01\x00"


@settings(max_examples=300)
@given(any_vectors(), st.data())
def test_a_changed_byte_is_refused_or_another_vectors_only_encoding(vector: VersionVector, data: st.DataObject) -> None:
    raw = bytearray(vector.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    decode_or_refuse(bytes(raw))


@given(any_vectors(), st.data())
def test_an_inserted_byte_is_refused_or_another_vectors_only_encoding(
    vector: VersionVector, data: st.DataObject
) -> None:
    raw = bytearray(vector.encode())
    raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.sampled_from([0x00, 0x01, 0x80, 0xFF])))
    decode_or_refuse(bytes(raw))


@given(any_vectors())
def test_every_cut_is_refused(vector: VersionVector) -> None:
    raw = vector.encode()
    for end in range(len(raw)):
        with pytest.raises(MalformedVector):
            VersionVector.decode(raw[:end])


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"\x01\x01" + LOW + b"\x01" + tail)))
def test_arbitrary_bytes_are_refused_or_canonical(data: bytes) -> None:
    decode_or_refuse(data)


GROUP_LOW = LOW + b"\x01" + HIGH + b"\x01"
GROUP_HIGH = HIGH + b"\x01" + HIGH + b"\x01"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "format byte"),
        (b"\x00\x00", "format byte"),
        (b"\x02\x00", "format byte"),
        (b"\x01", "ends inside a number"),
        (b"\x01\x80", "ends inside a number"),
        (b"\x01\x01" + LOW[:7], "ends inside an entry"),
        (b"\x01\x01" + LOW + b"\x01" + HIGH[:7], "ends inside an entry"),
        (b"\x01\x01" + GROUP_LOW[:-1], "ends inside a number"),
        (b"\x01\x00\x00", "bytes follow"),
        (b"\x01\x01" + GROUP_LOW + b"\x00", "bytes follow"),
        (b"\x01\x02" + GROUP_HIGH + GROUP_LOW, "nodes are not in strictly ascending"),
        (b"\x01\x02" + GROUP_LOW + GROUP_LOW, "nodes are not in strictly ascending"),
        (b"\x01\x01" + LOW + b"\x02" + HIGH + b"\x01" + LOW + b"\x01", "incarnations are not in strictly ascending"),
        (b"\x01\x01" + LOW + b"\x02" + HIGH + b"\x01" + HIGH + b"\x02", "incarnations are not in strictly ascending"),
        (b"\x01\x01" + LOW + b"\x00", "without an entry"),
        (b"\x01\x01" + LOW + b"\x01" + HIGH + b"\x00", "sequence number 0"),
        (b"\x01\x80\x00", "longer than needed"),
        (b"\x01\x01" + LOW + b"\x01" + HIGH + b"\x81\x00", "longer than needed"),
        (b"\x01\x01" + LOW + b"\x01" + HIGH + b"\xff" * 9 + b"\x01", "2\\*\\*63 or more"),
        (b"\x01" + b"\xff" * 9, "2\\*\\*63 or more"),
    ],
)
def test_each_departure_from_the_canonical_form_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedVector, match=reason):
        VersionVector.decode(data)


@pytest.mark.parametrize("name", [b"\x00" * 8, b"\xff" * 8])
def test_names_at_the_ends_of_their_range_are_read(name: bytes) -> None:
    vector = VersionVector({actor_of(NodeId(name.hex()), name.hex()): 1})
    assert VersionVector.decode(vector.encode()) == vector


def fleet(size: int) -> VersionVector:
    return VersionVector({Actor(f"{n:016x}{n:016x}"): n + 1 for n in range(size)})


def test_a_vector_at_the_limit_is_read_and_one_above_it_is_refused() -> None:
    assert len(VersionVector.decode(fleet(ENTRIES_MAX).encode())) == ENTRIES_MAX
    with pytest.raises(MalformedVector, match="more than 100000 entries"):
        VersionVector.decode(fleet(ENTRIES_MAX + 1).encode())


def test_a_claim_of_many_entries_is_refused_before_they_are_read() -> None:
    claim = b"\x01\x01" + LOW + b"\xa1\x8d\x06"
    with pytest.raises(MalformedVector, match="more than 100000 entries"):
        VersionVector.decode(claim)


def test_ten_thousand_nodes_take_about_two_hundred_kilobytes() -> None:
    assert len(fleet(10_000).encode()) < 200_000


def test_the_refusal_names_the_bytes() -> None:
    with pytest.raises(MalformedVector) as caught:
        VersionVector.decode(b"\x07rubbish")
    assert "8 bytes" in caught.value.subject
