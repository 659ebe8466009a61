"""Bundles: a session in one direction, as a file that is cut, late, doubled or carried by others."""

from __future__ import annotations

import random
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from holdfast import (
    DiskFull,
    Engine,
    FileUnreadable,
    IncompatibleBundle,
    IncompatibleProtocol,
    MalformedFrame,
    SpaceMismatch,
    UsageError,
)
from holdfast.transport import draft

from ..nodes import assert_equal, meet, opened, purge


async def _documents(node: Engine) -> dict[str, dict[str, object]]:
    return {document.key: document.fields for document in await node["t"].query()}


async def _digest(node: Engine) -> tuple[str, bool]:
    status = await node.status()
    return status.digest, status.whole


def _small(**options: object) -> dict[str, object]:
    """Options of a node whose batches hold few records, so that a bundle has many."""
    return {"space": "plant", "batch_bytes": 200, **options}


async def test_a_bundle_brings_everything_to_an_empty_node(tmp_path: Path):
    async with opened(tmp_path / "a.db", **_small()) as a, opened(tmp_path / "b.db", **_small()) as b:
        await a["t"].put_many((f"k{n}", {"n": n}) for n in range(50))
        await a["t"].delete("k7")
        out = await a.export_bundle(tmp_path / "all.bundle")
        assert (out.records, out.completed, out.peer) == (50, True, "")
        done = await b.import_bundle(tmp_path / "all.bundle")
        assert (done.completed, done.peer, done.records, done.blockers) == (True, "a", 50, ())
        assert await _digest(a) == await _digest(b)
        again = await b.import_bundle(tmp_path / "all.bundle")
        assert (again.completed, again.records) == (True, 0)
        report = await meet(b, a)
        assert (report.completed, report.sent, report.received) == (True, 0, 0)


async def test_a_want_list_keeps_out_what_is_held(tmp_path: Path):
    async with opened(tmp_path / "a.db", **_small()) as a, opened(tmp_path / "b.db", **_small()) as b:
        await a["t"].put_many((f"k{n}", {"n": n}) for n in range(200))
        await meet(b, a)
        await a["t"].update("k3", {"n": -3})
        await b["t"].update("k4", {"n": -4})
        await b.export_want(tmp_path / "b.want")
        out = await a.export_bundle(tmp_path / "b.bundle", want=tmp_path / "b.want")
        assert (out.records, out.peer) == (1, "b")
        done = await b.import_bundle(tmp_path / "b.bundle")
        assert (done.completed, done.records) == (True, 1)
        await a.export_want(tmp_path / "a.want")
        await b.export_bundle(tmp_path / "a.bundle", want=tmp_path / "a.want")
        assert (await a.import_bundle(tmp_path / "a.bundle")).completed
        assert await _digest(a) == await _digest(b)


async def test_one_that_is_cut_says_so_and_the_whole_one_goes_on(tmp_path: Path):
    async with opened(tmp_path / "a.db", **_small()) as a, opened(tmp_path / "b.db", **_small()) as b:
        for n in range(60):
            await a["t"].put(f"k{n:02}", {"n": n})
        whole, cut = tmp_path / "whole.bundle", tmp_path / "cut.bundle"
        await a.export_bundle(whole)
        data = whole.read_bytes()
        cut.write_bytes(data[: len(data) // 2])
        part = await b.import_bundle(cut)
        assert not part.completed
        assert part.blockers == ("the bundle ends early: copy it again, and import it again",)
        assert 0 < part.records < 60
        assert not (await _digest(b))[1]
        seen: list[int] = []
        done = await b.import_bundle(whole, on_records=seen.append)
        assert (done.completed, done.records) == (True, 60 - part.records)
        assert seen[0] > 0  # it went on behind what the cut one had brought
        assert await _digest(a) == await _digest(b)


async def test_one_with_a_changed_byte_is_taken_in_up_to_there(tmp_path: Path):
    async with opened(tmp_path / "a.db", **_small()) as a, opened(tmp_path / "b.db", **_small()) as b:
        for n in range(60):
            await a["t"].put(f"k{n:02}", {"n": n})
        path = tmp_path / "a.bundle"
        await a.export_bundle(path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "bad.bundle").write_bytes(data)
        with pytest.raises(MalformedFrame) as told:
            await b.import_bundle(tmp_path / "bad.bundle")
        assert told.value.subject == str(tmp_path / "bad.bundle")
        assert 0 < await b["t"].count() < 60
        assert (await b.verify()).ok
        assert (await b.import_bundle(path)).completed


async def test_half_a_bundle_brings_about_half_and_one_cut_early_says_so(tmp_path: Path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        for first in range(0, 3000, 500):
            await a["t"].put_many((f"k{n}", {"n": n}) for n in range(first, first + 500))
        path, cut = tmp_path / "a.bundle", tmp_path / "cut.bundle"
        await a.export_bundle(path)
        data = path.read_bytes()
        cut.write_bytes(data[: len(data) // 6])
        with pytest.raises(MalformedFrame, match="cut off"):
            await b.import_bundle(cut)
        cut.write_bytes(data[: len(data) // 2])
        assert not (await b.import_bundle(cut)).completed
        assert await b["t"].count() in (1000, 2000)
        assert (await b.import_bundle(path)).completed
        assert await b["t"].count() == 3000


def _files(folder: Path, pattern: str) -> list[Path]:
    return [*folder.glob(pattern)]


@pytest.mark.parametrize("data", [b"", b"no bundle at all", b"HF" + b"\0" * 40])
async def test_what_is_no_bundle_is_refused(tmp_path: Path, data: bytes):
    path = tmp_path / "x"
    path.write_bytes(data)
    async with opened(tmp_path / "a.db", space="plant") as a:
        for call in (a.import_bundle(path), a.export_bundle(tmp_path / "out", want=path)):
            with pytest.raises((MalformedFrame, IncompatibleProtocol)):
                await call
        assert not (tmp_path / "out").exists()


async def test_what_is_not_for_this_node_is_refused_and_nothing_was_taken_in(tmp_path: Path):
    async with (
        opened(tmp_path / "a.db", space="plant") as a,
        opened(tmp_path / "b.db", space="plant") as b,
        opened(tmp_path / "c.db", space="plant") as c,
        opened(tmp_path / "d.db", space="other") as d,
    ):
        await a["t"].put("k1", {"n": 1})
        await meet(b, a)
        await a["t"].put("k2", {"n": 2})
        await b.export_want(tmp_path / "b.want")
        await a.export_bundle(tmp_path / "b.bundle", want=tmp_path / "b.want")
        with pytest.raises(IncompatibleBundle, match="leaves out"):
            await c.import_bundle(tmp_path / "b.bundle")
        with pytest.raises(IncompatibleBundle, match="made the bundle itself"):
            await a.import_bundle(tmp_path / "b.bundle")
        with pytest.raises(SpaceMismatch):
            await d.import_bundle(tmp_path / "b.bundle")
        with pytest.raises(SpaceMismatch):
            await d.export_bundle(tmp_path / "d.bundle", want=tmp_path / "b.want")
        with pytest.raises(MalformedFrame, match="a want-list and no bundle"):
            await c.import_bundle(tmp_path / "b.want")
        with pytest.raises(MalformedFrame, match="no want-list"):
            await c.export_bundle(tmp_path / "c.bundle", want=tmp_path / "b.bundle")
        with pytest.raises(UsageError, match="there is a file already"):
            await a.export_bundle(tmp_path / "b.bundle")
        with pytest.raises(FileUnreadable):
            await a.export_bundle(tmp_path / "no" / "b.bundle")
        with pytest.raises(FileUnreadable):
            await a.import_bundle(tmp_path / "nowhere")
        assert await c["t"].count() == await d["t"].count() == 0


async def test_a_full_stick_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with opened(tmp_path / "a.db", space="plant") as a:
        await a["t"].put("k1", {"n": 1})
        monkeypatch.setattr(draft, "_finish", full)
        with pytest.raises(DiskFull):
            await a.export_bundle(tmp_path / "a.bundle")
    assert not _files(tmp_path, "a.bundle*")


async def test_a_node_that_was_put_back_is_found_by_a_bundle(tmp_path: Path):
    async with opened(tmp_path / "b.db", **_small()) as b:
        async with opened(tmp_path / "a.db", **_small()) as a:
            await a["t"].put("k1", {"n": 1})
        shutil.copy(tmp_path / "a.db", tmp_path / "old.db")
        witness = (tmp_path / "a.db-witness").read_bytes()
        async with opened(tmp_path / "a.db", **_small()) as a:
            await a["t"].put("k2", {"n": 2})
            await meet(a, b)
        shutil.copy(tmp_path / "old.db", tmp_path / "a.db")
        (tmp_path / "a.db-witness").write_bytes(witness)  # nothing beside the file tells
        await b.export_bundle(tmp_path / "b.bundle")
        async with opened(tmp_path / "a.db", seed="again", **_small()) as a:
            done = await a.import_bundle(tmp_path / "b.bundle")
            assert "holds operation 2 of this identity" in a.renewed
            assert done.completed
            await a["t"].put("k3", {"n": 3})
            await meet(a, b)
            assert await _documents(a) == await _documents(b) == {f"k{n}": {"n": n} for n in (1, 2, 3)}


async def test_who_was_away_hears_from_a_bundle_of_what_was_deleted(tmp_path: Path):
    async with opened(tmp_path / "h.db", **_small()) as hub, opened(tmp_path / "a.db", **_small()) as away:
        await hub["t"].put_many((f"k{n}", {"n": n}) for n in range(50))
        await hub.export_bundle(tmp_path / "first.bundle")
        assert (await away.import_bundle(tmp_path / "first.bundle")).completed
        for n in range(40):
            await hub["t"].delete(f"k{n}")
        await purge(hub)
        await away["t"].put("own", {"written": "offline"})
        await away["t"].update("k1", {"m": 1})  # revives the whole record
        await away.export_want(tmp_path / "away.want")
        for name, want in (("full", None), ("wanted", tmp_path / "away.want")):
            await hub.export_bundle(tmp_path / f"{name}.bundle", want=want)
        cut = (tmp_path / "wanted.bundle").read_bytes()[:-20]
        (tmp_path / "cut.bundle").write_bytes(cut)
        report = await away.import_bundle(tmp_path / "cut.bundle")
        assert not report.completed
        assert "ends early" in report.blockers[0]
        for name in ("wanted", "full"):
            report = await away.import_bundle(tmp_path / f"{name}.bundle")
            assert (report.completed, report.blockers) == (True, ())
        await away.export_bundle(tmp_path / "back.bundle")
        assert (await hub.import_bundle(tmp_path / "back.bundle")).completed
        for node in (hub, away):
            documents = await _documents(node)
            assert documents.keys() == {f"k{n}" for n in range(40, 50)} | {"own", "k1"}
            assert documents["k1"] == {"n": 1, "m": 1}
            assert await node.readers.run(lambda db: db.execute("SELECT count(*) FROM record").fetchone()) == (12,)


FLEETS = range(6)


class Fleet:
    """Three nodes that write at random and meet by bundles (full, by want-lists, old, cut, of others) and sessions.

    In a purging one any of them lets go at any time what is deleted, and waits for nobody.
    """

    def __init__(self, folder: Path, nodes: list[Engine], seed: int, *, purging: bool) -> None:
        self.folder, self.nodes, self.dice, self.purging = folder, nodes, random.Random(seed), purging
        self.made: list[Path] = []
        self.wants: list[Path] = []

    async def step(self, number: int) -> None:
        node = self.dice.choice(self.nodes)
        kinds = (self.write, self.write, self.write, self.want, self.export, self.take, self.take, self.session)
        kinds = (*kinds, self.purge) if self.purging else kinds
        await self.dice.choice(kinds)(node, number)

    async def write(self, node: Engine, number: int) -> None:
        key = f"k{self.dice.randrange(8)}"
        if self.dice.random() < 0.2 and await node["t"].get(key):
            await node["t"].delete(key)
        elif self.dice.random() < 0.5:
            await node["t"].put(key, {"v": number})
        else:
            await node["t"].update(key, {self.dice.choice("vwx"): number}, upsert=True)

    async def want(self, node: Engine, number: int) -> None:
        self.wants.append(self.folder / f"{number}.want")
        await node.export_want(self.wants[-1])

    async def export(self, node: Engine, number: int) -> None:
        path = self.folder / f"{number}.bundle"
        await node.export_bundle(path, want=self.dice.choice([None, *self.wants]))
        self.made.append(path)
        if self.dice.random() < 0.3:
            data = path.read_bytes()
            path.write_bytes(data[: self.dice.randrange(len(data))])

    async def take(self, node: Engine, _: int) -> None:
        if not self.made:
            return
        # Of its own, made for another state, or cut before its first batch: refused.
        with suppress(IncompatibleBundle, MalformedFrame):
            await node.import_bundle(self.dice.choice(self.made))

    async def session(self, node: Engine, _: int) -> None:
        await meet(node, self.dice.choice([one for one in self.nodes if one is not node]))

    async def purge(self, node: Engine, _: int) -> None:
        await purge(node)

    async def heal(self) -> None:
        for turn in range(2):
            for maker in self.nodes:
                path = self.folder / f"last-{turn}-{maker.label}.bundle"
                await maker.export_bundle(path)
                done = [await taker.import_bundle(path) for taker in self.nodes if taker is not maker]
                assert all(report.completed for report in done)


@pytest.mark.parametrize("purging", [False, True])
@pytest.mark.parametrize("seed", FLEETS)
async def test_fleets_that_meet_by_bundles_agree(tmp_path: Path, seed: int, purging: bool):
    async with AsyncExitStack() as stack:
        paths = [tmp_path / f"{name}.db" for name in "abc"]
        nodes = [await stack.enter_async_context(opened(path, **_small(name=path.stem))) for path in paths]
        fleet = Fleet(tmp_path, nodes, seed, purging=purging)
        for number in range(60):
            await fleet.step(number)
        await fleet.heal()
        await assert_equal(*nodes)
        documents = [await _documents(node) for node in nodes]
        assert documents == [documents[0]] * len(nodes)
