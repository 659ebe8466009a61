"""Comparisons by ranges: what two nodes hold differently is found exactly, whatever the parts they were told in."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.ranges import EDGE, WHOLE, Differences, Held, Part, Span, differences, part, sum_of
from holdfast.engine.storage import ranges as stored

PLACES = st.tuples(st.sampled_from(["a", "b", "ö", "日"]), st.sampled_from([*"abcdefgh", "ä", "\U0001f600", "a\nb"]))
HOLDINGS = st.dictionaries(PLACES, st.integers(1, 2**62 - 1), max_size=30)


def as_held(holding, span=WHOLE):
    """The records of a range in their order."""
    return [
        Held(place, holding[place])
        for place in sorted(holding)
        if place > span.low and (span.high == EDGE or place <= span.high)
    ]


def narrowed(mine, theirs, size_of, span=WHOLE):
    """All differences, asking again for what differs; the peer tells parts of `size_of(records)`."""
    held = as_held(theirs, span)
    found = differences(span, as_held(mine, span), part(held, size_of(len(held))))
    changed, there, here = list(found.changed), list(found.there), list(found.here)
    for narrower in found.narrower:
        assert narrower != span, "it would never end"
        more = narrowed(mine, theirs, size_of, narrower)
        changed, there, here = changed + more[0], there + more[1], here + more[2]
    return changed, there, here


@given(HOLDINGS, HOLDINGS, st.integers(1, 4), st.integers(2, 9))
def test_what_differs_is_found_and_nothing_else(mine, theirs, listed, parts):
    def size_of(count):
        return 1 if count <= listed else -(-count // parts)

    changed, there, here = narrowed(mine, theirs, size_of)
    assert sorted(changed) == sorted(p for p in mine if p in theirs and mine[p] != theirs[p])
    assert sorted(there) == sorted(theirs.keys() - mine.keys())
    assert sorted(here) == sorted(mine.keys() - theirs.keys())


@given(HOLDINGS)
def test_who_holds_the_same_is_asked_once(holding):
    held = as_held(holding)
    found = differences(WHOLE, held, part(held, 3))
    assert found == Differences()


@given(HOLDINGS, st.integers(1, 40))
def test_parts_cover_all_records_once(holding, size):
    held = as_held(holding)
    parts = part(held, size)
    assert sum(one.records for one in parts) == len(held)
    assert sum_of([Held(one.place, one.digest) for one in parts]) == sum_of(held)
    assert [one.place for one in parts] == sorted({one.place for one in parts})


def database(holding):
    """A file's tables as far as ranges read them; collections have numbers against the order of their names."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(
        "CREATE TABLE node (feed, lsn, digest); CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE stretch (first, id); CREATE TABLE record (collection, key TEXT, digest)"
    )
    names = {name: number for number, name in enumerate(sorted({name for name, _ in holding}, reverse=True), 1)}
    connection.execute("INSERT INTO node VALUES (?, 7, ?)", ("ab" * 8, sum_of(as_held(holding))))
    connection.executemany("INSERT INTO collection VALUES (?, ?)", [(number, name) for name, number in names.items()])
    rows = [(names[name], key, digest) for (name, key), digest in holding.items()]
    connection.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
    return connection


@given(HOLDINGS, st.tuples(PLACES, PLACES))
def test_tables_are_read_as_values_are(holding, ends):
    low, high = sorted(ends)
    connection = database(holding)
    spans = [WHOLE, Span(EDGE, high), Span(low, EDGE), *([Span(low, high)] if low < high else [])]
    told = stored.read_parts(connection, spans)
    assert (told.sound, told.head) == (True, 7)
    for span, parts in zip(spans, told.spans, strict=True):
        assert [Held(one.place, one.digest) for one in parts] == as_held(holding, span)
    assert all(not one.narrower for one in stored.compare_parts(connection, spans, told.spans))
    connection.execute("DELETE FROM record WHERE rowid = 1")
    assert stored.read_parts(connection, [WHOLE]).sound == (not holding)


def test_an_answer_is_bounded_and_tells_the_first_range_in_any_case():
    holding = {("t", f"{number:05}"): number for number in range(2_000)}
    connection = database(holding)
    (parts,) = stored.read_parts(connection, [WHOLE]).spans
    assert len(parts) == 250
    assert {one.records for one in parts} == {8}
    many = [Span(("t", f"{number:05}"), ("t", f"{number + 400:05}")) for number in range(100)]
    assert len(stored.read_parts(connection, many).spans) == 40
    assert stored.read_parts(connection, [Span(("t", "1"), ("t", "0"))]).spans == ((),)


def test_a_part_of_one_record_that_is_absent_here_names_those_before_it_as_only_here():
    found = differences(WHOLE, as_held({("t", "a"): 1, ("t", "c"): 3}), [Part(("t", "b"), 1, 2)])
    assert (found.there, found.here, found.changed) == ((("t", "b"),), (("t", "a"), ("t", "c")), ())
