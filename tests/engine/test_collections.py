"""Collections on a real file: what an application writes, and what it reads."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import NO_RECORD, Remove
from holdfast.engine.documents import DEPTH_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX
from holdfast.errors import EngineClosed, InvalidKey, InvalidName, InvalidValue, NoSuchRecord, VersionMismatch

from ..nodes import meet, opened


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


async def test_a_record_reads_back_as_it_was_put(node):
    fields = {
        "text": "grün 漢字 😀",
        "n": -(2**63),
        "top": 2**63 - 1,
        "f": 0.1,
        "yes": True,
        "none": None,
        "l": [{}, []],
    }
    receipt = await node["tasks"].put("t1", fields)
    document = await node["tasks"].get("t1")
    assert document.fields == fields
    assert document.version == receipt.version
    assert (receipt.collection, receipt.key, receipt.lsn) == ("tasks", "t1", 1)
    assert receipt.dot == (await node.actor(), 1)


async def test_floats_and_integers_stay_apart(node):
    await node["t"].put("k", {"a": 1, "b": 1.0})
    fields = (await node["t"].get("k")).fields
    assert (type(fields["a"]), type(fields["b"])) == (int, float)


async def test_a_put_replaces_the_whole_record(node):
    await node["t"].put("k", {"a": 1, "b": 2})
    await node["t"].put("k", {"b": 3})
    assert (await node["t"].get("k")).fields == {"b": 3}


async def test_an_update_leaves_the_other_fields_alone(node):
    await node["t"].put("k", {"a": 1, "b": 2, "c": 3})
    await node["t"].update("k", {"a": None, "b": Remove(), "d": 4})
    assert (await node["t"].get("k")).fields == {"a": None, "c": 3, "d": 4}


async def test_an_empty_record_is_a_record(node):
    await node["t"].put("k", {})
    assert (await node["t"].get("k")).fields == {}
    assert await node["t"].count() == 1


async def test_an_update_needs_a_record_unless_it_may_make_one(node):
    with pytest.raises(NoSuchRecord) as caught:
        await node["t"].update("k", {"a": 1})
    assert "t/k" in str(caught.value)
    await node["t"].update("k", {"a": 1, "b": Remove()}, upsert=True)
    assert (await node["t"].get("k")).fields == {"a": 1}


async def test_a_deleted_record_is_gone_for_every_reader(node):
    await node["t"].put("k", {"a": 1})
    await node["t"].delete("k")
    assert await node["t"].get("k") is None
    assert await node["t"].count() == 0
    assert await node["t"].query() == []
    with pytest.raises(NoSuchRecord):
        await node["t"].delete("k")
    with pytest.raises(NoSuchRecord):
        await node["t"].update("k", {"a": 1})


async def test_a_put_on_a_deleted_record_shows_nothing_of_the_old_one(node):
    await node["t"].put("k", {"a": 1, "b": 2})
    await node["t"].delete("k")
    await node["t"].put("k", {"b": 3})
    assert (await node["t"].get("k")).fields == {"b": 3}


async def test_compare_and_set_takes_only_the_version_that_was_read(node):
    first = await node["t"].put("k", {"n": 1}, if_version=NO_RECORD)
    second = await node["t"].update("k", {"n": 2}, if_version=first.version)
    for attempt in (
        node["t"].put("k", {"n": 9}, if_version=NO_RECORD),
        node["t"].put("k", {"n": 9}, if_version=first.version),
        node["t"].update("k", {"n": 9}, if_version=first.version),
        node["t"].delete("k", if_version=first.version),
    ):
        with pytest.raises(VersionMismatch):
            await attempt
    assert (await node["t"].get("k")).fields == {"n": 2}
    await node["t"].delete("k", if_version=second.version)
    await node["t"].put("k", {"n": 3}, if_version=NO_RECORD)


async def test_a_refused_write_takes_no_number(node):
    await node["t"].put("k", {})
    with pytest.raises(NoSuchRecord):
        await node["t"].delete("other")
    assert (await node["t"].put("k", {})).dot.seq == 2


async def test_of_many_compare_and_sets_at_once_one_wins(node):
    version = (await node["t"].put("k", {"n": 0})).version
    tries = [node["t"].update("k", {"n": n}, if_version=version) for n in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, VersionMismatch) for outcome in outcomes) == 19


async def test_many_records_are_put_and_read_in_parts(node):
    seen = []
    report = await node["t"].put_many(((f"k{n:05}", {"n": n}) for n in range(10_001)), on_progress=seen.append)
    assert (report.records, seen) == (10_001, [10_000, 10_001])
    assert report.lsn == 2
    assert await node["t"].count() == 10_001
    found = await node["t"].get_many(["k00000", "k10000", "no", "k00000"])
    assert {key: document.fields["n"] for key, document in found.items()} == {"k00000": 0, "k10000": 10_000}


async def test_a_bulk_put_takes_an_asynchronous_source(node):
    async def rows():
        for n in range(3):
            await asyncio.sleep(0)
            yield f"k{n}", {"n": n}

    assert (await node["t"].put_many(rows())).records == 3


async def test_a_bulk_put_of_nothing_writes_nothing(node):
    assert (await node["t"].put_many([])).records == 0
    assert (await node.status()).lsn == 0


async def test_a_key_that_comes_twice_in_a_bulk_put_ends_as_the_last(node):
    await node["t"].put("k", {"old": 1})
    await node["t"].put_many([("k", {"n": 1}), ("x", {}), ("k", {"n": 2}), ("k", {"n": 3})])
    assert (await node["t"].get("k")).fields == {"n": 3}
    assert (await node.verify()).ok


async def test_a_bad_row_ends_a_bulk_put_and_leaves_the_parts_before_it(node):
    def rows():
        for n in range(10_000):
            yield f"k{n}", {}
        yield "bad", {"f": float("nan")}

    with pytest.raises(InvalidValue, match="t/bad"):
        await node["t"].put_many(rows())
    assert await node["t"].count() == 10_000


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "\ud800", "x" * (KEY_BYTES_MAX + 1), "ü" * 257, 1, None, b"k"])
async def test_a_bad_key_is_refused_by_every_verb(node, key):
    for attempt in (
        node["t"].put(key, {}),
        node["t"].update(key, {}, upsert=True),
        node["t"].delete(key),
        node["t"].get(key),
        node["t"].put_many([(key, {})]),
    ):
        with pytest.raises(InvalidKey):
            await attempt
    assert (await node.status()).lsn == 0


async def test_the_longest_key_is_taken(node):
    await node["t"].put("x" * KEY_BYTES_MAX, {"a": 1})
    assert await node["t"].get("x" * KEY_BYTES_MAX)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        2**63,
        -(2**63) - 1,
        "\ud800",
        b"bytes",
        {1: 2},
        {"\udfff": 1},
        (1, 2),
        {1},
        object(),
        nested(DEPTH_MAX),
        "x" * RECORD_BYTES_MAX,
        [float("nan")],
    ],
    ids=lambda value: f"{value!r:.20}",
)
async def test_a_bad_value_is_refused_by_every_verb(node, value):
    await node["t"].put("k", {"a": 1})
    for attempt in (
        node["t"].put("k", {"v": value}),
        node["t"].update("k", {"v": value}),
        node["t"].put_many([("k", {"v": value})]),
    ):
        with pytest.raises(InvalidValue) as caught:
            await attempt
        assert caught.value.subject.startswith("t/k")
    assert (await node["t"].get("k")).fields == {"a": 1}
    assert (await node.status()).lsn == 1


@pytest.mark.parametrize("fields", [None, [], "text", [("a", 1)], {1: 2}])
async def test_fields_must_be_a_dict_with_text_keys(node, fields):
    with pytest.raises(InvalidValue):
        await node["t"].put("k", fields)


async def test_the_deepest_value_is_taken_and_travels(trio):
    a, _, hub = trio
    await a["t"].put("k", {"v": nested(DEPTH_MAX - 1)})
    await meet(a, hub)
    assert (await hub["t"].get("k")).fields == {"v": nested(DEPTH_MAX - 1)}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\0", 3, None])
async def test_a_bad_name_of_a_collection_is_refused(node, name):
    with pytest.raises(InvalidName):
        node[name]


async def test_collections_do_not_mix(node):
    await node["a"].put("k", {"in": "a"})
    await node["b"].put("k", {"in": "b"})
    assert (await node["a"].get("k")).fields == {"in": "a"}
    assert await node["a"].count() == await node["b"].count() == 1
    assert await node["c"].count() == 0


async def test_what_was_written_is_there_after_reopening(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        receipt = await node["t"].put("k", {"a": 1})
        digest = (await node.status()).digest
    async with opened(tmp_path / "n.db", seed="again") as node:
        document = await node["t"].get("k")
        assert (document.fields, document.version) == ({"a": 1}, receipt.version)
        assert (await node.status()).digest == digest
        assert (await node["t"].put("l", {})).dot == (receipt.dot.actor, 2)


async def test_a_closed_node_refuses_reads_and_writes(tmp_path):
    node = await opened(tmp_path / "n.db")
    await node["t"].put("k", {})
    await node.close()
    await node.close()
    for attempt in (node["t"].put("k", {}), node["t"].get("k"), node["t"].count(), node.status(), node.verify()):
        with pytest.raises(EngineClosed):
            await attempt


async def test_closing_waits_for_the_writes_that_were_accepted(tmp_path):
    node = await opened(tmp_path / "n.db")
    writes = [asyncio.create_task(node["t"].put(f"k{n}", {})) for n in range(300)]
    await asyncio.sleep(0)
    await node.close()
    await asyncio.gather(*writes)
    async with opened(tmp_path / "n.db") as node:
        assert await node["t"].count() == 300
