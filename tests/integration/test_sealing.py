"""Identities that come, write and go: what is kept of them, at the hub and at a node that was there all the time."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast import Engine, NoSuchMember, NotTheAuthority, Purge
from holdfast.engine.storage import retiring
from holdfast.engine.storage.pasts import head_of
from holdfast.transport.hub.limits import Limits

from ..nodes import Wall, assert_equal, heal, meet, opened
from .test_overtaking import served as over_http
from .test_starting import served

DAY_MS = 86_400_000
PLAN = Purge(every_s=0, silent_after_s=7 * 86_400, seal_after_s=7 * 86_400)
GUESTS = 70
"""More than go into a past at once."""


def vectors(connection: sqlite3.Connection) -> dict[str, int]:
    """Bytes of the vectors of a file, by where they stand; those of the log stay as they are until it is trimmed."""
    contexts = connection.execute("SELECT coalesce(sum(length(vector)), 0) FROM context WHERE logged = 0").fetchone()[0]
    purging = connection.execute(
        "SELECT length(fence) + length(horizon) + coalesce(length(mark), 0) FROM purging"
    ).fetchone()[0]
    named = connection.execute("SELECT count(*) FROM vector WHERE apart = 1").fetchone()[0]
    return {"contexts": contexts, "purging": purging, "named": named}


async def come_and_go(hub: Engine, folder: Path, wall: Wall, numbers: range) -> None:
    """Each joins, writes, deletes and is never seen again."""
    for number in numbers:
        async with opened(folder / f"g{number}.db", space="s", wall=wall) as guest:
            await meet(guest, hub)
            await guest["t"].put(f"k{number}", {"n": number})
            await guest["t"].put("passing", {"n": number})
            await guest["t"].delete("passing")
            await meet(guest, hub)
        wall.ms += 3_600_000


async def look_after(*nodes: Engine) -> None:
    """What a node does for its file behind commits."""
    for node in nodes:
        await node.write(retiring.retire)


async def test_vectors_shrink_where_members_went_and_one_that_returns_loses_nothing(tmp_path: Path):
    wall = Wall()
    async with (
        opened(tmp_path / "hub.db", space="s", wall=wall, purge=PLAN) as hub,
        opened(tmp_path / "edge.db", space="s", wall=wall) as edge,
        over_http(tmp_path / "served", hub) as address,
    ):
        await hub.members.seize("the first hub")
        await come_and_go(hub, tmp_path, wall, range(GUESTS))
        await heal(hub, edge)
        async with opened(tmp_path / "g3.db", space="s", wall=wall) as away:  # writes, and reaches nobody
            await away["t"].put("unsynced", {"by": "g3"})
            await away["t"].update("k3", {"more": True})
        before = [await node.readers.run(vectors) for node in (hub, edge)]
        shown = [(await node.status()).vector for node in (hub, edge)]
        assert all(len(vector) == GUESTS for vector in shown), "each of them wrote"
        wall.ms += 8 * DAY_MS
        await edge["t"].put("here", {})
        await heal(hub, edge)
        assert len((await hub.purge()).left_out) + sum(not m.counts for m in await hub.members.list()) >= GUESTS
        wall.ms += 31 * DAY_MS
        await heal(hub, edge)
        await hub.purge()
        assert {member.label for member in await hub.members.list()} == {"hub", "edge"}
        await look_after(hub, edge)
        await edge["t"].put("here", {"again": True})  # what is said anew is kept anew
        await heal(hub, edge, rounds=3)
        after = [await node.readers.run(vectors) for node in (hub, edge)]
        for was, now in zip(before, after, strict=True):
            assert now["contexts"] + now["purging"] < 1_000
            assert was["contexts"] > 10 * now["contexts"]
            assert now["named"] <= 2
        for was, node in zip(shown, (hub, edge), strict=True):
            now = (await node.status()).vector
            assert {actor: now[actor] for actor in was} == was, "a vector says what it said"
        await assert_equal(hub, edge)
        async with opened(tmp_path / "g3.db", space="s", wall=wall) as away:
            assert (await away.sync(address)).completed
            await heal(hub, away, edge)
            for node in (hub, edge, away):
                assert (await node["t"].get("k3")).fields == {"n": 3, "more": True}
                assert (await node["t"].get("unsynced")).fields == {"by": "g3"}
                assert await node["t"].get("passing") is None
            await assert_equal(hub, edge, away)
        assert {m.label: m.counts for m in await hub.members.list()} == {"hub": True, "edge": True, "g3": True}


async def test_a_member_is_sealed_by_name_and_only_by_who_decides(tmp_path: Path):
    async with (
        opened(tmp_path / "hub.db", space="s") as hub,
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await hub.members.seize("the first hub")
        await a["t"].put("k", {"n": 1})
        await heal(hub, a, b)
        with pytest.raises(NotTheAuthority):
            await a.members.seal("hub")
        await hub.members.seal("b")
        assert [member.label for member in await hub.members.list()] == ["hub", "a"]
        with pytest.raises(NoSuchMember):
            await hub.members.seal("b")
        await hub["t"].delete("k")
        await heal(hub, a)
        await hub.purge()
        assert (await hub.purge()).waits_for == ()
        assert (await hub.status()).deleted == 0
        await b["t"].put("own", {})
        await heal(hub, b, a, rounds=3)
        assert await b["t"].get("k") is None
        assert {member.label for member in await hub.members.list()} == {"hub", "a", "b"}
        await assert_equal(hub, a, b)


async def test_a_copy_of_a_sealed_node_is_told_apart(tmp_path: Path):
    """Only tickets tell two files under one identity apart, so a seal keeps them."""
    async with opened(tmp_path / "hub.db", space="s") as hub:
        await hub.members.seize("the first hub")
        async with opened(tmp_path / "a.db", space="s") as a:
            await a["t"].put("k", {"n": 1})
            await heal(hub, a)
        (tmp_path / "twin").mkdir()
        for part in ("a.db", "a.db-witness"):
            shutil.copy2(tmp_path / part, tmp_path / "twin" / part)
        async with opened(tmp_path / "a.db", space="s", seed="a2") as a:
            await a["t"].put("mine", {"by": "a"})
            await heal(hub, a)
        await hub.members.seal("a")
        async with opened(tmp_path / "twin" / "a.db", space="s", seed="twin") as twin:
            await twin["t"].put_many([(f"t{n}", {"by": "twin"}) for n in range(5)])
            await heal(hub, twin)
            assert await hub["t"].count() == await twin["t"].count() == 7
            await assert_equal(hub, twin)


async def test_the_identity_that_a_node_gave_up_is_left_out_by_itself(tmp_path: Path):
    wall = Wall()
    async with opened(tmp_path / "hub.db", space="s", wall=wall, purge=Purge(every_s=0)) as hub:
        await hub.members.seize("the first hub")
        async with opened(tmp_path / "a.db", space="s", wall=wall) as a:
            await a["t"].put("k", {"n": 1})
            await heal(hub, a)
        (tmp_path / "a.db-witness").unlink()  # the file is taken for a copy
        wall.ms += DAY_MS
        async with opened(tmp_path / "a.db", space="s", wall=wall, seed="later") as a:
            assert a.renewed is not None
            await a["t"].delete("k")
            await heal(hub, a)
            assert len(await hub.members.list()) == 3
            assert all(member.counts for member in await hub.members.list())
            wall.ms += 8 * DAY_MS
            await heal(hub, a, rounds=3)
            await hub.purge()
            out = [member for member in await hub.members.list() if not member.counts]
            assert [member.actor != a.actor for member in out] == [True]
            assert (await hub.status()).deleted == 0


async def test_a_starter_brings_the_past_with_it(tmp_path: Path):
    async with served(tmp_path / "hub", records=50, limits=Limits(starter_records_min=1)) as hub:
        async with opened(tmp_path / "first.db", space="plant") as first:
            await first["t"].put("k", {"n": 1})
            await first.sync(hub.at())
        assert await hub.hub.write(lambda tx: retiring.retire(tx, at_once=1, after_ms=-DAY_MS)) == 2
        async with opened(tmp_path / "new.db", space="plant") as new:
            assert (await new.sync(hub.at())).completed
            assert await new.readers.run(head_of) is not None
            assert (await new.readers.run(vectors))["named"] <= 1, "what the hub keeps in its past is kept so here"
            await new["t"].put("own", {})
            assert (await new.sync(hub.at())).completed
            assert (await new.verify()).problems == ()
            await assert_equal(hub.hub, new)
