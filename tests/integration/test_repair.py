"""Two nodes that hold different cells though they have taken in the same: a sync finds what differs, and mends it."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast import LinkCut, MalformedMessage, Seams, restore_backup, salvage_file
from holdfast.engine.delta import FeedId
from holdfast.engine.ranges import Part, Parts, Span
from holdfast.engine.replica import Replica
from holdfast.transport.comparing import compare, take

from ..gate import only
from ..nodes import Wall, assert_equal, heal, link_to, meet, opened, raw

RECORDS = 1_500


async def a_fleet(folder: Path, count: int = RECORDS) -> None:
    """Closed files of a hub and two nodes that agree: plain records, some of several writes, one deleted."""
    async with (
        opened(folder / "hub.db", space="s") as hub,
        opened(folder / "a.db", space="s") as a,
        opened(folder / "b.db", space="s") as b,
    ):
        await a["t"].put_many((f"k{n:05}", {"n": n, "pad": "x" * 100}) for n in range(count))
        await b["u"].put("other", {"n": 1, "m": 1})
        await heal(hub, a, b)
        await b["t"].update("k00003", {"n": 3_000})
        await a["t"].delete("k00004")
        await heal(hub, a, b)
        await assert_equal(hub, a, b)


def lose(path: Path, where: str, *, silently: bool) -> None:
    """Take records out of a closed file; silently: the sum that the file keeps does not tell."""
    with raw(path) as connection:
        changed = connection.execute(f"DELETE FROM record WHERE {where}").rowcount
        assert changed > 0
        if silently:
            total = sum(digest for (digest,) in connection.execute("SELECT digest FROM record"))
            connection.execute("UPDATE node SET digest = ?", (total & ((1 << 62) - 1),))


async def test_nodes_that_agree_find_no_difference(tmp_path: Path):
    await a_fleet(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a:
        link = link_to(hub)
        found = await compare(Replica(a), link)
        assert (found.complete, found.differing, found.sound, link.round_trips) == (True, 0, True, 1)


async def test_a_comparison_names_exactly_what_differs_and_moves_little(tmp_path: Path):
    await a_fleet(tmp_path, 4_000)
    lose(tmp_path / "hub.db", "key = 'k00007'", silently=False)
    lose(tmp_path / "a.db", "key IN ('k00008', 'other')", silently=False)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a:
        await a["t"].update("k03999", {"n": 5})
        before = (await a.status()).as_json(), (await hub.status()).digest
        link = link_to(hub)
        found = await compare(Replica(a), link)
        assert found.complete
        assert (found.changed, found.there, found.here) == (
            [("t", "k03999")], [("t", "k00008"), ("u", "other")], [("t", "k00007")]
        )  # fmt: skip
        assert not found.sound
        assert link.bytes_received + link.bytes_sent < 20_000
        assert ((await a.status()).as_json(), (await hub.status()).digest) == before


@pytest.mark.parametrize("damaged", ["a.db", "hub.db"])
@pytest.mark.parametrize("where", ["key = 'k00003'", "key LIKE 'k000%'", "1"])
async def test_what_one_side_lost_without_knowing_comes_back(tmp_path: Path, damaged: str, where: str):
    await a_fleet(tmp_path)
    lose(tmp_path / damaged, where, silently=True)
    async with (
        opened(tmp_path / "hub.db") as hub,
        opened(tmp_path / "a.db") as a,
        opened(tmp_path / "b.db") as b,
    ):
        report = await meet(a, hub)
        assert report.completed
        assert report.repaired > 0
        assert not report.blockers
        assert (await meet(a, hub)).repaired == 0
        await heal(hub, a, b)
        await assert_equal(hub, a, b)
        assert (await b["t"].get("k00003")).fields["n"] == 3_000
        assert await b["t"].get("k00004") is None
        assert len(await a["t"].query()) == RECORDS - 1
        assert await a.conflicts(None) == []


async def test_a_node_that_knows_that_it_lost_records_is_told_what_to_do(tmp_path: Path):
    await a_fleet(tmp_path)
    lose(tmp_path / "a.db", "key = 'k00003'", silently=True)
    lose(tmp_path / "a.db", "key = 'k00005'", silently=False)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a:
        report = await meet(a, hub)
        assert (report.completed, report.repaired) == (False, 0)
        assert report.blockers == ("records of this file are lost: run verify with repair on it",)


async def test_a_token_that_may_only_read_repairs_nothing(tmp_path: Path):
    await a_fleet(tmp_path)
    lose(tmp_path / "a.db", "key = 'k00003'", silently=True)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a:
        report = await meet(a, hub, rights="r")
        assert (report.completed, report.repaired) == (False, 0)
        assert any("hold different cells" in blocker for blocker in report.blockers)


async def test_a_value_that_reads_otherwise_on_one_side_is_kept_beside_the_other(tmp_path: Path):
    """Both rows are sound in themselves: nobody can say which is right."""
    await a_fleet(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "x.db", space="s") as x:
        await meet(x, hub)
    with raw(tmp_path / "a.db") as connection:
        connection.execute("UPDATE record SET seq = seq + 1 WHERE key = 'k00009'")
    await a_sound_digest(tmp_path / "a.db", "k00009")
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a, opened(tmp_path / "b.db") as b:
        report = await meet(a, hub)
        assert report.completed
        assert report.repaired == 1
        await heal(hub, a, b)
        await assert_equal(hub, a, b)
        assert (await b["t"].get("k00009")).fields["n"] == 9


async def a_sound_digest(path: Path, key: str) -> None:
    """Let a row's digest be that of its columns, and the file's the sum of its rows'."""
    from holdfast.clocks import Actor
    from holdfast.engine.digest import digest_head, plain_digests

    with raw(path) as connection:
        actor, seq, clock, flags, doc = connection.execute(
            "SELECT a.actor, r.seq, r.clock, r.flags, r.doc FROM record r JOIN actor a ON a.id = r.node"
            " WHERE r.key = ? AND r.cells IS NULL",
            (key,),
        ).fetchone()
        (digest,) = plain_digests([(digest_head("t", Actor(actor)), key, seq, clock, flags, doc)])
        connection.execute("UPDATE record SET digest = ? WHERE key = ?", (digest, key))
        total = sum(one for (one,) in connection.execute("SELECT digest FROM record"))
        connection.execute("UPDATE node SET digest = ?", (total & ((1 << 62) - 1),))


async def gone_back(folder: Path) -> None:
    """Files of a hub and a node that agree, and the node then goes on under another identity that claims nothing."""
    await a_fleet(folder)
    lose(folder / "a.db", "key IN ('k00003', 'k00008')", silently=False)
    salvage_file(folder / "a.db", seams=Seams(time=Wall(), entropy=random.Random("salvage").randbytes))


async def test_what_moves_during_a_comparison_is_read_from_the_feed(tmp_path: Path):
    await gone_back(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db", seed="later") as a:
        link = link_to(hub)
        found = await compare(Replica(a), link)
        await hub["t"].update("k00020", {"n": "meanwhile"})
        await hub["t"].put("new", {"n": "meanwhile"})
        async for said, batch in take(Replica(a), link, found):
            assert not (await Replica(a).apply(batch, said.actor, follows=False)).moved
        await Replica(a).compared(found.peer.actor, found.feed, found.head, found.stretch)
        report = await meet(a, hub)
        assert (report.completed, report.received) == (True, 2)
        assert a.renewed is None
        await heal(hub, a)
        await assert_equal(hub, a)
        assert (await a["t"].get("k00020")).fields["n"] == "meanwhile"


async def test_what_moves_between_two_answers_is_read_from_the_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It lies in a range that was found alike, and stands in the feed before the end that the second answer names."""
    await gone_back(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db", seed="later") as a:
        plain, answers = Replica.compare, []

        async def meddle(self: Replica, *arguments: Any) -> Any:
            if not answers:
                await hub["t"].update("k01400", {"n": "meanwhile"})
            answers.append(arguments)
            return await plain(self, *arguments)

        monkeypatch.setattr(Replica, "compare", meddle)
        assert (await meet(a, hub)).completed
        assert len(answers) == 2
        assert (await a["t"].get("k01400")).fields["n"] == "meanwhile"
        await assert_equal(hub, a)


@pytest.mark.parametrize("frames", only([0, 3, 7, 11], range(12)))
async def test_a_comparison_that_is_cut_anywhere_costs_nothing_but_itself(tmp_path: Path, frames: int):
    await gone_back(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db", seed="later") as a:
        with suppress(LinkCut):
            await meet(a, hub, cut_after=(frames, None) if frames % 2 else (None, frames))
        assert (await meet(a, hub)).completed
        assert a.renewed is None
        await heal(hub, a)
        await assert_equal(hub, a)


async def test_a_peer_of_before_comparisons_gives_its_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    await gone_back(tmp_path)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db", seed="later") as a:
        monkeypatch.setattr("holdfast.transport.answering.ONLY_RANGES", "a feature that nobody names")
        monkeypatch.setattr("holdfast.transport.handshake.FEATURES", ())
        assert not (await compare(Replica(a), link_to(hub))).complete
        assert (await meet(a, hub)).completed
        monkeypatch.undo()
        await assert_equal(hub, a)


async def test_a_peer_that_differs_anew_each_time_does_not_keep_a_sync_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await a_fleet(tmp_path)
    lose(tmp_path / "a.db", "key = 'k00003'", silently=True)
    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db") as a:

        async def nothing(*_: object) -> int:
            return 1  # it says that it mended something, and did not

        monkeypatch.setattr(Replica, "mend", nothing)
        report = await meet(a, hub)
        assert not report.completed
        assert report.repaired == 1
        monkeypatch.undo()
        assert (await meet(a, hub)).completed


async def test_a_node_that_was_put_back_compares_instead_of_reading_all(tmp_path: Path):
    async with opened(tmp_path / "hub.db", space="s") as hub:
        async with opened(tmp_path / "a.db", space="s") as a:
            await a["t"].put_many(
                (f"k{n:05}", {"n": n, "pad": random.Random(n).randbytes(50).hex()}) for n in range(2_000)
            )
            await heal(hub, a)
            await a.backup(tmp_path / "copy.db")
            await a["t"].update("k00001", {"n": "after the backup"})
            await meet(a, hub)
        restore_backup(tmp_path / "copy.db", tmp_path / "a.db", replace=True)
        async with opened(tmp_path / "a.db", seed="again") as a:
            assert a.renewed
            report = await meet(a, hub)
            assert report.completed
            assert report.bytes_received < 30_000
            assert (await a["t"].get("k00001")).fields["n"] == "after the backup"
            await assert_equal(hub, a)


@pytest.mark.parametrize(
    "liar", ["parts of another feed", "more ranges than were asked about", "parts beyond the range"]
)
async def test_a_peer_that_lies_about_ranges_costs_an_error_and_no_more(
    tmp_path: Path, liar: str, monkeypatch: pytest.MonkeyPatch
):
    await gone_back(tmp_path)
    asked = 0

    async def lie(self: Replica, spans: tuple[Span, ...]) -> Parts:
        nonlocal asked
        asked += 1
        feed = FeedId("00" * 8) if "another" in liar else (await self.facts()).feed
        parts = (Part(("t", f"k{asked:05}"), 5, asked), Part(("t", "l"), 7, asked))
        return Parts(feed=feed, head=1 << 61, spans=(parts,) * (len(spans) + ("more" in liar)))

    async with opened(tmp_path / "hub.db") as hub, opened(tmp_path / "a.db", seed="later") as a:
        monkeypatch.setattr(Replica, "ranges", lie)
        with pytest.raises(MalformedMessage):
            await meet(a, hub)
        assert asked <= 2
        monkeypatch.undo()
        await heal(hub, a)
        await assert_equal(hub, a)
