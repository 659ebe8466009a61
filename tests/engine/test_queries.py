"""Queries: SQL conditions over one collection, which can use its indexes and can reach nothing else."""

from __future__ import annotations

import pytest
import pytest_asyncio

from holdfast import LastWriterWins, Schema
from holdfast.errors import InvalidQuery

from ..nodes import opened

SCHEMA = Schema(name="tasks", fields={"title": LastWriterWins()}, indexes=["site", ("site", "rank")])


@pytest_asyncio.fixture
async def tasks(tmp_path):
    async with opened(tmp_path / "n.db", schemas=[SCHEMA]) as node:
        rows = [(f"k{n:03}", {"title": f"t{n}", "site": f"s{n % 10}", "rank": n, "tags": [n % 3]}) for n in range(200)]
        await node["tasks"].put_many(rows)
        await node["secrets"].put("token", {"value": "hush"})
        await node["secrets"].query("1")
        yield node["tasks"]


async def keys(tasks, condition="", *params, **options):
    return [document.key for document in await tasks.query(condition, *params, **options)]


async def test_an_empty_condition_finds_every_record(tasks):
    assert len(await keys(tasks)) == 200


async def test_values_come_as_parameters(tasks):
    assert await keys(tasks, "site = ? AND rank < ? ORDER BY rank DESC", "s3", 40) == ["k033", "k023", "k013", "k003"]
    assert await keys(tasks, "title = ?", "t' OR '1'='1") == []
    assert await keys(tasks, "key = ?", "k007") == ["k007"]


async def test_undeclared_fields_are_read_from_the_document(tasks):
    assert len(await keys(tasks, "doc ->> '$.tags[0]' = 1")) == 67
    assert len(await keys(tasks, "EXISTS (SELECT 1 FROM json_each(doc, '$.tags') WHERE value = ?)", 2)) == 66


async def test_order_and_limit_hold_over_pages(tasks):
    assert await keys(tasks, "ORDER BY rank DESC", limit=3) == ["k199", "k198", "k197"]
    assert await keys(tasks, "ORDER BY key LIMIT 2 OFFSET 1") == ["k001", "k002"]
    assert await keys(tasks, "LIMIT 0") == []
    assert await keys(tasks, "ORDER BY key", limit=0) == []
    pages = [[d.key for d in page] async for page in tasks.pages("site < 's5' ORDER BY rank DESC", size=30)]
    assert [len(page) for page in pages] == [30, 30, 30, 10]
    flat = [key for page in pages for key in page]
    assert flat == sorted(flat, reverse=True)


async def test_a_page_shows_records_as_they_are_when_it_is_read(tasks):
    pages = tasks.pages("ORDER BY key", size=100)
    first = await anext(pages)
    assert first[0].fields["title"] == "t0"
    await tasks.update("k150", {"title": "new"})
    await tasks.delete("k151")
    second = await anext(pages)
    assert {d.key: d.fields["title"] for d in second if d.key in ("k150", "k151")} == {"k150": "new"}
    await pages.aclose()


async def test_a_declared_index_is_used(tasks):
    async def plan(condition, *params):
        return " ".join(await tasks.explain(condition, *params))

    for analysed in (False, True):
        if analysed:
            await tasks._node.write(lambda tx: tx.connection.execute("ANALYZE").fetchall())
        assert "USING INDEX field_1_site" in await plan("site = ?", "s3"), analysed
        assert "USING INDEX field_1_site" in await plan("doc ->> 'site' = ?", "s3")
        ordered = await plan("site = ? ORDER BY rank", "s3")
        assert "field_1_site,rank" in ordered
        assert "TEMP B-TREE" not in ordered
        assert "record_key" in await plan("key = ?", "k1")


async def test_an_index_finds_what_a_scan_finds(tasks):
    assert await keys(tasks, "site = 's4' ORDER BY key") == await keys(tasks, "site || '' = 's4' ORDER BY key")


async def test_the_collection_of_another_node_or_none_is_empty(tasks):
    assert await keys(tasks._node["nothing"], "key = ?", "x") == []


HOSTILE = {
    "a table": "key IN (SELECT key FROM record)",
    "a count": "(SELECT count(*) FROM record) > 0",
    "a table without columns": "EXISTS (SELECT 1 FROM node)",
    "a union": "1 UNION SELECT id FROM node",
    "the schema": "(SELECT count(*) FROM sqlite_schema) > 0",
    "the temporary schema": "(SELECT count(*) FROM sqlite_temp_schema) > 0",
    "another view": "key IN (SELECT key FROM collection_2)",
    "another view by schema": "key IN (SELECT key FROM temp.collection_2)",
    "an expression named as the view": (
        "(WITH collection_1(f) AS MATERIALIZED (SELECT feed FROM node) SELECT max(f) FROM collection_1) > ''"
    ),
    "a subquery named as the view": "1=0 UNION SELECT id FROM (SELECT * FROM record) AS collection_1",
    "a quoted name": 'key IN (WITH "collection_1" AS (SELECT * FROM record) SELECT key FROM "collection_1")',
    "a pragma as a table": "(SELECT count(*) FROM pragma_table_info('record')) > 0",
    "a second statement": "1; DELETE FROM record",
    "a pragma": "1; PRAGMA query_only = OFF",
    "an attachment": "1; ATTACH '/tmp/x.db' AS x",
    "a write": "key IN (DELETE FROM record RETURNING key)",
    "an extension": "load_extension('evil')",
    "a file": "writefile('/tmp/x', 'y')",
    "a row id": "collection = 2",
    "a bracket": "1) OR (1",
    "no such column": "titel = 3",
    "no SQL": "hello world",
    "a named parameter": "key = :key",
    "a missing parameter": "key = ? OR key = ?",
    "a NUL": "key = '\0'",
    "a surrogate": "key = '\ud800'",
}


@pytest.mark.parametrize("condition", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_condition_reaches_nothing_but_its_collection(tasks, condition):
    with pytest.raises(InvalidQuery) as caught:
        await tasks.query(condition, *(("k001",) if condition.count("?") == 2 else ()))
    assert caught.value.subject.startswith("tasks")
    assert len(await keys(tasks, "site = 's1'")) == 20
    assert (await tasks._node.verify()).ok


@pytest.mark.parametrize("value", [[1], {}, object(), 2**63, "\ud800"], ids=lambda value: f"{value!r:.12}")
async def test_a_parameter_that_is_no_sql_value_is_refused(tasks, value):
    with pytest.raises(InvalidQuery):
        await tasks.query("key = ?", value)


async def test_a_string_that_looks_like_a_placeholder_or_format_is_only_a_string(tasks):
    assert await keys(tasks, "title = '{view} ? %s'") == []
