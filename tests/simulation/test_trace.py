"""The trace: bounded, hashed over everything, readable."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from holdfast.simulation.kernel.trace import Row, Trace, clock_text, first_difference, render

ROWS = st.lists(st.tuples(st.integers(0, 2**50), st.text(max_size=5), st.text(max_size=5), st.text(max_size=9)))


def filled(rows, **options):
    trace = Trace(**options)
    for row in rows:
        trace.add(*row)
    return trace


def test_only_the_last_rows_are_kept_and_the_hash_covers_all():
    short = filled([(number, "a", "wrote", str(number)) for number in range(10)], keep=3)
    whole = filled([(number, "a", "wrote", str(number)) for number in range(10)], keep=None)
    assert [row.time_us for row in short] == [7, 8, 9]
    assert (short.count, len(short), len(whole)) == (10, 3, 10)
    assert short.digest() == whole.digest()
    other = filled([(number, "a", "wrote", str(max(number, 1))) for number in range(10)], keep=3)
    assert list(other) == list(short)
    assert other.digest() != short.digest()


@given(ROWS, ROWS)
def test_the_hash_tells_traces_apart(left, right):
    assert (filled(left).digest() == filled(right).digest()) == (left == right)


def test_state_digests_and_steps_are_part_of_the_hash():
    digests = set()
    for state, steps in [(b"\1", [1, 2]), (b"\2", [1, 2]), (b"\1", [2, 1]), (b"\1", [1, 2, 3])]:
        trace = Trace()
        trace.state(5, "a", state)
        trace.ran(steps)
        digests.add(trace.digest())
    assert len(digests) == 4
    assert Row(5, "a", "state", "01") == next(iter(filled([(5, "a", "state", "01")])))


def test_text_has_aligned_columns():
    trace = filled([(1_500_000, "hub", "opened", ""), (90_061_000_001, "", "cut", "a | b\nnext")], keep=None)
    assert trace.text().splitlines() == [
        "   00:00:01.500000  hub  opened",
        "1d 01:01:01.000001  -    cut     a | b\\nnext",
    ]


def test_text_says_how_many_rows_are_missing():
    assert filled([(0, "a", "x", "")] * 5, keep=2).text().startswith("... 3 earlier rows are not kept\n")
    assert render([]) == ""


@given(st.integers(0, 10**15))
def test_moments_in_text_sort_as_they_follow(time_us):
    days, rest = divmod(time_us, 86_400_000_000)
    text = clock_text(time_us)
    assert text.startswith(f"{days}d ") == (days > 0)
    assert text.endswith(f".{rest % 1_000_000:06}")


def test_json_rows_name_their_columns():
    (line,) = filled([(7, "a", "synced", "3 é")]).json_lines()
    assert json.loads(line) == {"time_us": 7, "node": "a", "what": "synced", "detail": "3 é"}


def test_the_first_difference_names_both_rows():
    same = Row(1, "a", "x", "")
    left, right = Row(2, "a", "x", ""), Row(2, "b", "x", "")
    assert first_difference([same, left], [same, right]) == (1, left, right)
    assert first_difference([same], [same, right]) == (1, None, right)
    assert first_difference([same, left], [same]) == (1, left, None)
    assert first_difference([same], [same]) is None
