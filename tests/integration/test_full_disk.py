"""A full disk: the write is undone, the error says so, the data is as before, and freed space is used."""

from __future__ import annotations

import asyncio
import resource

import pytest

from holdfast.errors import DiskFull, FileUnreadable, StorageError

from ..disk import fill, small_disk, told
from ..nodes import assert_equal, heal, meet, opened

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
            node["t"].put("big", {"v": "x" * 500_000}),
            node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(900)),
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
        await hub["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(1_000))
        await node["t"].put("own", {})
        ballast = fill(small, leave=300_000)
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


async def filled(node, small):
    """The disk is full, and the node has learnt it."""
    ballast = fill(small)

    async def write_until_it_is_full():
        for n in range(1_000):
            await node["t"].put(f"more{n}", {"v": "x" * 3_000})

    with pytest.raises(FULL):
        await write_until_it_is_full()
    return ballast


async def test_deletes_and_what_a_sync_sends_go_on_when_the_disk_is_full(small, tmp_path):
    async with (
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
        opened(small / "n.db", space="s", durability="full") as node,
    ):
        await node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(600))
        await heal(hub, node)
        await node["t"].put("own", {"n": 1})
        ballast = await filled(node, small)
        for n in range(80):
            await node["t"].delete(f"k{n}")
            with pytest.raises(DiskFull):
                await node["t"].put("big", {"v": "x" * 1_000})
        assert (await node["t"].get("k500")).fields == {"v": "x" * 1_000}
        assert (await meet(node, hub)).completed
        assert (await hub["t"].get("own")).fields == {"n": 1}
        assert await hub["t"].get("k79") is None
        await hub["t"].put_many((f"h{n}", {"v": "y" * 2_000}) for n in range(200))
        await node["t"].delete("k100")
        with pytest.raises(FULL):  # there is no room for what comes; what goes has gone
            await meet(node, hub)
        assert await hub["t"].get("k100") is None
        ballast.unlink()
        await node["t"].put("big", {"v": "x"})
        await heal(hub, node)
        await assert_equal(hub, node)
        assert (await node.verify()).problems == ()


async def test_of_writes_that_come_together_a_full_disk_refuses_those_that_add(small):
    async with opened(small / "n.db", durability="full") as node:
        await node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(600))
        ballast = await filled(node, small)
        writes = [node["t"].delete(f"k{n}") if n % 2 else node["t"].update(f"k{n}", {"v": "y"}) for n in range(40)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [isinstance(outcome, DiskFull) for outcome in outcomes] == [n % 2 == 0 for n in range(40)]
        assert await node["t"].get("k1") is None
        assert (await node["t"].get("k0")).fields == {"v": "x" * 1_000}
        ballast.unlink()
        await node["t"].update("k0", {"v": "y"})
        assert (await node.verify()).problems == ()


async def test_a_node_that_is_opened_on_a_full_disk_can_be_drained(small, tmp_path):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with opened(small / "n.db", space="s", durability="full") as node:
            await node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(600))
            ballast = await filled(node, small)
        ballast.unlink()
        async with opened(small / "n.db", space="s", durability="full") as node:
            await node["t"].put("own", {"n": 1})
            await filled(node, small)
        async with opened(small / "n.db", space="s", durability="full") as node:
            assert (await meet(node, hub)).completed
            await node["t"].delete("k1")
            assert (await hub["t"].get("own")).fields == {"n": 1}


async def test_room_is_kept_only_where_there_is_little(small, tmp_path):
    for folder, kept in ((small, True), (tmp_path, False)):
        async with opened(folder / "n.db") as node:
            await node["t"].put("k", {})
            assert (folder / "n.db-reserve").exists() == kept
        assert not (folder / "n.db-reserve").exists()


@pytest.mark.parametrize("records", [600, 800, 1_000, 1_200, 1_500])
async def test_a_disk_that_one_transaction_fills_stops_neither_deletes_nor_what_is_sent(small, tmp_path, records):
    """Its log took all the room, so that it could not go into the file, and so not be used again."""
    bulk = [(f"b{n}", {"v": f"{n:04}" * 250}) for n in range(records)]
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with opened(small / "n.db", space="s", durability="full") as node:
            for n in range(200):
                await node["t"].put(f"k{n}", {"v": "x" * 1_000})
            refused = isinstance(*await asyncio.gather(node["t"].put_many(bulk), return_exceptions=True), DiskFull)
            assert refused or records < 1_500
            assert not refused or records > 600
            fill(small, leave=4_000)
            await node["t"].delete("k0")
        async with opened(small / "n.db", space="s", durability="full") as node:
            for n in range(1, 100):
                await node["t"].delete(f"k{n}")
            assert (await meet(node, hub)).completed
            assert await hub["t"].count() == 100 + (0 if refused else records)
            (small / "ballast").unlink()
            await node["t"].put("more", {"v": "x" * 1_000})
            assert (await node.verify()).problems == ()


async def test_a_full_node_that_never_met_the_hub_is_drained_before_the_sync_fails(small, tmp_path):
    """It asked first, could not take in what came, and gave nothing away."""
    async with (
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
        opened(small / "n.db", space="s", durability="full") as node,
    ):
        await hub["t"].put_many((f"h{n}", {"v": "y" * 2_000}) for n in range(1_000))
        await node["t"].put_many((f"k{n}", {"v": "x" * 1_000}) for n in range(600))
        ballast = await filled(node, small)
        held = await node["t"].count()
        for sent in (held, 0):
            with pytest.raises(DiskFull, match=f"{sent:,} records were sent .the peer has all.*was not received"):
                await meet(node, hub)
        assert await hub["t"].count() == 1_000 + held
        assert await node["t"].count() == held
        (blocker,) = (await node.status()).blockers
        assert "the disk is full" in blocker
        ballast.unlink()
        for n in range(held - 600):
            await node["t"].delete(f"more{n}")
        await node["t"].delete("k0")
        assert (await node.verify()).problems == ()
