"""Backups: copies that may be taken at any time, and files that are put back from them without harm to anyone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast import (
    DamagedFile,
    Engine,
    FileLocked,
    FileUnreadable,
    HoldfastError,
    NewerFormat,
    NotADatabase,
    UsageError,
    restore_backup,
)
from holdfast.engine.storage.migrations import FORMAT

from ..nodes import meet, opened


async def test_a_file_that_was_put_back_goes_on_under_a_new_identity_and_gets_everything_back(tmp_path: Path):
    async with opened(tmp_path / "hub.db", space="plant") as hub:
        async with opened(tmp_path / "a.db", space="plant") as node:
            await node["tasks"].put("t1", {"n": 1})
            await meet(node, hub)
            await node.backup(tmp_path / "copy.db")
            await node["tasks"].put("t2", {"n": 2})
            await meet(node, hub)
            before = await node.actor()
        aside = restore_backup(tmp_path / "copy.db", tmp_path / "a.db", replace=True)
        assert (aside / "a.db").is_file()
        async with opened(tmp_path / "a.db", seed="again") as node:
            assert "it is a copy: copy.db" in node.renewed
            assert await node.actor() != before
            await node["tasks"].put("t3", {"n": 3})
            assert (await meet(node, hub)).completed
            assert sorted(d.key for d in await node["tasks"].query()) == ["t1", "t2", "t3"]
            assert sorted(d.key for d in await hub["tasks"].query()) == ["t1", "t2", "t3"]
        async with opened(tmp_path / "a.db") as node:
            assert node.renewed is None
        async with opened(aside / "a.db", seed="old") as old:  # what was set aside is a whole file
            assert sorted(d.key for d in await old["tasks"].query()) == ["t1", "t2"]


async def test_the_copy_and_its_original_both_live_on(tmp_path: Path):
    async with opened(tmp_path / "hub.db", space="plant") as hub, opened(tmp_path / "a.db", space="plant") as node:
        await node["tasks"].put("t1", {"n": 1})
        await node.backup(tmp_path / "copy.db")
        assert restore_backup(tmp_path / "copy.db", tmp_path / "b.db") is None
        async with opened(tmp_path / "b.db") as twin:
            await node["tasks"].put("mine", {"n": 2})
            await twin["tasks"].put("yours", {"n": 3})
            for one in (node, twin, node):
                assert (await meet(one, hub)).completed
            assert sorted(d.key for d in await node["tasks"].query()) == ["mine", "t1", "yours"]
            assert node.renewed is None


def _cp(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def _dd(source: Path, target: Path) -> None:
    """Over the bytes of what stands there, so that the inode stays."""
    target.write_bytes(source.read_bytes())


def _rename(source: Path, target: Path) -> None:
    Path(shutil.copy(source, source.with_suffix(".moved"))).replace(target)


def _api(source: Path, target: Path) -> None:
    """By SQLite, from outside."""
    target.unlink(missing_ok=True)
    one, two = sqlite3.connect(source), sqlite3.connect(target)
    one.backup(two)
    one.close()
    two.close()


def _tool(source: Path, target: Path) -> None:
    restore_backup(source, target, replace=True)


@pytest.mark.parametrize("put_back", [_cp, _dd, _rename, _api, _tool])
@pytest.mark.parametrize("wrote_since", [False, True])
async def test_however_a_backup_is_put_back_it_is_known(tmp_path: Path, put_back, wrote_since: bool):
    """Also where the file has not written since, so that no number tells: the copy itself says what it is."""
    path = tmp_path / "a.db"
    async with opened(path, space="plant") as node:
        await node["tasks"].put("t1", {"n": 1})
        await node.backup(tmp_path / "copy.db")
        if wrote_since:
            await node["tasks"].put("t2", {"n": 2})
        before = await node.actor()
    put_back(tmp_path / "copy.db", path)
    async with opened(path, seed="again") as node:
        assert node.renewed
        assert await node.actor() != before
        assert (await node["tasks"].get("t1")).fields == {"n": 1}


async def test_a_backup_is_taken_beside_a_running_writer(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["tasks"].put("t1", {"n": 1})
        async with Engine.open(tmp_path / "a.db", read_only=True) as reader:
            shares: list[float] = []
            await reader.backup(tmp_path / "copy.db", on_progress=shares.append)
        assert shares[-1] == 1
    async with Engine.open(tmp_path / "copy.db", read_only=True) as copy:
        assert (await copy.verify()).ok


async def test_nothing_is_destroyed(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["tasks"].put("t1", {"n": 1})
        await node.backup(tmp_path / "copy.db")
        with pytest.raises(UsageError, match="there is a file already"):
            await node.backup(tmp_path / "copy.db")
        with pytest.raises(FileUnreadable):
            await node.backup(tmp_path / "no-such-folder" / "copy.db")
        with pytest.raises(FileLocked):
            restore_backup(tmp_path / "copy.db", tmp_path / "a.db", replace=True)
    with pytest.raises(UsageError, match="there is a file already"):
        restore_backup(tmp_path / "copy.db", tmp_path / "a.db")
    with pytest.raises(UsageError, match="the backup itself"):
        restore_backup(tmp_path / "a.db", tmp_path / "a.db", replace=True)
    for _ in range(3):
        restore_backup(tmp_path / "copy.db", tmp_path / "a.db", replace=True)
    assert len([*(tmp_path / "a.db-aside").iterdir()]) == 3


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()


def _damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data) - 100, 4096):
        data[at : at + 100] = b"\xff" * 100
    path.write_bytes(data)


def _drafts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in (".part", ".new")]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (Path.unlink, FileUnreadable),
        (lambda path: path.write_bytes(b""), NotADatabase),
        (lambda path: path.write_bytes(b"no database" * 100), NotADatabase),
        (_newer, NewerFormat),
        (_damaged, DamagedFile),
    ],
)
async def test_what_is_no_backup_replaces_nothing(tmp_path: Path, spoil, error: type[HoldfastError]):
    async with opened(tmp_path / "a.db", space="plant") as node:
        await node["tasks"].put("t1", {"n": 1})
        await node.backup(tmp_path / "copy.db")
    spoil(tmp_path / "copy.db")
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(error):
        restore_backup(tmp_path / "copy.db", tmp_path / "a.db", replace=True)
    assert (tmp_path / "a.db").read_bytes() == before
    assert not _drafts(tmp_path)
    async with opened(tmp_path / "a.db") as node:
        assert node.renewed is None
