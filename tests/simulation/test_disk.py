"""The simulated disk: order and latency as on storage threads, real failures of SQLite, crashes and copies."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from holdfast.errors import DiskFull, EngineClosed, FileLocked, FileUnreadable, NotADatabase, StorageError, UsageError
from holdfast.simulation.disk.conditions import HEALTHY, Condition
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.drivers import descriptors_of
from holdfast.simulation.disk.power import PowerDriver
from holdfast.simulation.kernel.choices import RecordingChoices, SeededChoices

from ..nodes import opened
from .machines import booted, files, keys, virtually

A_MOMENT = 0.000_01
"""Seconds: whoever is ready has run, and no disk has answered."""

DRIVERS = {"sqlite3": lambda: None, "apsw": PowerDriver}


@pytest.fixture(params=sorted(DRIVERS))
def disk(request, ram):
    return Disk("a", ram / "a0", SeededChoices(7), DRIVERS[request.param]())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_functions_of_a_connection_run_whole_and_in_order_whoever_waits_longest(disk):
    async def main():
        connection = await disk.open_writer(disk.path)
        asked, ran = [], []

        async def ask(n):
            asked.append(n)
            await connection.run(lambda _: ran.append((n, now())))

        started = now()
        await asyncio.gather(*map(ask, range(20)))
        await connection.close()
        return asked, ran, started

    asked, ran, started = virtually(main())
    assert [n for n, _ in ran] == asked != list(range(20))
    waits = [later - before for before, later in pairwise([started, *(at for _, at in ran)])]
    low, high = (bound / 1e6 for bound in HEALTHY.latency_us)
    assert all(low - 1e-9 <= wait <= high + 1e-9 for wait in waits)
    assert len(set(waits)) > 10


def test_a_function_whose_caller_was_cancelled_runs_all_the_same(disk):
    async def main():
        connection = await disk.open_writer(disk.path)
        ran = []
        task = asyncio.ensure_future(connection.run(lambda _: ran.append(1)))
        await asyncio.sleep(A_MOMENT)
        task.cancel()
        await connection.run(lambda _: ran.append(2))
        await connection.close()
        return ran

    assert virtually(main()) == [1, 2]


def test_closing_waits_for_what_was_accepted_and_nothing_is_accepted_behind_it(disk):
    async def main():
        connection = await disk.open_writer(disk.path)
        first = asyncio.ensure_future(connection.run(lambda c: c.execute("SELECT 7").fetchone()))
        await asyncio.sleep(A_MOMENT)
        closing = asyncio.ensure_future(connection.close())
        await asyncio.sleep(A_MOMENT)
        with pytest.raises(EngineClosed):
            await connection.run(lambda c: c)
        await closing
        await connection.close()
        return await first

    assert virtually(main()) == (7,)


def test_errors_are_those_of_production(disk):
    def refused(_):
        raise ValueError("the function's own")

    async def main():
        connection = await disk.open_writer(disk.path)
        with pytest.raises(StorageError) as caught:
            await connection.run(lambda c: c.execute("SELECT * FROM absent"))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert caught.value.subject == str(disk.path)
        with pytest.raises(ValueError, match="own"):
            await connection.run(refused)
        await connection.close()
        disk.path.write_bytes(b"no database" * 1_000)
        with pytest.raises(NotADatabase):
            await booted(disk)

    virtually(main())


def test_a_disk_may_be_slow_and_stall(disk):
    async def main():
        disk.condition = Condition(latency_us=(30_000, 30_000), stall_per_mille=1_000, stall_us=(4_000_000, 4_000_000))
        started = now()
        connection = await disk.open_writer(disk.path)
        await connection.run(lambda _: None)
        await connection.close()
        return now() - started

    assert virtually(main()) == pytest.approx(3 * 4.03)


def test_observers_stand_around_each_function_and_see_the_connection(disk):
    seen = []

    def tables(connection):
        return connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]

    async def main():
        disk.before_write(lambda c: seen.append(("before", tables(c))))
        disk.after_write(lambda c, _: seen.append(("after", tables(c))))
        disk.after_step(lambda: seen.append("step"))
        connection = await disk.open_writer(disk.path)
        await connection.run(lambda c: c.execute("CREATE TABLE t (a)").fetchall())
        with pytest.raises(StorageError):
            await connection.run(lambda c: c.execute("CREATE TABLE t (a)"))
        reader = await disk.open_reader(disk.path)
        await reader.run(lambda c: c.execute("SELECT * FROM t").fetchall())
        await reader.close()
        await connection.close()

    virtually(main())
    assert seen == [("before", 0), ("after", 1), "step", ("before", 1), ("after", 1), "step", "step"]


def test_what_an_observer_raises_never_reaches_the_engine(disk):
    async def main():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        connection = await disk.open_writer(disk.path)
        disk.after_write(lambda _, failed: 1 // 0)
        waiting = asyncio.ensure_future(connection.run(lambda _: "result"))
        await asyncio.sleep(1)
        assert not waiting.done()
        waiting.cancel()
        disk.crash_image(disk.folder.parent / "a1")
        return complaints

    (complaint,) = virtually(main())
    assert isinstance(complaint, ZeroDivisionError)


def writes(folder):
    """Puts of growing size that need space."""
    return ({"v": "x" * (400 * n)} for n in range(1, 60))


def test_a_full_disk_refuses_writes_in_statements_and_in_commits_and_loses_nothing(disk):
    codes = set()

    async def main():
        async with booted(disk) as node:
            await node["t"].put("first", {"v": 1})
            disk.condition = replace(disk.condition, full=True)
            stored, refused = ["first"], 0
            for n, fields in enumerate(writes(disk)):
                try:
                    await node["t"].put(f"k{n}", fields)
                    stored.append(f"k{n}")
                except (DiskFull, FileUnreadable) as error:
                    codes.add(error.__cause__.sqlite_errorcode)
                    refused += 1
                assert (await node["t"].get("first")).fields == {"v": 1}
            with pytest.raises((DiskFull, FileUnreadable)):
                await node["t"].put_many((f"b{n}", {"v": "y" * 2_000}) for n in range(500))
            assert refused > 20
            disk.condition = HEALTHY
            await node["t"].put("last", {"v": "z" * 50_000})
            assert await keys(node) == sorted([*stored, "last"])
            assert (await node.verify()).problems == ()
            assert (await node.status()).operations == len(stored) + 1

    virtually(main())
    assert sqlite3.SQLITE_FULL in codes


def test_a_group_commit_on_a_full_disk_is_stored_or_refused_call_by_call(disk):
    async def main():
        async with booted(disk) as node:
            await node["t"].put("first", {})
            disk.condition = replace(disk.condition, full=True)
            outcomes = []
            for attempt in range(12):
                puts = [node["t"].put(f"k{attempt:02}-{n:02}", {"v": "x" * 3_000}) for n in range(12)]
                outcomes += await asyncio.gather(*puts, return_exceptions=True)
            disk.condition = HEALTHY
            stored = sorted(each.key for each in outcomes if not isinstance(each, BaseException))
            assert len(stored) < len(outcomes)
            assert await keys(node) == ["first", *stored]
            assert (await node.verify()).problems == ()

    virtually(main())


@pytest.mark.parametrize("kind", ["read", "write"])
def test_errors_of_reading_and_writing_are_named_and_pass(disk, kind):
    async def main():
        async with booted(disk) as node:
            await node["t"].put_many((f"k{n:03}", {"v": "x" * 3_000}) for n in range(300))
        node = await booted(disk)
        disk.condition = replace(disk.condition, **{f"{kind}_error_per_mille": 500})
        causes, stored = set(), set()
        for n in range(80):
            calls = [node["t"].put(f"n{n:03}", {"v": "x" * 5_000})]
            calls += [node["t"].query("key >= ?", f"k{3 * n:03}")] if kind == "read" else []
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(outcome, StorageError):
                    assert isinstance(outcome, FileUnreadable), outcome
                    causes.add(outcome.__cause__.sqlite_errorcode & 0xFF)
                elif not isinstance(outcome, list):
                    stored.add(outcome.key)
        disk.condition = HEALTHY
        await node["t"].put("last", {})
        assert causes == {sqlite3.SQLITE_IOERR}
        assert 0 < len(stored) < 80 if kind == "write" else stored
        assert await keys(node) == sorted([f"k{n:03}" for n in range(300)] + [*stored, "last"])
        assert (await node.verify()).problems == ()
        await node.close()

    virtually(main())


def test_a_lock_of_another_program_is_named_and_passes_and_reads_go_on(disk):
    async def main():
        async with booted(disk) as node:
            await node["t"].put("k", {"n": 1})
            disk.hold_lock("write")
            with pytest.raises(FileLocked):
                await node["t"].put("k", {"n": 2})
            assert (await node["t"].get("k")).fields == {"n": 1}
            disk.release_lock()
            await node["t"].put("k", {"n": 3})
            disk.hold_lock("read")
            await node["t"].put("k", {"n": 4})
            assert (await node["t"].get("k")).fields == {"n": 4}
            disk.release_lock()

    virtually(main())


def test_a_crash_leaves_what_was_committed_and_is_no_shutdown(disk, ram):
    async def main():
        node = await booted(disk)
        for n in range(30):
            await node["t"].put(f"k{n:02}", {"n": n})
        actor = await node.actor()
        log = disk.path.with_name("node.db-wal").stat().st_size
        assert log > 30 * 4_096
        disk.crash_image(ram / "a1")
        assert not (ram / "a0").exists()
        assert files(disk.folder) == ["node.db", "node.db-wal", "node.db-witness"]
        assert disk.path.with_name("node.db-wal").stat().st_size == log
        async with booted(disk, 1) as again:
            assert (await again.actor(), again.renewed) == (actor, None)
            assert await keys(again) == [f"k{n:02}" for n in range(30)]
            assert (await again.verify()).problems == ()

    virtually(main())


def test_whoever_waits_when_the_node_dies_is_never_answered(disk, ram):
    async def main():
        node = await booted(disk)
        await node["t"].put("k", {})
        waiting = asyncio.ensure_future(node["t"].put("late", {}))
        await asyncio.sleep(A_MOMENT)
        disk.crash_image(ram / "a1")
        await asyncio.sleep(60)
        assert not waiting.done()
        waiting.cancel()
        async with booted(disk, 1) as again:
            assert await keys(again) == ["k"]

    virtually(main())


def test_hundreds_of_crashes_leak_no_descriptor(disk, ram):
    def held():
        return len([*Path("/dev/fd").iterdir()])

    async def main():
        counts, stored = [], 0
        for life in range(200):
            # The task stays pending, as `loop.abandon` leaves it; some die while they open.
            opening = asyncio.ensure_future(booted(disk, life, durability="normal")._start())
            if life % 7 == 3:
                await asyncio.sleep(0.0005 * (life % 11))
            else:
                node = await opening
                await node["t"].put(f"k{life:03}", {})
                stored += 1
            disk.crash_image(ram / f"a{life + 1}")
            opening.cancel()
            counts.append(held())
        async with booted(disk, 999) as node:
            assert len(await keys(node)) == stored
        return counts

    counts = virtually(main())
    assert counts[-1] == counts[0]
    assert files(ram) == ["a200"]


def test_a_backup_of_a_file_in_use_is_a_consistent_copy_that_begins_anew(disk, ram):
    async def main():
        async with booted(disk) as node:
            await node["t"].put("old", {})
            disk.backup(ram / "backup")
            await node["t"].put("new", {})
            actor = await node.actor()
        assert files(ram / "backup") == ["node.db"]
        disk.restore(ram / "backup", ram / "a1")
        async with booted(disk, 1) as node:
            assert await keys(node) == ["old"]
            assert "rolled back" in node.renewed
            assert await node.actor() != actor
            assert (await node.verify()).problems == ()

    virtually(main())


def test_a_snapshot_of_a_file_in_use_comes_back_with_its_witness_and_nothing_there_tells(disk, ram):
    async def main():
        async with booted(disk) as node:
            await node["t"].put("old", {})
            disk.snapshot(ram / "snapshot")
            await node["t"].put("new", {})
            actor = await node.actor()
        assert "node.db-witness" in files(ram / "snapshot")
        disk.restore(ram / "snapshot", ram / "a1")
        async with booted(disk, 1) as node:
            assert await keys(node) == ["old"]
            assert node.renewed is None
            assert await node.actor() == actor
            assert (await node.verify()).problems == ()

    virtually(main())


def test_a_copied_folder_opens_as_if_it_were_the_one(disk, ram):
    async def main():
        node = await booted(disk)
        await node["t"].put("k", {})
        with pytest.raises(AssertionError, match="no copy"):
            disk.copy_all(ram / "early")
        await node.close()
        disk.copy_all(ram / "b0")
        clone = Disk("b", ram / "b0", SeededChoices(8))
        async with booted(disk, 1) as first, booted(clone, 2) as second:
            assert await first.actor() == await second.actor()
            assert first.renewed is second.renewed is None

    virtually(main())


def test_a_disk_without_the_power_driver_says_what_it_needs(ram):
    disk = Disk("a", ram / "a0", SeededChoices(7))
    with pytest.raises(UsageError, match="PowerDriver"):
        disk.power_cut(ram / "a1")


def test_the_same_choices_give_the_same_draws_outcomes_and_bytes(ram):
    def world(folder):
        choices = RecordingChoices(SeededChoices(11))
        disk = Disk("a", folder, choices)
        told = []

        async def main():
            node = await booted(disk)
            for n in range(40):
                if n == 10:
                    disk.condition = replace(HEALTHY, full=True, stall_per_mille=100)
                if n == 25:
                    disk.condition = replace(HEALTHY, read_error_per_mille=200, write_error_per_mille=200)
                try:
                    told.append((await node["t"].put(f"k{n}", {"v": "x" * 2_000})).dot)
                except StorageError as error:
                    told.append(type(error))
                told.append(now())
            disk.crash_image(folder.with_name(folder.name + "-dead"))

        virtually(main())
        return choices.tape, told, [(disk.folder / name).read_bytes() for name in files(disk.folder)]

    first, second = world(ram / "one"), world(ram / "two")
    assert first[1] == second[1]
    assert first[0] == second[0]
    assert first[2][0] == second[2][0]
    assert {DiskFull, FileUnreadable} <= {each for each in first[1] if isinstance(each, type)}


def test_production_opens_what_a_simulated_disk_wrote(disk, ram):
    async def main():
        async with booted(disk) as node:
            await node["t"].put("k", {"n": 1})

    virtually(main())

    async def production():
        async with opened(disk.path) as node:
            assert (await node["t"].get("k")).fields == {"n": 1}

    asyncio.run(production())


def test_descriptors_are_found_by_what_they_refer_to(ram):
    file = ram / "f"
    file.touch()
    assert descriptors_of([file]) == []
    with file.open() as one, file.open() as two:
        assert descriptors_of([file]) == sorted([one.fileno(), two.fileno()])
