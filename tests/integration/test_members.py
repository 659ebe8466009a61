"""Who takes part, who decides, and how that changes hands, between real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Engine, NoSuchMember, NotTheAuthority, Purge, UsageError
from holdfast.engine.replica import Replica

from ..nodes import Wall, assert_equal, heal, meet, opened

DAY_MS = 86_400_000
AT_ONCE = Purge(every_s=0)


async def deleted(node: Engine) -> int:
    return (await node.status()).deleted


async def decides(node: Engine) -> list[str]:
    return [member.label for member in await node.members.list() if member.decides]


async def test_a_deleted_record_goes_once_all_members_have_heard_of_it(tmp_path: Path):
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await hub.members.seize("the first hub")
        await hub["t"].put("k", {"n": 1})
        await heal(hub, a, b)
        await hub["t"].delete("k")
        await heal(hub, a)  # twice: that it has taken the delete in it says in its next hello
        report = await hub.purge()
        assert (report.raised, report.dropped, report.decides) == (False, 0, True)
        assert report.waits_for == ("b",)
        (waiting,) = [member for member in await hub.members.list() if member.awaited]
        assert (waiting.label, waiting.counts, waiting.behind) == ("b", True, 1)
        await heal(hub, a, b)
        await hub.purge()
        assert await deleted(hub) == 0
        await heal(hub, a, b)  # they take the fence over
        assert [await deleted(node) for node in (hub, a, b)] == [0, 0, 0]
        await assert_equal(hub, a, b)
        assert (await meet(a, hub)).round_trips == 1


async def test_sessions_purge_by_themselves_where_the_node_decides(tmp_path: Path):
    async with (
        opened(tmp_path / "h.db", space="s", purge=AT_ONCE) as hub,
        opened(tmp_path / "a.db", space="s") as a,
    ):
        await hub.members.seize("hub")
        for n in range(5):
            await a["t"].put(f"k{n}", {"n": n})
            await meet(a, hub)
            await a["t"].delete(f"k{n}")
            await heal(hub, a, rounds=3)
        await a["t"].put("last", {})
        await heal(hub, a, rounds=3)
        assert await deleted(hub) == 0
        await assert_equal(hub, a)


async def test_a_silent_member_is_left_out_and_counts_again_when_it_is_back(tmp_path: Path):
    wall = Wall()
    plan = Purge(every_s=0, silent_after_s=30 * 86_400)
    async with (
        opened(tmp_path / "h.db", space="s", wall=wall, purge=plan) as hub,
        opened(tmp_path / "a.db", space="s", wall=wall) as a,
        opened(tmp_path / "b.db", space="s", wall=wall) as away,
    ):
        await hub.members.seize("hub")
        await hub["t"].put_many([(f"k{n}", {"n": n}) for n in range(9)])
        await heal(hub, a, away)
        await away["t"].put("own", {"written": "offline"})
        for n in range(8):
            await hub["t"].delete(f"k{n}")
        await heal(hub, a)
        assert (await hub.purge()).waits_for == ("b",)
        wall.ms += 31 * DAY_MS
        await meet(a, hub)
        report = await hub.purge()
        out = [member for member in await hub.members.list() if not member.counts]
        assert [member.label for member in out] == ["b"]
        assert out[0].left_out_ms is not None
        assert await deleted(hub) == 0
        assert report.waits_for == ()
        assert (await meet(away, hub)).completed
        await heal(hub, a, away, rounds=3)
        await hub.purge()
        assert all(member.counts for member in await hub.members.list())
        await assert_equal(hub, a, away)
        assert await hub["t"].get("own") is not None
        assert await away["t"].count() == 2


async def test_an_expiry_is_undone_before_the_next_purge(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub.members.seize("hub")
        await hub["t"].put("k", {})
        await heal(hub, a)
        await hub["t"].delete("k")
        await hub.purge()
        await hub.members.expire("a")
        await hub.members.restore("a")
        report = await hub.purge()
        assert (report.dropped, report.waits_for) == (0, ("a",))


async def test_authority_is_handed_over_with_the_list(tmp_path: Path):
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "n.db", space="s") as heir,
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
    ):
        await hub.members.seize("hub")
        await hub["t"].put("k", {})
        await heal(hub, heir, a, b)
        await hub.members.expire("b")
        await hub.members.hand_over("n")
        assert await decides(hub) == ["n"]
        with pytest.raises(NotTheAuthority):
            await hub.members.expire("a")
        await meet(heir, hub)
        listed = {member.label: member.counts for member in await heir.members.list()}
        assert listed == {"n": True, "h": True, "a": True, "b": False}
        await heir.members.restore("b")
        await heal(hub, heir, a)
        (heir_at_a,) = [member for member in await a.members.list() if member.decides]
        assert (heir_at_a.actor, heir_at_a.heard_ms) == (await heir.actor(), 0)  # it never met the heir
        assert [await decides(node) for node in (hub, heir)] == [["n"], ["n"]]
        assert not (await hub.purge()).decides


async def test_a_lost_authority_is_replaced_and_steps_back_when_it_returns(tmp_path: Path):
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "n.db", space="s") as new,
        opened(tmp_path / "a.db", space="s") as a,
    ):
        await hub.members.seize("hub")
        await hub["t"].put("k", {})
        await heal(hub, a, new)
        await new.members.seize("the hub burned down")
        await new["t"].delete("k")
        await meet(a, new)
        await meet(a, new)
        await new.purge()
        assert await deleted(new) == 0
        await hub["t"].update("k", {"n": 1})  # it did not burn, and somebody wrote there
        await meet(hub, new)
        assert not (await hub.purge()).decides
        await heal(new, hub, a, rounds=3)
        await assert_equal(hub, new, a)
        assert (await new["t"].get("k")).fields == {"n": 1}


async def test_members_are_named_and_plans_are_in_range(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub:
        await hub.members.seize("hub")
        with pytest.raises(NoSuchMember):
            await hub.members.expire("nobody")
        with pytest.raises(UsageError):
            await hub.members.expire(7)  # type: ignore[arg-type]
    for bad in ({"every_s": -1}, {"every_s": "1"}, {"silent_after_s": True}, {"silent_after_s": 1e12}):
        with pytest.raises(UsageError):
            Purge(**bad)
    with pytest.raises(UsageError):
        await opened(tmp_path / "h.db", purge=3)


async def test_a_hub_whose_identity_is_renewed_while_it_runs_goes_on_deciding(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s", purge=AT_ONCE) as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub.members.seize("hub")
        await a["t"].put("k", {})
        await heal(hub, a)
        await Replica(hub).renew("a peer says so")
        assert await decides(hub) == ["h"]
        assert (await hub.status()).blockers == ()
        await a["t"].delete("k")
        await heal(hub, a, rounds=4)
        assert await decides(a) == ["h"], "it heard of the term"
        await hub.purge()
        assert await deleted(hub) == 0


async def test_of_two_live_copies_of_a_hub_one_decides_in_the_end(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub.members.seize("hub")
        await a["t"].put("k", {})
        await heal(hub, a)
        await hub.backup(tmp_path / "copy.db")
        async with opened(tmp_path / "copy.db", space="s") as copy:
            assert await decides(copy) == []
            (blocker,) = (await copy.status()).blockers
            assert "nobody decides" in blocker
            await copy.members.seize("it is told to serve")
            assert (await copy.status()).blockers == ()
            assert await decides(hub) == ["h"]
            await heal(a, copy, hub)
            await heal(a, copy, hub)
            deciding = {m.actor for node in (hub, copy, a) for m in await node.members.list() if m.decides}
            assert len(deciding) == 1
            await Replica(hub).renew("which it was not")
            after = {m.actor for m in await hub.members.list() if m.decides}
            assert after == deciding, "who has yielded hands nothing on"


async def test_identities_that_were_followed_by_later_ones_are_left_out_together(tmp_path: Path):
    wall = Wall()
    async with (
        opened(tmp_path / "h.db", space="s", wall=wall) as hub,
        opened(tmp_path / "a.db", space="s", wall=wall) as a,
        opened(tmp_path / "b.db", space="s", wall=wall) as b,
    ):
        await hub.members.seize("hub")
        await b["t"].put("k", {})
        await heal(hub, a, b)
        for _ in range(3):
            wall.ms += 1000
            await Replica(a).renew("put back")
            await heal(hub, a)
        await hub["t"].delete("k")
        report = await hub.purge()
        assert sorted(report.waits_for) == ["a", "a", "a", "a", "b"]
        assert {*report.awaited.values()} == {"a", "b"}
        assert len(report.awaited) == 5
        with pytest.raises(NoSuchMember, match="4 members are called so, with identities that begin with"):
            await hub.members.expire("b", "a")
        assert all(member.counts for member in await hub.members.list()), "none, or all that were named"
        own = await a.actor()
        assert len(await hub.members.expire_superseded()) == 3
        assert {m.actor for m in await hub.members.list() if m.counts and m.label == "a"} == {own}
        assert await hub.members.expire_superseded() == ()
        await heal(hub, a, b)
        await hub.purge()
        assert await deleted(hub) == 0


async def test_who_is_back_counts_in_the_session_that_shows_it(tmp_path: Path):
    async with (
        opened(tmp_path / "h.db", space="s") as hub,
        opened(tmp_path / "a.db", space="s") as a,
    ):
        await hub.members.seize("hub")
        await hub["t"].put("k", {})
        await heal(hub, a)
        await hub["t"].delete("k")
        await hub.members.expire("a")
        assert (await hub.purge()).dropped == 1
        assert [m.counts for m in await hub.members.list()] == [True, False]
        await meet(a, hub)  # hears what was deleted
        await meet(a, hub)  # says that it has
        assert [m.counts for m in await hub.members.list()] == [True, True]


async def test_one_who_decides_is_not_left_out_whatever_was_decided_before(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await hub.members.seize("hub")
        await heal(hub, a)
        await a.members.seize("the hub is lost")
        await hub.members.hand_over("a")  # two terms on
        await meet(a, hub)
        await a.members.hand_over("h")
        await meet(a, hub)
        (listed,) = [member for member in await a.members.list() if member.label == "h"]
        assert (listed.decides, listed.counts) == (True, True)


async def test_who_decides_cannot_leave_itself_out_and_is_told_what_to_do(tmp_path: Path):
    async with opened(tmp_path / "h.db", space="s", name="hub") as hub:
        await hub.members.seize("hub")
        for name in ("hub", await hub.actor()):
            with pytest.raises(NoSuchMember, match="the node itself"):
                await hub.members.expire(name)
        with pytest.raises(UsageError, match="no reason"):
            await hub.members.seize("  ")
