"""The one writer: jobs that come together share a commit, fail alone, and are not taken back by a cancelled caller."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from holdfast import Policy, Receipt
from holdfast.engine.arguments import NOTE_BYTES_MAX
from holdfast.engine.edits import Update
from holdfast.engine.storage.write import SinglePut, SingleWrite, Write
from holdfast.engine.writer import GROUP_MAX
from holdfast.errors import InvalidValue, NoSuchRecord

from ..nodes import meet, opened


class Commits:
    """Counts the transactions of a node's writing connection."""

    def __init__(self, node):
        self.count = 0
        node._thread._connection.set_trace_callback(self._note)

    def _note(self, sql):
        self.count += sql == "COMMIT"


@pytest_asyncio.fixture
async def commits(node):
    return Commits(node)


async def test_concurrent_writers_share_commits(node, commits):
    async def write(writer):
        for n in range(10):
            await node["t"].put(f"{writer}/{n}", {"n": n})

    await asyncio.gather(*(write(writer) for writer in range(64)))
    assert await node["t"].count() == 640
    assert 10 <= commits.count <= 40
    assert (await node.status()).lsn == 640


async def test_a_lone_write_is_one_commit(node, commits):
    await node["t"].put("k", {})
    await node["t"].put("k", {})
    assert commits.count == 2


async def test_a_group_is_bounded(node, commits):
    await asyncio.gather(*(node["t"].put(f"k{n}", {}) for n in range(GROUP_MAX * 2)))
    assert commits.count >= 2
    assert (await node.verify()).ok


async def test_a_job_that_fails_fails_alone(node, commits):
    def burst():
        for n in range(30):
            yield node["t"].delete(f"no{n}") if n % 3 == 1 else node["t"].put(f"k{n}", {"n": n})

    outcomes = await asyncio.gather(*burst(), return_exceptions=True)
    assert [isinstance(outcome, NoSuchRecord) for outcome in outcomes] == [n % 3 == 1 for n in range(30)]
    assert commits.count <= 3
    receipts = [outcome for outcome in outcomes if not isinstance(outcome, NoSuchRecord)]
    assert [receipt.dot.seq for receipt in receipts] == list(range(1, 21))  # what failed took no number
    assert [receipt.lsn for receipt in receipts] == list(range(1, 21))
    report = await node.verify()
    assert (report.records, report.problems) == (20, ())


async def test_a_single_write_that_cannot_be_stored_fails_alone(node, commits):
    """Single writes are written together; one that the file refuses once took all others with it."""
    place = {"collection": "t", "doc": "{}"}
    jobs = [
        SinglePut(**place, key="a"),
        SinglePut(**place, key="b", author="\ud800"),
        SingleWrite(Write(collection="t", key="a", edit=Update({"n": "1"}))),
    ]
    outcomes = await asyncio.gather(*(node.write(job) for job in jobs), return_exceptions=True)
    assert [isinstance(outcome, UnicodeEncodeError) for outcome in outcomes] == [False, True, False]
    assert (commits.count, [outcomes[0].dot.seq, outcomes[2].dot.seq]) == (1, [1, 2])
    assert (await node["t"].get("a")).fields == {"n": 1}
    assert (await node.verify()).ok


@pytest.mark.parametrize("remark", ["\ud800", b"x", 5, None])
async def test_what_cannot_stand_in_the_log_is_refused(node, remark):
    with pytest.raises(InvalidValue):
        await node["t"].put("k", {}, author=remark)
    with pytest.raises(InvalidValue):
        await node["t"].update("k", {}, upsert=True, note=remark)
    assert await node.log() == []


async def test_an_undone_job_leaves_no_name_behind(node):
    """A collection that a failed job has named first is not remembered under a number that was undone."""

    def job(tx):
        tx.names.collection("ghost")
        raise InvalidValue("no", subject="ghost", remedy="none")

    outcomes = await asyncio.gather(
        node.write(job), node["real"].put("k", {"n": 1}), node["ghost"].put("k", {"n": 2}), return_exceptions=True
    )
    assert isinstance(outcomes[0], InvalidValue)
    assert (await node["real"].get("k")).fields == {"n": 1}
    assert (await node["ghost"].get("k")).fields == {"n": 2}
    assert (await node.verify()).ok


async def test_writes_of_one_caller_keep_their_order(node):
    await asyncio.gather(*(node["t"].put("k", {"n": n}) for n in range(100)))
    assert (await node["t"].get("k")).fields == {"n": 99}
    assert [entry.old for entry in reversed(await node.log())] == [{}, *({"n": n} for n in range(99))]


async def test_a_cancelled_caller_takes_nothing_back(node):
    tasks = [asyncio.create_task(node["t"].put(f"k{n}", {})) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert not any(isinstance(outcome, BaseException) for outcome in outcomes[1::2])
    await node["t"].put("after", {})
    found = await node["t"].get_many([f"k{n}" for n in range(1, 50, 2)])
    assert len(found) == 25
    assert (await node.verify()).ok


async def test_a_cancelled_reader_leaves_its_connection_to_the_next(node):
    await node["t"].put_many((f"k{n}", {"n": n}) for n in range(2_000))
    for _ in range(10):
        tasks = [asyncio.create_task(node["t"].query("ORDER BY doc ->> 'n'")) for _ in range(6)]
        await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.wait_for(node["t"].count(), 10) == 2_000
    assert len(node.readers._all) <= 3


async def test_a_fault_of_the_engine_itself_reaches_the_caller_and_no_other(node):
    def fault(_tx):
        raise ZeroDivisionError

    results = await asyncio.gather(node.write(fault), node["t"].put("k", {}), return_exceptions=True)
    assert isinstance(results[0], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        await node.write(fault)
    assert await node["t"].count() == 1


async def test_readers_see_only_what_was_committed(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        counts = []

        async def look():
            while not counts or counts[-1] < 1_000:
                counts.append(await node["t"].count())

        looking = asyncio.create_task(look())
        for part in range(10):
            async with node.transaction() as tx:
                for n in range(100):
                    tx.put("t", f"{part}/{n}", {})
        await asyncio.wait_for(looking, 10)
        assert all(count % 100 == 0 for count in counts)
        assert counts == sorted(counts)


@pytest.mark.parametrize(
    "remark",
    [
        {"author": "\ud800"},
        {"author": b"x"},
        {"author": 5},
        {"author": object()},
        {"author": "ü" * 257},
        {"note": ["x"]},
        {"note": None},
        {"note": "x" * (NOTE_BYTES_MAX + 1)},
    ],
    ids=lambda remark: ascii(remark)[:30],
)
async def test_a_remark_that_no_log_can_hold_is_refused_at_the_call(node, remark):
    await node["t"].put("old", {"n": 0})
    outcomes = await asyncio.gather(
        node["t"].put("g1", {}),
        node["t"].put("bad", {}, **remark),
        node["t"].update("old", {"n": 1}, **remark),
        node["t"].delete("old", **remark),
        node["t"].put("g2", {}, author="ü" * 256, note="n" * NOTE_BYTES_MAX),
        return_exceptions=True,
    )
    assert [isinstance(outcome, InvalidValue) for outcome in outcomes] == [False, True, True, True, False]
    assert "t/bad" in str(outcomes[1]).encode().decode()
    assert {*await node["t"].get_many(["g1", "g2", "bad", "old"])} == {"g1", "g2", "old"}


def hostile(kind):
    """A write that passed every check and still makes the shared flush fail: no caller can make one any more."""
    if kind == "plain":
        return SinglePut("t", "bad", "{}", author="\ud800")
    return SingleWrite(Write(collection="t", key="old", edit=Update({"n": "\ud800"}), note="\ud800"))


@pytest.mark.parametrize("kind", ["plain", "general"])
async def test_what_one_write_does_to_the_shared_flush_fails_no_other(node, caplog, kind):
    await node["t"].put("old", {"n": 0})
    outcomes = await asyncio.gather(
        node["t"].put("g1", {"n": 1}),
        node.write(hostile(kind)),
        node["t"].update("old", {"m": 1}),
        node["t"].put("g2", {"n": 2}),
        node["t"].delete("no"),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Receipt",
        "UnicodeEncodeError",
        "Receipt",
        "Receipt",
        "NoSuchRecord",
    ]
    assert "one by one" in caplog.text
    receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
    assert [(receipt.lsn, receipt.dot.seq) for receipt in receipts] == [(2, 2), (3, 3), (4, 4)]
    assert (await node["t"].get("old")).fields == {"m": 1, "n": 0}
    assert (await node.verify()).problems == ()


class Stop(BaseException):
    """What stops a program, as Ctrl-C does."""


class Stops:
    """A rule that wants to stop the program."""

    name = "stops"
    version = 1

    def resolve(self, conflict):
        raise Stop


async def test_a_rule_that_stops_the_program_fails_its_own_write_alone(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        for node in (a, b):
            await node["t"].put("k", {"v": node.label, "w": 1})
        await meet(a, b)
    async with opened(tmp_path / "b.db") as b:
        b._writer._store.policies["t"] = Policy(fields={"v": Stops()})
        outcomes = await asyncio.gather(
            b["t"].put("g1", {}), b["t"].update("k", {"w": 2}), b["t"].put("g2", {}), return_exceptions=True
        )
        assert [type(outcome).__name__ for outcome in outcomes] == ["Receipt", "Stop", "Receipt"]
        assert (await b["t"].get("k")).fields["w"] == 1
        assert (await b.verify()).problems == ()
