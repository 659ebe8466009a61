"""A guard holds what would delete or rewrite too much, before it is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Engine, Guard, SyncHeld, UsageError
from holdfast.engine.guard import Watch
from holdfast.engine.replica import Replica
from holdfast.transport.sync import sync

from ..nodes import assert_equal, link_to, meet, opened, purge


async def _meet(node: Engine, hub: Engine, guard: Guard | None = None):
    return await sync(Replica(node, Watch(guard) if guard else None), link_to(hub))


async def _spoilt(folder: Path, count: int, spoil):
    """Two nodes that shared 1,000 records and one that has been spoilt since."""
    hub = await opened(folder / "hub.db", space="plant", batch_bytes=4_000)
    node = await opened(folder / "a.db", space="plant", batch_bytes=4_000)
    await hub["t"].put_many((f"k{n:04}", {"n": n}) for n in range(1_000))
    await hub["u"].put("other", {})
    await meet(node, hub)
    for n in range(count):
        await spoil(hub["t"], f"k{n:04}")
    return hub, node


async def _delete(collection, key):
    await collection.delete(key)


async def _rewrite(collection, key):
    await collection.update(key, {"n": -1})


async def _add(collection, key):
    await collection.update(key, {"new": 1})


@pytest.mark.parametrize("spoil", [_delete, _rewrite])
async def test_too_much_is_held_and_goes_through_without_a_guard(tmp_path: Path, spoil):
    hub, node = await _spoilt(tmp_path, 400, spoil)
    async with hub, node:
        guard = Guard(share=0.3)
        with pytest.raises(SyncHeld, match="of 1,000 records") as told:
            await _meet(node, hub, guard)
        assert told.value.subject == "t"
        touched = 1_000 - len(await node["t"].query("doc ->> 'n' >= 0"))
        assert touched <= 300
        assert (await node.verify()).ok
        assert not (await node.status()).whole or not touched
        assert (await _meet(node, hub)).completed
        await assert_equal(node, hub)


@pytest.mark.parametrize(("count", "spoil"), [(300, _delete), (300, _rewrite), (1_000, _add)])
async def test_what_is_allowed_goes_through(tmp_path: Path, count: int, spoil):
    hub, node = await _spoilt(tmp_path, count, spoil)
    async with hub, node:
        assert (await _meet(node, hub, Guard(share=0.3))).completed
        await assert_equal(node, hub)


async def test_a_few_are_always_let_through(tmp_path: Path):
    hub, node = await _spoilt(tmp_path, 90, _delete)
    async with hub, node:
        with pytest.raises(SyncHeld):
            await _meet(node, hub, Guard(share=0.01, least=10))
        assert (await _meet(node, hub, Guard(share=0.01))).completed


async def test_a_fresh_node_takes_in_everything(tmp_path: Path):
    hub, node = await _spoilt(tmp_path, 500, _rewrite)
    async with hub, node, opened(tmp_path / "new.db", space="plant") as fresh:
        assert (await _meet(fresh, hub, Guard(share=0.01, least=0))).completed


async def test_a_bundle_is_held_as_well(tmp_path: Path):
    hub, node = await _spoilt(tmp_path, 400, _delete)
    async with hub, node:
        await hub.export_bundle(tmp_path / "x.bundle")
        with pytest.raises(SyncHeld):
            await node.import_bundle(tmp_path / "x.bundle", guard=Guard(share=0.3))
        assert (await node.import_bundle(tmp_path / "x.bundle")).completed
        await assert_equal(node, hub)


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.1}, {"share": True}, {"share": None}, {"least": -1}])
def test_a_guard_that_guards_nothing_is_refused(wrong: dict[str, object]):
    with pytest.raises(UsageError):
        Guard(**wrong)


async def test_what_a_peer_says_is_no_more_is_held_too(tmp_path: Path):
    hub, node = await _spoilt(tmp_path, 400, _delete)
    async with hub, node:
        await purge(hub)
        with pytest.raises(SyncHeld, match="of 1,000 records"):
            await _meet(node, hub, Guard(share=0.3))
        assert (await node.status()).records > 700
        assert (await _meet(node, hub)).completed
        await assert_equal(node, hub)
        assert (await node.status()).records == 601
