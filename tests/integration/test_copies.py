"""Copies that no witness can see (containers, virtual machines): the hub tells them apart by their tickets."""

from __future__ import annotations

import shutil
from contextlib import suppress

import pytest

from holdfast import SideFile, Take
from holdfast.clocks import Actor, Dot
from holdfast.engine.replica import Replica
from holdfast.engine.storage.journal import Kind
from holdfast.errors import LinkCut, SessionRefused

from ..nodes import assert_equal, heal, link_to, meet, opened, raw


def unbound(path, **options):
    """Open with a witness that takes no notice of host and inode."""
    return opened(path, witness=SideFile(path, bound=False), **options)


def clone(path, target):
    for suffix in ("", "-witness"):
        shutil.copy(f"{path}{suffix}", f"{target}{suffix}")
    return target


@pytest.mark.parametrize("met_before", [False, True])
@pytest.mark.parametrize("order", ["abab", "aabb", "baab", "bbaa"])
async def test_clones_in_containers_lose_no_write(tmp_path, met_before, order):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(tmp_path / "a.db", space="s") as a:
            await a["t"].put("shared", {"v": 0})
            if met_before:
                await heal(hub, a)
            await a["t"].put("unsent", {"v": 0})
        clone(tmp_path / "a.db", tmp_path / "b.db")
        async with unbound(tmp_path / "a.db", seed="a2") as a, unbound(tmp_path / "b.db", seed="b2") as b:
            assert a.renewed is b.renewed is None
            nodes = {"a": a, "b": b}
            for name, node in nodes.items():
                await node["t"].put(f"{name}0", {"by": name})
                await node["t"].update("shared", {"v": name})
            for n, name in enumerate(order, 1):
                await meet(nodes[name], hub)
                await nodes[name]["t"].put(f"{name}{n}", {"by": name})
            await heal(hub, a, b, rounds=3)
            await assert_equal(a, b, hub)
            assert (a.renewed is None) != (b.renewed is None)  # one of them went on under a new identity
            states = [await node.status() for node in (a, b)]
            assert sorted(state.incarnations for state in states) == [2, 2]
            assert len(states[0].vector) == 2
            keys = {f"{name}{n}" for n, name in enumerate(order, 1)} | {"a0", "b0", "shared", "unsent"}
            assert {document.key for document in await hub["t"].query()} == keys
            (conflict,) = await hub.conflicts("settled")
            assert {sibling.value for sibling in conflict.conflict.siblings} == {"a", "b"}
            await conflict.resolve(Take(0))
            await heal(hub, a, b)
            await assert_equal(a, b, hub)


@pytest.mark.parametrize("cut_after", [(1, None), (2, None), (None, 0), (None, 1), (None, 2)])
async def test_clones_whose_first_session_was_cut_lose_no_write(tmp_path, cut_after):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(tmp_path / "a.db", space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
        clone(tmp_path / "a.db", tmp_path / "b.db")
        async with unbound(tmp_path / "a.db", seed="a2") as a, unbound(tmp_path / "b.db", seed="b2") as b:
            for name, node in (("a", a), ("b", b)):
                await node["t"].put_many((f"{name}{n}", {"by": name}) for n in range(5))
                with suppress(LinkCut):
                    await meet(node, hub, cut_after=cut_after)
                await node["t"].put(f"{name} later", {})
            await heal(hub, b, a, rounds=3)
            await assert_equal(a, b, hub)
            assert await hub["t"].count() == 13


async def test_a_clone_that_never_wrote_costs_an_identity_and_nothing_else(tmp_path):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(tmp_path / "a.db", space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
        clone(tmp_path / "a.db", tmp_path / "b.db")
        async with unbound(tmp_path / "a.db", seed="a2") as a, unbound(tmp_path / "b.db", seed="b2") as b:
            await a["t"].put("k", {})
            await heal(hub, a)
            await heal(hub, b)
            await assert_equal(a, b, hub)
            assert len((await hub.status()).vector) == 1


async def test_a_restored_folder_is_found_by_the_number_that_the_hub_holds(tmp_path):
    """File and witness of yesterday: nothing on this machine can tell, the hub can."""
    path = tmp_path / "a.db"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(path, space="s") as a:
            await a["t"].put("k", {"n": 0})
            await heal(hub, a)
        clone(path, tmp_path / "backup")
        async with unbound(path) as a:
            for n in range(3):
                await a["t"].put(f"tuesday{n}", {})
            await heal(hub, a)
        clone(tmp_path / "backup", path)
        async with unbound(path, seed="second") as a:
            assert a.renewed is None
            before = await a.actor()
            await a["t"].put("wednesday", {})
            await heal(hub, a)
            assert a.renewed
            assert await a.actor() != before
            await assert_equal(a, hub)
            assert await hub["t"].count() == 5
        with raw(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_backup_of_before_names_were_given_up_claims_none_of_them(tmp_path, times):
    """The other clone has used those names for writes of its own, which the old file would pass over, or remove."""
    path, other, backup = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "backup"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(path, space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
        clone(path, other)
        async with unbound(path, seed="a2") as a:
            await a["t"].put_many((f"a{n}", {"by": "a"}) for n in range(3))
        shutil.copy(path, backup)
        async with unbound(other, seed="b2") as b:
            await b["t"].put("b0", {"by": "b"})
            await b["t"].update("shared", {"note": "b"})
            await heal(hub, b)
        async with unbound(path, seed="a3") as a:
            await heal(hub, a)
            assert a.renewed  # and its three puts have new names
        for life in range(times):
            shutil.copy(backup, path)
            async with unbound(path, seed=f"restored {life}") as a:
                assert "another identity" in a.renewed
                await a["t"].update("shared", {f"v{life}": "a"})
                await heal(hub, a)
        async with unbound(path) as a, unbound(other) as b:
            await heal(hub, a, b)
            await assert_equal(a, b, hub)
            assert {document.key for document in await a["t"].query()} == {"shared", "b0", "a0", "a1", "a2"}
            assert (await hub["t"].get("shared")).fields["note"] == "b"


@pytest.mark.parametrize("unsent", [False, True])
async def test_a_hub_that_goes_on_under_a_new_identity_still_tells_clones_apart(tmp_path, unsent):
    """It forgets its tickets, and remembers in which file it has read this feed."""
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(path, space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
        clone(path, other)
        async with unbound(path, seed="a2") as a, unbound(other, seed="b2") as b:
            await b["t"].update("shared", {"note": "b"})
            await heal(hub, b)
            await Replica(hub).renew("a stranger says so")
            await a["t"].put("a0", {"by": "a"})  # the number that the hub knows from the clone
            if unsent:
                await a["t"].put("a1", {"by": "a"})
            await heal(hub, a)
            assert "in another file" in a.renewed
            assert b.renewed is None
            await heal(hub, a, b)
            await assert_equal(a, b, hub)
            assert {document.key for document in await hub["t"].query()} == {"shared", "a0", *["a1"][: int(unsent)]}
            assert (await hub["t"].get("shared")).fields["note"] == "b"


async def test_a_hub_that_goes_on_under_a_new_identity_takes_no_node_for_a_clone(tmp_path):
    """Also one that was opened anew, and one that the hub has read in several of its lives."""
    path = tmp_path / "a.db"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        for life in range(4):
            async with unbound(path, space="s", seed=life) as a:
                await a["t"].put(f"k{life}", {})
                await heal(hub, a)
                await hub["t"].put(f"hub{life}", {})
                await Replica(hub).renew("a stranger says so")
                await a["t"].put(f"later{life}", {})
                await heal(hub, a)
                assert a.renewed is None
                await assert_equal(a, hub)


@pytest.mark.parametrize("sent", [False, True])
async def test_what_had_never_left_a_file_that_is_put_back_has_new_names(tmp_path, sent):
    """The clone has used those names: the old file once claimed its writes, and its own were nobody's."""
    path, other, backup = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "backup"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with unbound(path, space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
        clone(path, other)
        async with unbound(path, seed="a2") as a:
            await a["t"].put("a0", {"by": "a"})
            if sent:
                await heal(hub, a)
        shutil.copy(path, backup)
        async with unbound(path, seed="a3") as a:
            await a["t"].put("gone", {"by": "a"})
        async with unbound(other, seed="b2") as b:
            await b["t"].put("b0", {"by": "b"})
            await b["t"].update("shared", {"note": "b"})
            await heal(hub, b)
        shutil.copy(backup, path)
        async with unbound(path, seed="restored") as a, unbound(other) as b:
            assert "rolled back" in a.renewed
            identity = await a.actor()
            await heal(hub, a, b)
            await assert_equal(a, b, hub)
            assert {document.key for document in await a["t"].query()} == {"shared", "b0", "a0"}
            assert (await hub["t"].get("shared")).fields["note"] == "b"
            assert await a.actor() == identity
        with raw(path) as connection:
            (renamed,) = connection.execute("SELECT count(*) FROM log WHERE kind = ?", (int(Kind.REISSUE),)).fetchone()
        assert renamed == (0 if sent else 1)


async def test_an_ordinary_node_is_never_asked_to_renew(tmp_path):
    """Cuts, restarts, writes in the middle and two hubs by turns."""
    path = tmp_path / "a.db"
    async with (
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
        opened(tmp_path / "two.db", space="s", name="two") as two,
    ):
        await heal(hub, two)
        for n in range(12):
            async with opened(path, space="s", seed=n) as a:
                assert a.renewed is None
                await a["t"].put(f"k{n}", {})
                for cut_after in ((n % 3, None), (None, n % 4)):
                    try:
                        await meet(a, hub if n % 2 else two, cut_after=cut_after)
                    except LinkCut:
                        await a["t"].put(f"cut{n}", {})
                await meet(a, two if n % 2 else hub)
                assert a.renewed is None
        async with opened(path) as a:
            await heal(hub, a, two)
            await assert_equal(a, hub, two)
            assert len((await a.status()).vector) == 1


async def test_reached_is_not_said_of_what_the_hub_could_not_join(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
    ):
        await a["t"].put("k", {"n": 0})
        replica = Replica(a)
        url = link_to(hub).url
        receipt = await a["t"].update("k", {"n": 1})
        assert not await replica.has_reached(receipt, url)
        await meet(a, hub)
        assert await replica.has_reached(receipt, url)
        later = await a["t"].update("k", {"n": 2})
        assert not await replica.has_reached(later, url)


@pytest.mark.parametrize(("renewals", "both_wrote"), [(1, False), (1, True), (2, True)])
async def test_receipts_from_before_a_new_identity_follow_their_write(tmp_path, renewals, both_wrote):
    """Also where the other copy has used the very name that the receipt gives, which says nothing of this write."""
    path = tmp_path / "a.db"
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        url = link_to(hub).url
        async with unbound(path, space="s") as a:
            stored = await a["t"].put("stored", {"n": 0})
            await heal(hub, a)
            await a["t"].put("stored", {"n": 1})
        clone(path, tmp_path / "b.db")
        async with unbound(tmp_path / "b.db", seed="b") as b:
            for n in range(9 * both_wrote):
                await b["t"].put(f"b{n}", {"by": "b"})
            await heal(hub, b)
        receipts = []
        for turn in range(renewals):
            async with unbound(path, seed=f"a{turn}") as a:
                before = await a.actor()
                receipts.append(await a["t"].put(f"new{turn}", {"by": "a"}))
                receipts.append(await a["t"].put("superseded", {"n": turn}))
                receipts.append(await a["t"].update("superseded", {"m": turn}))
                replica = Replica(a)
                await replica.renew("test")
                assert await a.actor() != before
                assert not any([await replica.has_reached(receipt, url) for receipt in receipts])
                assert not any([receipt.dot in await _dots(path) for receipt in receipts])
        async with unbound(path, seed="last") as a:
            replica = Replica(a)
            await meet(a, hub, rights="r")
            assert not any([await replica.has_reached(receipt, url) for receipt in receipts])
            await meet(a, hub)
            assert all([await replica.has_reached(receipt, url) for receipt in receipts])
            assert await replica.has_reached(stored, url)
            for turn in range(renewals):
                document = await hub["t"].get(f"new{turn}")
                assert document is not None
                assert document.fields == {"by": "a"}
            later = await a["t"].update("superseded", {"m": "later"})
            assert await replica.has_reached(receipts[-1], url)
            assert not await replica.has_reached(later, url)
            await heal(hub, a)
            await assert_equal(a, hub)


async def _dots(path):
    with raw(path) as connection:
        rows = connection.execute("SELECT a.actor, r.seq FROM record r JOIN actor a ON a.id = r.node").fetchall()
    return {Dot(Actor(actor), seq) for actor, seq in rows}


async def test_a_node_that_asks_itself_is_told_so_and_keeps_its_identity(tmp_path):
    """A hub and an edge in one process, over one engine: it once began two new identities before it gave up."""
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        await a["t"].put("k", {})
        for _ in range(2):
            before = await a.actor(), (await a.status()).incarnations
            with pytest.raises(SessionRefused, match="speaks with itself") as refused:
                await meet(a, a)
            assert "address" in refused.value.remedy
            assert refused.value.subject == link_to(a).url
            assert (await a.actor(), (await a.status()).incarnations) == before
            assert a.renewed is None
            await meet(a, hub)  # now it knows others, and this address as another node's
        await assert_equal(a, hub)


async def test_a_write_that_comes_between_does_not_make_a_node_a_copy_of_itself(tmp_path, monkeypatch):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        facts = Replica.facts

        async def meanwhile(self, **options):
            await a["t"].put("k", {"n": 1})
            return await facts(self, **options)

        monkeypatch.setattr(Replica, "facts", meanwhile)
        with pytest.raises(SessionRefused, match="speaks with itself"):
            await meet(a, a)
        assert a.renewed is None


async def test_a_copy_that_has_written_nothing_is_told_so_and_the_one_that_has_gets_a_name_of_its_own(tmp_path):
    async with unbound(tmp_path / "hub.db", space="s") as hub:
        await hub["t"].put("k", {"v": 0})
    clone(tmp_path / "hub.db", tmp_path / "a.db")
    async with unbound(tmp_path / "hub.db", seed="h2") as hub, unbound(tmp_path / "a.db", seed="a2") as a:
        with pytest.raises(SessionRefused, match="copy of its file") as refused:
            await meet(a, hub)
        assert "write to one of the two" in refused.value.remedy
        assert (a.renewed, hub.renewed) == (None, None)
        await a["t"].put("new", {})
        await meet(a, hub)
        assert a.renewed
        assert (await a.status()).incarnations == 2
        await assert_equal(a, hub)
