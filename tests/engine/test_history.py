"""The history of records: every moment reads as it read then, and the ways back are ordinary operations."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast import (
    AskOnDelete,
    Engine,
    HistoryTrimmed,
    Manual,
    MultiValue,
    Remove,
    Schema,
    Take,
    TransactionTooLarge,
    UsageError,
)
from holdfast.engine.history import RISKY

from ..gate import first
from ..nodes import NOW_MS, Wall, meet, opened

SCHEMAS = (
    Schema(name="a", fields={"m": Manual(), "v": MultiValue()}),
    Schema(name="b", on_delete=AskOnDelete()),
)


async def _shown(node: Engine) -> dict[tuple[str, str], dict[str, object]]:
    return {(name, doc.key): doc.fields for name in "ab" for doc in await node[name].query()}


async def _recalled(node: Engine, lsn: int) -> dict[tuple[str, str], dict[str, object]]:
    return {(name, key): fields for name in "ab" async for key, fields in node[name].as_of(lsn).documents()}


SEEDS = range(6)


class Fleet:
    """Nodes that write in every way there is, settle conflicts, and meet; what each showed is kept by lsn."""

    def __init__(self, nodes: list[Engine], seed: int) -> None:
        self.nodes, self.dice = nodes, random.Random(seed)
        self.seen: list[dict[int, dict[tuple[str, str], dict[str, object]]]] = [{0: {}} for _ in nodes]

    async def step(self) -> None:
        at = self.dice.randrange(len(self.nodes))
        node = self.nodes[at]
        kinds = (self.single, self.single, self.several, self.bulk, self.decide, self.session, self.session)
        await self.dice.choice(kinds)(node)
        for other, engine in enumerate(self.nodes):
            self.seen[other][(await engine.status()).lsn] = await _shown(engine)

    def _place(self) -> tuple[str, str]:
        return self.dice.choice("ab"), f"k{self.dice.randrange(4)}"

    def _fields(self) -> dict[str, object]:
        return {name: self.dice.randrange(4) for name in self.dice.sample("mvxy", self.dice.randrange(4))}

    async def single(self, node: Engine) -> None:
        name, key = self._place()
        match self.dice.randrange(4):
            case 0:
                await node[name].put(key, self._fields())
            case 1:
                await node[name].update(key, {**self._fields(), self.dice.choice("mvxy"): Remove()}, upsert=True)
            case 2:
                await node[name].update(key, self._fields(), upsert=True)
            case _ if await node[name].get(key):
                await node[name].delete(key)

    async def several(self, node: Engine) -> None:
        async with node.transaction() as tx:
            for _ in range(3):
                name, key = self._place()
                if self.dice.random() < 0.5:
                    tx.put(name, key, self._fields())
                else:
                    tx.update(name, key, self._fields(), upsert=True)

    async def bulk(self, node: Engine) -> None:
        await node["a"].put_many([(f"k{self.dice.randrange(6)}", self._fields()) for _ in range(3)])

    async def decide(self, node: Engine) -> None:
        for item in (await node.conflicts())[:1]:
            await item.resolve(Take(0))

    async def session(self, node: Engine) -> None:
        await meet(node, self.dice.choice([one for one in self.nodes if one is not node]))


@pytest.mark.parametrize("seed", first(3, SEEDS))
async def test_every_moment_reads_as_it_read_then(tmp_path: Path, seed: int):
    async with AsyncExitStack() as stack:
        paths = [tmp_path / f"{name}.db" for name in "xyz"]
        nodes = [await stack.enter_async_context(opened(path, space="plant", schemas=SCHEMAS)) for path in paths]
        fleet = Fleet(nodes, seed)
        for _ in range(40):
            await fleet.step()
        for node, seen in zip(nodes, fleet.seen, strict=True):
            assert len(seen) > 1
            for lsn, documents in seen.items():
                assert await _recalled(node, lsn) == documents, (node.label, lsn)
            lasting = {revision.lsn: revision for revision in reversed(await node["a"].history("k1"))}
            for lsn, revision in lasting.items():
                assert revision.fields == await node["a"].as_of(lsn).get("k1")
            lives = await node["a"].history(limit=10_000)
            assert [one.lsn for one in lives] == sorted((one.lsn for one in lives), reverse=True)
            for key in {one.key for one in lives}:
                assert [one for one in lives if one.key == key] == await node["a"].history(key, limit=10_000)
            assert await node["a"].history(limit=7) == lives[:7]


async def test_the_life_of_a_record(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["t"].put("k", {"a": 1}, author="ann", note="first")
        await node["t"].update("k", {"b": 2})
        await node["t"].delete("k")
        await node["t"].put("k", {"c": 3})
        life = await node["t"].history("k")
        assert [(one.kind, one.fields) for one in life] == [
            ("put", {"c": 3}),
            ("delete", None),
            ("update", {"a": 1, "b": 2}),
            ("put", {"a": 1}),
        ]
        assert (life[-1].author, life[-1].note, life[-1].dot.seq) == ("ann", "first", 1)
        assert life[0].as_json()["fields"] == {"c": 3}
        assert await node["t"].history("never") == []
        assert len(await node["t"].history("k", limit=2)) == 2
        log = await node.log()
        assert [(entry.born, entry.gone, entry.added) for entry in log] == [
            (True, False, ()),
            (False, True, ()),
            (False, False, ("b",)),
            (True, False, ()),
        ]


async def test_a_moment_may_be_a_time(tmp_path: Path):
    wall = Wall()
    async with (
        opened(tmp_path / "a.db", space="plant", wall=wall) as node,
        opened(tmp_path / "b.db", space="plant") as other,
    ):
        await node["t"].put("k", {"n": 1})
        wall.ms = NOW_MS + 10_000
        await node["t"].put("k", {"n": 2})
        await meet(other, node)
        wall.ms = NOW_MS + 20_000
        await node["t"].put("k", {"n": 3})

        def at(seconds: float) -> datetime:
            return datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=seconds)

        assert await node["t"].as_of(at(-5)).get("k") is None
        assert await node["t"].as_of(at(5)).get("k") == {"n": 1}
        assert await node["t"].as_of(at(15)).get("k") == {"n": 2}
        assert await node["t"].as_of(at(100)).get_many(["k", "l"]) == {"k": {"n": 3}}
        for late in (at(10**10), datetime.max.replace(tzinfo=UTC)):
            assert await node["t"].as_of(late).get("k") == {"n": 3}
        assert await node["t"].as_of(datetime.min.replace(tzinfo=UTC)).get("k") is None
        for wrong in (True, -1, "yesterday", at(5).replace(tzinfo=None)):
            with pytest.raises(UsageError):
                node["t"].as_of(wrong)


async def test_what_came_is_dated_by_its_arrival(tmp_path: Path):
    here, there = Wall(NOW_MS + 3_600_000), Wall(NOW_MS)
    async with (
        opened(tmp_path / "a.db", space="plant", wall=here) as node,
        opened(tmp_path / "b.db", space="plant", wall=there) as other,
    ):
        await other["t"].put("k", {"n": 1})
        await meet(node, other)
        arrived = datetime.fromtimestamp(here.ms / 1000, UTC)
        assert await node["t"].as_of(arrived - timedelta(minutes=30)).get("k") is None
        assert await node["t"].as_of(arrived + timedelta(minutes=1)).get("k") == {"n": 1}


async def test_records_go_back_to_a_moment(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node, opened(tmp_path / "b.db", space="plant") as other:
        await node["t"].put_many([("k1", {"n": 1, "m": 1}), ("k2", {"n": 2})])
        moment = (await node.status()).lsn
        await node["t"].update("k1", {"n": -1, "new": 0})
        await node["t"].delete("k2")
        await node["t"].put("k3", {"n": 3})
        assert (await node["t"].revert(["k1", "k2", "k3", "never"], moment, author="ann")).written == 3
        assert {doc.key: doc.fields for doc in await node["t"].query()} == {"k1": {"n": 1, "m": 1}, "k2": {"n": 2}}
        assert (await node["t"].revert(["k1", "k2", "k3"], moment)).written == 0
        entries = await node.log(limit=3)
        assert {(entry.author, entry.note) for entry in entries} == {("ann", f"as at {moment}")}
        assert len({entry.lsn for entry in entries}) == 1
        await meet(other, node)
        assert await other["t"].count() == 2


async def test_what_a_sync_brought_is_not_deleted_for_not_having_been_here(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node, opened(tmp_path / "b.db", space="plant") as other:
        await node["t"].put("own", {"n": 1})
        before = (await node.status()).lsn
        await other["t"].put("theirs", {"n": 1})
        await meet(node, other)
        arrived = (await node.status()).lsn
        await node["t"].update("theirs", {"n": 2})
        await node["t"].put("later", {"n": 3})
        for preview in (True, False):
            with pytest.raises(HistoryTrimmed, match=f"begins at lsn {arrived}, when a sync brought it"):
                await node["t"].revert(["own", "theirs", "later"], before, preview=preview)
        assert await node["t"].as_of(before).get("theirs") is None  # what readers of this node saw
        assert (await node["t"].revert(["later"], before)).deleted == 1  # this node itself made it later
        assert (await node["t"].revert(["theirs"], arrived)).written == 1
        await node["t"].delete("theirs")
        gone = (await node.status()).lsn
        await other["t"].update("theirs", {"n": 5})
        await meet(node, other)
        assert (await node["t"].get("theirs")).fields == {"n": 5}
        assert (await node["t"].revert(["theirs"], gone)).deleted == 1  # that it was deleted then is known


@pytest.mark.parametrize("whole", [True, False])
async def test_what_is_still_to_come_is_not_gone_back_to(tmp_path: Path, whole: bool):
    wall = Wall()
    async with opened(tmp_path / "a.db", space="plant", wall=wall) as node:
        last = await node["t"].put("k", {"n": 1})
        future = last.lsn + 1 if whole else datetime.fromtimestamp(wall.ms / 1000 + 60, UTC)
        with pytest.raises(UsageError, match="no such transaction yet" if whole else "still to come"):
            await node["t"].revert(["k"], future)


async def test_history_says_when_this_node_saw_a_change(tmp_path: Path):
    here, there = Wall(NOW_MS + 3_600_000), Wall(NOW_MS)
    async with (
        opened(tmp_path / "a.db", space="plant", wall=here) as node,
        opened(tmp_path / "b.db", space="plant", wall=there) as other,
    ):
        await other["t"].put("k", {"n": 1})
        await meet(node, other)
        await node["t"].put("k", {"n": 2})
        mine, theirs = await node["t"].history("k")
        assert mine.seen_ms == mine.clock_ms
        assert theirs.clock_ms < NOW_MS + 60_000 < NOW_MS + 3_600_000 <= theirs.seen_ms <= here.ms
        assert theirs.as_json()["seen_ms"] == theirs.seen_ms
        for moment, fields in ((theirs.seen_ms - 1, None), (theirs.seen_ms, {"n": 1})):
            at = datetime.fromtimestamp(moment / 1000, UTC)
            assert await node["t"].as_of(at).get("k") == fields


async def test_much_is_previewed_and_kept_before_it_is_undone(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node, opened(tmp_path / "b.db", space="plant") as other:
        await other["t"].put_many((f"k{n:03}", {"n": n}) for n in range(RISKY + 1))
        await meet(node, other)
        lsn = (await node["t"].history("k000"))[0].lsn
        told = await node.undo(lsn, preview=True)
        assert (told.written, told.deleted, told.before) == (RISKY + 1, RISKY + 1, None)
        assert told.named[:2] == (("t", "k000"), ("t", "k001"))
        assert await node["t"].count() == RISKY + 1
        assert await node.snapshots.list() == []
        done = await node.undo(lsn)
        assert await node["t"].count() == 0
        (kept,) = await node.snapshots.list()
        assert (kept.name, kept.records, kept.automatic) == (done.before, RISKY + 1, True)
        await node.snapshots.restore(done.before)
        assert await node["t"].count() == RISKY + 1
        few = await node["t"].revert([f"k{n:03}" for n in range(RISKY)], lsn + 1)
        assert (few.written, few.before) == (RISKY, None)


async def test_more_than_a_transaction_holds_is_refused(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        keys = [f"k{n}" for n in range(10_001)]
        await node["t"].put_many((key, {}) for key in keys)
        with pytest.raises(TransactionTooLarge):
            await node["t"].revert(keys, 0)
        assert await node["t"].count() == 10_001


async def test_an_undo_takes_back_what_still_stands(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["t"].put_many([("k1", {"n": 1}), ("k2", {"n": 2}), ("k3", {"n": 3})])
        async with node.transaction() as tx:
            tx.update("t", "k1", {"n": -1, "m": -1})
            tx.delete("t", "k2")
            tx.update("t", "k3", {"n": -3})
            tx.put("u", "born", {"n": 0})
        lsn = tx.receipts[0].lsn
        await node["t"].update("k1", {"m": 5})
        await node["t"].update("k3", {"other": 1})
        done = await node.undo(lsn, author="ann")
        assert (done.written, done.left) == (4, (("t", "k1"),))
        assert {doc.key: doc.fields for doc in await node["t"].query()} == {
            "k1": {"n": 1, "m": 5},
            "k2": {"n": 2},
            "k3": {"n": 3, "other": 1},
        }
        assert await node["u"].count() == 0
        assert (await node.log(limit=1))[0].note == f"undo of {lsn}"
        again = await node.undo((await node.status()).lsn)  # an undo is a change like any other
        assert again.written == 4
        assert (await node["t"].get("k2")) is None
        with pytest.raises(UsageError):
            await node.undo(0)


async def test_what_was_changed_since_is_left(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        born = await node["t"].put("k", {"n": 1})
        await node["t"].update("k", {"n": 2})
        assert (await node.undo(born.lsn)).left == (("t", "k"),)
        gone = await node["t"].delete("k")
        await node["t"].put("k", {"n": 3})
        assert (await node.undo(gone.lsn)).left == (("t", "k"),)
        assert (await node["t"].get("k")).fields == {"n": 3}


async def test_what_is_still_to_come_cannot_be_undone(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        last = await node["t"].put("k", {"n": 1})
        with pytest.raises(UsageError, match=f"no such transaction yet: the last is {last.lsn}"):
            await node.undo(last.lsn + 1)
