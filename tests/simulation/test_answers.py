"""Claims about the figures of local work: a planted case under each condition counts where it belongs, and once."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import HoldfastError
from holdfast.engine.storage import bulk
from holdfast.simulation import PlanBuilder, simulate
from holdfast.simulation.plans.actions import (
    BulkPut,
    HoldLock,
    HoldReader,
    Read,
    ReadErrors,
    SlowDisk,
    WriteErrors,
)
from holdfast.simulation.runs.availability import availability_of

MINUTE_MS = 60_000
CONDITIONS = {
    "read errors": ReadErrors(per_mille=1_000, for_ms=MINUTE_MS),
    "write errors": WriteErrors(per_mille=1_000, for_ms=MINUTE_MS),
    "another writer": HoldLock(for_ms=MINUTE_MS),
    "long reader": HoldReader(for_ms=MINUTE_MS),
    "slow disk": SlowDisk(latency_ms_min=100, latency_ms_max=200, for_ms=MINUTE_MS),
}


def edge() -> PlanBuilder:
    return PlanBuilder(hours=0.1, seed=1).hub("hub").edge("a").put("a", "notes", "n1", {"text": "one"})


def worked(builder: PlanBuilder, **options):
    """One put and one read ten seconds later, besides what the plan holds; gives (answered, refused) by what held."""
    builder.after(seconds=10).put("a", "notes", "n1", {"text": "two"})
    builder.after(seconds=10).do("a", Read(collection="notes", key="n1"))
    report = simulate(builder.build(programs=list(options.get("programs", ()))), **options)
    assert report.ok, report.first_failure.fault
    return {(a.under, a.kind): (a.answered, dict(a.refused)) for a in availability_of(report.totals.answers)}, report


@pytest.mark.parametrize(
    ("condition", "reads", "writes"),
    [
        ("read errors", (0, {"file-unreadable": 1}), (1, {})),  # what a write needs stands in its cache
        ("write errors", (1, {}), (0, {"file-unreadable": 1})),
        ("another writer", (1, {}), (0, {"file-locked": 1})),
        ("long reader", (1, {}), (1, {})),
        ("slow disk", (1, {}), (1, {})),
    ],
)
def test_work_counts_under_what_the_disk_meets(condition, reads, writes):
    found, report = worked(edge().after(seconds=10).do("a", CONDITIONS[condition]))
    assert (found[condition, "read"], found[condition, "write"]) == (reads, writes)
    assert {under for under, _ in found} == {"in all", condition}
    assert found["in all", "read"] == reads
    assert found["in all", "write"] == (1 + writes[0], writes[1])
    assert report.totals.reads_offline is None
    assert sum(report.totals.refused.values()) == len(reads[1]) + len(writes[1])


def test_a_full_disk_refuses_writes_and_answers_reads():
    builder = edge().after(seconds=10).disk_full("a", minutes=1)
    for number in range(5):
        builder.put("a", "notes", f"big-{number}", {"text": "x" * 50_000})
    found, report = worked(builder)
    assert found["disk full", "read"] == (1, {})
    answered, refused = found["disk full", "write"]
    assert answered + refused["disk-full"] == 6
    assert refused["disk-full"] >= 5, "the log had room for one at most"
    assert report.totals.refused == {"put: disk-full": refused["disk-full"]}


def test_work_without_a_hub_in_reach_counts_as_offline_and_so_does_that_of_programs():
    async def mine(engine):
        await asyncio.sleep(15)
        await engine["notes"].put("mine", {"text": "here"})
        await engine["notes"].get("mine")
        try:
            await engine["notes"].delete("nothing")
        except HoldfastError as error:
            assert error.code == "no-such-record"  # noqa: PT017 - what the program may rely on
        await asyncio.gather(engine["notes"].get("mine"), engine["notes"].query("TRUE"))

    builder = edge().run("a", "mine").after(seconds=10).cut("a", "hub", minutes=1)
    found, report = worked(builder, programs={"mine": mine})
    assert found["offline", "write"] == (3, {}), "one of the plan, and two of the program: no such record is an answer"
    assert found["offline", "read"][0] >= 4
    assert report.totals.reads_offline == report.totals.writes_offline == 1


def test_syncs_and_what_the_world_asks_are_no_work_of_the_application_and_a_hub_is_never_offline():
    builder = edge().sync_every("a", "hub", seconds=5).after(seconds=20).put("hub", "notes", "n2", {"text": "here"})
    report = simulate(builder.build())
    assert report.totals.answers == {"in all: write: answered": 2}
    assert report.totals.syncs["completed"] > 10


def test_a_refusal_in_a_program_is_listed_by_its_cause():
    async def mine(engine):
        await asyncio.sleep(15)
        try:
            await engine["notes"].put("mine", {"text": "here"})
        except HoldfastError:
            return

    builder = edge().run("a", "mine").after(seconds=10).do("a", CONDITIONS["write errors"])
    report = simulate(builder.build(programs=["mine"]), programs={"mine": mine})
    assert report.totals.refused == {"program write: file-unreadable": 1}


def test_a_share_of_nothing_is_none():
    assert availability_of({}) == []


def bulk_put() -> PlanBuilder:
    builder = PlanBuilder(hours=0.1, seed=1).hub("hub").edge("a")
    return builder.do("a", BulkPut(collection="notes", key_prefix="n", records=20, fields={"text": "one"}))


async def load(engine):
    await engine["notes"].put_many((key, {"text": "two"}) for key in ("n1", "n2", "n1", "n30"))


def test_each_record_of_a_bulk_put_is_an_acknowledged_write():
    plan = bulk_put().after(seconds=10).run("a", "load").build(programs=["load"])
    report = simulate(plan, programs={"load": load})
    assert report.ok, report.first_failure.fault
    assert report.totals.acknowledged == 20 + 3  # of the key that is put twice, the later one


def test_a_bulk_put_that_is_no_single_transaction_is_found(monkeypatch):
    def halves(self, tx):
        bulk.put_many(tx, self.collection, self.keys[:10], self.docs[:10])
        return bulk.put_many(tx, self.collection, self.keys[10:], self.docs[10:])

    monkeypatch.setattr(bulk.BulkPut, "__call__", halves)
    failure = simulate(bulk_put().build(), processes=1).first_failure
    assert failure.invariant == "I6 transactions are whole"
