"""Files that are deleted, stale, put back, copied or damaged: no number is given twice, nothing is lost in silence."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from holdfast import Engine, SideFile
from holdfast.errors import StorageError

from .checker import read_file
from .fleet import fleet, quietly

PARTS = ("", "-wal", "-shm", "-witness")


def part(path, suffix):
    return path.with_name(path.name + suffix)


def copied(path, into, parts=PARTS):
    """Copy those parts of a file that are there, as `cp` does."""
    into.parent.mkdir(exist_ok=True)
    for suffix in parts:
        if part(path, suffix).exists():
            shutil.copy(part(path, suffix), part(into, suffix))


def put_back(backup, path, parts):
    """Put parts of an older state in the place of the newer ones."""
    for suffix in parts:
        part(path, suffix).unlink(missing_ok=True)
        if part(backup, suffix).exists():
            shutil.copy(part(backup, suffix), part(path, suffix))


def puts(edge, count, mark):
    return [edge.order("put", key=f"{mark}{n}", value=f"{edge.name}#{mark}{n}") for n in range(count)]


HARM = {
    "-shm deleted": lambda path, _: part(path, "-shm").unlink(),
    "-shm of yesterday": lambda path, backup: put_back(backup, path, ("-shm",)),
    "-wal deleted": lambda path, _: put_back(part(path, "-none"), path, ("-wal", "-shm")),
    "-witness deleted": lambda path, _: part(path, "-witness").unlink(),
    "-witness of yesterday": lambda path, backup: put_back(backup, path, ("-witness",)),
    "all of yesterday but the witness": lambda path, backup: put_back(backup, path, ("", "-wal", "-shm")),
    "file of yesterday, -wal of today": lambda path, backup: put_back(backup, path, ("",)),
    "file and -wal deleted": lambda path, _: put_back(part(path, "-none"), path, ("", "-wal", "-shm")),
}


async def harmed(tmp_path, recorder, harm):
    """Everything was at the hub when it happened, so nothing may be missing in the end."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        await quietly(*puts(edge, 8, "a"), *puts(other, 4, "b"))
        await found.heal()
        await edge.kill()
        backup = tmp_path / "backup" / "n0.db"
        copied(edge.path, backup)
        await found.start("n0")
        await quietly(*puts(edge, 6, "c"), *puts(other, 4, "d"))
        await found.heal()
        await edge.kill()
        HARM[harm](edge.path, backup)
        await found.start("n0")
        await quietly(*puts(edge, 5, "e"), *puts(other, 2, "f"))
        renewed = (await edge.order("status"))["renewed"]
        await found.heal()
        verdict = await found.judged(renewals_allowed=["n0"])
    recorder.note(13, harm, violations=len(verdict.findings), new_identities=bool(renewed), lost_writes=0)
    assert not verdict.findings, found.report(verdict)


@pytest.mark.parametrize("harm", ["-wal deleted"])
async def test_a_file_that_lost_a_part_goes_on_under_a_new_identity(tmp_path, recorder, harm):
    await harmed(tmp_path, recorder, harm)


@pytest.mark.soak
@pytest.mark.parametrize("harm", HARM)
async def test_files_that_are_deleted_or_put_back_lose_nothing(tmp_path, recorder, harm):
    await harmed(tmp_path, recorder, harm)


@pytest.mark.soak
async def test_a_file_that_forgets_only_what_peers_sent_gets_it_again(tmp_path, recorder):
    """Its own operations are all there, so that no witness can tell; but its feed is shorter than the hub remembers."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        await quietly(*puts(edge, 8, "a"), *puts(other, 8, "b"))
        await found.heal()
        await quietly(*puts(other, 8, "c"))
        await other.order("sync")
        await edge.kill()
        copied(edge.path, tmp_path / "backup" / "n0.db")
        await found.start("n0")
        await edge.order("sync")
        await edge.order("sync")
        await edge.kill()
        put_back(tmp_path / "backup" / "n0.db", edge.path, ("", "-wal", "-shm"))
        await found.start("n0")
        await quietly(*puts(edge, 5, "d"), edge.order("delete", key="a0"))
        await found.heal()
        verdict = await found.judged(renewals_allowed=["n0"])
    recorder.note(13, "-wal ends before the last sync", violations=len(verdict.findings), lost_writes=0)
    assert not verdict.findings, found.report(verdict)


@pytest.mark.soak
async def test_a_file_that_is_put_back_with_its_witness_loses_no_value(tmp_path, recorder):
    """Nothing on the machine shows it: numbers are given again until the hub tells; then those writes are renamed."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, backup = found.edges["n0"], tmp_path / "backup" / "n0.db"
        await quietly(*puts(edge, 8, "a"))
        await found.heal()
        await edge.kill()
        copied(edge.path, backup)
        await found.start("n0")
        await quietly(*puts(edge, 6, "c"))
        await found.heal()
        await edge.kill()
        put_back(backup, edge.path, PARTS)
        await found.start("n0")
        await quietly(*puts(edge, 5, "e"))
        before = (await edge.order("status"))["renewed"]
        await found.heal()
        after = (await edge.order("status"))["renewed"]
        await found.judged()
        files = [await read_file(found.file, "hub"), *[await read_file(e.path, e.name) for e in found.edges.values()]]
    written = {f"{mark}{n}": f"n0#{mark}{n}" for mark, count in (("a", 8), ("c", 6), ("e", 5)) for n in range(count)}
    wrong = [file.name for file in files if file.values != written or file.problems or file.digest != files[0].digest]
    recorder.note(13, "all of yesterday, its witness too", violations=len(wrong), new_identities=1, lost_writes=0)
    assert (before is None, after is None) == (True, False)
    assert not wrong, files


def by_vacuum(path, into):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(into),))


def by_backup(path, into):
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(into)) as target:
        source.backup(target)


COPIES = {
    "cp of all parts": copied,
    "cp of file and -wal": lambda path, into: copied(path, into, ("", "-wal")),
    "VACUUM INTO": by_vacuum,
    "SQLite's backup": by_backup,
}


@pytest.mark.soak
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("copy", COPIES)
async def test_copies_that_both_live_lose_nothing(tmp_path, recorder, copy, running):
    """With a hub, both of them writing before and after they have met it."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, twin = found.edges["n0"], found.edges["n1"]
        await twin.stop()
        for suffix in PARTS:
            part(twin.path, suffix).unlink(missing_ok=True)
        await quietly(*puts(edge, 8, "a"))
        await edge.order("sync")
        await quietly(*puts(edge, 3, "unsent"))
        if not running:
            await edge.stop()
        await asyncio.to_thread(COPIES[copy], edge.path, twin.path)
        if not running:
            await found.start("n0")
        await found.start("n1")
        for turn in range(3):
            await quietly(*puts(edge, 3, f"e{turn}/"), *puts(twin, 3, f"t{turn}/"))
            await quietly(*(each.order("sync") for each in ((edge, twin), (twin, edge), (twin,))[turn]))
        await found.heal()
        actors = {(await each.order("status"))["actor"] for each in (edge, twin)}
        verdict = await found.judged(renewals_allowed=["n0", "n1"])
    how = f"{copy}, {'running' if running else 'stopped'}; both live"
    recorder.note(14, how, violations=len(verdict.findings), dots_given_twice=2 - len(actors))
    assert len(actors) == 2
    assert not verdict.findings, found.report(verdict)


def flipped(path, rng):
    """Harm one part: flip a bit, or zero a page or sector; half of the files have all in themselves and no log."""
    if rng.random() < 0.5:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        target = path
    else:
        target = part(path, rng.choice(["", "-wal"]))
    data = bytearray(target.read_bytes())
    at = rng.randrange(len(data))
    if rng.random() < 0.7:
        data[at] ^= 1 << rng.randrange(8)
    else:
        size = rng.choice([512, 4096])
        begin = at // size * size
        data[begin : begin + size] = bytes(len(data[begin : begin + size]))
    target.write_bytes(data)


async def outcome_of(path, sound, witness):
    """What a node, and whoever looks after it, would learn of its file."""
    SideFile(path, bound=False).note(*witness)  # on a real disk the file stays where it is
    try:
        async with Engine.open(path, space="storm", witness=SideFile(path, bound=False)) as engine:
            if engine.renewed:
                return "named by a new identity"
            if (await engine.verify()).problems:
                return "named by verify"
        found = await read_file(path, sound.name)
    except StorageError:
        return "refused by name"
    if found.problems:
        return "named by verify"
    if all(getattr(found, each) == getattr(sound, each) for each in ("digest", "vector", "values", "listed")):
        return "without any effect"
    # SQLite takes a log as far as its checksums are right. What peers sent before its end they send again.
    missing = {key for key, value in sound.values.items() if found.values.get(key) != value}
    own = found.vector[witness[0]] == sound.vector[witness[0]] and all(key.startswith("b") for key in missing)
    return "before a sync that can be repeated" if own and found.vector != sound.vector else "in silence"


@pytest.mark.soak
async def test_damage_is_named_and_a_damaged_node_is_rebuilt(tmp_path, recorder, soak_seed):
    rng, counts = random.Random(soak_seed), Counter()
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        for turn in range(3):
            await quietly(*puts(edge, 20, f"a{turn}/"), *puts(other, 10, f"b{turn}/"))
            await quietly(edge.order("put", key="both", value="0"), other.order("put", key="both", value="1"))
            await found.heal()
        await edge.kill()
        copied(edge.path, tmp_path / "sound" / "n0.db")
        sound, testimony = await read_file(edge.path, "n0"), SideFile(edge.path).recall()
        for number in range(60):
            path = tmp_path / f"copy{number}" / "n0.db"
            copied(tmp_path / "sound" / "n0.db", path)
            flipped(path, rng)
            counts[await outcome_of(path, sound, (testimony.actor, testimony.seq))] += 1
            shutil.rmtree(path.parent)
        # What the documents say to do: keep the file aside, open an empty one, sync.
        for suffix in PARTS:
            if part(edge.path, suffix).exists():
                part(edge.path, suffix).rename(part(tmp_path / "aside.db", suffix))
        await found.start("n0")
        await found.heal()
        verdict = await found.judged(renewals_allowed=["n0"])
    figures = {name.replace(" ", "_"): count for name, count in sorted(counts.items())}
    recorder.note(
        12,
        "a bit flipped, a sector or page zeroed in the file or its -wal",
        runs=60,
        violations=counts["in silence"] + len(verdict.findings),
        **figures,
    )
    assert not counts["in silence"]
    assert not verdict.findings, found.report(verdict)
