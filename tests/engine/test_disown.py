"""What a misbehaving node has changed since a moment is taken back where it shows, and nothing of others."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from holdfast import Engine, ReadOnlyEngine, Remove, UsageError

from ..nodes import heal, meet, opened


async def _all(node: Engine) -> dict[str, dict[str, object]]:
    return {document.key: document.fields for document in await node["t"].query()}


async def test_every_way_of_changing_a_record_is_taken_back(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="plant") as good,
        opened(tmp_path / "b.db", space="plant", name="bad") as bad,
    ):
        await good["t"].put_many((f"k{n}", {"n": n, "m": n}) for n in range(5))
        await meet(bad, good)
        since = (await good.status()).lsn
        await bad["t"].update("k0", {"n": -1})
        await bad["t"].update("k1", {"new": -1, "m": Remove()})
        await bad["t"].delete("k2")
        await bad["t"].put("k3", {"all": -1})
        await bad["t"].put("k9", {"n": -9})
        await meet(bad, good)
        await good["t"].update("k0", {"m": 100})
        await good["t"].update("k3", {"mine": 1})
        spoilt = await _all(good)
        told = await good.disown("bad", since, preview=True)
        assert (told.written, told.deleted, told.before) == (4, 1, None)
        assert await _all(good) == spoilt
        done = await good.disown("bad", since, author="ann")
        assert (done.written, done.deleted) == (4, 1)
        healed = await _all(good)
        assert healed == {
            "k0": {"n": 0, "m": 100},
            "k1": {"n": 1, "m": 1},
            "k2": {"n": 2, "m": 2},
            "k3": {"mine": 1},
            "k4": {"n": 4, "m": 4},
        }
        assert (await good.log(limit=1))[0].note == f"without bad since {since}"
        again = await good.disown("bad", since)
        assert (again.written, again.deleted, again.before) == (0, 0, None)
        await meet(bad, good)
        assert await _all(bad) == healed
        await good.snapshots.restore(done.before)
        assert await _all(good) == spoilt


@pytest.mark.parametrize("seed", range(5))
async def test_where_only_one_node_wrote_everything_goes_back(tmp_path: Path, seed: int):
    dice = random.Random(seed)
    async with AsyncExitStack() as stack:
        good, bad = [
            await stack.enter_async_context(opened(tmp_path / f"{name}.db", space="plant", name=name))
            for name in ("good", "bad")
        ]

        async def stir(node: Engine, count: int) -> None:
            for _ in range(count):
                key = f"k{dice.randrange(6)}"
                match dice.randrange(4):
                    case 0:
                        await node["t"].put(key, {dice.choice("xyz"): dice.randrange(9)})
                    case 1 | 2:
                        value = dice.choice([Remove(), dice.randrange(9)])
                        await node["t"].update(key, {dice.choice("xyz"): value}, upsert=True)
                    case _ if await node["t"].get(key):
                        await node["t"].delete(key)

        await stir(good, 12)
        await meet(bad, good)
        before, since = await _all(good), (await good.status()).lsn
        for _ in range(3):
            await stir(bad, 6)
            await meet(bad, good)
        await good.disown("bad", since)
        assert await _all(good) == before
        assert (await good.verify()).ok


async def test_what_others_wrote_at_the_same_time_stays(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="plant", name="good") as good,
        opened(tmp_path / "b.db", space="plant", name="bad") as bad,
    ):
        await good["t"].put_many((key, {"n": 0, "m": 0}) for key in ("won", "lost", "dead", "other"))
        await meet(bad, good)
        since = (await good.status()).lsn
        await bad["t"].update("won", {"n": -1})
        await good["t"].update("won", {"n": 1})
        await good["t"].update("lost", {"n": 1})
        await bad["t"].update("lost", {"n": -1})
        await good["t"].delete("dead")
        await bad["t"].update("dead", {"n": -1})
        await good["t"].put("other", {"n": 1})
        await good["t"].put("fresh", {"n": 1, "m": 1})
        await good["t"].put("fresh too", {"n": 1})
        await meet(bad, good)
        await bad["t"].update("fresh", {"n": -1})
        await bad["t"].delete("fresh too")
        await meet(bad, good)
        assert (await _all(good))["lost"] == {"n": -1, "m": 0}
        done = await good.disown("bad", since)
        assert done.named
        assert (done.written, done.deleted) == (3, 1)
        assert await _all(good) == {
            "won": {"n": 1, "m": 0},
            "lost": {"n": 1, "m": 0},
            "other": {"n": 1},
            "fresh": {"n": 1, "m": 1},
            "fresh too": {"n": 1},
        }
        again = await good.disown("bad", since)
        assert (again.written, again.deleted) == (0, 0)


@pytest.mark.parametrize("where", ["hub", "author"])
async def test_what_others_made_since_comes_back_as_they_left_it(tmp_path: Path, where: str):
    async with (
        opened(tmp_path / "hub.db", space="plant", name="hub") as hub,
        opened(tmp_path / "a.db", space="plant", name="a") as a,
        opened(tmp_path / "d.db", space="plant", name="d") as d,
    ):
        await a["t"].put("old", {"n": 0, "m": 0})
        await heal(hub, a, d)
        node = hub if where == "hub" else a
        since = (await node.status()).lsn
        await a["t"].put("inn2", {"title": "important"})
        await a["t"].put("two", {"title": "fine", "n": 1})
        await node["t"].update("old", {"n": 1, "m": Remove()})
        await heal(hub, a, d)
        await d["t"].update("inn2", {"title": "bad"})
        await d["t"].put("two", {"title": "bad", "more": 1})
        await d["t"].update("old", {"n": -1, "m": -1})
        await d["t"].put("own", {"n": -1})
        await heal(hub, a, d)
        assert (await _all(node))["inn2"] == {"title": "bad"}
        await node.disown("d", since)
        assert await _all(node) == {
            "inn2": {"title": "important"},
            "two": {"title": "fine", "n": 1},
            "old": {"n": 1},
        }
        await heal(hub, a, d)
        assert await _all(d) == await _all(node)
        again = await node.disown("d", since)
        assert (again.written, again.deleted) == (0, 0)


async def test_a_name_that_several_go_by_is_refused(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="plant", name="node") as here,
        opened(tmp_path / "b.db", space="plant", name="node") as there,
    ):
        await here["t"].put("mine", {})
        await there["t"].put("theirs", {})
        await meet(here, there)
        actor = await there.actor()
        with pytest.raises(UsageError, match=f"2 identities go by this name.*{actor[:12]}"):
            await here.disown("node", 0)
        assert (await here.disown(actor[:12], 0)).deleted == 1
        assert await _all(here) == {"mine": {}}


async def test_whom_nobody_knows_is_refused(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant", name="a") as node:
        await node["t"].put("k", {})
        for unknown in ("b", "0" * 8):
            with pytest.raises(UsageError, match="no node of this name"):
                await node.disown(unknown, 0)
        told = await node.disown((await node.actor())[:8], 0, preview=True)
        assert told.deleted == 1
        async with Engine.open(node.path, read_only=True) as reader:
            assert (await reader.disown("a", 0, preview=True)).deleted == 1
            with pytest.raises(ReadOnlyEngine):
                await reader.disown("a", 0)
