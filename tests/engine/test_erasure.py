"""What is erased leaves no byte behind, here and at every node that syncs, and nothing else is changed by it."""

from __future__ import annotations

import asyncio
import gzip
import random
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from holdfast import (
    Engine,
    InvalidName,
    LinkCut,
    Manual,
    NoSuchRecord,
    ReadOnlyEngine,
    Remove,
    Retention,
    Schema,
    UsageError,
)
from holdfast.engine.storage.erasing import REGISTER
from holdfast.engine.storage.purge import forget

from ..gate import first
from ..nodes import assert_equal, heal, meet, opened, raw
from .test_history import SCHEMAS, Fleet

SECRET = "b9c1-privately-spoken"


def files_with(folder: Path, secret: str = SECRET) -> list[str]:
    """The files below a folder in which the secret stands."""
    return [path.name for path in sorted(folder.rglob("*")) if path.is_file() and secret.encode() in path.read_bytes()]


async def forgotten(nodes: Iterable[Engine]) -> None:
    """Each node empties its write-ahead log after an erasure: at once, or behind a commit if a reader hindered it."""
    for node in nodes:
        for _ in range(6_000):
            (traces,) = await node.readers.run(_traces)
            if not traces:
                break
            await asyncio.sleep(0.01)
        assert not traces


def _traces(connection: sqlite3.Connection) -> tuple[int]:
    return connection.execute("SELECT traces FROM node").fetchone()


async def test_an_erased_record_is_gone_everywhere_that_syncs(tmp_path: Path):
    async with (
        opened(tmp_path / "hub.db", space="s") as hub,
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await a["people"].put("p", {"name": SECRET, "shoe": 42}, author="ann")
        await heal(hub, a, b)
        await b["people"].update("p", {"name": f"{SECRET} 2"})
        await heal(hub, b, a)
        await a["people"].update("p", {"name": "x", "mail": SECRET})
        await heal(hub, a, b)
        assert files_with(tmp_path)
        before = {node: (await node.status()).lsn for node in (hub, a, b)}
        report = await a["people"].erase("p", author="ann", note="asked to")
        assert report.removed
        assert report.snapshots == ()
        assert files_with(tmp_path) == ["b.db-wal", "hub.db-wal"]
        await heal(hub, a, b)
        await forgotten((hub, a, b))
        assert files_with(tmp_path) == []
        await assert_equal(hub, a, b)
        for node in (hub, a, b):
            assert await node["people"].get("p") is None
            for lsn in range(before[node] + 1):
                assert await node["people"].as_of(lsn).get("p") is None
            assert all(revision.fields is None for revision in await node["people"].history("p"))
            (entry,) = await node[REGISTER].query()
            assert entry.fields == {
                "collection": "people",
                "fields": None,
                "key": "p",
                "author": "ann",
                "note": "asked to",
            }
        await b["people"].put("p", {"name": "another"})
        await heal(hub, b, a)
        await assert_equal(hub, a, b)
        assert (await a["people"].get("p")).fields == {"name": "another"}


async def test_erased_fields_are_gone_and_the_rest_keeps_its_history(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        for n in range(3):
            await a["people"].update("p", {"name": f"{SECRET}{n}", "n": n, "m": SECRET}, upsert=True)
            await meet(b, a)
        await b["people"].delete("p")
        await b["people"].put("p", {"n": 9, "name": SECRET})
        await meet(b, a)
        assert (await a["people"].erase("p", ["name", "m"])).removed
        await meet(b, a)
        await forgotten((a, b))
        assert files_with(tmp_path) == []
        await assert_equal(a, b)
        assert (await b["people"].get("p")).fields == {"n": 9}
        assert [one.fields for one in await a["people"].history("p")] == [
            {"n": 9},
            {"n": 9},
            {"n": 2},
            {"n": 1},
            {"n": 0},
        ]
        assert await b["people"].as_of(2).get("p") == {"n": 1}


async def test_a_deleted_record_can_be_erased_and_stays_deleted(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        for key in "pq":
            await a["people"].put(key, {"name": SECRET})
            await a["people"].delete(key)
        await meet(b, a)
        await a["people"].erase("p")
        await a["people"].erase("q", ["name"])
        await meet(b, a)
        await forgotten((a, b))
        assert files_with(tmp_path) == []
        assert await b["people"].count() == 0
        await assert_equal(a, b)


async def test_what_lost_a_conflict_is_erased_as_well(tmp_path: Path):
    schemas = [Schema(name="people", fields={"name": Manual()})]
    async with (
        opened(tmp_path / "a.db", space="s", schemas=schemas) as a,
        opened(tmp_path / "b.db", space="s", schemas=schemas) as b,
    ):
        await a["people"].put("p", {"name": "x"})
        await meet(b, a)
        await a["people"].update("p", {"name": f"{SECRET} a"})
        await b["people"].update("p", {"name": f"{SECRET} b"})
        await meet(b, a)
        await b["people"].update("p", {"name": "decided"})
        await meet(b, a)
        await a["people"].update("p", {"name": f"{SECRET} c"})
        await b["people"].update("p", {"name": f"{SECRET} d"})
        await meet(b, a)
        assert await a.conflicts()
        await a["people"].erase("p")
        await meet(b, a)
        await forgotten((a, b))
        assert files_with(tmp_path) == []
        assert await a.conflicts(None) == await b.ledger() == []
        await assert_equal(a, b)


async def test_what_is_written_without_having_seen_the_erasure_stays_until_it_is_erased_too(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        await a["people"].put("p", {"name": SECRET, "shoe": 42})
        await meet(b, a)
        await a["people"].erase("p")
        await b["people"].update("p", {"mail": "unseen"})
        await meet(b, a)
        await assert_equal(a, b)
        for node in (a, b):
            assert (await node["people"].get("p")).fields == {"mail": "unseen"}
            assert await node["people"].as_of(1).get("p") is None
        await forgotten((a, b))
        assert files_with(tmp_path) == []
        await b["people"].erase("p")
        await meet(b, a)
        await forgotten((a, b))
        assert files_with(tmp_path, "unseen") == []
        await assert_equal(a, b)


@pytest.mark.parametrize("later", ["update", "put", "delete", "nothing"])
async def test_a_mark_that_comes_before_the_record_clears_once_more_behind_it(tmp_path: Path, later: str):
    """The record moves on in the feed: a session that is cut brings the entry first, while the values still stand."""
    async with (
        opened(tmp_path / "hub.db", space="s", batch_bytes=1) as hub,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await hub["people"].put("p", {"name": SECRET, "shoe": 42})
        await meet(b, hub)
        await hub["people"].erase("p")
        for n in range(50):
            await hub["rest"].put(f"k{n}", {"text": f"{n}" * 1_000})
        match later:
            case "update":
                await hub["people"].update("p", {"name": "new"}, upsert=True)
            case "put":
                await hub["people"].put("p", {"name": "new"})
            case "delete":
                await hub["people"].put("p", {"name": "new"})
                await hub["people"].delete("p")
            case _:
                pass
        early = 0
        for at in range(2, 60):
            with suppress(LinkCut):
                await meet(b, hub, cut_after=(None, at))
                break
            if await b[REGISTER].count():
                found = await b["people"].get("p")
                early += found is not None and SECRET in found.fields.values()
                await b["people"].update("p", {"shoe": at}, upsert=True)
        assert bool(early) == (later != "nothing")
        await meet(b, hub)
        await meet(b, hub)
        await forgotten((hub, b))
        assert files_with(tmp_path) == []
        await assert_equal(hub, b)
    with raw(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT count(*) FROM erasing").fetchone() == (0,)


async def test_own_work_that_is_unsent_keeps_its_names(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        for _ in range(2):
            await meet(a, b)
        receipt = await a["people"].put("p", {"name": SECRET})
        await a["people"].update("p", {"name": f"{SECRET} 2"})
        await a["people"].erase("p")
        status = await a.status()
        assert status.history.stubs == 2
        assert files_with(tmp_path) == []
        for _ in range(2):
            await meet(a, b)
        assert (await a.trim()).deleted == 2
        assert await b["people"].get("p") is None
        assert receipt.dot.seq == 1
        await assert_equal(a, b)


async def test_snapshots_that_hold_the_record_are_named_and_kept(tmp_path: Path):
    async with opened(tmp_path / "a.db") as node:
        await node.snapshots.take("empty")
        await node["people"].put("p", {"name": SECRET})
        kept = await node.snapshots.take("full")
        (tmp_path / "a.db-snapshots" / "odd.db").write_bytes(b"x" * 4096)
        report = await node["people"].erase("p")
        assert report.snapshots == ("full", "odd")
        assert files_with(tmp_path) == [kept.path.name]
        await node.snapshots.drop("full")
        assert files_with(tmp_path) == []


async def test_a_reader_that_hinders_it_is_waited_out(tmp_path: Path):
    path = tmp_path / "a.db"
    async with opened(path) as node:
        await node["people"].put("p", {"name": SECRET})
        with raw(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM record").fetchone()
            assert not (await node["people"].erase("p")).removed
            assert files_with(tmp_path)
            reader.execute("COMMIT")
        await node["people"].put("q", {})
        await forgotten([node])
        assert files_with(tmp_path) == []


@pytest.mark.parametrize("name", ["format-3.db.gz", "format-4.db.gz"])
async def test_free_pages_of_an_older_version_are_cleared_once(tmp_path: Path, name: str):
    path = tmp_path / "old.db"
    with gzip.open(Path(__file__).parent / "kept" / name) as packed, path.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    with raw(path) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE scratch (text TEXT)")
        connection.execute("INSERT INTO scratch VALUES (?)", (SECRET * 2_000,))
        connection.execute("DROP TABLE scratch")
    assert files_with(tmp_path)
    async with opened(path, schemas=None) as node:
        await node["people"].put("p", {})
        assert (await node["people"].erase("p")).removed
        shutil.rmtree(tmp_path / "old.db-snapshots")
        assert files_with(tmp_path) == []
        assert (await node.verify()).ok


async def test_what_cannot_be_erased_is_refused(tmp_path: Path):
    path = tmp_path / "a.db"
    async with opened(path) as node:
        await node["people"].put("p", {"name": "x"})
        with pytest.raises(NoSuchRecord):
            await node["people"].erase("never")
        with pytest.raises(UsageError, match="no field"):
            await node["people"].erase("p", [])
        with pytest.raises(UsageError, match="of type str"):
            await node["people"].erase("p", "name")
        with pytest.raises(InvalidName):
            await node["people"].erase("p", [""])
        before = (await node.status()).lsn
        for fields in (["nmae"], ["name", "nmae"]):
            with pytest.raises(NoSuchRecord, match="nothing is known here of nmae"):
                await node["people"].erase("p", fields)
        assert (await node.status()).lsn == before
        await node["people"].update("p", {"former": 1})
        await node["people"].update("p", {"former": Remove()})
        await node["people"].erase("p", ["former"], author="ann", note="asked to")
        (entry,) = await node[REGISTER].query()
        with pytest.raises(UsageError, match="register"):
            await node[REGISTER].erase(entry.key)
        assert entry.fields == {
            "collection": "people",
            "key": "p",
            "fields": ["former"],
            "author": "ann",
            "note": "asked to",
        }
        assert (await node["people"].get("p")).fields == {"name": "x"}
    async with opened(path, read_only=True) as node:
        with pytest.raises(ReadOnlyEngine):
            await node["people"].erase("p")


async def test_entries_that_no_node_writes_say_nothing(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        await a["people"].put("p", {"name": 1})
        await a["people"].put("p", {"name": 2})
        await meet(b, a)
        for n, fields in enumerate(
            ({}, {"collection": 1, "key": "p", "fields": None}, {"collection": "people", "key": "p", "fields": 7},
             {"collection": "people", "key": "p"}, {"collection": REGISTER, "key": "0", "fields": None},
             {"collection": "none", "key": "p", "fields": None}, {"collection": "people", "key": "p", "fields": [1]})
        ):  # fmt: skip
            await b[REGISTER].put(f"{n}", fields)
        await meet(b, a)
        await assert_equal(a, b)
        assert len(await a["people"].history("p")) == 2


class Erasing(Fleet):
    """A fleet in which every value of one field is secret, and records are erased now and then."""

    def _fields(self) -> dict[str, object]:
        return {**super()._fields(), "x": f"{SECRET} {self.dice.randrange(1_000)}"}

    async def step(self) -> None:
        await super().step()
        node = self.dice.choice(self.nodes)
        if self.dice.random() < 0.2:
            name, key = self._place()
            try:
                await node[name].erase(key, None if self.dice.random() < 0.5 else ["x"])
            except NoSuchRecord:
                return
        if self.dice.random() < 0.1:
            await node.trim()


@pytest.mark.parametrize("seed", first(2, range(4)))
async def test_fleets_that_erase_converge_and_forget(tmp_path: Path, seed: int):
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        nodes = []
        for name in "xyz":
            kept = rng.choice((None, Retention(rows=4)))
            opening = opened(tmp_path / f"{name}.db", space="plant", schemas=SCHEMAS, retention=kept)
            nodes.append(await stack.enter_async_context(opening))
        fleet = Erasing(nodes, seed)
        for _ in range(40):
            await fleet.step()
        for _ in range(3):
            for node in nodes[1:]:
                await meet(node, nodes[0])
        await assert_equal(*nodes)
        for name in "ab":
            for n in range(6):
                try:
                    await nodes[seed % 3][name].erase(f"k{n}", None if n % 2 else ["x"])
                except NoSuchRecord:
                    continue
        for _ in range(3):
            for node in nodes[1:]:
                await meet(node, nodes[0])
        await assert_equal(*nodes)
        await forgotten(nodes)
        assert files_with(tmp_path) == []
    with raw(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT count(*) FROM erasing").fetchone() == (0,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_what_was_purged_is_erased_from_history_as_well(tmp_path: Path):
    """The record is gone for good, and the log still tells how it read."""
    async with opened(tmp_path / "a.db", space="s") as node:
        for key in "pq":
            await node["people"].put(key, {"name": SECRET, "n": 1})
            await node["people"].delete(key)
        await node.write(lambda tx: forget(tx, [1, 2]))
        assert await node["people"].as_of(1).get("p") == {"name": SECRET, "n": 1}
        await node["people"].erase("p")
        await node["people"].erase("q", ["name"])
        assert files_with(tmp_path) == []
        assert await node["people"].as_of(1).get("p") is None
        assert await node["people"].as_of(3).get("q") == {"n": 1}
        assert await node["people"].count() == 0


async def test_what_is_buried_goes_when_the_log_tells_of_it_no_more(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s", retention=Retention(rows=1)) as node:
        await node["people"].put("p", {"name": SECRET})
        await node["people"].delete("p")
        await node["people"].put("q", {})
        await node.write(lambda tx: forget(tx, [1]))
        await node["people"].put("q", {"n": 1})
        await node.trim()
        await node.upkeep._thread.run(
            lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        )
        assert files_with(tmp_path) == []
        assert (await node.status()).history.rows == 1
        assert (await node.verify()).ok
