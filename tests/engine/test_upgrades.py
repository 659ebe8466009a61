"""Files of every older format that is kept here open, whole, and stay as snapshots that the older version can open."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Engine, FileUnreadable
from holdfast.engine.storage import migrations

from ..gate import first
from ..nodes import meet, opened

KEPT = sorted((Path(__file__).parent / "kept").glob("format-*.db.gz"))


def _unpacked(kept: Path, folder: Path) -> Path:
    path = folder / "a.db"
    path.write_bytes(gzip.decompress(kept.read_bytes()))
    return path


def _format(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return found


def test_a_file_of_every_older_format_is_kept():
    numbers = [int(path.name.removeprefix("format-").removesuffix(".db.gz")) for path in KEPT]
    assert numbers == [*range(migrations.OLDEST_FORMAT, migrations.FORMAT)]


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
async def test_an_older_file_is_brought_up_and_kept_as_it_was(tmp_path: Path, kept: Path):
    path = _unpacked(kept, tmp_path)
    was = _format(path)
    async with opened(path, seed="new") as node, opened(tmp_path / "b.db", space="plant") as other:
        assert (await node.verify()).ok
        records = {document.key: document.fields for document in await node["tasks"].query()}
        assert records == {"t1": {"site": "north", "title": "B"}, "t2": {"n": 1}, "t3": {"n": 3}}
        assert [fields async for _, fields in node["tasks"].as_of(0).documents()] == []
        assert [one.kind for one in await node["tasks"].history("gone")] == ["delete", "put"]
        assert (await node["tasks"].history("gone"))[1].fields == {"n": 2}
        await node["tasks"].put("t4", {"n": 4})
        assert (await meet(node, other)).completed
        assert await other["tasks"].count() == 4
        (before,) = await node.snapshots.list()
        assert (before.automatic, before.records) == (True, 3)
        assert _format(before.path) == was
        await node.snapshots.restore(before.name, collection="tasks", keys=["t4"])
        assert await node["tasks"].count() == 3
    assert _format(path) == migrations.FORMAT


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
async def test_an_older_file_is_read_without_being_changed(tmp_path: Path, kept: Path):
    path = _unpacked(kept, tmp_path)
    before = path.read_bytes()
    async with Engine.open(path, read_only=True) as node:
        assert await node["tasks"].count() == 3
        assert (await node.status()).records == 3
        assert (await node.status()).history.rows > 3
        assert (await node.verify()).ok
        if _format(path) >= 4:  # the first with a history
            assert await node["tasks"].as_of(0).get("t1") is None
            assert len(await node["tasks"].history("t1")) > 1
            assert len(await node.log()) == len([entry async for entry in node.audit()]) > 3
    assert path.read_bytes() == before


async def test_a_file_that_cannot_be_kept_is_not_brought_up(tmp_path: Path):
    path = _unpacked(KEPT[-1], tmp_path)
    was = _format(path)
    path.with_name("a.db-snapshots").touch()  # where the folder would be
    with pytest.raises(FileUnreadable):
        await opened(path)
    assert _format(path) == was


async def test_a_file_that_was_never_finished_is_finished(tmp_path: Path):
    """Killed between two scripts: it has an older format and holds no node."""
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    script = migrations.scripts()[migrations.OLDEST_FORMAT]
    connection.executescript(
        f"{script} PRAGMA application_id = {migrations.APPLICATION_ID};"
        f" PRAGMA user_version = {migrations.OLDEST_FORMAT};"
    )
    connection.close()
    async with opened(path, space="plant") as node:
        await node["t"].put("k", {})
        assert await node.snapshots.list() == []


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
@pytest.mark.parametrize("every", first(1, [4, 1]))
def test_a_process_that_is_killed_while_it_brings_a_file_up_loses_nothing(tmp_path: Path, kept: Path, every: int):
    """At each statement: the next opening finds all, in the present format, and the file as it was beside it."""
    words = [sys.executable, "-m", "tests.engine.upgrading", str(kept), str(tmp_path), str(every)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    statements, halfway = map(int, done.stdout.split())
    assert statements >= 30
    older = migrations.FORMAT - int(kept.name.removeprefix("format-").removesuffix(".db.gz"))
    assert (halfway > 0) == (older > 1), "some were killed between two of the scripts"
