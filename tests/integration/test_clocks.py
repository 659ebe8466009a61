"""Wrong clocks: years in either direction refuse no write, lose none, and break no causal order."""

from __future__ import annotations

import pytest

from holdfast.clocks import Timestamp, millis

from ..nodes import NOW_MS, Wall, assert_equal, heal, meet, opened
from .side import Side, sync
from .side import assert_equal as assert_sides_equal

YEAR_MS = 31_557_600_000


def sides(skew_years, hub_years=0):
    return (
        Side("node", wall=Wall(NOW_MS + skew_years * YEAR_MS)),
        Side("hub", wall=Wall(NOW_MS + hub_years * YEAR_MS)),
    )


@pytest.mark.parametrize("years", [-55, -1, 1, 40])
def test_a_write_that_has_seen_another_wins_whatever_the_clocks_say(years):
    node, hub = sides(years)
    node.write("k", {"n": 0})
    for n in range(1, 6):
        sync(node, hub)
        (hub if n % 2 else node).update("k", n=n)
    sync(node, hub)
    sync(node, hub)
    assert_sides_equal(node, hub)
    assert node.docs() == hub.docs() == {"k": '{"n":5}'}


@pytest.mark.parametrize("years", [-55, -1, 1, 40])
def test_no_write_is_refused_or_lost(years):
    node, hub = sides(years)
    for n in range(5):
        node.write(f"n{n}", {"n": n})
        hub.write(f"h{n}", {"n": n})
        node.update("both", node=n)
        hub.update("both", hub=n)
    sync(node, hub)
    sync(node, hub)
    assert_sides_equal(node, hub)
    assert len(hub.docs()) == 11
    assert hub.docs()["both"] == '{"hub":4,"node":4}'


def test_a_stamp_from_the_future_never_moves_the_clock_here_and_is_reported():
    node, hub = sides(10)
    node.write("k", {"n": 0})
    done = sync(hub_side := Side("reader", wall=Wall()), hub)
    assert done[-1].initiator.tally.suspect_ms == 0
    sync(node, hub)
    done = sync(hub_side, hub)
    suspect_ms = max(x.initiator.tally.suspect_ms for x in done)
    assert 9 * YEAR_MS < suspect_ms < 11 * YEAR_MS
    assert hub_side.docs() == {"k": '{"n":0}'}
    for side in (hub, hub_side):
        assert abs(millis(side.write("l", {}).clock) - NOW_MS) < YEAR_MS


def test_a_stamp_within_the_drift_is_exceeded_by_the_next_write():
    node, hub = Side("node", wall=Wall(NOW_MS + 60_000)), Side("hub", wall=Wall())
    first = node.write("k", {"n": 0})
    sync(node, hub)
    assert hub.update("k", n=1).clock > first.clock


def test_a_clock_that_is_set_back_gives_no_stamp_twice():
    node = Side("node", wall=Wall())
    stamps = []
    for ms in (NOW_MS, NOW_MS + 5_000, NOW_MS - YEAR_MS, NOW_MS - YEAR_MS, 1, NOW_MS + 6_000):
        node.wall.ms = ms
        stamps += [node.write("k", {}).clock, node.write("l", {}).clock]
    assert stamps == sorted(set(stamps))
    assert millis(stamps[-1]) == pytest.approx(NOW_MS + 6_000, abs=10)


def test_a_clock_that_was_years_ahead_keeps_order_and_can_be_set_right():
    node, hub = sides(20)
    node.write("k", {"n": 0})
    node.wall.ms = NOW_MS
    node.update("k", n=1)
    sync(node, hub)
    hub.update("k", n=2)
    sync(node, hub)
    sync(node, hub)
    assert node.docs() == hub.docs() == {"k": '{"n":2}'}


def test_of_concurrent_writes_the_later_stamp_is_shown_and_no_sibling_is_lost():
    for years, shown in ((-3, "hub"), (3, "node")):
        node, hub = sides(years)
        hub.write("k", {"v": 0})
        sync(node, hub)
        node.update("k", v="node")
        hub.update("k", v="hub")
        sync(node, hub)
        sync(node, hub)
        assert_sides_equal(node, hub)
        assert node.docs() == hub.docs() == {"k": f'{{"v":"{shown}"}}'}
        (siblings,) = hub.connection.execute("SELECT count(*) FROM conflict WHERE state = 'settled'").fetchone()
        assert siblings == 1


async def test_status_and_report_say_whose_clock_is_wrong(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s", name="late", wall=Wall(NOW_MS - 3 * YEAR_MS)) as a,
        opened(tmp_path / "hub.db", space="s", name="hub", wall=Wall()) as hub,
    ):
        await hub["t"].put("k", {})
        report = await meet(a, hub)
        assert any("ahead of this clock" in blocker for blocker in report.blockers)
        assert report.completed
        await heal(hub, a)
        assert any("clock of hub differs" in blocker for blocker in (await a.status()).blockers)
        await assert_equal(a, hub)
        receipt = await a["t"].put("l", {})
        assert millis(Timestamp(receipt.clock)) < NOW_MS - YEAR_MS
