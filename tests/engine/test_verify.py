"""Verify: each kind of damage, done by hand, is named; a sound file is called sound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast import Schema
from holdfast.clocks import VersionVector
from holdfast.engine.replica import Replica
from holdfast.errors import DamagedFile

from ..nodes import heal, opened, raw

SCHEMA = Schema(name="t", indexes=["n"])


@pytest_asyncio.fixture
async def path(tmp_path) -> Path:
    """A closed file with plain records, one with cells, one with a conflict, and one that is deleted."""
    async with (
        opened(tmp_path / "a.db", space="s", schemas=[SCHEMA]) as a,
        opened(tmp_path / "hub.db", space="s") as hub,
    ):
        await a["t"].put_many((f"k{n:04}", {"n": n, "pad": "x" * 200}) for n in range(2_500))
        for key in ("cells", "conflict", "dead"):
            await a["t"].put(key, {"n": 1, "m": 1})
        await heal(hub, a)
        await a["t"].update("cells", {"n": 2})
        await a["t"].update("conflict", {"n": 2})
        await hub["t"].update("conflict", {"n": 3})
        await a["t"].delete("dead")
        await heal(hub, a)
        assert (await a.verify()).problems == ()
        assert (await hub.verify()).problems == ()
    return tmp_path / "a.db"


async def problems(path):
    async with opened(path, read_only=True, schemas=[SCHEMA]) as node:
        return " | ".join((await node.verify()).problems)


def damage(path, *statements):
    with raw(path) as connection:
        for sql in statements:
            connection.execute("PRAGMA foreign_keys = OFF")
            changed = connection.execute(sql).rowcount
            assert changed != 0, sql


CASES = {
    "a document of a plain record": (
        """UPDATE record SET doc = '{"m":1,"n":7}' WHERE key = 'k0003'""",
        "t/k0003: its digest",
    ),
    "a document of a record with cells": (
        """UPDATE record SET doc = json_set(doc, '$.n', 7) WHERE key = 'cells'""",
        "t/cells: its digest",
    ),
    "a document that shows another sibling": (
        """UPDATE record SET doc = json_set(doc, '$.n', 2) WHERE key = 'conflict'""",
        "t/conflict: its document",
    ),
    "a digest": ("UPDATE record SET digest = digest + 1 WHERE key = 'k0003'", "t/k0003: its digest"),
    "bytes of cells": ("UPDATE record SET cells = x'c1' WHERE key = 'cells'", "t/cells: its cells cannot be read"),
    "cells of another record": (
        "UPDATE record SET cells = (SELECT cells FROM record WHERE key = 'conflict') WHERE key = 'cells'",
        "t/cells",
    ),
    "life": ("UPDATE record SET live = 1 WHERE key = 'dead'", "t/dead: its document"),
    "a sequence number": ("UPDATE record SET seq = seq + 1 WHERE key = 'dead'", "t/dead: its columns"),
    "a clock": ("UPDATE record SET clock = clock + 1 WHERE key = 'k0003'", "t/k0003"),
    "a key": ("UPDATE record SET key = 'else' WHERE key = 'k0003'", "t/else: its digest"),
    "a position": ("UPDATE record SET lsn = 99 WHERE key = 'k0003'", "t/k0003: it stands at 99"),
    "the own counter": ("UPDATE node SET seq = 1", "does not cover a dot"),
    "the vector": ("DELETE FROM vector", "t/conflict: the version vector does not cover"),
    "the sum": ("UPDATE node SET digest = digest - 1", "the digest of the space"),
    "a lost record": ("DELETE FROM record WHERE key = 'k0003'", "the digest of the space"),
    "an index": ("DROP INDEX field_1_n", "collection t: the index over n is missing"),
    "a lost conflict": (
        "UPDATE record SET conflicts = 0 WHERE key = 'conflict'",
        "t/conflict: the inbox counts 0 conflicts",
    ),
    "a stray conflict": ("UPDATE conflict SET record = 999999", "rows of the inbox"),
}


@pytest.mark.parametrize(("sql", "named"), CASES.values(), ids=CASES.keys())
async def test_damage_is_named(path, sql, named):
    damage(path, sql)
    assert named in await problems(path)


async def test_an_inbox_that_lost_its_row_is_named(path):
    damage(path, "DELETE FROM conflict")
    assert "conflict" in await problems(path)


def overwrite_page_of(path, table):
    """Garbage over the head of the first page of a table or index."""
    with raw(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(bytes(range(1, 251)) * 2)


@pytest.mark.parametrize("table", ["record", "record_key", "record_feed", "field_1_n"])
async def test_an_overwritten_page_is_reported_and_not_raised(path, table):
    overwrite_page_of(path, table)
    assert "file:" in await problems(path)


async def test_garbage_in_the_middle_of_a_document_is_named(path):
    with raw(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    at = data.index(b"x" * 50)
    path.write_bytes(data[:at] + b"y" + data[at + 1 :])
    assert "its digest is not that of its cells" in await problems(path)


async def test_writes_meanwhile_are_not_mistaken_for_damage(path):
    async with opened(path, schemas=[SCHEMA]) as node:

        async def write():
            for n in range(200):
                await node["t"].put(f"new{n}", {"n": n})
                if n % 3 == 0:
                    await node["t"].delete(f"k{n:04}")

        writing = asyncio.create_task(write())
        while not writing.done():
            assert (await node.verify()).problems == ()
        await writing
        assert (await node.verify()).ok


async def test_progress_is_told_record_by_page(path):
    seen = []
    async with opened(path, schemas=[SCHEMA]) as node:
        report = await node.verify(on_progress=seen.append)
    assert report.records == 2_503
    assert seen == sorted(seen)
    assert seen[-1] == 2_503
    assert report.as_json() == {"records": 2_503, "problems": (), "ok": True}


async def test_a_long_list_of_problems_is_cut(path):
    damage(path, "UPDATE record SET digest = digest + 1")
    async with opened(path, read_only=True) as node:
        assert len((await node.verify()).problems) == 100


async def test_a_damaged_row_costs_one_record_and_the_rest_is_usable(path):
    """Cells that rotted on this disk: everything else is read and written, and the error names the file."""
    damage(path, "UPDATE record SET cells = x'c1' WHERE key = 'conflict'")
    async with opened(path, schemas=[SCHEMA]) as node:
        assert (await node["t"].get("k0001")).fields["n"] == 1
        for verb, arguments in (("get", ()), ("update", ({"n": 9},))):
            with pytest.raises(DamagedFile) as caught:
                await getattr(node["t"], verb)("conflict", *arguments)
            assert caught.value.subject == str(path)
        outcomes = await asyncio.gather(
            node["t"].update("conflict", {"n": 9}), node["t"].put("other", {}), return_exceptions=True
        )
        assert isinstance(outcomes[0], DamagedFile)
        assert await node["t"].get("other")
        with pytest.raises(DamagedFile):
            await Replica(node).read(0, VersionVector({}))
