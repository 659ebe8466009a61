"""Claims about digests: every way to compute them gives what the definition gives."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import Actor
from holdfast.engine.digest import DIGEST_MASK, alike_digests, digest_head, plain_digests

TEXT = st.text(max_size=30)
NUMBER = st.integers(0, 2**62)
HEAD = digest_head("tasks", Actor("5" * 32))


def defined(key, seq, clock, flags, doc):
    text = f"tasks\0{'5' * 32}\0{key}\0{seq}.{clock}.{flags}\0{doc}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") & DIGEST_MASK


@given(rows=st.lists(st.tuples(TEXT, NUMBER, TEXT)), clock=NUMBER, flags=st.integers(0, 3))
def test_records_alike_are_digested_as_each_by_itself(rows, clock, flags):
    expected = [defined(key, seq, clock, flags, doc) for key, seq, doc in rows]
    assert alike_digests(HEAD, clock, flags, rows) == expected
    assert plain_digests((HEAD, key, seq, clock, flags, doc) for key, seq, doc in rows) == expected
