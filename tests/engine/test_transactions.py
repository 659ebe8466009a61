"""Transactions over several records: all or nothing, and only on what was read."""

from __future__ import annotations

import pytest

from holdfast import NO_RECORD, Remove
from holdfast.engine.delta import BATCH_RECORDS_MAX
from holdfast.errors import (
    InvalidKey,
    InvalidValue,
    NoSuchRecord,
    TransactionConflict,
    TransactionTooLarge,
    UsageError,
)

from ..nodes import meet


async def test_a_transaction_commits_all_its_writes_under_one_lsn(node):
    await node["a"].put("gone", {})
    async with node.transaction() as tx:
        tx.put("a", "x", {"n": 1})
        tx.update("a", "x", {"m": 2, "n": Remove()})
        tx.update("b", "y", {"n": 1}, upsert=True)
        tx.delete("a", "gone")
    assert [receipt.lsn for receipt in tx.receipts] == [2] * 4
    assert [receipt.dot.seq for receipt in tx.receipts] == [2, 3, 4, 5]
    assert (await node["a"].get("x")).fields == {"m": 2}
    assert (await node["a"].get("x")).version == tx.receipts[1].version
    assert await node["a"].get("gone") is None
    assert (await node.verify()).ok


async def test_an_exception_in_the_block_writes_nothing(node):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            tx.put("a", "x", {"n": 1})
            raise ZeroDivisionError
    assert tx.receipts == []
    assert (await node.status()).lsn == 0


async def test_one_refused_write_undoes_all(node):
    with pytest.raises(NoSuchRecord):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            tx.put("a", "x", {"n": 1})
            tx.update("a", "no", {"n": 1})
    status = await node.status()
    assert (status.lsn, status.operations, status.records) == (0, 0, 0)
    assert (await node["a"].put("x", {})).dot.seq == 1


@pytest.mark.parametrize("rival", ["put", "update", "delete"])
async def test_a_record_that_changed_since_it_was_read_is_a_conflict(node, rival):
    await node["a"].put("x", {"n": 1})
    arguments = ("x",) if rival == "delete" else ("x", {"n": 9})
    with pytest.raises(TransactionConflict) as caught:  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            n = (await tx.get("a", "x")).fields["n"]
            tx.put("a", "y", {"n": n + 1})
            await getattr(node["a"], rival)(*arguments)
    assert caught.value.subject == "a/x"
    assert await node["a"].get("y") is None


async def test_a_record_that_came_to_be_since_it_was_missed_is_a_conflict(node):
    with pytest.raises(TransactionConflict):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            assert await tx.get("a", "x") is None
            tx.put("a", "y", {})
            await node["a"].put("x", {})


async def test_a_record_that_was_made_and_deleted_meanwhile_is_as_missing_as_before(node):
    async with node.transaction() as tx:
        assert await tx.get("a", "x") is None
        tx.put("a", "y", {})
        await node["a"].put("x", {})
        await node["a"].delete("x")
    assert await node["a"].get("y")


async def test_a_change_that_a_peer_brought_is_a_conflict_too(trio):
    a, _, hub = trio
    await a["t"].put("x", {"n": 1})
    await meet(a, hub)
    await hub["t"].update("x", {"n": 2})
    with pytest.raises(TransactionConflict):  # noqa: PT012 - the commit is at the end of the block
        async with a.transaction() as tx:
            await tx.get("t", "x")
            tx.update("t", "x", {"m": 1})
            await meet(a, hub)


async def test_records_that_were_not_read_may_change_meanwhile(node):
    await node["a"].put("x", {"n": 1})
    async with node.transaction() as tx:
        await tx.get("a", "x")
        tx.update("a", "x", {"n": 2})
        await node["a"].put("z", {})
    assert (await node["a"].get("x")).fields == {"n": 2}


async def test_the_first_reading_counts(node):
    await node["a"].put("x", {"n": 1})
    with pytest.raises(TransactionConflict):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            await tx.get("a", "x")
            await node["a"].put("x", {"n": 2})
            await tx.get("a", "x")
            tx.put("a", "y", {})


@pytest.mark.parametrize(
    "steps",
    [
        ["put"],
        ["update"],
        ["update", "update"],
        ["delete"],
        ["delete", "put"],
        ["delete", "revive"],
        ["put", "delete", "revive"],
        ["revive", "update"],
    ],
)
@pytest.mark.parametrize("before", ["missing", "there", "deleted", "conflicted"])
async def test_a_transaction_reads_its_own_writes_as_they_will_be(trio, steps, before):
    a, b, hub = trio
    await _prepare(a, b, hub, before)
    exists = before in ("there", "conflicted")
    async with a.transaction() as tx:
        committed = await a["t"].get("x")
        for number, step in enumerate(steps):
            if step == "put":
                tx.put("t", "x", {"own": number})
            elif step == "revive":
                tx.update("t", "x", {"b": number}, upsert=True)
            elif step == "update" and exists:
                tx.update("t", "x", {"n": number, "gone": Remove()})
            elif step == "delete" and exists:
                tx.delete("t", "x")
            exists = step != "delete" and (exists or step != "update")
        seen = await tx.get("t", "x")
        assert (seen is not None) == exists
        if seen is not None:
            assert seen.version == (committed.version if committed else NO_RECORD)
    after = await a["t"].get("x")
    assert (seen and (seen.fields, seen.conflicted)) == (after and (after.fields, after.conflicted))


async def _prepare(a, b, hub, state: str) -> None:
    if state == "missing":
        return
    await a["t"].put("x", {"n": 0, "m": 0, "gone": 0})
    if state == "deleted":
        await a["t"].delete("x")
    if state == "conflicted":
        await meet(a, hub)
        await meet(b, hub)
        await a["t"].update("x", {"n": 1, "m": 1})
        await b["t"].update("x", {"n": 2, "m": 2})
        await meet(b, hub)
        await meet(a, hub)
        assert (await a["t"].get("x")).conflicted


async def test_a_counter_counts_every_step_of_one_transaction(node):
    await node["a"].put("x", {"n": 0})
    async with node.transaction() as tx:
        for _ in range(3):
            tx.update("a", "x", {"n": (await tx.get("a", "x")).fields["n"] + 1})
    assert (await node["a"].get("x")).fields == {"n": 3}


async def test_reading_an_own_write_does_not_hide_a_change_of_others(node):
    await node["a"].put("x", {"n": 1})
    with pytest.raises(TransactionConflict):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            tx.update("a", "x", {"m": 1})
            await tx.get("a", "x")
            await node["a"].update("x", {"n": 2})


async def test_a_transaction_is_begun_once_and_commits_once(node):
    tx = node.transaction()
    async with tx:
        tx.put("a", "x", {"n": 1})
    with pytest.raises(UsageError, match="begun once"):
        async with tx:
            pytest.fail("it was begun again")
    assert (await node.status()).operations == 1


async def test_a_transaction_that_has_ended_takes_no_more(node):
    async with node.transaction() as tx:
        pass
    for late in (lambda: tx.put("a", "x", {}), lambda: tx.update("a", "x", {}), lambda: tx.delete("a", "x")):
        with pytest.raises(UsageError, match="has ended"):
            late()
    with pytest.raises(UsageError, match="has ended"):
        await tx.get("a", "x")


async def test_a_transaction_that_is_too_large_writes_nothing(node):
    with pytest.raises(TransactionTooLarge):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            for n in range(BATCH_RECORDS_MAX + 1):
                tx.put("a", f"k{n}", {})
    with pytest.raises(TransactionTooLarge):  # noqa: PT012 - the commit is at the end of the block
        async with node.transaction() as tx:
            for n in range(40):
                tx.put("a", f"k{n}", {"v": "x" * 500_000})
    assert (await node.status()).lsn == 0


async def test_bad_arguments_are_refused_where_they_are_given(node):
    tx = node.transaction()
    with pytest.raises(InvalidKey):
        tx.put("a", "", {})
    with pytest.raises(InvalidKey):
        await tx.get("a", "")
    with pytest.raises(InvalidValue):
        tx.update("a", "k", {"v": float("nan")})


async def test_a_transaction_reaches_a_peer_whole(trio):
    a, b, hub = trio
    for n in range(5):
        async with a.transaction() as tx:
            tx.put("t", f"x{n}", {"n": n})
            tx.put("t", f"y{n}", {"n": n})
    await meet(a, hub)
    assert [change.lsn for change in await _all(hub)] == [1] * 10
    async with hub.transaction() as tx:
        tx.update("t", "x0", {"n": 7})
        tx.update("t", "y0", {"n": 7})
    await meet(b, hub)
    assert {key: d.fields["n"] for key, d in (await b["t"].get_many(["x0", "y0"])).items()} == {"x0": 7, "y0": 7}


async def _all(node):
    from holdfast.engine.storage import reading

    found, _ = await node.readers.run(reading.changes, (0, 0), None, 1_000)
    return found
