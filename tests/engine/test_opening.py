"""Opening: what a file must be, and that a file that is refused stays as it is."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import sqlite3
import stat
import threading
from itertools import count

import pytest

from holdfast import Engine, Seams
from holdfast.engine.readers import READERS_MAX
from holdfast.engine.storage import migrations
from holdfast.engine.storage.connection import Threads
from holdfast.errors import (
    DamagedFile,
    EngineClosed,
    FileUnreadable,
    InvalidName,
    NewerFormat,
    NotADatabase,
    OlderFormat,
    ReadOnlyEngine,
    SpaceMismatch,
)

from ..nodes import opened, raw


def fingerprint(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def refused(path, error, **options):
    before = fingerprint(path)
    for read_only in (False, True):
        with pytest.raises(error) as caught:
            await opened(path, read_only=read_only, **options)
        assert caught.value.subject == str(path)
        assert fingerprint(path) == before


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 1_000)
    await refused(path, NotADatabase)


@pytest.mark.parametrize("size", [1, 16, 99, 100, 511, 512, 600])
async def test_a_short_file_is_left_as_it_is(tmp_path, size):
    """SQLite takes some of them for empty databases."""
    path = tmp_path / "short.db"
    path.write_bytes(b"x" * size)
    await refused(path, NotADatabase)


async def test_the_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (1)")
    await refused(path, NotADatabase)
    with raw(path) as connection:
        connection.execute("PRAGMA application_id = 12345")
    await refused(path, NotADatabase)


async def test_another_program_that_only_has_numbered_its_file_is_another_program(tmp_path):
    path = tmp_path / "other.db"
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    await refused(path, NotADatabase)


async def test_a_newer_format_is_left_as_it_is(tmp_path):
    path = tmp_path / "n.db"
    async with opened(path) as node:
        await node["t"].put("k", {})
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {migrations.FORMAT + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await refused(path, NewerFormat)


@pytest.mark.parametrize("older", range(1, migrations.OLDEST_FORMAT))
async def test_a_format_from_before_the_first_release_is_left_as_it_is(tmp_path, older):
    path = tmp_path / "n.db"
    async with opened(path) as node:
        await node["t"].put("k", {})
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {older}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await refused(path, OlderFormat)


async def test_a_file_with_a_damaged_schema_is_left_as_it_is(tmp_path):
    path = tmp_path / "n.db"
    async with opened(path) as node:
        await node["t"].put("k", {})
    data = bytearray(path.read_bytes())
    data[100:400] = b"\xff" * 300
    path.write_bytes(data)
    await refused(path, DamagedFile)


async def test_an_empty_file_becomes_a_node(tmp_path):
    path = tmp_path / "n.db"
    path.touch()
    with pytest.raises(NotADatabase):
        await opened(path, read_only=True)
    assert path.read_bytes() == b""
    async with opened(path) as node:
        await node["t"].put("k", {})
        assert (await node.verify()).ok


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_missing_folder_is_named(tmp_path, read_only):
    with pytest.raises(FileUnreadable, match="nowhere"):
        await opened(tmp_path / "nowhere" / "n.db", read_only=read_only)
    assert not (tmp_path / "nowhere").exists()


async def test_reading_creates_nothing(tmp_path):
    with pytest.raises(FileUnreadable):
        await opened(tmp_path / "n.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_folder_in_place_of_the_file_is_refused(tmp_path, read_only):
    (tmp_path / "n.db").mkdir()
    with pytest.raises(FileUnreadable):
        await opened(tmp_path / "n.db", read_only=read_only)


async def test_a_file_holds_one_space(tmp_path):
    path = tmp_path / "n.db"
    async with opened(path, space="plant") as node:
        await node["t"].put("k", {})
    with raw(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = fingerprint(path)
    with pytest.raises(SpaceMismatch, match="plant"):
        await opened(path, space="office")
    with raw(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert fingerprint(path) == before
    async with opened(path) as node:  # whoever does not ask gets what there is
        assert node.space == "plant"
        assert await node["t"].get("k")


@pytest.mark.parametrize("space", ["", "a\n", "x" * 129])
async def test_a_space_needs_a_good_name(tmp_path, space):
    with pytest.raises(InvalidName):
        await opened(tmp_path / "n.db", space=space)
    assert not (tmp_path / "n.db").exists()


async def test_a_new_file_is_named_after_itself_and_can_be_renamed(tmp_path):
    async with opened(tmp_path / "pump7.db") as node:
        assert (node.label, node.space) == ("pump7", "default")
    async with opened(tmp_path / "pump7.db", name="north") as node:
        assert node.label == "north"
    async with opened(tmp_path / "pump7.db") as node:
        assert node.label == "north"
        assert (await node.status()).incarnations == 1


async def test_a_reader_cannot_write(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})
        async with opened(tmp_path / "n.db", read_only=True) as reader:
            assert reader.read_only
            for attempt in (reader["t"].put("k", {}), reader["t"].delete("k"), reader["t"].put_many([("k", {})])):
                with pytest.raises(ReadOnlyEngine):
                    await attempt
            assert await reader["t"].count() == 1


async def test_a_reader_opens_a_file_that_nobody_writes(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {"n": 1})
    async with opened(tmp_path / "n.db", read_only=True) as reader:
        assert (await reader["t"].get("k")).fields == {"n": 1}
        assert (await reader.verify()).ok


async def test_a_cancelled_opening_leaves_nothing_open(tmp_path):
    for delay_s in (0, 0.0005, 0.002, 0.005, 0.01):
        task = asyncio.ensure_future(opened(tmp_path / "n.db").__aenter__())
        await asyncio.sleep(delay_s)
        if not task.cancel():
            await task.result().close()
        await asyncio.gather(task, return_exceptions=True)
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
async def test_a_folder_without_the_right_to_write_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(FileUnreadable):
        await opened(tmp_path / "n.db")
    tmp_path.chmod(stat.S_IRWXU)


# ------------------------------------------------------------------------------------------------------ migrations


def shape(connection):
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def test_a_fresh_file_equals_one_that_went_through_every_format():
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    assert migrations.migrate(fresh, "fresh")
    stepwise = sqlite3.connect(":memory:", isolation_level=None)
    for number, script in migrations.scripts().items():
        stepwise.executescript(
            f"BEGIN; {script};"
            f" PRAGMA application_id = {migrations.APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        )
        assert migrations.format_of(stepwise, "stepwise") == number
    assert shape(fresh) == shape(stepwise)
    assert not migrations.migrate(fresh, "fresh")


def test_there_is_one_script_per_format_and_they_are_numbered():
    assert [*migrations.scripts()] == [*range(migrations.OLDEST_FORMAT, migrations.FORMAT + 1)]


def test_every_table_is_strict_and_every_reference_holds():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(connection, "fresh")
    tables = connection.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
    ).fetchall()
    assert {name for name, strict in tables if not strict} == {"sqlite_schema", "sqlite_sequence"}
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_script_that_fails_leaves_no_half_format(monkeypatch):
    broken = re.sub(r"CREATE TABLE hole", "CREATE TABEL hole", migrations.scripts()[migrations.OLDEST_FORMAT])
    monkeypatch.setattr(migrations, "scripts", lambda: {migrations.OLDEST_FORMAT: broken})
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection, "fresh")
    connection.rollback()
    assert shape(connection) == []
    assert migrations.format_of(connection, "fresh") == 0


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_reads_that_closing_meets_say_that_the_engine_is_closed(tmp_path):
    """Those under way, those that wait for a connection, those that come while it closes: none is an SQLite error."""
    node = await opened(tmp_path / "a.db").__aenter__()
    await node["t"].put("k", {})
    begun = threading.Semaphore(0)

    def endless(connection):
        begun.release()
        return connection.execute(ENDLESS).fetchone()

    reads = [asyncio.ensure_future(node.readers.run(endless)) for _ in range(READERS_MAX + 2)]
    for _ in range(READERS_MAX):
        await asyncio.to_thread(begun.acquire)
    closing = asyncio.ensure_future(node.close())
    await asyncio.sleep(0)
    reads += [asyncio.ensure_future(node.readers.run(endless)) for _ in range(2)]
    answers = await asyncio.gather(*reads, return_exceptions=True)
    await closing
    assert [type(answer) for answer in answers] == [EngineClosed] * len(reads)


def failing(monkeypatch, owner, name, path, error):
    """The system refuses this call on the file; gives how often it did."""
    refusals, real = [], getattr(owner, name)

    def call(which, *args, **kwargs):
        if str(which) == str(path):
            refusals.append(name)
            raise error
        return real(which, *args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return refusals


async def test_a_device_that_fails_when_the_file_is_looked_up_is_named(tmp_path, monkeypatch):
    """Found by letting each look at the file fail, one after the other."""
    path, refused = tmp_path / "n.db", []
    async with opened(path) as node:
        await node["t"].put("k", {"n": 1})
        actor = await node.actor()
    for which in range(1, 20):
        looks = count(1)
        real = os.stat

        def look(name, *args, looks=looks, which=which, real=real, **kwargs):
            if str(name) == str(path) and next(looks) == which:
                raise OSError(errno.EIO, "Input/output error")
            return real(name, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", look)
            try:
                await (await opened(path)).close()
            except FileUnreadable as error:
                refused.append(str(error))
        async with opened(path) as node:
            assert (await node.actor(), node.renewed) == (actor, None)
            assert (await node["t"].get("k")).fields == {"n": 1}
    assert len(refused) > 5
    assert all("Input/output error" in message for message in refused)


async def test_a_status_of_a_file_that_cannot_be_looked_up_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "n.db"
    async with opened(path) as node:
        with monkeypatch.context() as patch:
            refusals = failing(patch, os, "stat", path, OSError(errno.EIO, "Input/output error"))
            with pytest.raises(FileUnreadable, match="Input/output error"):
                await node.status()
            assert refusals
        assert (await node.status()).records == 0


class WithoutLog(Threads):
    """Storage on a file system where SQLite has no shared memory, and keeps the journal that it had."""

    async def open_writer(self, path, durability="full"):
        thread = await super().open_writer(path, durability)
        run = thread.run

        async def without_log(function, *args):
            return await run(lambda connection: function(Refusing(connection), *args))

        thread.run = without_log
        return thread


class Refusing:
    """A connection that keeps its journal."""

    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, sql, *args):
        return self.connection.execute("SELECT 'delete'" if "journal_mode" in sql else sql, *args)


async def test_a_file_that_cannot_have_a_write_ahead_log_is_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="'delete'"):
        await Engine.open(tmp_path / "n.db", seams=Seams(storage=WithoutLog()))
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})
