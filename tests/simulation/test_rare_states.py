"""Plans that lead to states which random worlds hardly meet; they count as part of the campaign."""

from __future__ import annotations

import pytest

from holdfast.engine.reached import RARE_STATES
from holdfast.simulation import PlanBuilder, simulate
from holdfast.simulation.plans.actions import Attack, HandOver, Purge, Quality, Seize, SlowDisk
from holdfast.simulation.plans.plan import NodePlan


def overtaken_by_a_new_identity():
    """While the hub's answer comes slowly, with what the edge holds left out, a stranger makes the edge rename it."""
    plan = PlanBuilder(hours=0.1).hub("hub").edge("a")
    plan.at(seconds=1).put("a", "things", "k", {"title": "kept", "note": "first " * 100}).after(seconds=1).sync(
        "a", "hub"
    )
    plan.after(seconds=10).update("hub", "things", "k", {"note": "second"}).after(seconds=1)
    plan.do(None, Quality(group=("hub",), peers=("a",), bytes_per_s=40)).after(seconds=1).sync("a", "hub")
    return plan.after(seconds=3).do("a", Attack(attack="holds what was never written")).build()


def requested_twice():
    """Every request comes again, to a hub that is slow by then: meanwhile the next session begins."""
    plan = PlanBuilder(hours=0.1).hub("hub").edge("a").sync("a", "hub").after(seconds=10)
    plan.do(None, Quality(group=("hub",), peers=("a",), duplicate_per_mille=1_000))
    for number in range(8):
        plan.at(seconds=20 + 40 * number).put("a", "things", "k", {"n": number}).after(seconds=1).sync("a", "hub")
        slow = SlowDisk(latency_ms_min=3_000, latency_ms_max=3_000, for_ms=20_000)
        plan.after(seconds=0.5).do("hub", slow)
        plan.after(seconds=4).put("a", "things", "k", {"n": -number}).after(seconds=0.7).sync("a", "hub")
    return plan.build()


def requested_twice_while_others_write():
    """A request of many batches comes again to a hub that is slow and busy: batches of both share commits."""
    edge = NodePlan(name="a", role="edge", batch_bytes=1)
    plan = PlanBuilder(hours=0.7).hub("hub").node(edge).sync("a", "hub").after(seconds=10)
    plan.do(None, Quality(group=("hub",), peers=("a",), duplicate_per_mille=1_000))
    plan.do("hub", SlowDisk(latency_ms_min=1_000, latency_ms_max=1_000, for_ms=2_500_000))
    for number in range(30):
        plan.at(seconds=20 + 80 * number)
        for key in range(8):
            plan.put("a", "things", f"k{key}", {"n": number})
        plan.after(seconds=1).sync("a", "hub")
        for step in range(20):
            plan.put("hub", "things", "h", {"n": step}).after(seconds=0.3)
    return plan.build()


def comes_back(node, life):
    """Who has sent the hub what cannot be joined comes as an ordinary member: elsewhere, or as another identity."""
    plan = PlanBuilder(hours=0.05).hub("hub").edge("a").sync_every("a", "hub", seconds=10)
    plan.at(seconds=5).put("a", "things", "k", {"n": 1})
    plan.at(seconds=40).do("hub", Attack(attack="broken cells", stranger="m"))
    return plan.after(seconds=20).do(node, Attack(attack="ordinary member", stranger="m", life=life)).build()


def a_year_with_one_who_is_away():
    """The van is away for half a year, left out and sealed; what was deleted has gone for good when it comes back."""
    day = 24
    hub = NodePlan(name="hub", role="hub", purge_every_ms=day * 3_600_000, silent_after_ms=60 * day * 3_600_000)
    plan = PlanBuilder(hours=365 * day).node(hub).edge("office").edge("van").do("hub", Seize())
    plan.sync_every("office", "hub", minutes=3 * day * 60).sync_every("van", "hub", minutes=5 * day * 60)
    for number in range(10):
        plan.at(hours=day + number).put("office", "things", f"k{number}", {"n": number, "of": "office"})
    plan.at(hours=30 * day).cut("van", "hub", minutes=170 * day * 60)
    for number in range(8):
        plan.at(hours=40 * day + number).delete("hub", "things", f"k{number}")
    plan.at(hours=150 * day).update("van", "things", "k1", {"of": "van"})
    plan.after(hours=1).put("van", "things", "own", {"of": "van"})
    plan.at(hours=250 * day).delete("office", "things", "k8")
    plan.at(hours=300 * day).do("hub", HandOver(member="office"))
    plan.at(hours=310 * day).delete("van", "things", "k1").at(hours=340 * day).do("office", Purge())
    return plan.build()


def test_a_member_that_was_left_out_for_months_comes_back(request):
    report = simulate(a_year_with_one_who_is_away())
    report.raise_first()
    states = {state for state in RARE_STATES if state.startswith(("purge: ", "members: "))}
    states.remove("members: one who was left out counts again")  # it is a member anew
    assert states <= {state for state, times in report.totals.reached.items() if times}
    request.config.pluginmanager.get_plugin("reached").add(0, report.totals.reached)


@pytest.mark.parametrize(
    ("state", "plan"),
    [
        ("apply: a value had to be asked for whole", overtaken_by_a_new_identity()),
        pytest.param(
            "apply: a batch behind one that moved nothing",
            requested_twice_while_others_write(),
            marks=pytest.mark.thorough,
        ),
        ("session: a ticket that would arrive late", requested_twice()),
        ("holes: filled from elsewhere", comes_back("a", life=1)),
        ("holes: void since their node has moved on", comes_back("hub", life=2)),
    ],
    ids=["asked for whole", "behind what moved nothing", "late ticket", "filled from elsewhere", "moved on"],
)
def test_a_world_reaches_it_and_holds(state, plan, request):
    report = simulate(plan)
    report.raise_first()
    assert report.totals.reached[state]
    assert state in RARE_STATES
    request.config.pluginmanager.get_plugin("reached").add(0, report.totals.reached)
