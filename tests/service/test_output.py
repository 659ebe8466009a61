"""Text for people."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from holdfast.service.output import facts, moment, printable, shown, table

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    assert table(("name", "records"), [("a", 5), ("cities", 26_467)]) == (
        "name    records\n"
        "a             5\n"
        "cities   26,467"
    )  # fmt: skip


def test_wide_characters_count_as_two_and_combining_ones_as_none():
    assert table(("n", "x"), [("日本", "a"), ("e\u0301", "b")]) == "n     x\n日本  a\ne\u0301     b"


def test_a_table_without_rows_has_its_heads():
    assert table(("a", "b"), []) == "a  b"


def test_facts_align_their_values():
    assert facts([("file", "a.db"), ("lsn", 1_000), ("none", None)]) == "file  a.db\nlsn   1,000\nnone  -"


@given(st.text(st.characters()))
def test_printable_text_prints(text: str):
    assert printable(text).isprintable()


@given(json_values)
def test_a_value_that_is_shown_is_printable_json(value: object):
    text = shown(value)
    assert text.isprintable()
    assert json.loads(text) == value


def test_moments_that_no_calendar_has_are_shown_as_numbers():
    assert moment(None) == "never"
    assert moment(0) == "1970-01-01 00:00:00Z"
    assert moment(2**60) == f"{2**60} ms"
