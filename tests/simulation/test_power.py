"""Power cuts under a real engine: what was acknowledged is there, nothing is half done, no name is given twice."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.errors import FileUnreadable, MissingExtra
from holdfast.simulation.disk import power
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.platters import Platters
from holdfast.simulation.disk.power import PowerDriver
from holdfast.simulation.disk.torn import Fate, Written
from holdfast.simulation.kernel.choices import RecordingChoices, SeededChoices

from .machines import booted, files, keys, virtually
from .power_cuts import IMAGES, Campaign
from .test_torn import Scripted

FEW, MORE, MANY = range(6), range(6), 50
"""Seeds of the ordinary run; of the one in which something must be lost, which not every life does; how many each seed
of a long one stands for."""

HOW = "the engine on a simulated disk, reopened in production; durability={}"


def campaign(folder: Path, durability: str, seeds: range) -> tuple[Counter[str], list[str]]:
    """What the power cuts of these seeds counted, and what must not be."""
    counts, problems = Counter(), []
    for seed in seeds:
        each = Campaign(seed, folder / f"{durability}-{seed}", durability)
        each.run()
        counts += each.counts
        problems += each.problems
    return counts, problems


def recorded(recorder, durability: str, counts: Counter[str], problems: list[str]) -> None:
    """Row 9: an image is a run; without a sync at each commit, what was lost is a figure and no violation."""
    names = ("cut in the middle", "images that lost acknowledged writes", "images under a new identity")
    figures = {name.replace(" ", "_"): counts[name] for name in ("power cuts", *names)}
    recorder.note(9, HOW.format(durability), runs=counts["images"], violations=len(problems), **figures)


def long_run(ram, recorder, durability: str, number: int) -> tuple[Counter[str], list[str]]:
    counts, problems = campaign(ram, durability, range(number * MANY, (number + 1) * MANY))
    recorded(recorder, durability, counts, problems)
    return counts, problems


@pytest.mark.soak
def test_power_cuts_lose_nothing_with_full_durability(ram, recorder, soak_seed):
    counts, problems = long_run(ram, recorder, "full", soak_seed)
    assert problems == []
    assert not counts["images that lost acknowledged writes"]


@pytest.mark.soak
def test_power_cuts_leave_first_writes_with_normal_durability(ram, recorder, soak_seed):
    _, problems = long_run(ram, recorder, "normal", soak_seed)
    assert problems == []


def test_a_power_cut_takes_nothing_that_was_acknowledged(ram):
    counts, problems = campaign(ram, "full", FEW)
    assert problems == []
    assert counts["images"] >= IMAGES * counts["power cuts"] > 0
    # Neither were all cuts between two writes, nor was all that was under way always lost.
    assert counts["cut in the middle"] > counts["lives"] // 3
    assert counts["images with writes beyond the acknowledged"]


def test_with_normal_durability_the_first_writes_are_left_whole(ram):
    counts, problems = campaign(ram, "normal", MORE)
    assert problems == []
    assert counts["images that lost acknowledged writes"]


def test_an_engine_that_does_not_sync_is_caught(ram, monkeypatch):
    def unsynced(connection, _durability):
        prepare(connection, "full")
        connection.execute("PRAGMA synchronous = OFF")

    prepare = power.prepare_writer
    monkeypatch.setattr(power, "prepare_writer", unsynced)
    try:
        _, problems = campaign(ram, "full", FEW)
    except Exception as error:  # noqa: BLE001 - a file so damaged that the next life does not open is caught as well
        problems = [str(error)]
    assert problems


def test_the_same_seed_cuts_in_the_same_place(ram):
    def told(name):
        disk = Disk("a", ram / name, choices := RecordingChoices(SeededChoices(3)), PowerDriver())
        disk.driver.platters.cut_after(360)

        async def main():
            node = await booted(disk)
            outcomes = []
            for n in range(40):
                try:
                    await node["t"].put(f"k{n}", {"v": "x" * 3_000})
                    outcomes.append(n)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the same
                    outcomes.append(type(error))
            return outcomes

        outcomes = virtually(main())
        disk.power_cut(ram / f"{name}-cut")
        sizes = [(file, (disk.folder / file).stat().st_size) for file in files(disk.folder)]
        return choices.tape, outcomes, sizes, (disk.folder / "node.db").read_bytes()

    first = told("one")
    assert first == told("two")
    assert len(set(map(str, first[1]))) > 2


def test_when_the_power_is_off_nothing_is_read_or_written(ram):
    driver = PowerDriver()
    connection = driver.connect_writer(ram / "f.db", "full")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    driver.platters.cut_after(1)
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("INSERT INTO t VALUES (1)")
    assert caught.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR
    assert not driver.powered
    with pytest.raises(sqlite3.OperationalError):
        driver.connect_reader(ram / "f.db").execute("SELECT * FROM t")
    connection.close()


def test_a_process_that_dies_makes_nothing_certain(ram):
    """What the dead process had written without a sync can still be lost, also after its files were taken over."""
    lost = set()
    for seed in range(12):
        disk = Disk("a", ram / f"{seed}-0", SeededChoices(seed), PowerDriver())

        async def main(disk):
            node = await booted(disk, durability="normal")
            await node["t"].put("k", {})

        virtually(main(disk))
        disk.crash_image(ram / f"{seed}-1")
        disk.power_cut(ram / f"{seed}-2")
        with closing(sqlite3.connect(disk.path)) as connection:
            lost.add(connection.execute("SELECT count(*) FROM record").fetchone() == (0,))
    assert lost == {True, False}


def test_a_name_is_certain_when_its_folder_was_synced(ram):
    platters, file = Platters(), ram / "f"
    platters.created(str(file))
    file.write_bytes(b"new")
    platters.image(file, ram / "gone", Scripted(1), "d")
    assert not (ram / "gone").exists()
    platters.image(file, ram / "there", Scripted(0), "d")
    assert (ram / "there").read_bytes() == b"new"
    platters.folder_synced()
    platters.image(file, ram / "certain", None, "d")
    assert (ram / "certain").read_bytes() == b"new"


def test_an_unlinked_file_may_come_back_until_the_folder_was_synced(ram):
    platters, file = Platters(), ram / "f"
    platters.file(str(file)).changes.append(Written(3, b"", b"more", 3))
    platters.unlinked(str(file), b"oldmore")
    platters.image(file, ram / "gone", Scripted(0), "d")
    assert not (ram / "gone").exists()
    platters.image(file, ram / "back", Scripted(1, Fate.LOST), "d")
    assert (ram / "back").read_bytes() == b"old"
    platters.folder_synced()
    platters.image(file, ram / "never", None, "d")
    assert not (ram / "never").exists()


def test_a_file_system_goes_with_its_driver():
    before = apsw.vfs_names()
    driver = PowerDriver()
    assert len(apsw.vfs_names()) == len(before) + 1
    del driver
    assert apsw.vfs_names() == before


def test_without_apsw_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "holdfast.simulation.disk.crash_vfs", raising=False)
    monkeypatch.setitem(sys.modules, "apsw", None)
    with pytest.raises(MissingExtra, match=r"holdfast\[power\]"):
        PowerDriver()


def test_a_file_system_that_refuses_again_and_again_is_reported_once(ram, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    for operations in range(60):
        disk = Disk("a", ram / f"{operations}", SeededChoices(1), PowerDriver())
        disk.driver.platters.cut_after(operations)

        async def main(disk):
            async with booted(disk) as node:
                for n in range(30):
                    await node["t"].put(f"k{n}", {})

        with pytest.raises(FileUnreadable):
            virtually(main(disk))
    assert complaints == []


class Lossy:
    """Of what is not certain nothing is left."""

    def draw(self, stream, n):
        return Fate.LOST if n == len(Fate) else 0


# A connection of the dead process that is collected late complains of the power that is off.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_reader_saw_after_a_crash_of_the_process_survives_a_power_cut(ram):
    """A process that dies between a commit's writes and its sync leaves what SQLite shows and nothing made certain."""
    cases = Counter()

    async def dies_in_a_commit(disk, operations):
        node = await booted(disk)
        await node["t"].put("old", {})
        disk.driver.platters.cut_after(operations)
        try:
            await node["t"].put("new", {})
        except FileUnreadable:
            return False
        return True

    async def seen(disk, life):
        node = await booted(disk, life)
        found, actor = await keys(node), await node.actor()
        return found, actor, (await node["t"].put("next", {})).dot if life == 2 else None

    for operations in range(16):
        disk = Disk("a", ram / f"{operations}-0", Lossy(), PowerDriver())
        acknowledged = virtually(dies_in_a_commit(disk, operations))
        disk.crash_image(ram / f"{operations}-1")
        shown, actor, _ = virtually(seen(disk, 1))
        disk.power_cut(ram / f"{operations}-2")
        left, _, dot = virtually(seen(disk, 2))
        assert left == shown
        assert dot.actor != actor or dot.seq == len(shown) + 1
        cases[acknowledged, "new" in shown] += 1
    assert set(cases) == {(True, True), (False, False), (False, True)}
