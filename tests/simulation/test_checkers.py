"""Every checker speaks when its invariant is broken, by raw damage to a healthy file or by a mutant of the engine."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from holdfast.clocks import Actor, Dot
from holdfast.engine.storage import write
from holdfast.engine.storage.write import write_all
from holdfast.engine.transaction import Committing
from holdfast.errors import Violation
from holdfast.simulation.checkers import Limits, all_checkers
from holdfast.simulation.checkers.dots import Dots
from tests.engine.mutants import MUTANTS

from ..gate import first
from . import fleet as fleets
from .fleet import run
from .pair import damage, first_word, healthy_pair

SEEDS, GROUPS = 100, 10
AT = "WHERE key = ? AND collection = (SELECT id FROM collection WHERE name = ?)"
DOC = f"UPDATE record SET doc = ? {AT}"

HOLE = (
    "INSERT INTO hole (feed, collection, key, context, reason, since_ms)"
    " SELECT feed, 'tasks', 'x', vector, 'not claimed', 0 FROM peer LIMIT 1"
)

DAMAGE = {
    "a record is gone": ("I1", "tasks/whole", f"DELETE FROM record {AT}", "whole", "tasks"),
    "a value is another": ("I2", "tasks/whole", DOC, '{"a":2,"b":"two"}', "whole", "tasks"),
    "a field is gone": ("I3", "tasks/whole", DOC, '{"a":1}', "whole", "tasks"),
    "a field came from nowhere": ("I2", "tasks/whole", DOC, '{"a":1,"b":"two","c":3}', "whole", "tasks"),
    "a dot that nobody wrote": ("I2", "tasks/whole", f"UPDATE record SET seq = 999 {AT}", "whole", "tasks"),
    "a stamp with another clock": ("I2", "tasks/whole", f"UPDATE record SET clock = clock + 1 {AT}", "whole", "tasks"),
    "a stamp with other flags": ("I2", "tasks/whole", f"UPDATE record SET flags = 2 {AT}", "whole", "tasks"),
    "readers miss a living record": ("I3", "tasks/whole", f"UPDATE record SET live = 0 {AT}", "whole", "tasks"),
    "readers see what the rules do not say": ("I3", "tasks/both", DOC, '{"b":"neither"}', "both", "tasks"),
    "the row names another frontier": (
        "I3",
        "tasks/gone",
        f"UPDATE record SET clock = clock - 1 {AT}",
        "gone",
        "tasks",
    ),
    "the dead are seen": ("I9", "tasks/gone", f"UPDATE record SET live = 1 {AT}", "gone", "tasks"),
    "a digest is stale": ("I4", "tasks/whole", f"UPDATE record SET digest = digest - 1 {AT}", "whole", "tasks"),
    "the sum of digests is stale": ("I4", "b", "UPDATE node SET digest = digest - 1"),
    "a fence over what nobody has": (
        "I14",
        "b",
        "UPDATE purging SET fence = ?",
        b"\1\1" + b"w" * 8 + b"\1" + b"w" * 8 + b"\5",
    ),
    "half a transaction": ("I6", "tasks/left", f"DELETE FROM record {AT}", "left", "tasks"),
    "an operation number was given to nothing": ("I2", "b", "UPDATE node SET seq = seq + 1"),
    "a record that could not be joined": (
        "I7",
        "tasks/x",
        HOLE,
    ),
    "a vector that nothing refers to": (
        "I11",
        "b",
        "INSERT INTO context (vector, settled, logged) VALUES (x'00', 1, 0)",
    ),
    "the vector claims less": ("I7", "", "UPDATE vector SET seq = 1"),
    "the clock goes back": ("I8", "b", "UPDATE node SET clock = clock - 1"),
    "the clock runs away": ("I8", "b", "UPDATE node SET clock = clock + (1 << 50)"),
    "a conflict is not in the inbox": ("I10", "tasks/both", "DELETE FROM conflict WHERE standing = 1"),
    "a conflict of another kind": ("I10", "tasks/both", "UPDATE conflict SET kind = 'type' WHERE standing = 1"),
    "nobody decided, says no one": ("I10", "tasks/both", "UPDATE conflict SET state = 'settled' WHERE standing = 1"),
    "a conflict that is none": ("I10", "", "UPDATE conflict SET standing = 1 WHERE standing = 0"),
    "conflicts are miscounted": ("I10", "tasks/both", f"UPDATE record SET conflicts = 2 {AT}", "both", "tasks"),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_damage_to_a_file_is_named_by_the_right_checker(tmp_path, name):
    invariant, subject, sql, *values = DAMAGE[name]
    async with healthy_pair(tmp_path) as fleet:
        damage(fleet.nodes[1], sql, *values)
        violation = first_word(fleet)
    assert violation.invariant.split()[0] == invariant, str(violation)
    assert subject in violation.subject
    assert "b" in violation.subject
    assert violation.evidence["node"] == "b"


async def test_a_healthy_pair_breaks_nothing(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        await fleet.judge()
        assert [checker.name.split()[0] for checker in fleet.checkers] == [
            "I2", "I8", "I14", "I9", "I5", "I6", "I1", "I3", "I10", "I7", "I11", "I13", "I13", "I4"
        ]  # fmt: skip


async def test_every_number_is_given_to_an_operation_also_those_before_the_last(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        b = fleet.nodes[1]
        first_looks(fleet)
        connection = sqlite3.connect(b.path, isolation_level=None)
        connection.execute("UPDATE node SET seq = seq + 1")
        connection.close()
        await b.engine["tasks"].put("behind a gap", {"a": 1})
        with pytest.raises(Violation, match="an operation number is"):
            fleet.raise_violation()


async def test_another_identity_begins_another_feed(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        b, stranger = fleet.nodes[1], Actor("7" * 32)
        first_looks(fleet)
        fleet.history.doubtful = True  # it may have had a reason to begin another life
        b.recorder.observed.image.actor, b.recorder.observed.image.seq = stranger, 0
        with pytest.raises(Violation, match="it goes on in the feed") as caught:
            Dots.step(next(each for each in fleet.checkers if isinstance(each, Dots)), fleet, b)
    assert caught.value.evidence["actors"][1] == stranger


def first_looks(fleet) -> None:
    for node in fleet.nodes:
        for checker in fleet.checkers:
            checker.step(fleet, node)


async def test_a_value_that_was_superseded_here_may_not_come_back(tmp_path):
    """The row of an earlier moment is put back: it is sound by itself, and its successor was here."""
    async with healthy_pair(tmp_path) as fleet:
        b, model = fleet.nodes[1], fleet.model
        earlier = next(op for op in model.operations if op.place == ("tasks", "old"))
        values = (earlier.name.seq, earlier.name.clock, '{"a":"before"}')
        damage(b, f"UPDATE record SET seq = ?, clock = ?, flags = 1, doc = ? {AT}", *values, "old", "tasks")
        violation = first_word(fleet)
    assert violation.invariant.startswith("I5")
    assert "superseded by" in violation.what
    assert '"after"' in violation.what


async def test_fields_of_an_earlier_life_may_not_come_back(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        b, model = fleet.nodes[1], fleet.model
        first = next(op for op in model.operations if op.place == ("tasks", "again"))
        values = (first.name.seq, first.name.clock, '{"a":"first life","d":4}')
        damage(b, f"UPDATE record SET seq = ?, clock = ?, flags = 1, doc = ? {AT}", *values, "again", "tasks")
        violation = first_word(fleet)
    assert violation.invariant.startswith("I9")


async def test_a_vector_may_not_claim_what_has_not_come(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        a, b = fleet.nodes
        await a.engine["tasks"].put("unsent", {})
        damage(b, "UPDATE vector SET seq = seq + 1")
        violation = first_word(fleet)
    assert violation.invariant.startswith("I7")
    assert "tasks/unsent" in violation.subject


async def test_a_discarded_sibling_must_be_in_the_ledger(tmp_path, monkeypatch):
    MUTANTS["siblings are discarded without the ledger"].plant(monkeypatch)
    with pytest.raises(Violation) as caught:
        async with healthy_pair(tmp_path):
            pass
    assert caught.value.invariant.startswith("I1 ")
    assert "ledger" in caught.value.what


async def test_a_completed_session_must_have_brought_everything(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        a, b = fleet.nodes
        await a.engine["tasks"].put("unsent", {})
        meeting = b.recorder.meets(a.recorder)
        meeting.completed(b.wall.ms)
        violation = first_word(fleet)
    assert violation.invariant.startswith("I1 ")
    assert "tasks/unsent" in violation.subject
    assert "a had it when a session began" in violation.what


async def test_nodes_that_never_met_do_not_agree(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        await fleet.nodes[0].engine["tasks"].put("unsent", {})
        violation = first_word(fleet)
    assert violation.invariant.startswith("I1 ")
    assert "after healing" in violation.what


async def test_a_vector_has_no_entry_for_who_never_wrote(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        damage(fleet.nodes[1], "INSERT INTO actor (actor, label) VALUES (?, '')", "f" * 32)
        damage(fleet.nodes[1], "INSERT INTO vector (actor, seq) SELECT max(id), 1 FROM actor")
        violation = first_word(fleet)
    assert violation.invariant.startswith("I11")
    assert violation.evidence["identities"] == ["f" * 32]


async def test_a_file_may_not_grow_without_reason(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        fleet.checkers = all_checkers(Limits(file_bytes=0, row_bytes=1, factor=1))
        assert first_word(fleet).invariant.startswith("I11")
        fleet.checkers = all_checkers(Limits(log_bytes=0))
        assert first_word(fleet).invariant.startswith("I11")


async def test_a_receipt_is_of_something(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        fleet.nodes[1].recorder.acknowledged([Dot(Actor("f" * 32), 1)])
        violation = first_word(fleet)
    assert violation.invariant.startswith("I1 ")
    assert "never committed" in violation.what


@pytest.mark.parametrize("kind", ["compare-and-set", "transaction"])
async def test_a_write_happens_on_what_its_author_had_read(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(write, "_check", lambda *_: None)
    monkeypatch.setattr(Committing, "__call__", lambda self, tx: write_all(tx, self.writes))
    async with healthy_pair(tmp_path) as fleet:
        tasks = fleet.nodes[1].engine["tasks"]
        found = await tasks.get("old")
        if kind == "transaction":
            async with fleet.nodes[1].engine.transaction() as tx:
                await tx.get("tasks", "old")
                await tasks.put("old", {"a": "meanwhile"})
                tx.put("tasks", "other", {"a": "decided on the old state"})
        else:
            await tasks.put("old", {"a": "meanwhile"})
            await tasks.put("old", {"a": "decided on the old state"}, if_version=found.version)
        violation = first_word(fleet)
    assert violation.invariant.startswith("I6")
    assert "tasks/old was read as" in violation.what


async def test_operations_with_receipts_of_one_job_are_whole(tmp_path, monkeypatch):
    def one_by_one(self, tx):
        return [receipt for each in self.writes for receipt in write_all(tx, [each])]

    monkeypatch.setattr(Committing, "__call__", one_by_one)
    async with healthy_pair(tmp_path) as fleet:
        b = fleet.nodes[1]
        async with b.engine.transaction() as tx:
            tx.put("tasks", "left", {"n": 2})
            tx.put("tasks", "right", {"n": 2})
        b.recorder.acknowledged([receipt.dot for receipt in tx.receipts])
        damage(b, "DELETE FROM record WHERE key = 'left'")
        violation = first_word(fleet)
    assert violation.invariant.startswith("I6")


async def test_a_watcher_hears_of_everything(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        b = fleet.nodes[1]
        b.watched = {}
        violation = first_word(fleet)
    assert violation.invariant.startswith("I13")
    assert "its watcher was told nothing" in violation.what


LIES = {
    "lsn": lambda said: said.lsn + 1,
    "records": lambda said: said.records + 1,
    "deleted": lambda said: 0,
    "operations": lambda said: said.operations - 1,
    "collections": lambda said: {},
    "vector": lambda said: {},
    "digest": lambda said: "0",
    "whole": lambda said: False,
    "conflicts": lambda said: {"open": 0},
    "quarantined": lambda said: 1,
    "holes": lambda said: 1,
    "incarnations": lambda said: 2,
    "blockers": lambda said: () if said.blockers else ("a session was cut",),
    "peers": lambda said: tuple(replace(peer, pending=7) for peer in said.peers),
    "actor": lambda said: "f" * 32,
}


@pytest.mark.parametrize("figure", LIES)
async def test_a_status_may_not_lie(tmp_path, figure):
    async with healthy_pair(tmp_path) as fleet:
        b = fleet.nodes[1]
        said = await b.engine.status()
        b.status = replace(said, **{figure: LIES[figure](said)})
        violation = first_word(fleet)
    assert violation.invariant.startswith("I13")
    assert violation.subject == "b"


async def test_a_status_may_not_forget_a_completed_session(tmp_path):
    async with healthy_pair(tmp_path) as fleet:
        b = fleet.nodes[1]
        said = await b.engine.status()
        b.status = replace(said, peers=tuple(replace(peer, synced_ms=None) for peer in said.peers))
        violation = first_word(fleet)
    assert "a session with" in violation.what


@pytest.mark.parametrize("group", first(3, range(GROUPS)))
def test_healthy_fleets_pass(group):
    for seed in range(group * SEEDS // GROUPS, (group + 1) * SEEDS // GROUPS):
        run(seed)


@pytest.mark.soak
def test_more_healthy_fleets_pass(soak_seed):
    for seed in range(1_000 + 100 * soak_seed, 1_100 + 100 * soak_seed):
        run(seed)


def test_the_fleets_have_lived():
    """What the other tests rely on happens: cut sessions, restores, conflicts and decisions."""
    fleets.STATS.clear()
    reached = {"jobs", "sessions", "cut", "restored", "conflicts", "decisions"}
    for seed in range(SEEDS, SEEDS + 20):
        run(seed)
        if all(fleets.STATS[name] for name in reached):
            return
    assert {name for name in reached if fleets.STATS[name]} == reached
