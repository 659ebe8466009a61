"""A full disk: the write is undone, the error says so, the data is as before, and freed space is used."""

from __future__ import annotations

import asyncio
import resource

import pytest

from holdfast.errors import DiskFull, FileUnreadable, StorageError

from ..disk import fill, small_disk, told
from ..nodes import assert_equal, heal, opened

FULL = (DiskFull, FileUnreadable)


@pytest.fixture
def small(tmp_path):
    """A file system of 4 MiB."""
    with small_disk(tmp_path / "small") as disk:
        yield disk


async def test_a_write_to_a_full_disk_is_undone_and_the_node_goes_on(small):
    async with opened(small / "n.db", durability="full") as node:
        await node["t"].put("k", {"n": 0})
        before = await node.status()
        ballast = fill(small)
        for attempt in (
            node["t"].put("big", {"v": "x" * 100_000}),
            node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(500)),
        ):
            with pytest.raises(FULL) as caught:
                await attempt
            assert caught.value.subject == str(small / "n.db")
        assert (await node["t"].get("k")).fields == {"n": 0}
        after = await node.status()
        assert (after.lsn, after.operations, after.digest, after.records) == (
            before.lsn,
            before.operations,
            before.digest,
            before.records,
        )
        ballast.unlink()
        receipt = await node["t"].put("big", {"v": "x" * 100_000})
        assert receipt.dot.seq == before.operations + 1
        assert (await node.verify()).problems == ()


async def test_every_caller_of_a_group_that_did_not_fit_learns_it(small):
    async with opened(small / "n.db", durability="full") as node:
        await node["t"].put("k", {"n": 0})
        ballast = fill(small, leave=60_000)
        outcomes = await asyncio.gather(
            *(node["t"].put(f"k{n}", {"v": "x" * 20_000}) for n in range(30)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, FULL)]
        stored = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert refused
        assert len(refused) + len(stored) == 30
        ballast.unlink()
        assert await node["t"].count() == 1 + len(stored)
        await asyncio.gather(*(node["t"].put(f"k{n}", {"v": "y"}) for n in range(30)))
        assert await node["t"].count() == 31
        assert (await node.verify()).problems == ()


async def test_a_sync_that_does_not_fit_ends_with_the_error_and_goes_on_when_there_is_room(small, tmp_path):
    async with (
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
        opened(small / "n.db", space="s", durability="full") as node,
    ):
        await hub["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(1_500))
        await node["t"].put("own", {})
        ballast = fill(small, leave=400_000)
        with pytest.raises(FULL):
            await heal(hub, node)
        assert (await node["t"].get("own")).fields == {}
        assert (await node.verify()).problems == ()
        ballast.unlink()
        await heal(hub, node)
        await assert_equal(hub, node)


async def test_a_file_that_may_not_grow_is_an_error_and_the_node_goes_on(tmp_path):
    """A quota of the process instead of a full disk: works without the right to mount."""
    async with opened(tmp_path / "n.db", durability="full") as node:
        await node["t"].put("k", {"n": 0})
        before = await node.status()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            with pytest.raises(FULL):
                await node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(1_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        after = await node.status()
        assert (after.lsn, after.operations, after.digest) == (before.lsn, before.operations, before.digest)
        assert (await node["t"].put("k", {"n": 1})).dot.seq == 2
        assert (await node.verify()).problems == ()


async def test_opening_on_a_full_disk_is_an_error_of_the_tree(small):
    async with opened(small / "n.db") as node:
        await node["t"].put("k", {"n": 0})
    (small / "n.db-lock").unlink()
    (small / "n.db-witness").unlink()
    ballast = fill(small)
    for name in ("n.db", "new.db"):
        with pytest.raises(StorageError):
            await opened(small / name)
    ballast.unlink()
    (small / "new.db").unlink(missing_ok=True)
    for name in ("n.db", "new.db"):
        async with opened(small / name) as node:
            await node["t"].put("l", {})
            assert (await node.verify()).ok


async def test_a_disk_that_only_reads_is_named(small):
    async with opened(small / "n.db") as node:
        await node["t"].put("k", {"n": 0})
    assert told("mount", "-o", "remount,ro", str(small)) == 0
    with pytest.raises(FileUnreadable):
        await opened(small / "n.db")
    with pytest.raises(FileUnreadable):
        await opened(small / "new.db")
