"""Trimming the log changes nothing but how far back one can look, and that is said and never guessed."""

from __future__ import annotations

import random
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Engine, HistoryTrimmed, Manual, MultiValue, Retention, Schema, Take, UsageError
from holdfast.engine.storage import trimming
from holdfast.engine.storage.purge import forget
from holdfast.engine.upkeep import CHANGES_EACH

from ..gate import first
from ..nodes import NOW_MS, assert_equal, meet, opened, raw
from .test_history import Fleet


@dataclass
class Still:
    """A wall clock that only tests move: looking at it changes nothing."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms


def _schemas(rows: int | None) -> tuple[Schema, ...]:
    kept = None if rows is None else Retention(rows=rows)
    return (Schema(name="a", fields={"m": Manual(), "v": MultiValue()}, retention=kept), Schema(name="b"))


class Twin(Fleet):
    """A fleet that trims at moments of its own dice; what is done else is the same with and without."""

    def __init__(self, nodes: list[Engine], seed: int, wall: Still, *, trims: bool) -> None:
        super().__init__(nodes, seed)
        self.wall, self.trims, self.trimming = wall, trims, random.Random(seed)
        self.deleted = 0

    async def step(self) -> None:
        self.wall.ms += 1_000
        await super().step()
        if self.trims and self.trimming.random() < 0.4:
            self.deleted += (await self.trimming.choice(self.nodes).trim()).deleted

    async def undo(self, node: Engine) -> None:
        await node.undo((await node.status()).lsn)


async def _told(node: Engine) -> dict[str, Any]:
    """All that a node says of records, conflicts that stand, and whom it met."""
    status = await node.status()
    conflicts = [(item.id, item.state) for item in await node.conflicts("open")]
    documents = {(name, doc.key): doc.fields for name in "ab" for doc in await node[name].query()}
    return {
        "digest": status.digest,
        "vector": status.vector,
        "peers": [(peer.actor, peer.read, peer.pending) for peer in status.peers],
        "conflicts": conflicts,
        "documents": documents,
    }


async def _life(folder: Path, seed: int, *, trims: bool) -> tuple[list[dict[str, Any]], list[dict[Any, Any]], int]:
    """What the nodes say in the end, and every moment that can be asked for; of the trimmed twin also how much went."""
    wall = Still()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                opened(
                    Path(f"{folder}{name}.db"),
                    space="plant",
                    seed=name,
                    wall=wall,
                    schemas=_schemas(5 if trims else None),
                )
            )
            for name in "xyz"
        ]
        fleet = Twin(nodes, seed, wall, trims=trims)
        for _ in range(60):
            await fleet.step()
        for node in nodes[1:] * 2:
            await meet(node, nodes[0])
        await assert_equal(*nodes)
        moments = []
        for node in nodes:
            found: dict[Any, Any] = {}
            for lsn in range((await node.status()).lsn + 1):
                for name in "ab":
                    found[name, lsn] = await _asked(node, name, lsn)
            for second in range(0, 70, 3):
                at = datetime.fromtimestamp(NOW_MS / 1000 + second, UTC)
                for name in "ab":
                    found[name, at] = await _asked(node, name, at)
            moments.append(found)
        return [await _told(node) for node in nodes], moments, fleet.deleted


async def _asked(node: Engine, name: str, moment: int | datetime) -> object:
    try:
        return {key: fields async for key, fields in node[name].as_of(moment).documents()}
    except HistoryTrimmed:
        return HistoryTrimmed


@pytest.mark.parametrize("seed", first(1, range(3)))
async def test_a_trimmed_fleet_is_its_twin_but_for_what_it_refuses(tmp_path: Path, seed: int):
    told, moments, _ = await _life(tmp_path / "whole", seed, trims=False)
    trimmed_told, trimmed_moments, deleted = await _life(tmp_path / "trimmed", seed, trims=True)
    assert deleted > 20
    assert trimmed_told == told
    refused = answered = 0
    for whole, trimmed in zip(moments, trimmed_moments, strict=True):
        assert HistoryTrimmed not in whole.values()
        for moment, answer in trimmed.items():
            refused += answer is HistoryTrimmed
            answered += answer is not HistoryTrimmed
            assert answer is HistoryTrimmed or answer == whole[moment], moment
        assert all(
            answer is not HistoryTrimmed for (name, at), answer in trimmed.items() if name == "b" and type(at) is int
        )
    assert refused > 20
    assert answered > 100


async def test_the_newest_rows_stay_and_the_history_says_where_it_begins(tmp_path: Path):
    async with opened(tmp_path / "a.db", retention=Retention(rows=3)) as node:
        for n in range(6):
            await node["t"].put("k", {"n": n})
        assert (await node.trim()).deleted == 3
        assert [revision.fields for revision in await node["t"].history("k")] == [{"n": 5}, {"n": 4}, {"n": 3}]
        assert await node["t"].as_of(3).get("k") == {"n": 2}
        for refused in (
            node["t"].as_of(2).get("k"),
            node["t"].revert(["k"], 2),
            node.undo(3),
            node.disown(node.label, 2),
        ):
            with pytest.raises(HistoryTrimmed, match="kept from lsn 3 on, not from lsn 2"):
                await refused
        assert (await node["t"].revert(["k"], 3)).written == 1
        assert [entry.lsn for entry in await node.log()] == [7, 6, 5, 4]
        assert [entry.lsn async for entry in node.audit()] == [4, 5, 6, 7]
        assert (await node.undo(7)).written == 1
        status = await node.status()
        assert (status.history.rows, status.history.floors, status.history.stubs) == (5, {"t": 3}, 0)
        assert (await node.verify()).ok


async def test_what_is_older_than_the_age_goes_and_the_rest_is_dated(tmp_path: Path):
    wall = Still()
    async with (
        opened(tmp_path / "a.db", wall=wall, space="s", retention=Retention(age=timedelta(days=1))) as node,
        opened(tmp_path / "b.db", wall=wall, space="s") as other,
    ):

        def at(hours: float) -> datetime:
            return datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(hours=hours)

        for hour in range(4):
            wall.ms = NOW_MS + hour * 3_600_000
            await node["t"].put("own", {"n": hour})
            await other["t"].put("theirs", {"n": hour})
            await meet(node, other)
        wall.ms = NOW_MS + 26 * 3_600_000 - 1
        assert (await node.trim()).deleted == 4
        for early in (at(-1), at(0.5), at(0)):
            with pytest.raises(HistoryTrimmed, match="not from 2025"):
                await node["t"].as_of(early).get("own")
        assert await node["t"].as_of(at(1.5)).get_many(["own", "theirs"]) == {"own": {"n": 1}, "theirs": {"n": 1}}
        assert await node["t"].as_of(at(2.5)).get_many(["own", "theirs"]) == {"own": {"n": 2}, "theirs": {"n": 2}}
        wall.ms = NOW_MS + 10**10
        await node.trim()
        assert len(await node.log()) == 1  # the last one stays: numbers of rows go up
    with raw(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT count(*) FROM arrival").fetchone() == (1,)


async def test_bytes_bound_the_log_as_well(tmp_path: Path):
    async with opened(tmp_path / "a.db", retention=Retention(bytes=10_000)) as node:
        for n in range(50):
            await node["t"].put("k", {"v": f"{n}" * 500})
        await node.trim()
        status = await node.status()
        assert 8_000 < status.history.bytes <= 10_000 + 1_100
        assert status.history.floors["t"] > 30


async def test_a_collection_may_keep_more_or_less_than_the_file(tmp_path: Path):
    path = tmp_path / "a.db"
    schemas = [Schema(name="kept", retention=Retention()), Schema(name="few", retention=Retention(rows=1))]
    async with opened(path, schemas=schemas, retention=Retention(rows=3)) as node:
        for n in range(5):
            for name in ("kept", "few", "rest"):
                await node[name].put("k", {"n": n})
        await node.trim()
        lives = {name: len(await node[name].history("k")) for name in ("kept", "few", "rest")}
        assert lives == {"kept": 5, "few": 1, "rest": 3}
    async with opened(path) as node:  # a program that declares nothing loses nothing
        for n in range(5):
            for name in ("kept", "few", "rest"):
                await node[name].put("k", {"n": n})
        await node.trim()
        lives = {name: len(await node[name].history("k")) for name in ("kept", "few", "rest")}
        assert lives == {"kept": 10, "few": 1, "rest": 3}
    async with opened(path, schemas=[Schema(name="few")]) as node:  # declared anew: as the file
        for n in range(5):
            await node["few"].put("k", {"n": n})
        await node.trim()
        assert len(await node["few"].history("k")) == 3


async def test_own_operations_that_no_peer_has_stored_leave_stubs(tmp_path: Path):
    path = tmp_path / "a.db"
    async with (
        opened(path, space="s", retention=Retention(rows=0)) as node,
        opened(tmp_path / "hub.db", space="s") as hub,
    ):
        await node["t"].put("first", {"n": 0}, note="gone before anybody was met")
        await node["t"].put("k", {"n": 1})
        assert (await node.trim()).deleted == 1
        for _ in range(2):  # what was sent in one session is acknowledged in the next
            await meet(node, hub)
        for n in range(2, 6):
            await node["t"].put("k", {"n": n}, note="unsent")
        report = await node.trim()
        assert (report.deleted, report.stubs) == (1, 3)
        history = (await node.status()).history
        assert (history.rows, history.stubs) == (1, 3)
        assert history.waiting == ("3 changes of this node that no peer has stored yet leave a stub",)
        assert [entry.note for entry in await node.log()] == ["unsent"]
        for _ in range(2):
            await meet(node, hub)
        assert (await node.trim()).deleted >= 3
        assert (await node.status()).history.stubs == 0
        await assert_equal(node, hub)
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM log WHERE stub IS NOT NULL").fetchall() == [(0,)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_what_goes_for_good_behind_its_log_is_not_buried(tmp_path: Path):
    """A stub names an operation and tells nothing of the record: nobody would ever take it out of the ground again."""
    path = tmp_path / "a.db"
    async with (
        opened(path, space="s", retention=Retention(rows=1)) as node,
        opened(tmp_path / "hub.db", space="s") as hub,
    ):
        await node["t"].put("first", {})
        for _ in range(2):
            await meet(node, hub)
        for n in range(3):
            await node["t"].put(f"k{n}", {"n": n})
            await node["t"].delete(f"k{n}")
        await node["t"].put("last", {})
        assert (await node.trim()).stubs == 6
        await node.write(lambda tx: forget(tx, [2, 3, 4]))
        assert (await node.verify()).problems == ()
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM record").fetchone() == (2,)
        assert connection.execute("SELECT * FROM buried").fetchall() == []


@pytest.mark.parametrize("trims", [False, True])
async def test_a_copy_is_told_apart_and_nothing_is_lost_whether_the_log_was_trimmed(tmp_path: Path, *, trims: bool):
    """The file goes on, its copy as well; the hub has seen the copy's writes under names that the file gave too."""
    path, copy = tmp_path / "a.db", tmp_path / "copy.db"
    kept = Retention(rows=0) if trims else Retention()
    async with opened(tmp_path / "hub.db", space="s") as hub, opened(tmp_path / "far.db", space="s") as far:
        async with opened(path, space="s", retention=kept) as node:
            for n in range(4):
                await node["t"].put(f"k{n}", {"n": n})
                await meet(node, hub)
                await far["t"].put(f"far{n}", {"n": n})
                await meet(far, hub)
            await node.trim()
        shutil.copy(path, copy)
        shutil.copy(f"{path}-witness", f"{copy}-witness")
        async with opened(path, space="s", seed="original") as node:
            receipt = await node["t"].put("k0", {"n": "original"})
            await node["t"].put("own", {"n": 1})
            await node.trim()
            await meet(node, hub)
            await node.trim()
        shutil.copy(copy, path)
        shutil.copy(f"{copy}-witness", f"{path}-witness")
        async with opened(path, space="s", seed="copy") as node:
            receipt = await node["t"].put("k1", {"n": "copy"})
            await node["t"].put("other", {"n": 2})
            await node.trim()
            for _ in range(3):
                await meet(node, hub)
                await meet(far, hub)
                await node.trim()
            assert node.renewed
            await assert_equal(node, hub, far)
            found = {doc.key: doc.fields["n"] for doc in await far["t"].query()}
            assert found == {
                **{f"far{n}": n for n in range(4)},
                "k0": "original",
                "k1": "copy",
                "k2": 2,
                "k3": 3,
                "own": 1,
                "other": 2,
            }
            assert not await far.conflicts(None)
            assert receipt.key == "k1"


async def test_the_ledger_and_ended_conflicts_go_with_the_log(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="s", schemas=_schemas(None)[:1]) as node,
        opened(tmp_path / "b.db", space="s", schemas=_schemas(None)[:1]) as other,
    ):
        for key in ("k", "open"):
            await node["a"].put(key, {"m": 0})
            await meet(other, node)
            await node["a"].update(key, {"m": 1})
            await other["a"].update(key, {"m": 2})
            await meet(other, node)
        (item,) = [found for found in await node.conflicts() if found.conflict.key == "k"]
        await item.resolve(Take(0))
        assert len(await node.ledger()) == 1
        async with opened(tmp_path / "unused.db"):
            pass
        with raw(tmp_path / "a.db") as connection:
            connection.execute("UPDATE node SET retention = ?", ('{"age_ms": null, "rows": 0, "bytes": null}',))
        await node["a"].put("later", {})
        await node.trim()
        assert await node.ledger() == []
        assert [found.conflict.key for found in await node.conflicts(None)] == ["open"]
        assert (await node.verify()).ok


async def test_vectors_that_only_trimmed_rows_named_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.engine.storage.names.LOGGED_MAX", 3)
    async with (
        opened(tmp_path / "a.db", space="s", retention=Retention(rows=2)) as node,
        opened(tmp_path / "b.db", space="s") as other,
    ):
        for n in range(12):
            await other["t"].put("theirs", {"n": n})
            await meet(node, other)
            await node["t"].put("own", {"n": n})
        await meet(node, other)
        await node.trim()
    with raw(tmp_path / "a.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM context WHERE logged = 1").fetchone()
        assert count <= 4
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_the_log_is_trimmed_behind_commits_in_slices(tmp_path: Path):
    path = tmp_path / "a.db"
    async with opened(path, retention=Retention(rows=100)) as node:
        for start in range(0, 5_000, 500):
            await node["t"].put_many([(f"k{n}", {"n": n}) for n in range(start, start + 500)])
        while (await node.status()).history.rows > 100 + CHANGES_EACH:
            await node["t"].put("k", {})
    async with opened(path) as node:  # what the last opening left is seen at the next
        await node["t"].put_many([(f"l{n}", {"n": n}) for n in range(CHANGES_EACH)])
    async with opened(path) as node:
        while (await node.status()).history.rows > 100 + CHANGES_EACH:
            await node["t"].put("k", {})
    with raw(path) as connection:
        assert connection.execute("SELECT min(id) > 3000, count(*) < 2200 FROM log").fetchone() == (1, 1)


async def test_a_slice_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trimming, "SLICE_ROWS", 10)
    monkeypatch.setattr(trimming, "LOOK_ROWS", 7)
    async with opened(tmp_path / "a.db", retention=Retention(rows=5)) as node:
        for n in range(30):
            await node["t"].put("k", {"n": n})
            await node["u"].put("k", {"n": n})
        parts = []
        while not parts or parts[-1].more:
            parts.append(await node.write(trimming.trim))
        assert max(part.deleted for part in parts) <= 10
        assert sum(part.deleted for part in parts) == 50
        assert len(await node["t"].history("k")) == len(await node["u"].history("k")) == 5


async def test_a_reader_sees_one_state_of_record_and_log(tmp_path: Path):
    """What is committed between two statements of a reader, as a slice that is trimmed, is not seen in part."""
    path = tmp_path / "a.db"
    async with opened(path) as node:
        await node["t"].put("k", {"n": 1})
        await node["t"].put("k", {"n": 2, "m": 1})
        with raw(path) as reader, raw(path) as writer:
            from holdfast.engine.storage.past import states_at

            def between(statement: str) -> None:
                if "FROM log" in statement:
                    reader.set_trace_callback(None)
                    writer.execute("DELETE FROM log WHERE lsn = 2")

            reader.set_trace_callback(between)
            assert states_at(reader, "t", ["k"], 1) == {"k": (True, {"n": "1"})}


@pytest.mark.parametrize("wrong", [{"age": timedelta(0)}, {"age": 3}, {"rows": -1}, {"bytes": "x"}])
def test_a_bound_that_is_none_is_refused(wrong: dict[str, Any]):
    with pytest.raises(UsageError):
        Retention(**wrong)
    assert Retention().is_unbounded


@pytest.mark.parametrize("trims", [False, True])
async def test_a_node_is_disowned_alike_when_older_changes_are_gone(tmp_path: Path, *, trims: bool):
    """The record was dead at that moment and has been revived since: no row of before says now that it was known."""
    kept = Retention(rows=1) if trims else Retention()
    async with (
        opened(tmp_path / "a.db", space="s", retention=kept) as node,
        opened(tmp_path / "b.db", space="s") as bad,
    ):
        for key in "kl":
            await node["t"].put(key, {"n": 1})
        await node["t"].delete("k")
        await node["t"].put("last", {})
        await meet(bad, node)
        await meet(bad, node)
        assert ((await node.trim()).deleted > 2) == trims
        since = (await node.status()).lsn
        await bad["t"].update("k", {"m": 2}, upsert=True)
        await bad["t"].update("l", {"n": -1})
        await bad["t"].put("new", {"n": -1})
        await meet(bad, node)
        report = await node.disown("b", since)
        assert (report.written, report.deleted) == (1, 2)
        assert {doc.key: doc.fields for doc in await node["t"].query()} == {"l": {"n": 1}, "last": {}}
