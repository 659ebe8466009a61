"""verify: a file against itself and against a hub, and repair."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast import Engine

from .commands import holdfast, hub_process, ok


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a hub that serves "plant"."""
    ok("hub", "init", tmp_path / "hub")
    ok("hub", "space", "add", tmp_path / "hub", "plant")
    return tmp_path / "hub"


def damage(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql).rowcount > 0


def test_a_sound_file_needs_no_repair(file: Path):
    assert ok("verify", file, "--repair").out == "ok: 2 records checked\n"
    shown = ok("verify", file, "--repair", "--json").value
    assert shown == {"records": 2, "problems": [], "ok": True, "salvaged": None}
    assert not file.with_name(f"{file.name}-aside").exists()


def test_a_damaged_record_costs_itself_and_its_unsent_changes_are_named(file: Path):
    damage(file, """UPDATE record SET doc = '{"n":3}' WHERE key = 't1'""")
    before = file.read_bytes()
    assert "verify --repair" in holdfast("verify", file).err
    assert file.read_bytes() == before
    done = holdfast("verify", file, "--repair")
    assert done.code == 1
    assert "salvaged 1 records; 1 are gone here" in done.out
    assert "gone: tasks/t1" in done.out
    assert "! tasks/t1: its last changes had never left this node" in done.out
    (aside,) = file.with_name(f"{file.name}-aside").iterdir()
    assert (aside / file.name).read_bytes() == before
    assert ok("verify", file).out == "ok: 1 records checked\n"
    assert ok("get", file, "tasks", "t2").value["n"] == 2.0


def test_a_file_is_compared_with_a_hub_and_repaired_from_it(directory: Path, file: Path):
    env = {"HOLDFAST_TOKEN": ok("hub", "token", "add", directory, "plant", "--json").value["token"]}
    with hub_process(directory) as url:
        ok("sync", file, url, env=env)
        same = ok("verify", file, "--against", url, env=env)
        assert "alike: " in same.out
        shown = ok("verify", file, "--against", url, "--json", env=env).value
        assert (shown["compared"]["alike"], shown["compared"]["current"]) == (True, True)

        ok("put", file, "tasks", "t3", "{}")
        ahead = holdfast("verify", file, "--against", url, env=env)
        assert ahead.code == 1
        assert "0 records differ, 0 are only there, 1 only here\ndiffers: tasks/t3\n" in ahead.out
        assert "sync first" in ahead.err
        ok("sync", file, url, env=env)

        damage(file, "DELETE FROM record WHERE key = 't2'")
        found = holdfast("verify", file, "--against", url, "--json", env=env)
        assert found.code == 1
        assert found.value["compared"]["named"] == [["tasks", "t2"]]
        assert any("the digest of the space" in problem for problem in found.value["problems"])

        mended = ok("verify", file, "--against", url, "--repair", "--json", env=env).value
        assert (mended["salvaged"]["lost"], mended["salvaged"]["records"]) == (0, 2)
        assert mended["salvaged"]["nameless"]
        assert (mended["synced"]["completed"], mended["compared"]["alike"], mended["ok"]) == (True, True, True)
        assert ok("get", file, "tasks", "t2").value["n"] == 2.0
        assert "alike" in ok("verify", file, "--against", url, "--repair", env=env).out
        assert holdfast("verify", file, "--against", url, "--json", env={"HOLDFAST_TOKEN": "hf_no"}).code == 4


def test_what_cannot_even_be_opened_is_salvaged_or_left(file: Path, tmp_path: Path):
    damage(file, "DELETE FROM node")
    before = file.read_bytes()
    assert holdfast("verify", file, "--repair", "--json").code == 3
    assert file.read_bytes() == before
    assert holdfast("verify", tmp_path / "none.db", "--repair", "--json").error["code"] == "file-unreadable"


PAGE_BYTES = 4_096
UNKNOWN_PAGES = {2}
"""The table `node` says whose file it is; nothing else does."""


async def make_nodes(path: Path) -> None:
    async with Engine.open(path, space="plant") as engine:
        for n in range(30):
            await engine["t"].put(f"k{n}", {"n": n, "v": "x" * 300})
            await engine["u"].put(f"k{n}", {"n": n})


def without_page(path: Path, place: Path, number: int) -> Path:
    """A copy of a file, witness included, one page of which is lost."""
    place.mkdir()
    data = bytearray(path.read_bytes())
    data[(number - 1) * PAGE_BYTES : number * PAGE_BYTES] = bytes(PAGE_BYTES)
    damaged = place / path.name
    damaged.write_bytes(data)
    shutil.copy(path.with_name(f"{path.name}-witness"), place)
    return damaged


def test_a_file_of_which_any_page_is_lost_is_reported_and_all_but_one_repaired(tmp_path: Path):
    """Of half of them it was only said that they are malformed, and of six all was lost."""
    path = tmp_path / "n.db"
    asyncio.run(make_nodes(path))
    pages = path.stat().st_size // PAGE_BYTES
    assert pages > 50
    assert "--repair" in holdfast("verify", without_page(path, tmp_path / "words", 2)).err
    whole = 0
    with closing(sqlite3.connect(path)) as connection:
        listed = [number for (number,) in connection.execute("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")]
    lost = sorted({*listed, *range(1, 15), *range(15, pages, 5)})  # what a file begins with, and some of the rest
    for number in lost:
        damaged = without_page(path, tmp_path / f"{number}", number)
        found = holdfast("verify", damaged, "--json")
        assert found.code == 1, (number, found.err)
        assert found.value["problems"], number
        before = damaged.read_bytes()
        repaired = holdfast("verify", damaged, "--repair", "--json")
        if number in UNKNOWN_PAGES:
            assert (repaired.code, repaired.error["code"]) == (3, "damaged-file")
            assert "not even whose file it is can be read" in repaired.error["message"]
            assert damaged.read_bytes() == before
            continue
        assert repaired.code in {0, 1}, (number, repaired.err)
        whole += repaired.value["salvaged"]["records"] == 60
        assert ok("verify", damaged).out.startswith("ok: "), number
        assert not [*damaged.parent.glob("*.new*")]
    assert whole > len(lost) * 0.8


def test_a_file_without_its_first_page_and_its_witness_is_no_file_of_ours(tmp_path: Path):
    path = tmp_path / "n.db"
    asyncio.run(make_nodes(path))
    damaged = without_page(path, tmp_path / "d", 1)
    damaged.with_name("n.db-witness").unlink()
    assert holdfast("verify", damaged, "--json").error["code"] == "not-a-database"
    assert holdfast("verify", damaged, "--repair", "--json").error["code"] == "not-a-database"
