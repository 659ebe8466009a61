"""The recorder: what it enters of each kind of write, also in groups, after failures, restores and renewals."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import nullcontext
from random import Random

import pytest

from holdfast import Take
from holdfast.clocks import EMPTY, Actor, VersionVector
from holdfast.engine.edits import Update
from holdfast.engine.packing import unpack
from holdfast.engine.replica import Replica
from holdfast.engine.storage.write import Write, write_all
from holdfast.engine.transaction import Committing
from holdfast.errors import UsageError
from holdfast.simulation.checkers import all_checkers
from holdfast.simulation.observed.history import Renewed, Reopened, RolledBack, Synced
from holdfast.simulation.observed.image import Image, Value, look, texts_of, vector_of
from holdfast.simulation.observed.recorder import Recorder
from tests.engine.habits import write_typed
from tests.engine.mutants import MUTANTS

from .fleet import DAY_MS, Fleet
from .pair import damage
from .watched import DRIFT_MS, Node, Wall

DECIDED = Update({"a": '"decided"'})


@pytest.fixture
async def fleet(tmp_path):
    """Two watched nodes of no history."""
    fleet = Fleet(1, tmp_path)
    await fleet.build("ab")
    yield fleet
    await fleet.close()


def told(fleet, node="a"):
    return [operation for operation in fleet.model.operations if operation.node == node]


def values(operation):
    return {field: value.body for field, value in operation.writes.items()}


async def test_each_kind_of_write_is_entered_with_what_its_author_saw(fleet):
    tasks = fleet.nodes[0].engine["tasks"]
    receipts = [
        await tasks.put("x", {"a": 1, "b": 2}),
        await tasks.update("x", {"a": 3}),
        await tasks.delete("x"),
        await tasks.put("x", {"d": 4}),
    ]
    put, update, delete, again = told(fleet)
    assert [operation.name.dot for operation in told(fleet)] == [receipt.dot for receipt in receipts]
    assert [operation.name.clock for operation in told(fleet)] == [receipt.clock for receipt in receipts]
    assert (values(put), put.clears, put.birth, put.seen) == ({"a": "1", "b": "2"}, None, True, frozenset())
    assert (values(update), update.clears, update.birth) == ({"a": "3"}, frozenset(), False)
    assert update.seen == {put.name}
    assert (delete.alive, delete.seen) == (False, {put.name, update.name})
    assert (again.reborn, again.clears, again.seen) == (True, None, {put.name, update.name, delete.name})
    fleet.raise_violation()


async def test_operations_of_one_transaction_see_those_before_them(fleet):
    async with fleet.nodes[0].engine.transaction() as tx:
        tx.put("tasks", "x", {"a": 1})
        tx.update("tasks", "x", {"a": 2, "b": 2})
        tx.put("tasks", "y", {})
        tx.delete("tasks", "x")
    first, second, other, last = told(fleet)
    assert (values(first), values(second)) == ({"a": "1"}, {"a": "2", "b": "2"})
    assert (second.seen, last.seen) == ({first.name}, {first.name, second.name})
    assert not other.seen
    assert len({operation.lsn for operation in told(fleet)}) == 1
    assert fleet.history.transactions == [("a", fleet.model.bits(operation.name for operation in told(fleet)))]
    fleet.raise_violation()


async def test_without_announcements_the_same_is_read_from_the_file(tmp_path, monkeypatch):
    """What was submitted makes the recorder stricter; without it, it reads the same from what stands."""

    async def write(folder):
        folder.mkdir()
        fleet = Fleet(1, folder)
        await fleet.build("a")
        tasks = fleet.nodes[0].engine["tasks"]
        await tasks.put("x", {"a": 1, "b": 2})
        await tasks.put_many([("x", {"b": 1}), ("y", {"c": 1}), ("x", {"c": 3})])
        await tasks.update("x", {"a": 3})
        await tasks.delete("x")
        await asyncio.gather(tasks.put("z", {"a": 1}), tasks.update("x", {"b": 1}, upsert=True), tasks.put("z", {}))
        fleet.raise_violation()
        await fleet.close()
        return fleet

    announced = await write(tmp_path / "one")
    monkeypatch.setattr("tests.simulation.watched.intents_of", lambda job: ())
    silent = await write(tmp_path / "two")
    for ours, theirs in zip(told(announced), told(silent), strict=True):
        assert (ours.name, ours.place, ours.seen) == (theirs.name, theirs.place, theirs.seen)
        assert ours.clears == theirs.clears
        assert (ours.alive, ours.birth, ours.reborn) == (theirs.alive, theirs.birth, theirs.reborn)
        # Of what was written over in its own transaction only what was submitted is known.
        assert ours.writes == theirs.writes or not theirs.writes


async def test_a_merge_between_two_writes_of_one_commit_is_told_apart(fleet):
    """The update is queued behind a peer's batch and shares its commit: its author had seen what came."""
    a, b = fleet.nodes
    await a.engine["tasks"].put("x", {"a": 1})
    await b.engine["tasks"].put("x", {"a": 2, "b": 2})
    seen = []

    async def write():
        for _ in range(60):
            await asyncio.sleep(0)
            seen.append(await b.engine["tasks"].update("x", {"b": len(seen)}))

    await asyncio.gather(fleet.meet(b, a, cut=False), write())
    await fleet.meet(b, a, cut=False)
    fleet.raise_violation()
    (foreign,) = told(fleet, "a")
    assert any(foreign.name in operation.seen for operation in told(fleet, "b"))
    await fleet.judge()


async def test_a_decision_has_seen_what_its_read_had_shown(fleet):
    a, b = fleet.nodes
    for node in (a, b):
        await node.engine["tasks"].put("x", {"b": node.name})
    await fleet.meet(b, a, cut=False)
    (conflict,) = await b.engine.conflicts()
    await a.engine["tasks"].update("x", {"b": "late"})
    await a.engine["tasks"].put("y", {})
    await fleet.meet(b, a, cut=False)
    with pytest.raises(UsageError):  # it has ended: the late value stands alone
        await conflict.resolve(Take(0))
    fleet.raise_violation()


async def _decide_beside_an_unseen_value(fleet):
    """B decides on a read before a third value came that joined the conflict."""
    a, b = fleet.nodes
    for node in (a, b):
        await node.engine["tasks"].put("x", {"b": node.name, "a": 0})
    await fleet.meet(b, a, cut=False)
    (conflict,) = await b.engine.conflicts()
    await a.engine["tasks"].update("x", {"d": "unseen"})
    before = {operation.name.dot for operation in told(fleet, "a")[:1] + told(fleet, "b")}
    await fleet.meet(b, a, cut=False)
    write = Write(collection="tasks", key="x", edit=DECIDED, seen=conflict.seen, upsert=True, decision=True)
    await b.engine.write(Committing({}, [write]))
    return before


async def test_a_write_on_an_earlier_read_supersedes_what_was_read_and_nothing_else(fleet):
    before = await _decide_beside_an_unseen_value(fleet)
    fleet.raise_violation()
    decision = told(fleet, "b")[-1]
    assert decision.decision
    assert {name.dot for name in decision.seen} == before
    held = fleet.history.observed["b"].image.records["tasks", "x"]
    assert held.existence.keys() == {decision.name, told(fleet, "a")[-1].name}
    assert [value.body for value in held.cells["a"].values()] == ['"decided"']
    assert [value.body for value in held.cells["d"].values()] == ['"unseen"']


@pytest.mark.parametrize(
    "mutant", ["a decision supersedes siblings that its author never saw", "a decision supersedes nothing"]
)
async def test_an_engine_that_supersedes_more_or_less_than_was_read_is_caught(fleet, monkeypatch, mutant):
    MUTANTS[mutant].plant(monkeypatch)
    await _decide_beside_an_unseen_value(fleet)
    assert fleet.violation is not None
    assert fleet.violation.invariant.split()[0] in ("I1", "I3", "I5")


async def test_what_a_failed_transaction_seemed_to_write_is_forgotten(fleet):
    engine = fleet.nodes[0].engine
    await engine["tasks"].put("x", {"a": 1})

    def fails(tx):
        write_all(tx, [Write(collection="tasks", key="x", edit=DECIDED)])
        raise UsageError("it fails in the end", subject="x", remedy="None.")

    with pytest.raises(UsageError):
        await engine.write(fails)
    await engine["tasks"].update("x", {"b": 2})
    first, second = told(fleet)
    assert (second.seen, second.name.seq) == ({first.name}, 2)
    fleet.raise_violation()


async def test_a_refused_job_does_not_lend_its_values_to_the_next(fleet):
    tasks = fleet.nodes[0].engine["tasks"]
    outcomes = await asyncio.gather(
        tasks.put("x", {"a": "refused"}, if_version="no such"), tasks.put("x", {"a": "done"}), return_exceptions=True
    )
    assert [isinstance(outcome, UsageError) for outcome in outcomes] == [True, False]
    assert [values(operation) for operation in told(fleet)] == [{"a": '"done"'}]
    fleet.raise_violation()


async def test_crash_and_restart_owe_everything_and_a_restore_owes_what_it_holds(fleet):
    a = fleet.nodes[0]
    kept = await a.engine["tasks"].put("x", {"a": 1})
    a.save(fleet.folder / "backup")
    a.backup = fleet.folder / "backup"
    lost = await a.engine["tasks"].put("x", {"a": 2})
    await fleet.crash(a)
    both = fleet.model.bits(name for receipt in (kept, lost) for name in fleet.model.named(receipt.dot))
    assert fleet.history.observed["a"].owed == {("tasks", "x"): both}
    await a.close()
    a.put_back(a.backup, ("", "-wal"))
    a.recorder.reopened(a.connection, wall_ms=a.wall.ms, rolled_back="restored")
    assert fleet.history.observed["a"].owed == {("tasks", "x"): fleet.model.bits(fleet.model.named(kept.dot))}
    assert fleet.history.lost == fleet.model.bits(fleet.model.named(lost.dot))
    await a.open()
    kinds = [type(event) for event in fleet.history.events]
    assert kinds == [Synced, Reopened, Reopened, RolledBack, Renewed]
    fleet.raise_violation()


async def test_a_write_that_stood_elsewhere_comes_back_to_a_restored_node(fleet):
    a, b = fleet.nodes
    await a.engine["tasks"].put("x", {"a": 1})
    a.backup = fleet.folder / "backup"
    a.save(a.backup)
    await a.engine["tasks"].put("x", {"a": 2})
    await fleet.meet(b, a, cut=False)
    await a.close()
    a.put_back(a.backup, ("", "-wal"))
    a.recorder.reopened(a.connection, wall_ms=a.wall.ms, rolled_back="restored")
    await a.open()
    assert not fleet.history.lost
    await fleet.meet(a, b, cut=False)
    await fleet.judge()
    fleet.raise_violation()
    assert fleet.history.observed["a"].image.records["tasks", "x"].doc == '{"a":2}'


async def test_new_names_of_a_copy_keep_what_they_named(fleet, tmp_path):
    """Both copies of a file write under one identity; the hub tells one, whose operations get new names."""
    hub, a = fleet.nodes
    await a.engine["tasks"].put("x", {"a": 0})
    await fleet.meet(a, hub, cut=False)
    await a.close()
    copy = _copy_of(fleet, a)
    for node in (a, copy):
        await node.open()
        assert node.engine.renewed is None
    copy.recorder.cloned(copy.connection, wall_ms=copy.wall.ms)
    for node in (a, copy):
        node.wall.ms += 1_000 if node is a else 2_000
        await node.engine["tasks"].put("x", {"a": node.name})
        await node.engine["tasks"].put(f"of {node.name}", {})
    fleet.raise_violation()
    for _ in range(3):
        for node in (a, copy):
            await fleet.meet(node, hub, cut=False)
    fleet.raise_violation()
    (renewed,) = [event for event in fleet.history.events if isinstance(event, Renewed)]
    renames = [operation for operation in fleet.model.operations if operation.renames]
    assert {operation.node for operation in renames} == {renewed.node}
    assert {operation.renames.actor for operation in renames} == {renewed.old}
    assert {operation.name.actor for operation in renames} == {renewed.new}
    assert fleet.history.withdrawn == fleet.model.bits(operation.renames for operation in renames)
    await fleet.judge()


@pytest.mark.parametrize("deletes", [False, True])
async def test_one_record_that_two_copies_wrote_under_one_stamp_is_not_judged_and_all_others_are(fleet, deletes):
    """Both clocks are behind what the file had seen and count on alike: no file tells the two writes apart."""
    hub, a = fleet.nodes
    await a.engine["tasks"].put("x", {"a": 0})
    await a.engine["tasks"].put("y", {"a": 0})
    await fleet.meet(a, hub, cut=False)
    assert not fleet.history.ambiguous  # a look at the file brings nothing twice, and neither does a merge
    await a.close()
    copy = _copy_of(fleet, a)
    for node in (a, copy):
        await node.open()
        node.wall.ms -= DAY_MS
    copy.recorder.cloned(copy.connection, wall_ms=copy.wall.ms)
    assert not fleet.history.ambiguous
    await a.engine["tasks"].put("x", {"a": "a"})
    await (copy.engine["tasks"].delete("x") if deletes else copy.engine["tasks"].put("x", {"a": "copy"}))
    fleet.raise_violation()
    assert len(told(fleet, a.name)) == 3
    assert not told(fleet, "copy")  # the model has one write of that name
    assert fleet.history.ambiguous == {("tasks", "x")}
    damage(copy, "UPDATE record SET doc = ? WHERE key = 'y'", '{"a":1}')
    fleet.checkers = all_checkers()
    fleet.check(copy)
    assert (fleet.violation.invariant, fleet.violation.subject) == ("I2 one content per dot", "copy: tasks/y")


async def test_what_a_renamed_operation_had_hidden_goes_on_under_a_name_that_stands_nowhere(fleet):
    """The put that cleared a field is superseded in the file; its effect travels with the update that got a name."""
    hub, a = fleet.nodes
    await hub.engine["tasks"].put("x", {"a": 1, "d": "cleared"})
    await fleet.meet(a, hub, cut=False)
    await a.close()
    copy = _copy_of(fleet, a)
    for node in (a, copy):
        await node.open()
    copy.recorder.cloned(copy.connection, wall_ms=copy.wall.ms)
    for node in (a, copy):
        node.wall.ms += 1_000 if node is a else 2_000
        await node.engine["tasks"].put("x", {"d": "cleared as well"})
        await node.engine["tasks"].put("x", {"a": 2})
        await node.engine["tasks"].update("x", {"a": node.name})
    for _ in range(3):
        for node in (a, copy):
            await fleet.meet(node, hub, cut=False)
    fleet.raise_violation()
    assert [event for event in fleet.history.events if isinstance(event, Renewed)]
    hidden = [op for op in fleet.model.operations if op.renames and op.name.actor.endswith("'")]
    assert [values(operation) for operation in hidden] == [{"d": '"cleared as well"'}, {"a": "2"}]
    await fleet.judge()


async def test_what_a_copy_wrote_under_names_that_were_given_up_is_entered_under_its_new_name(fleet):
    """It is renamed in the transaction that brings it, and no new identity begins: it was once taken for nobody's."""
    hub, a = fleet.nodes
    await a.close()
    copy = _copy_of(fleet, a)
    for node in (a, copy):
        await node.open()
    copy.recorder.cloned(copy.connection, wall_ms=copy.wall.ms)
    await a.engine["tasks"].put("x", {"a": 1})
    await fleet.meet(a, hub, cut=False)
    copy.wall.ms += 1_000
    first, last = [(await copy.engine["tasks"].put("y", {"a": n, "d": n})).dot for n in (1, 2)]
    (replaced,), (theirs,) = fleet.model.named(first)[-1:], fleet.model.named(last)
    await a.engine["tasks"].put("z", {"a": 1})
    await fleet.meet(a, hub, cut=False)
    await Replica(a.engine).renew("a stranger's sign", peer=Actor("5" * 32))
    known = len(fleet.model.operations)
    await fleet.meet(copy, a, cut=False)
    fleet.raise_violation()
    (renamed,) = [op for op in fleet.model.operations[known:] if op.renames == theirs]
    assert (renamed.node, renamed.name.clock, renamed.seen) == (a.name, theirs.clock, {replaced})
    assert values(renamed) == {"a": "2", "d": "2"}
    assert fleet.history.withdrawn & fleet.model.bits([theirs])
    assert not fleet.history.withdrawn & fleet.model.bits([renamed.name])
    for _ in range(3):
        for node in (a, copy):
            await fleet.meet(node, hub, cut=False)
    await fleet.judge()
    fleet.raise_violation()


async def test_a_transaction_that_failed_leaves_no_trace_in_what_was_observed(fleet):
    """Numbers of log rows are given again: the next operation stands under the one that was taken back."""
    node = fleet.nodes[0]
    await node.engine["tasks"].put("x", {"a": 1})
    image = node.recorder.observed.image
    log, records = image.log, dict(image.records)

    def fails(tx):
        write_all(tx, [Write(collection="tasks", key="x", edit=Update({"a": "2"}))])
        node.recorder.observe_between(tx.connection)
        raise UsageError("the disk is full", subject="x", remedy="Make room.")

    with pytest.raises(UsageError):
        await node.engine.write(fails)
    image = node.recorder.observed.image
    assert (image.log, image.records) == (log, records)
    await node.engine["tasks"].update("x", {"a": 3})
    assert [values(operation) for operation in told(fleet)] == [{"a": "1"}, {"a": "3"}]
    fleet.raise_violation()


async def test_a_file_that_is_put_back_is_who_it_was_then(fleet):
    """Its return to an earlier identity is none of the new incarnations that status counts; an empty file has none."""
    a, b = fleet.nodes
    a.backup = fleet.folder / "backup"
    await a.engine["tasks"].put("x", {"a": 0})
    a.save(a.backup)
    for _ in range(2):
        await a.engine["tasks"].put("x", {"a": 1})
        await fleet.meet(b, a, cut=False)
        await a.close()
        a.put_back(a.backup, ("", "-wal"))
        a.recorder.reopened(a.connection, wall_ms=a.wall.ms, rolled_back="restored")
        await a.open()
    assert a.engine.renewed
    assert sum(isinstance(event, Renewed) and event.node == "a" for event in fleet.history.events) == 2
    await fleet.ask(a)
    fleet.raise_violation()


async def test_a_session_during_which_one_side_was_renewed_proves_nothing_of_vectors(fleet):
    """What either had told the other of its vector may have gone back since."""
    a, b = fleet.nodes
    for node in (a, b):
        await node.engine["tasks"].put("x", {"a": node.name})
    for renewed in (a, b):
        meeting = a.recorder.meets(b.recorder)
        await Replica(renewed.engine).renew("a stranger's sign")
        meeting.completed(a.wall.ms)
        synced = fleet.history.events[-1]
        assert isinstance(synced, Synced)
        assert synced.nodes_had
        assert synced.peers_had
        assert (synced.nodes_vector, synced.peers_vector) == ({}, {})


async def test_a_session_during_which_a_file_was_put_back_proves_nothing(fleet):
    a, b = fleet.nodes
    a.backup = fleet.folder / "backup"
    a.save(a.backup)
    await b.engine["tasks"].put("x", {"a": 1})
    meeting = b.recorder.meets(a.recorder)
    await fleet.meet(b, a, cut=False)
    events = sum(isinstance(event, Synced) for event in fleet.history.events)
    await a.close()
    a.put_back(a.backup, ("", "-wal"))
    a.recorder.reopened(a.connection, wall_ms=a.wall.ms, rolled_back="restored")
    meeting.completed(b.wall.ms)
    assert sum(isinstance(event, Synced) for event in fleet.history.events) == events
    fleet.check(a)
    fleet.raise_violation()


async def test_stamps_of_an_earlier_life_are_not_judged_by_the_clock_of_this_one(fleet):
    """What was suspect when it came is within the horizon when the file is put back later."""
    a, b = fleet.nodes
    b.wall.ms = a.wall.ms + 10 * DRIFT_MS
    await b.engine["tasks"].put("x", {"a": 1})
    await fleet.meet(a, b, cut=False)
    assert a.recorder.observed.clock < b.recorder.observed.clock
    a.backup = fleet.folder / "backup"
    a.save(a.backup)
    a.wall.ms = b.wall.ms
    await a.close()
    a.put_back(a.backup, ("", "-wal"))
    a.recorder.reopened(a.connection, wall_ms=a.wall.ms, rolled_back="restored")
    fleet.check(a)
    fleet.raise_violation()


def _copy_of(fleet: Fleet, node: Node) -> Node:
    path = fleet.folder / "copy.db"
    for suffix in ("", "-witness"):
        shutil.copy(f"{node.path}{suffix}", f"{path}{suffix}")
    recorder = Recorder("copy", fleet.history, fleet.model)
    copy = Node(fleet, "copy", path, Wall(node.wall.ms), recorder, Random("copy"))
    fleet.nodes.append(copy)
    return copy


async def test_the_harness_reads_cells_as_the_engine_packs_them(fleet):
    """Two parsers, written apart, over what random fleets left in their files."""
    for _ in range(40):
        await fleet.step()
    fleet.raise_violation()
    actors = dict(fleet.nodes[0].connection.execute("SELECT id, actor FROM actor"))
    rows = fleet.nodes[0].connection.execute(
        "SELECT c.name, r.key, r.doc, r.cells FROM record r JOIN collection c ON c.id = r.collection"
        " WHERE r.cells IS NOT NULL"
    )
    compared = 0
    for collection, key, doc, cells in rows:
        record = unpack(texts_of(doc), cells, actors)
        held = fleet.history.observed["a"].image.records[collection, key]
        assert {name.dot: alive for name, alive in held.existence.items()} == {
            dot: life.alive for dot, life in record.existence.items()
        }
        assert {f: {n.dot: v.body for n, v in cell.items()} for f, cell in held.cells.items()} == {
            f: {dot: sibling.value for dot, sibling in cell.items()} for f, cell in record.cells.items()
        }
        compared += 1
    assert compared


def test_a_document_is_cut_into_the_texts_that_stand_in_it():
    assert texts_of('{"a":1.0,"b\\"":{"x":[1,"}"]},"c":null}') == {"a": "1.0", 'b"': '{"x":[1,"}"]}', "c": "null"}
    assert texts_of("{}") == {}
    for broken in ("[]", '{"a":1', '{"a":1}x', "{1}"):
        with pytest.raises(ValueError, match=r"document|Expecting"):
            texts_of(broken)


def test_vectors_are_read_as_they_are_written():
    entries = {Actor(f"{n:016x}{n * 7:016x}"): n**5 + 1 for n in range(20)}
    assert vector_of(VersionVector(entries).encode()) == entries
    assert vector_of(EMPTY.encode()) == {}


def test_a_file_without_tables_is_a_file_that_is_being_made():
    image = Image()
    assert look(sqlite3.connect(":memory:"), image) == []
    assert not image.feed


async def test_values_of_a_later_version_are_seen_as_such(fleet):
    a = fleet.nodes[0]
    await a.engine["tasks"].put("x", {"a": 1})
    await a.engine.write(_typed)
    operation = told(fleet)[-1]
    assert operation.writes == {"b": Value(7, b"\x01")}
    await a.engine["tasks"].put("x", {"c": 1})
    held = fleet.history.observed["a"].image.records["tasks", "x"]
    assert held.cells.keys() == {"b", "c"}
    fleet.raise_violation()
    assert (await a.engine.status()).quarantined == 1
    await fleet.ask(a)
    fleet.raise_violation()


def _typed(tx):
    class Open:
        """The store of a transaction that is open already."""

        def transaction(self):
            return nullcontext(tx)

    return write_typed(Open(), ("tasks", "x"), "b", b"\x01")
