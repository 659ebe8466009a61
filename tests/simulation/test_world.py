"""Worlds that once went wrong by themselves, and what a world does with the edges of a plan."""

from __future__ import annotations

import pytest

from holdfast.simulation.checkers import all_checkers
from holdfast.simulation.checkers.dots import Dots
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.observed.history import RolledBack
from holdfast.simulation.plans.actions import Attack, Backup, Put, Quality, ReadErrors, SlowDisk, Transact, Watch
from holdfast.simulation.plans.builder import PlanBuilder
from holdfast.simulation.plans.generate import plan_of
from holdfast.simulation.plans.plan import CHECKERS
from holdfast.simulation.world.world import World


def lived(plan, folder):
    world = World(plan, SeededChoices(plan.seed), folder)
    try:
        return world, world.run()
    finally:
        world.close()


@pytest.mark.parametrize(
    ("seed", "nodes", "hours"), [(3, 3, 1), (7, 3, 1), pytest.param(10, 5, 0.2, marks=pytest.mark.thorough)]
)
def test_worlds_that_found_faults_of_their_observers_end_well(tmp_path, seed, nodes, hours):
    """Renamed operations over hidden ones; a device that is copied while it is off; closing while syncs run."""
    _, outcome = lived(plan_of(seed, nodes=nodes, hours=hours), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.converged_ms is not None
    assert outcome.figures.operations


def test_a_device_that_is_off_can_be_copied(tmp_path):
    plan = (
        PlanBuilder(hours=0.1, seed=1)
        .hub("hub")
        .edge("a")
        .at(seconds=10)
        .put("a", "things", "x", {"n": 1})
        .at(seconds=20)
        .crash("a", down_minutes=2)
        .at(seconds=30)
        .clone("a", "b")
        .at(seconds=60)
        .put("b", "things", "y", {"n": 2})
        .build()
    )
    world, outcome = lived(plan, tmp_path)
    assert outcome.fault is None
    assert [*world.by_name] == ["hub", "a", "b"]
    assert outcome.figures.records == 2


def test_a_machine_that_is_put_back_to_a_snapshot_is_told_so_by_its_hub(tmp_path):
    """Its file and its witness know nothing; what it had synced comes back, and what it then writes is kept."""
    builder = PlanBuilder(hours=0.1, seed=1).hub("hub").edge("a").sync_every("a", "hub", seconds=10)
    builder.at(seconds=15).do("a", Backup(backup="snapshot", whole=True))
    builder.at(seconds=20).put("a", "things", "x", {"n": 1}).at(seconds=60).restore("a", "snapshot")
    plan = builder.at(seconds=62).put("a", "things", "y", {"n": 2}).build()
    world, outcome = lived(plan, tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 2
    assert outcome.reached["identity: a peer's sign shows a copy"]
    assert not outcome.reached["identity: a new incarnation at opening"]
    assert world.history.copies


def test_frames_that_are_damaged_on_their_way_are_refused_and_sent_again(tmp_path):
    builder = PlanBuilder(hours=0.2, seed=3).hub("hub").edge("a").edge("b")
    builder.do(None, Quality(group=("hub",), corrupt_per_mille=500))
    for node in "ab":
        builder.sync_every(node, "hub", seconds=10)
    for number in range(20):
        builder.at(seconds=5 + 20 * number).put("ab"[number % 2], "things", f"k{number % 7}", {"n": number})
    world, outcome = lived(builder.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 7
    assert sum(traffic.cuts["corrupted"] for traffic in world.network.traffic.values()) > 10
    assert outcome.figures.syncs["malformed-frame"]


def test_strangers_attack_and_honest_nodes_keep_every_promise(tmp_path):
    """A hub is called, an edge is lured; what a member may write arrives everywhere, and nothing else does."""
    builder = PlanBuilder(hours=0.1, seed=2).hub("hub").edge("a").edge("b").sync_every("a", "hub", seconds=10)
    builder.at(seconds=5).put("a", "things", "x", {"n": 1}).at(seconds=30).sync("b", "hub").at(seconds=60)
    for name in ("ordinary member", "broken cells", "mutated byte", "holds what was never written"):
        builder.do("hub", Attack(attack=name, times=2)).do("b", Attack(attack=name)).after(seconds=20)
    world, outcome = lived(builder.build(), tmp_path)
    assert outcome.fault is None
    assert sum(outcome.figures.attacks.values()) == 12
    assert not outcome.figures.skipped
    assert len(world.history.outsiders) == 3
    assert outcome.figures.records == 2  # the member's, and that of the application
    assert outcome.reached["apply: a record that cannot be joined"]
    assert outcome.reached["identity: a peer's sign shows a copy"]


def test_what_one_stranger_sent_in_vain_holds_up_no_other(tmp_path):
    """All once had one feed, so that the hole in it was in everybody's way, for good."""
    plan = PlanBuilder(hours=0.1, seed=2).hub("hub").edge("a").edge("b").sync_every("a", "hub", seconds=10)
    plan.at(seconds=5).put("a", "things", "x", {"n": 1}).at(seconds=30).sync("b", "hub").at(seconds=60)
    for name in ("broken cells", "ordinary member") * 2:
        plan.do("hub", Attack(attack=name, times=2)).do("b", Attack(attack=name, times=2)).after(seconds=20)
    world, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert len(world.history.outsiders) == 8
    assert outcome.reached["apply: a record that cannot be joined"] >= 8
    assert outcome.figures.records == 2


def test_what_a_stranger_left_who_never_came_again_waits_and_all_agree(tmp_path):
    """It comes where its feed has a hole and begins anew: nobody ever claims what it had taken in."""
    plan = PlanBuilder(hours=0.1, seed=2).hub("hub").edge("a").sync_every("a", "hub", seconds=10)
    plan.at(seconds=5).put("a", "things", "x", {"n": 1}).at(seconds=60)
    for name in ("broken cells", "ordinary member"):
        plan.do("hub", Attack(attack=name, stranger="m")).after(seconds=20)
    _, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 2


@pytest.mark.parametrize("told", [False, True])
def test_a_hub_is_put_back_only_when_no_copy_is_left_untold(tmp_path, told):
    plan = PlanBuilder(hours=0.1, seed=2).hub("hub").edge("a").sync("a", "hub").at(seconds=20).backup("hub", "h")
    plan.after(seconds=5).put("a", "things", "x", {"n": 1}).after(seconds=5).clone("a", "b").after(seconds=5)
    if told:
        for node in ("a", "b", "a", "b"):
            plan.put(node, "things", node, {"n": 1}).after(seconds=5).sync(node, "hub").after(seconds=5)
    world, outcome = lived(plan.restore("hub", "h").build(), tmp_path)
    assert outcome.fault is None
    assert any(isinstance(event, RolledBack) for event in world.history.events) is told
    assert outcome.figures.skipped == (not told)


def test_hubs_share_a_space_before_anybody_meets_them(tmp_path):
    plan = PlanBuilder(hours=0.1, seed=3).hub("hub").hub("hub-2").edge("a").edge("b")
    plan.put("a", "things", "x", {"n": 1}).put("b", "things", "y", {"n": 2}).sync("a", "hub").sync("b", "hub-2")
    _, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 2


@pytest.mark.parametrize(
    ("checkers", "broken"), [((), False), (("clocks", "status"), False), (("dots", "clocks"), True)]
)
def test_a_world_asks_the_checkers_that_its_plan_names(tmp_path, monkeypatch, checkers, broken):
    def fail(self, world, node):
        raise self.fail(node, None, "planted")

    monkeypatch.setattr(Dots, "step", fail)
    plan = PlanBuilder(hours=0.02).hub("hub").edge("a").put("a", "things", "x", {"n": 1}).check(*checkers).build()
    world, outcome = lived(plan, tmp_path)
    assert {type(checker).__module__.rpartition(".")[2] for checker in world.checkers} == {*checkers}
    assert outcome.invariant == (Dots.name if broken else "")


@pytest.mark.parametrize("think_ms", [0, 5_000])
def test_what_is_due_last_is_waited_for(tmp_path, think_ms):
    """Nodes that agree already when healing begins are not judged before the last write is done, or thought out."""
    last = Transact(writes=(Put(collection="things", key="x", fields={"n": 1}),), think_ms=think_ms)
    plan = PlanBuilder(hours=0.02).hub("hub").edge("a").sync("a", "hub").at(hours=0.02).do("a", last).build()
    _, outcome = lived(plan, tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 1


def test_a_watch_is_told_of_everything_though_its_disk_fails(tmp_path):
    plan = PlanBuilder(hours=0.05).hub("hub").edge("a").edge("b").sync_every("a", "hub", seconds=10)
    plan.sync_every("b", "hub", seconds=15).do("hub", Watch()).do("a", Watch()).at(seconds=20)
    plan.do("a", ReadErrors(per_mille=500, for_ms=30_000)).crash("hub", down_minutes=0.5)
    for number in range(8):
        plan.after(seconds=10).put("ab"[number % 2], "things", f"x{number % 3}", {"n": number})
    _, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 3
    assert outcome.figures.done["put"] == 8


def test_every_checker_has_a_name_in_plans():
    assert {type(checker).__module__.rpartition(".")[2] for checker in all_checkers()} == {*CHECKERS}


def test_what_is_under_way_when_healing_begins_is_part_of_the_chaos(tmp_path):
    """The last write lands on a slow disk when all have agreed already: they are judged when they agree again."""
    plan = PlanBuilder(hours=0.1, seed=4).hub("hub").edge("a")
    plan.at(seconds=1).put("a", "things", "x", {"n": 1}).after(seconds=1).sync("a", "hub")
    plan.at(seconds=359.9).do("a", SlowDisk(latency_ms_min=3_000, latency_ms_max=3_000, for_ms=60_000))
    plan.at(seconds=360).put("a", "things", "y", {"n": 2})
    _, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 2


def test_copies_whose_clocks_are_behind_give_equal_stamps_and_are_told_apart(tmp_path):
    plan = PlanBuilder(hours=0.1, seed=5).hub("hub").edge("a")
    plan.at(seconds=1).put("a", "things", "x", {"n": 1}).after(seconds=1).sync("a", "hub")
    plan.after(seconds=5).clock_jump("a", hours=-1).after(seconds=1).clone("a", "b")
    plan.clock_jump("b", hours=-1).after(seconds=5).put("a", "things", "y", {"n": 2}).put("b", "things", "z", {"n": 3})
    world, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 3
    stamps = {operation.name[:3] for operation in world.model.operations if operation.node in "ab"}
    assert len(stamps) < len(world.model.operations)


def test_a_clone_does_for_itself_what_its_original_does_again_and_again(tmp_path):
    """Each has a watcher of its own; the clone is told last what its original wrote, at another place of its feed."""
    plan = PlanBuilder(hours=0.1, seed=6).hub("hub").edge("a").sync_every("a", "hub", seconds=20)
    plan.at(seconds=1).do("a", Watch()).put("a", "things", "x", {"n": 1})
    plan.at(seconds=60).clone("a", "b").after(seconds=5)
    plan.put("b", "things", "y", {"n": 2}).put("b", "things", "z", {})
    plan.at(seconds=300).update("a", "things", "x", {"n": 3})
    _, outcome = lived(plan.build(), tmp_path)
    assert outcome.fault is None
    assert outcome.figures.records == 3
