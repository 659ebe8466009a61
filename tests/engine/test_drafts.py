"""Drafts: one writer at a time, and nothing is left of one that ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast import DiskFull, FileLocked, UsageError
from holdfast.engine.storage.drafts import begin, sweep

from ..disk import fill, small_disk
from ..nodes import opened


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nobody_takes_over_a_draft_that_is_being_written(tmp_path: Path):
    target = tmp_path / "copy"
    draft = begin(target)
    draft.path.write_bytes(b"half")
    with pytest.raises(FileLocked, match="somebody else is writing"):
        begin(target)
    sweep(tmp_path, "copy")
    assert draft.path.read_bytes() == b"half"
    draft.path.rename(target)
    draft.end()
    assert _names(tmp_path) == ["copy"]
    with pytest.raises(UsageError, match="a file already"):
        begin(target)
    assert _names(tmp_path) == ["copy"]


def test_what_was_left_goes_with_the_next(tmp_path: Path):
    for name in ("copy.part", "copy.part-journal", "copy.part-wal", "copy.part-shm", "copy.party"):
        (tmp_path / name).write_bytes(b"left")
    draft = begin(tmp_path / "copy")
    assert draft.path.read_bytes() == b""
    draft.end()
    assert _names(tmp_path) == ["copy.party"]


async def test_a_snapshot_clears_what_killed_ones_have_left(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine.snapshots.take("old.db.part")  # an odd name is still the name of a whole one
        for name in ("killed.db.part", "full.db.part-journal"):
            (engine.snapshots.folder / name).write_bytes(b"left")
        await engine.snapshots.take("new")
        assert _names(engine.snapshots.folder) == ["new.db", "old.db.part.db"]


async def test_of_two_that_copy_to_one_place_at_once_one_does(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as engine:
        await engine["t"].put_many((f"k{n}", {"n": n}) for n in range(2_000))
        target = tmp_path / "copy.db"
        done = await asyncio.gather(*(engine.backup(target) for _ in range(3)), return_exceptions=True)
        assert done.count(None) == 1
        assert all(isinstance(error, FileLocked | UsageError) for error in done if error)
        assert not [name for name in _names(tmp_path) if ".part" in name]
    async with opened(target) as copy:
        assert (await copy.verify()).ok
        assert await copy["t"].count() == 2_000


@pytest.mark.parametrize("beyond", [-100_000, 0, 4_096, 24_576])
async def test_on_a_full_disk_nothing_is_left(tmp_path: Path, beyond: int):
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk / "a.db", space="plant") as engine:
            await engine["t"].put("k", {"pad": "x" * 100_000})
            first = await engine.snapshots.take("first")
            fill(disk, leave=first.bytes + beyond)
            if beyond < 0:
                with pytest.raises(DiskFull):
                    await engine.snapshots.take("second")
            with suppress(DiskFull):  # where a little more is needed than the copy itself
                await engine.snapshots.take("third")
            assert {*_names(engine.snapshots.folder)} <= {"first.db", "third.db"}
