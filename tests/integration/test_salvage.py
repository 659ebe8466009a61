"""Damaged files: what is whole goes on under another identity, peers give back the rest, and what nobody has is named.

Row 12 of the faults that the engine must survive: seeded bytes are flipped, pages are zeroed, in the file of a node
that has written and synced.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from holdfast import DamagedFile, FileLocked, FileUnreadable, NotADatabase, Schema
from holdfast.engine.salvage import SalvageReport, salvage_file
from holdfast.engine.seams import Seams
from holdfast.engine.storage.migrations import migrate
from holdfast.engine.storage.salvaging import BEHIND, SMALL

from ..gate import first
from ..nodes import Wall, assert_equal, heal, meet, opened, raw

RECORDS = 2_000
SCHEMAS = [Schema(name="t", indexes=["n"])]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed files of a hub and a node that agree, but for what the node and the hub got since."""
    import asyncio

    folder = tmp_path_factory.mktemp("sources")
    asyncio.run(make(folder))
    return folder


async def make(folder: Path) -> None:
    async with (
        opened(folder / "hub.db", space="s") as hub,
        opened(folder / "a.db", space="s", schemas=SCHEMAS) as a,
        opened(folder / "b.db", space="s") as b,
    ):
        await a["t"].put_many((f"k{n:05}", {"n": n, "pad": f"{n}-" * 40}) for n in range(RECORDS))
        await heal(hub, a, b)
        for n in range(0, RECORDS, 40):
            await b["t"].update(f"k{n:05}", {"n": -n})
            await a["t"].update(f"k{n:05}", {"pad": "short"})
        for n in range(10, RECORDS, 100):
            await b["t"].delete(f"k{n:05}")
        await heal(hub, a, b)
        await assert_equal(hub, a, b)
        for n in range(5, RECORDS, 200):
            await a["t"].update(f"k{n:05}", {"n": "never left"})
        await b["t"].update("k00001", {"n": "after"})
        await meet(b, hub)


def checkpoint(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def pages(path: Path, table: str) -> list[int]:
    """The leaf pages of a table or index."""
    with raw(path) as connection:
        try:
            rows = connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))
            return [page for (page,) in rows]
        except Exception:  # noqa: BLE001 - this SQLite has no dbstat
            return []


def zero(path: Path, page: int, size: int = 4096) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def flip(path: Path, rng: random.Random, count: int) -> None:
    """Flip bits of so many bytes on pages that do not say what the tables are."""
    data = bytearray(path.read_bytes())
    spared = {1, *pages(path, "sqlite_schema")}
    for at in rng.sample([at for at in range(len(data)) if at // 4096 + 1 not in spared], count):
        data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def copied(sources: Path, folder: Path) -> Path:
    for part in sources.iterdir():
        if part.is_file():
            shutil.copy2(part, folder / part.name)
    checkpoint(folder / "a.db")
    return folder / "a.db"


def salvaged(path: Path) -> SalvageReport:
    return salvage_file(path, seams=Seams(time=Wall(), entropy=random.Random("salvage").randbytes))


async def assert_everything_is_back(folder: Path, report: SalvageReport) -> None:
    """After a sync nodes agree, hold all that the hub had, and of the own writes all that are not named as lost."""
    async with (
        opened(folder / "hub.db") as hub,
        opened(folder / "a.db", seed="later", schemas=SCHEMAS) as a,
        opened(folder / "b.db") as b,
    ):
        before = {d.key: d.fields for d in await hub["t"].query()}
        sync = await meet(a, hub)
        assert not sync.blockers
        assert (sync.completed, sync.repaired) == (True, 0)  # nothing had to be mended: what came back was joined
        await heal(hub, a, b)
        assert a.renewed is None
        await assert_equal(hub, a, b)
        after = {d.key: d.fields for d in await a["t"].query()}
        gone = {key for _, key in report.unsent + (report.named if "log" in report.tables else ())}
        for n in range(5, RECORDS, 200):
            key = f"k{n:05}"
            if key not in gone and not report.nameless:
                assert after[key]["n"] == "never left"
        mine = {f"k{n:05}" for n in range(5, RECORDS, 200)}
        assert {k: v for k, v in after.items() if k not in mine} == {k: v for k, v in before.items() if k not in mine}
        assert mine <= after.keys()
        assert all(set(after[key]) == {"n", "pad"} for key in mine)
        assert await a.conflicts(None) == []


async def test_a_sound_file_is_salvaged_whole(sources: Path, tmp_path: Path):
    path = copied(sources, tmp_path)
    before = path.read_bytes()
    report = salvaged(path)
    assert (report.lost, report.named, report.unsent, report.nameless, report.tables) == (0, (), (), False, ())
    assert (report.aside / "a.db").read_bytes() == before
    async with opened(path, schemas=SCHEMAS, seed="later") as node:
        assert node.renewed is None
        assert (await node.verify()).problems == ()
        assert len(await node["t"].query("n = ?", "never left")) == 10
    await assert_everything_is_back(tmp_path, report)


@pytest.mark.parametrize("share", [0.01, 0.3, 1])
async def test_zeroed_pages_of_records_cost_the_records_on_them(sources: Path, tmp_path: Path, share: float):
    path = copied(sources, tmp_path)
    leaves = pages(path, "record")
    if not leaves:
        pytest.skip("this SQLite cannot tell what stands on a page")
    gone = random.Random(1).sample(leaves, max(1, round(len(leaves) * share)))
    for page in gone:
        zero(path, page)
    report = salvaged(path)
    assert 0 < report.lost == RECORDS - report.records
    assert report.lost <= len(gone) * 40
    assert not report.nameless
    await assert_everything_is_back(tmp_path, report)


# Seed 0 hits the name of the identity that wrote most records, 1 the log row of a lost write that had not been sent.
@pytest.mark.parametrize("seed", first(2, range(2, 8)))
async def test_flipped_bytes_cost_only_what_they_hit(sources: Path, tmp_path: Path, seed: int):
    path = copied(sources, tmp_path)
    flip(path, random.Random(seed), 60)
    report = salvaged(path)
    assert report.records > RECORDS // 2
    await assert_everything_is_back(tmp_path, report)


@pytest.mark.parametrize("table", ["record_key", "record_feed", "log", "log_record"])
async def test_a_zeroed_page_of_anything_else_costs_no_record(sources: Path, tmp_path: Path, table: str):
    path = copied(sources, tmp_path)
    leaves = pages(path, table)
    if not leaves:
        pytest.skip("this SQLite cannot tell what stands on a page")
    zero(path, random.Random(2).choice(leaves))
    report = salvaged(path)
    assert (report.records, report.lost) == (RECORDS, 0)
    await assert_everything_is_back(tmp_path, report)


async def test_a_row_that_fell_back_to_an_earlier_state_takes_nothing_from_peers(sources: Path, tmp_path: Path):
    path = tmp_path / "a.db"
    old = tmp_path / "old"
    old.mkdir()
    async with opened(tmp_path / "hub.db", space="s") as hub, opened(path, space="s") as a:
        await a["t"].put_many((f"k{n:05}", {"n": n, "pad": "x"}) for n in range(20))
        await meet(a, hub)
        await a.backup(old / "a.db")
        await hub["t"].update("k00007", {"n": "later"})
        await meet(a, hub)
    with raw(path) as connection:
        connection.execute("ATTACH ? AS old", (str(old / "a.db"),))
        connection.execute("UPDATE record SET (lsn, live, node, seq, clock, flags, digest, cells, doc) ="
            " (SELECT lsn, live, node, seq, clock, flags, digest, cells, doc FROM old.record o WHERE o.id = record.id)"
            " WHERE key = 'k00007'")  # fmt: skip
    report = salvaged(path)
    assert (report.records, report.lost, report.nameless) == (20, 0, True)
    async with opened(tmp_path / "hub.db") as hub, opened(path, seed="later") as a:
        assert (await a["t"].get("k00007")).fields["n"] == 7
        assert (await meet(a, hub)).repaired == 0
        await heal(hub, a)
        assert await hub.conflicts(None) == await a.conflicts(None) == []
        assert (await a["t"].get("k00007")).fields == {"n": "later", "pad": "x"}
        assert (await hub["t"].get("k00007")).fields == {"n": "later", "pad": "x"}
        await assert_equal(hub, a)


async def test_only_what_is_gone_travels(sources: Path, tmp_path: Path):
    path = copied(sources, tmp_path)
    with raw(path) as connection:
        connection.execute("DELETE FROM record WHERE key BETWEEN 'k00100' AND 'k00119'")
    report = salvaged(path)
    assert report.records == RECORDS - 20
    async with opened(tmp_path / "hub.db") as hub, opened(path, schemas=SCHEMAS, seed="later") as a:
        sync = await meet(a, hub)
        assert sync.completed
        assert sync.bytes_received < 30_000
        assert (await a["t"].get("k00110")) is None
        assert (await a["t"].get("k00111")).fields["n"] == 111


async def test_what_cannot_be_salvaged_is_left_as_it_is(sources: Path, tmp_path: Path):
    path = copied(sources, tmp_path)
    with raw(path) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'node'").fetchone()
    zero(path, page)
    before = path.read_bytes()
    with pytest.raises(DamagedFile) as caught:
        salvaged(path)
    assert "make a new file and sync it" in caught.value.remedy
    assert path.read_bytes() == before
    assert not (tmp_path / "a.db.new").exists()
    assert not (tmp_path / "a.db-aside").exists()
    with pytest.raises(FileUnreadable):
        salvaged(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(NotADatabase):
        salvaged(tmp_path / "text.db")


def test_every_table_of_the_format_is_salvaged(tmp_path: Path):
    with raw(tmp_path / "new.db") as connection:
        migrate(connection, "new.db")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {*SMALL, *BEHIND, "node", "record", "stretch", "sqlite_sequence"} == tables


async def test_a_file_that_is_open_is_not_salvaged(sources: Path, tmp_path: Path):
    path = copied(sources, tmp_path)
    async with opened(path):
        with pytest.raises(FileLocked):
            salvaged(path)
