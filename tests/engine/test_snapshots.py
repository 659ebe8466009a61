"""Snapshots: whole copies under a name, and going back to them by ordinary operations."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast import (
    DamagedFile,
    DeleteWins,
    DiskFull,
    Engine,
    InvalidName,
    Manual,
    NoSuchCollection,
    NoSuchSnapshot,
    ReadOnlyEngine,
    Schema,
    SpaceMismatch,
    StorageError,
    UsageError,
    restore_backup,
)
from holdfast.engine.snapshots import AUTOMATIC_KEPT
from holdfast.engine.storage import restoring

from ..nodes import meet, opened


async def _all(engine: Engine, *collections: str) -> dict[tuple[str, str], dict[str, object]]:
    found = {}
    for name in collections:
        found |= {(name, document.key): document.fields for document in await engine[name].query()}
    return found


async def test_a_snapshot_is_what_the_file_held(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["tasks"].put_many((f"t{n}", {"n": n}) for n in range(300))
        taken = await engine.snapshots.take("first", note="why")
        assert (taken.name, taken.note, taken.records, taken.automatic) == ("first", "why", 300, False)
        await engine["tasks"].put("later", {"n": 1})
        assert await engine.snapshots.find("first") == taken
        async with Engine.open(taken.path, read_only=True) as past:
            assert await past["tasks"].count() == 300
            assert (await past.verify()).ok


async def test_writers_go_on_while_one_is_taken_and_it_is_of_one_moment(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant", durability="normal") as engine:
        await engine["pairs"].put_many((f"p{n}", {"n": 0, "pad": "x" * 400}) for n in range(20_000))
        stop, going = asyncio.Event(), asyncio.Event()
        rounds = 0

        async def write() -> None:
            nonlocal rounds
            while not stop.is_set():
                rounds += 1
                async with engine.transaction() as tx:
                    tx.put("sums", "left", {"n": rounds})
                    tx.put("sums", "right", {"n": rounds})
                going.set()

        writer = asyncio.create_task(write())
        await going.wait()
        begun = rounds
        taken = await engine.snapshots.take()
        assert rounds > begun
        stop.set()
        await writer
        async with Engine.open(taken.path, read_only=True) as past:
            left, right = (await past["sums"].get_many(["left", "right"])).values()
            assert left.fields == right.fields
            assert (await past.verify()).ok


@pytest.mark.parametrize("seed", range(5))
async def test_going_back_leaves_what_the_snapshot_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int):
    """Against a model: two dicts. Pages are small, so that they end between any two keys of either side."""
    monkeypatch.setattr(restoring, "PAGE_RECORDS", 3)
    dice = random.Random(seed)
    async with opened(tmp_path / "a.db", space="plant") as engine:

        async def stir(count: int) -> None:
            for _ in range(count):
                name, key = dice.choice(("a", "b")), f"k{dice.randrange(25):02}"
                match dice.randrange(3):
                    case 0:
                        await engine[name].put(key, {"v": dice.randrange(3), "w": dice.randrange(2)})
                    case 1:
                        await engine[name].update(key, {dice.choice("vxy"): dice.randrange(3)}, upsert=True)
                    case _ if await engine[name].get(key):
                        await engine[name].delete(key)

        await stir(40)
        then = await _all(engine, "a", "b")
        await engine.snapshots.take("then")
        await stir(40)
        now = await _all(engine, "a", "b")
        keys = dice.sample([f"k{n:02}" for n in range(25)], 6)
        expected = {place: fields for place, fields in now.items() if place[0] != "a" or place[1] not in keys}
        expected |= {place: fields for place, fields in then.items() if place[0] == "a" and place[1] in keys}
        told = await engine.snapshots.restore("then", collection="a", keys=keys, preview=True)
        assert await _all(engine, "a", "b") == now
        done = await engine.snapshots.restore("then", collection="a", keys=keys)
        assert (told.written, told.deleted, told.alike) == (done.written, done.deleted, done.alike)
        assert await _all(engine, "a", "b") == expected

        await engine.snapshots.restore("then", collection="b")
        assert await _all(engine, "b") == {place: fields for place, fields in then.items() if place[0] == "b"}
        done = await engine.snapshots.restore("then")
        assert await _all(engine, "a", "b") == then
        again = await engine.snapshots.restore("then")
        assert (again.written, again.deleted, again.alike, again.before) == (0, 0, len(then), None)
        if done.before:
            await engine.snapshots.restore(done.before)
            assert {p: f for p, f in (await _all(engine, "a", "b")).items() if p[0] == "a"} == {
                p: f for p, f in expected.items() if p[0] == "a"
            }
        assert (await engine.verify()).ok


async def test_going_back_reaches_other_nodes_and_overwrites_only_what_differs(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="plant") as left,
        opened(tmp_path / "b.db", space="plant") as right,
    ):
        await left["tasks"].put("t1", {"title": "x", "site": "north"})
        await meet(left, right)
        await left.snapshots.take("then")
        await left["tasks"].update("t1", {"title": "bad"})
        await left["tasks"].put("t2", {"title": "new"})
        await meet(left, right)
        await right["tasks"].update("t1", {"site": "south"})  # not seen by whoever goes back
        await left.snapshots.restore("then")
        await meet(left, right)
        for node in (left, right):
            assert await _all(node, "tasks") == {("tasks", "t1"): {"title": "x", "site": "south"}}
            assert not await node.conflicts()
        assert [entry.note for entry in await left.log(key="t2", limit=1)] == ["as in then"]


async def test_a_conflict_then_reads_as_it_was_shown_then(tmp_path: Path):
    schema = Schema(name="tasks", fields={"title": Manual()})
    async with (
        opened(tmp_path / "a.db", space="plant", schemas=[schema]) as left,
        opened(tmp_path / "b.db", space="plant", schemas=[schema]) as right,
    ):
        await left["tasks"].put("t1", {"title": "x"})
        await meet(left, right)
        await left["tasks"].update("t1", {"title": "A"})
        await right["tasks"].update("t1", {"title": "B"})
        await meet(left, right)
        shown = await _all(left, "tasks")
        await left.snapshots.take("then")
        await left["tasks"].update("t1", {"title": "C"})
        await left.snapshots.restore("then")
        assert await _all(left, "tasks") == shown


async def test_a_record_that_a_rule_hides_is_written_again(tmp_path: Path):
    schema = Schema(name="tasks", on_delete=DeleteWins())
    async with (
        opened(tmp_path / "a.db", space="plant", schemas=[schema]) as left,
        opened(tmp_path / "b.db", space="plant", schemas=[schema]) as right,
    ):
        await left["tasks"].put("t1", {"title": "x"})
        await meet(left, right)
        await left.snapshots.take("then")
        await left["tasks"].update("t1", {"title": "y"})
        await right["tasks"].delete("t1")
        await meet(left, right)
        assert await left["tasks"].count() == 0
        await left.snapshots.restore("then")
        assert await _all(left, "tasks") == {("tasks", "t1"): {"title": "x"}}


async def test_only_the_last_automatic_snapshots_stay(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["tasks"].put("t1", {"n": 0})
        await engine.snapshots.take("mine")
        made = []
        for n in range(1, AUTOMATIC_KEPT + 3):
            await engine["tasks"].put("t1", {"n": n})
            made.append((await engine.snapshots.restore("mine")).before)
        assert [snapshot.name for snapshot in await engine.snapshots.list()] == ["mine", *made[-AUTOMATIC_KEPT:]]


async def test_what_cannot_be_is_refused(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["tasks"].put("t1", {"n": 0})
        await engine.snapshots.take("mine")
        for name in ("", ".hidden", "a/b", "..", "x" * 101, 7):
            with pytest.raises(InvalidName):
                await engine.snapshots.take(name)
        with pytest.raises(UsageError, match="there is a snapshot of this name"):
            await engine.snapshots.take("mine")
        for unknown in (engine.snapshots.find, engine.snapshots.drop, engine.snapshots.restore):
            with pytest.raises(NoSuchSnapshot, match="no snapshot of this name"):
                await unknown("other")
        with pytest.raises(NoSuchCollection):
            await engine.snapshots.restore("mine", collection="taks")
        with pytest.raises(UsageError):
            await engine.snapshots.restore("mine", keys=["t1"])
        await engine.snapshots.drop("mine")
        assert await engine.snapshots.list() == []


async def test_a_reader_takes_and_previews_but_does_not_go_back(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["tasks"].put("t1", {"n": 0})
        async with Engine.open(tmp_path / "a.db", read_only=True) as reader:
            await reader.snapshots.take("mine")
            await engine["tasks"].put("t1", {"n": 1})
            assert (await reader.snapshots.restore("mine", preview=True)).written == 1
            with pytest.raises(ReadOnlyEngine):
                await reader.snapshots.restore("mine")


async def test_of_a_damaged_file_none_is_kept(tmp_path: Path):
    path = tmp_path / "a.db"
    async with Engine.open(path, space="plant") as engine:
        await engine["tasks"].put("t1", {"n": 0})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE record SET digest = digest + 1")
    connection.close()
    async with Engine.open(path) as engine:
        with pytest.raises(DamagedFile, match="not the sum"):
            await engine.snapshots.take("mine")
        assert [*engine.snapshots.folder.iterdir()] == []


async def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_args: object, **_options: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    async with opened(tmp_path / "a.db", space="plant") as engine:
        monkeypatch.setattr("holdfast.engine.storage.copying.check_whole", full)
        with pytest.raises(DiskFull, match="no space left for the copy"):
            await engine.snapshots.take("mine")
        assert [*engine.snapshots.folder.iterdir()] == []


async def test_a_snapshot_that_was_written_to_is_none(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        taken = await engine.snapshots.take("mine")
        taken.path.chmod(0o600)
        async with Engine.open(taken.path) as other:
            assert "it is a copy" in other.renewed
        with pytest.raises(StorageError, match="written to"):
            await engine.snapshots.find("mine")


async def test_a_file_among_the_snapshots_that_cannot_be_read_is_in_nobodys_way(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["t"].put("k", {"n": 1})
        kept = await engine.snapshots.take("good")
        junk, empty = (kept.path.with_name(name) for name in ("junk.db", "empty.db"))
        junk.write_bytes(b"no database" * 1000)
        kept.path.with_name("folder.db").mkdir()
        await engine["t"].put("k", {"n": 2})
        done = await engine.snapshots.restore("good")
        assert (done.written, (await engine["t"].get("k")).fields) == (1, {"n": 1})
        empty.touch()
        found = await engine.snapshots.list()
        assert [snapshot.name for snapshot in found] == ["empty", "junk", "good", done.before]
        assert ["it is empty" in (found[0].fault or ""), found[1].bytes, found[2].fault] == [True, 11_000, None]
        with pytest.raises(StorageError, match=r"junk\.db"):
            await engine.snapshots.restore("junk")
        await engine.snapshots.drop("junk")
        await engine.snapshots.drop("empty")
        assert [snapshot.name for snapshot in await engine.snapshots.list()] == ["good", done.before]


@pytest.mark.parametrize("space", ["other", "plant"])
async def test_a_snapshot_of_another_space_is_not_gone_back_to(tmp_path: Path, space: str):
    """Also where both spaces go by one name and no other node knows their ids yet."""
    async with opened(tmp_path / "other.db", space=space, name="pump") as other:
        await other["tasks"].put("t9", {"n": 9})
        foreign = await other.snapshots.take("oth")
    async with opened(tmp_path / "a.db", space="plant", name="edge") as engine:
        await engine["tasks"].put("t1", {"n": 1})
        kept = await engine.snapshots.take("mine")
        shutil.copy(foreign.path, kept.path.with_name("oth.db"))
        assert {s.name: (s.node, s.space) for s in await engine.snapshots.list()} == {
            "mine": ("edge", "plant"),
            "oth": ("pump", space),
        }
        for options in ({}, {"collection": "tasks"}, {"collection": "tasks", "keys": ["t9"]}, {"preview": True}):
            with pytest.raises(SpaceMismatch, match="node 'pump'"):
                await engine.snapshots.restore("oth", **options)
        assert await _all(engine, "tasks") == {("tasks", "t1"): {"n": 1}}
        assert len(await engine.snapshots.list()) == 2


async def test_own_snapshots_of_before_the_space_had_its_id_are_gone_back_to(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as hub, opened(tmp_path / "b.db", space="plant") as node:
        await hub["tasks"].put("t1", {"n": 1})
        await node.snapshots.take("empty")
        await node["tasks"].put("t2", {"n": 2})
        await node.snapshots.take("first")
        await meet(node, hub)
        assert (await node.snapshots.restore("first")).deleted == 1
        assert (await node.snapshots.restore("empty")).deleted == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE record SET doc = '{\"n\":666}' WHERE key = 't1'",
        "UPDATE record SET live = 0 WHERE key = 't1'",
        "DELETE FROM record WHERE key = 't1'",
    ],
)
async def test_a_damaged_copy_is_not_gone_back_to(tmp_path: Path, damage: str):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["tasks"].put_many((f"t{n}", {"n": n}) for n in range(5))
        kept = await engine.snapshots.take("mine")
        kept.path.chmod(0o600)
        with sqlite3.connect(kept.path) as connection:
            connection.execute(damage)
        connection.close()
        await engine["tasks"].put("t1", {"n": 7})
        for options in ({}, {"collection": "tasks"}, {"collection": "tasks", "keys": ["t1"]}, {"preview": True}):
            with pytest.raises(DamagedFile, match="the copy is damaged, and nothing was taken"):
                await engine.snapshots.restore("mine", **options)
        assert (await engine["tasks"].get("t1")).fields == {"n": 7}
    target = tmp_path / "target.db"
    with pytest.raises(DamagedFile, match="the copy is damaged") as caught:
        restore_backup(kept.path, target)
    assert "salvage" in caught.value.remedy
    assert not target.exists()


async def test_several_taken_at_once_all_stand(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["t"].put("k", {"n": 1})
        taken = await asyncio.gather(*(engine.snapshots.take() for _ in range(4)))
        assert len({snapshot.name for snapshot in taken}) == 4
        done = await asyncio.gather(*(engine.snapshots.take("mine") for _ in range(2)), return_exceptions=True)
        assert [type(error) for error in done if isinstance(error, Exception)] == [UsageError]
        assert len(await engine.snapshots.list()) == 5


async def test_one_that_was_ended_early_keeps_what_stood_before_it_first_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(restoring, "PAGE_RECORDS", 2)
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["t"].put_many((f"k{n}", {"n": 0}) for n in range(9))
        await engine.snapshots.take("then")
        await engine["t"].put_many((f"k{n}", {"n": 1}) for n in range(9))
        write, left = restoring.Restoring.__call__, [2]

        def ended(job: restoring.Restoring, tx: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise DiskFull("no space", subject="here", remedy="Free some.")
            return write(job, tx)

        monkeypatch.setattr(restoring.Restoring, "__call__", ended)
        with pytest.raises(DiskFull):
            await engine.snapshots.restore("then")
        assert sorted({d.fields["n"] for d in await engine["t"].query()}) == [0, 1]
        monkeypatch.setattr(restoring.Restoring, "__call__", write)
        done = await engine.snapshots.restore("then")
        (before,) = [s for s in await engine.snapshots.list() if s.automatic]
        assert done.before == before.name
        await engine.snapshots.restore(before.name)
        assert {d.fields["n"] for d in await engine["t"].query()} == {1}
        await engine["t"].put("k0", {"n": 2})
        again = await engine.snapshots.restore("then")
        assert again.before != done.before  # somebody wrote since


@pytest.mark.parametrize(
    "options", [{}, {"collection": "people"}, {"collection": "people", "keys": ["p1", "p2", "p3"]}]
)
async def test_what_was_erased_since_does_not_come_back(tmp_path: Path, options: dict[str, object]):
    async with opened(tmp_path / "a.db", space="plant") as node, opened(tmp_path / "b.db", space="plant") as other:
        await node["people"].put("p0", {"name": "Eve"})
        await node["people"].erase("p0")
        for key in ("p0", "p1", "p2", "p3"):
            await node["people"].put(key, {"name": "Ada", "shoe": 42})
        await node.snapshots.take("then")
        await node["people"].erase("p1")
        await node["people"].erase("p2", ["name"])
        await node["people"].update("p2", {"shoe": 43})
        await node["people"].delete("p0")
        told = await node.snapshots.restore("then", preview=True, **options)
        done = await node.snapshots.restore("then", **options)
        assert (told.erased, done.erased) == (2, 2)
        assert await node["people"].get("p1") is None
        assert (await node["people"].get("p2")).fields == {"shoe": 42}
        assert (await node["people"].get("p3")).fields == {"name": "Ada", "shoe": 42}
        if "keys" not in options:  # erased before the snapshot was taken, and written anew: that may come back
            assert (await node["people"].get("p0")).fields == {"name": "Ada", "shoe": 42}
        assert await node["holdfast-erasures"].count() == 3
        with pytest.raises(UsageError, match="stays erased"):
            await node.snapshots.restore("then", collection="holdfast-erasures")
        await meet(other, node)
        assert await other["people"].get("p1") is None


async def test_an_undo_leaves_the_register_of_erasures(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["people"].put("p1", {"name": "Ada"})
        erased = await node["people"].erase("p1")
        await node.undo(erased.receipt.lsn)
        assert await node["holdfast-erasures"].count() == 1
        assert await node["people"].get("p1") is None
