"""The conflict inbox: what stands against what, who decided it, and what makes it open again."""

from __future__ import annotations

import pytest
import pytest_asyncio

from holdfast import AskOnDelete, ConflictKind, Defer, Delete, DeleteWins, LastWriterWins, Manual, Schema, Take, Value
from holdfast.errors import InvalidDecision, InvalidValue, NoSuchConflict

from ..nodes import assert_equal, heal, meet, one_conflict, opened

MANUAL = Schema(name="t", fields={"v": Manual(), "w": Manual()}, on_delete=AskOnDelete())


@pytest_asyncio.fixture
async def fleet(tmp_path):
    """Two nodes and a hub that leave conflicts to people; t/k is known to all."""
    async with (
        opened(tmp_path / "a.db", space="plant", name="a", schemas=[MANUAL]) as a,
        opened(tmp_path / "b.db", space="plant", name="b", schemas=[MANUAL]) as b,
        opened(tmp_path / "hub.db", space="plant", name="hub", schemas=[MANUAL]) as hub,
    ):
        await a["t"].put("k", {"v": "old", "other": 1})
        await heal(hub, a, b)
        yield a, b, hub


async def dispute(a, b, hub):
    await a["t"].update("k", {"v": "A"})
    await b["t"].update("k", {"v": "B"})
    await heal(hub, a, b)


async def test_a_conflict_is_the_same_on_every_node(fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    items = [await one_conflict(node) for node in fleet]
    conflict = items[0].conflict
    assert all(item.conflict == conflict for item in items)
    assert (conflict.collection, conflict.key, conflict.field, conflict.kind) == (
        "t",
        "k",
        "v",
        ConflictKind.UPDATE_UPDATE,
    )
    assert [sibling.value for sibling in conflict.siblings] == ["A", "B"]
    assert conflict.record == {"other": 1}
    assert (items[0].state, items[0].rule, items[0].error, items[0].note) == ("open", "manual/1", None, None)
    assert (await a["t"].get("k")).conflicted
    await assert_equal(*fleet)


async def test_equal_values_are_no_conflict(fleet):
    a, b, hub = fleet
    await a["t"].update("k", {"v": "same"})
    await b["t"].update("k", {"v": "same"})
    await heal(hub, a, b)
    assert await a.conflicts(None) == []
    assert not (await a["t"].get("k")).conflicted
    await assert_equal(*fleet)


@pytest.mark.parametrize(
    ("decision", "shown"),
    [(Take(0), "A"), (Take(1), "B"), (Value({"merged": [1]}), {"merged": [1]}), (Value(None), None), (Delete(), ...)],
)
async def test_a_decision_travels_and_is_noted(fleet, decision, shown):
    a, b, hub = fleet
    await dispute(a, b, hub)
    receipt = await (await one_conflict(b)).resolve(decision, note="phoned them", author="ann")
    await heal(hub, b, a)
    for node in fleet:
        fields = (await node["t"].get("k")).fields
        assert fields.get("v", ...) == shown
        assert fields["other"] == 1
        assert await node.conflicts() == []
        assert (await one_conflict(node, "decided")).conflict.field == "v"
    assert (await one_conflict(b, "decided")).note == "phoned them"
    (entry,) = [entry for entry in await b.log(collection="t", key="k") if entry.dot == receipt.dot]
    assert (entry.kind, entry.author, entry.note) == ("decide", "ann", "phoned them")
    await assert_equal(*fleet)


async def test_any_other_write_ends_a_conflict_as_overwritten(fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    await a["t"].update("k", {"v": "C"})
    await heal(hub, a, b)
    for node in fleet:
        assert (await one_conflict(node, None)).state == "overwritten"
        assert (await node["t"].get("k")).fields["v"] == "C"
        assert not (await node["t"].get("k")).conflicted
    await assert_equal(*fleet)


async def test_a_sibling_that_comes_late_opens_the_conflict_again(fleet):
    """Sessions bring a write that the decision's author had not seen: it stands beside the decision."""
    a, b, hub = fleet
    await dispute(a, b, hub)
    await b["t"].update("k", {"v": "late"})  # b overwrites what it has seen, while a decides
    await (await one_conflict(a)).resolve(Take(0))
    assert await a.conflicts() == []
    await heal(hub, a, b)
    for node in fleet:
        conflict = (await one_conflict(node)).conflict
        assert [sibling.value for sibling in conflict.siblings] == ["late", "A"]
        assert [sibling.decision for sibling in conflict.siblings] == [False, True]
    await assert_equal(*fleet)


async def test_two_decisions_that_differ_are_a_conflict_of_their_own_kind(fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    await (await one_conflict(a)).resolve(Take(0))
    await (await one_conflict(b)).resolve(Take(1))
    await heal(hub, a, b)
    for node in fleet:
        assert (await one_conflict(node)).conflict.kind is ConflictKind.RESOLVE_RESOLVE
    await (await one_conflict(hub)).resolve(Value("C"))
    await heal(hub, a, b)
    await assert_equal(*fleet)
    assert await a.conflicts() == []


async def test_a_decision_supersedes_only_what_its_author_was_shown(fleet):
    """A third sibling arrives between listing and deciding: the old item is refused, and nothing is lost."""
    a, b, hub = fleet
    await dispute(a, b, hub)
    item = await one_conflict(a)
    await b["t"].update("k", {"v": "third"})
    await heal(hub, b, a)
    with pytest.raises(NoSuchConflict):
        await item.resolve(Take(0))
    assert (await a["t"].get("k")).fields["v"] == "third"


async def test_a_decision_leaves_fields_that_changed_since_it_was_shown(fleet):
    a, b, hub = fleet
    await a["t"].update("k", {"v": "A", "w": "A"})
    await b["t"].update("k", {"v": "B", "w": "B"})
    await heal(hub, a, b)
    item = next(item for item in await a.conflicts() if item.conflict.field == "v")
    await b["t"].update("k", {"other": 2})
    await heal(hub, b, a)
    await item.resolve(Take(0))
    await heal(hub, a, b)
    for node in fleet:
        assert (await node["t"].get("k")).fields["other"] == 2
        assert (await node["t"].get("k")).fields["v"] == "A"
        assert (await one_conflict(node)).conflict.field == "w"
    await assert_equal(*fleet)


async def test_a_conflict_can_be_decided_only_while_it_stands(fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    item = await one_conflict(a)
    await item.resolve(Take(0))
    with pytest.raises(NoSuchConflict, match="decided"):
        await item.resolve(Take(1))
    with pytest.raises(NoSuchConflict):
        await a.conflict("0" * 16)
    with pytest.raises(NoSuchConflict):
        await a.reopen("0" * 16)


async def test_a_decided_conflict_can_be_reopened_and_decided_anew(fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    await (await one_conflict(a)).resolve(Take(0), note="first")
    again = await a.reopen((await one_conflict(a, "decided")).id)
    assert again.state == "open"
    assert [sibling.value for sibling in again.conflict.siblings] == ["A", "B"]
    await again.resolve(Take(1), note="second thoughts")
    await heal(hub, a, b)
    for node in fleet:
        assert (await node["t"].get("k")).fields["v"] == "B"
    decided = await one_conflict(a, "decided")
    assert decided.note == "second thoughts"
    await assert_equal(*fleet)


async def test_a_conflict_that_was_settled_by_rule_can_be_reopened_and_stays_open(tmp_path):
    schema = Schema(name="t", fields={"v": LastWriterWins()})
    async with (
        opened(tmp_path / "a.db", space="s", schemas=[schema]) as a,
        opened(tmp_path / "hub.db", space="s") as hub,
    ):
        await a["t"].put("k", {"v": 0, "other": 1})
        await heal(hub, a)
        await a["t"].update("k", {"v": "A"})
        await hub["t"].update("k", {"v": "B"})
        await heal(hub, a)
        item = await one_conflict(a, "settled")
        assert (await a["t"].get("k")).fields["v"] == "B"
        await a.reopen(item.id)
        await a["t"].update("k", {"other": 2})  # says nothing of the field in question
        await hub["t"].update("k", {"third": 2})
        await heal(hub, a)
        await (await one_conflict(a)).resolve(Take(0), note="the rule was wrong")
        await heal(hub, a)
        assert (await hub["t"].get("k")).fields == {"v": "A", "other": 2, "third": 2}
        await assert_equal(a, hub)


@pytest.mark.parametrize("decision", [Take(2), Take(-1), Take(True), Defer("later"), "A", None])
async def test_a_decision_that_does_not_fit_is_refused(fleet, decision):
    a, b, hub = fleet
    await dispute(a, b, hub)
    with pytest.raises(InvalidDecision):
        await (await one_conflict(a)).resolve(decision)
    with pytest.raises(InvalidValue):
        await (await one_conflict(a)).resolve(Value(float("nan")))
    assert (await one_conflict(a)).state == "open"


@pytest.mark.parametrize(("index", "lives"), [(0, False), (1, True)])
async def test_a_delete_against_an_update_is_asked_about(fleet, index, lives):
    a, b, hub = fleet
    await a["t"].delete("k")
    await b["t"].update("k", {"v": "B"})
    await heal(hub, a, b)
    for node in fleet:
        item = await one_conflict(node)
        assert (item.conflict.field, item.conflict.kind) == (None, ConflictKind.UPDATE_DELETE)
        assert [sibling.deleted for sibling in item.conflict.siblings] == [True, False]
        assert (await node["t"].get("k")).fields["v"] == "B"  # until someone says otherwise
    item = await one_conflict(b)
    with pytest.raises(InvalidDecision):
        await item.resolve(Value(1))
    await item.resolve(Take(index))
    await heal(hub, b, a)
    for node in fleet:
        document = await node["t"].get("k")
        assert (document.fields if document else None) == ({"v": "B", "other": 1} if lives else None)
        assert (await one_conflict(node, "decided")).conflict.field is None
    await assert_equal(*fleet)


async def test_deleting_the_record_is_a_decision_about_its_existence(fleet):
    a, b, hub = fleet
    await a["t"].delete("k")
    await b["t"].update("k", {"v": "B"})
    await heal(hub, a, b)
    await (await one_conflict(a)).resolve(Delete())
    await heal(hub, a, b)
    assert [await node["t"].get("k") for node in fleet] == [None] * 3
    await assert_equal(*fleet)


async def test_where_deletes_win_the_record_goes_and_the_update_is_not_lost(tmp_path):
    schema = Schema(name="t", on_delete=DeleteWins())
    async with (
        opened(tmp_path / "a.db", space="s", schemas=[schema]) as a,
        opened(tmp_path / "hub.db", space="s", schemas=[schema]) as hub,
    ):
        await a["t"].put("k", {"v": 0})
        await heal(hub, a)
        await a["t"].delete("k")
        await hub["t"].update("k", {"v": 1})
        await heal(hub, a)
        assert await a["t"].get("k") is None
        item = await one_conflict(a, "settled")
        await item.resolve(Take(1))
        await heal(hub, a)
        assert (await hub["t"].get("k")).fields == {"v": 1}
        await assert_equal(a, hub)


async def test_records_that_were_born_twice_are_told_apart_from_updates(fleet):
    a, b, hub = fleet
    await a["t"].put("new", {"v": "A"})
    await b["t"].put("new", {"v": "B"})
    await heal(hub, a, b)
    assert (await one_conflict(hub)).conflict.kind is ConflictKind.CREATE_CREATE


async def test_a_resolver_that_fails_leaves_the_conflict_open_and_says_why(tmp_path):
    class Broken:
        name = "broken"
        version = 3

        def resolve(self, conflict):
            raise ZeroDivisionError("oops")

    schema = Schema(name="t", fields={"v": Broken()})
    async with (
        opened(tmp_path / "a.db", space="s", schemas=[schema]) as a,
        opened(tmp_path / "hub.db", space="s") as hub,
    ):
        await a["t"].put("k", {"v": 0})
        await heal(hub, a)
        await a["t"].update("k", {"v": "A"})
        await hub["t"].update("k", {"v": "B"})
        await heal(hub, a)
        item = await one_conflict(a)
        assert item.rule == "broken/3"
        assert "oops" in item.error
        assert (await a["t"].get("k")).fields["v"] == "B"
        await assert_equal(a, hub)


async def test_the_inbox_lists_by_state_and_collection_oldest_first(fleet):
    a, b, hub = fleet
    for key in ("k1", "k2", "k3"):
        await a["t"].put(key, {"v": "A"})
        await b["t"].put(key, {"v": "B"})
        await a["u"].put(key, {"v": "A"})
        await b["u"].put(key, {"v": "B"})
        await heal(hub, a, b)
    assert [item.conflict.key for item in await a.conflicts()] == ["k1", "k2", "k3"]
    assert [item.conflict.collection for item in await a.conflicts("settled")] == ["u"] * 3
    assert len(await a.conflicts(None)) == 6
    assert len(await a.conflicts(None, collection="u")) == 3
    assert [item.conflict.key for item in await a.conflicts(limit=2)] == ["k1", "k2"]
    assert (await a.status()).conflicts == {"open": 3, "settled": 3}


async def test_a_conflict_that_grows_keeps_its_place(tmp_path, fleet):
    a, b, hub = fleet
    await dispute(a, b, hub)
    async with opened(tmp_path / "c.db", space="plant", name="c", schemas=[MANUAL]) as c:
        await c["t"].put("k", {"v": "C"})
        await meet(c, hub)
        item = await one_conflict(hub)
        assert len(item.conflict.siblings) == 3
        await item.resolve(Take(2))
        await heal(hub, a, b, c)
        await assert_equal(a, b, c, hub)
