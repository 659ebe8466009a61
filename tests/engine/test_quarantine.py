"""Quarantine and holes: one bad operation costs one record, and what it costs is named (docs/protocol.md, Rules)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytest_asyncio

from holdfast.clocks import Actor, Dot, Timestamp, VersionVector
from holdfast.engine.cells import Life, Record, Sibling, Stamp
from holdfast.engine.delta import Delta, FeedBatch, FeedId
from holdfast.engine.packing import pack
from holdfast.engine.replica import Replica
from holdfast.engine.storage.birth import begin_incarnation
from holdfast.errors import InvalidName
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from ..nodes import NOW_MS, assert_equal, heal, meet, opened, raw

STRANGER = Actor("ab" * 16)
FEED = FeedId("cd" * 8)
GARBAGE = b"\xc1"


def from_the_future(key="k") -> FeedBatch:
    """A record with a field of a type that no version knows yet, and a field that everyone can read."""
    stamp = Stamp(Dot(STRANGER, 1), Timestamp(NOW_MS << 16))
    cells = {
        "plain": {stamp.dot: Sibling(stamp, 0, '"readable"')},
        "tensor": {stamp.dot: Sibling(stamp, 77, b"\x00\xffraw", b"base")},
        "odd": {stamp.dot: Sibling(stamp, 78, '{"json":1}')},
    }
    doc, packed = pack(Record({stamp.dot: Life(stamp, alive=True)}, cells), lambda _: 0)
    delta = Delta(
        actors=(STRANGER,),
        labels=("future",),
        collections=("t",),
        collection=[0],
        key=[key],
        actor=[-1],
        seq=[0],
        clock=[0],
        flags=[0],
        doc=["{" + ",".join(f'"{name}":{text}' for name, text in doc.items()) + "}"],
        cells={0: packed},
    )
    return FeedBatch(feed=FEED, start=0, end=1, drained=True, vector=VersionVector({STRANGER: 1}), delta=delta)


def cells_of(path, key="k"):
    with raw(path) as connection:
        actors = {number: Actor(actor) for number, actor in connection.execute("SELECT id, actor FROM actor")}
        doc, cells = connection.execute("SELECT doc, cells FROM record WHERE key = ?", (key,)).fetchone()
    from holdfast.engine.documents import split
    from holdfast.engine.packing import unpack

    return unpack(split(doc), cells, actors)


async def test_a_type_that_nobody_knows_is_stored_listed_and_passed_on_verbatim(tmp_path, trio):
    a, b, hub = trio
    await Replica(a).apply(from_the_future(), STRANGER, follows=True)
    await heal(hub, a, b)
    for node in trio:
        document = await node["t"].get("k")
        assert document.fields == {"plain": "readable"}
        assert document.quarantined == ("odd", "tensor")
        assert not document.conflicted
        assert (await node.status()).quarantined == 1
        assert await node.conflicts(None) == []
    await assert_equal(*trio)
    records = [cells_of(node.path) for node in trio]
    assert records[0] == records[1] == records[2]
    ((sibling,),) = [records[0].cells["tensor"].values()]
    assert (sibling.tag, sibling.value, sibling.base) == (77, b"\x00\xffraw", b"base")


async def test_a_quarantined_record_can_be_written_and_joined(trio):
    a, b, hub = trio
    await Replica(a).apply(from_the_future(), STRANGER, follows=True)
    await heal(hub, a, b)
    await a["t"].update("k", {"plain": "A"})
    await b["t"].update("k", {"more": "B"})
    await heal(hub, a, b)
    for node in trio:
        document = await node["t"].get("k")
        assert document.fields == {"plain": "A", "more": "B"}
        assert document.quarantined == ("odd", "tensor")
    await assert_equal(*trio)
    assert cells_of(a.path).cells["tensor"] == cells_of(b.path).cells["tensor"]


async def test_overwriting_the_unreadable_fields_ends_the_quarantine(trio):
    a, b, hub = trio
    await Replica(a).apply(from_the_future(), STRANGER, follows=True)
    await a["t"].update("k", {"tensor": 1, "odd": 2})
    await heal(hub, a, b)
    for node in trio:
        assert (await node["t"].get("k")).fields == {"plain": "readable", "tensor": 1, "odd": 2}
        assert (await node.status()).quarantined == 0
    await assert_equal(*trio)


async def test_a_put_leaves_fields_of_other_types_as_the_model_says(trio):
    """Only registers are cleared by a put: counters, sets and texts of a later version stay."""
    a, b, hub = trio
    await Replica(a).apply(from_the_future(), STRANGER, follows=True)
    await a["t"].put("k", {"new": 1})
    await heal(hub, a, b)
    assert (await b["t"].get("k")).fields == {"new": 1}
    assert (await b["t"].get("k")).quarantined == ("odd", "tensor")
    await assert_equal(*trio)


class Spoiling(Replica):
    """A replica that sends the cells, or the document, of some keys as garbage."""

    def __init__(self, node, bad, *, doc=None):
        super().__init__(node)
        self.bad = set(bad)
        self.doc = doc

    async def read(self, start, held):
        return self._spoilt(await super().read(start, held))

    async def read_whole(self, places):
        return self._spoilt(await super().read_whole(places))

    def _spoilt(self, batch):
        delta = batch.delta
        spoilt = [at for at, key in enumerate(delta.key) if key in self.bad]
        if self.doc is not None:
            docs = [self.doc if at in spoilt else doc for at, doc in enumerate(delta.doc)]
            return replace(batch, delta=replace(delta, doc=docs))
        columns = {
            name: [empty if at in spoilt else value for at, value in enumerate(getattr(delta, name))]
            for name, empty in (("actor", -1), ("seq", 0), ("clock", 0), ("flags", 0))
        }
        cells = {**delta.cells, **dict.fromkeys(spoilt, GARBAGE)}
        return replace(batch, delta=replace(delta, cells=cells, **columns))


async def meet_replica(node, hub: Replica):
    return await sync(Replica(node), MemoryLink(lambda chunks: respond(hub, chunks, rights="rw"), url="memory://bad"))


@pytest_asyncio.fixture
async def pair(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s", name="a") as a,
        opened(tmp_path / "hub.db", space="s", name="hub") as hub,
    ):
        for n in range(6):
            await hub["t"].put(f"k{n}", {"n": n})
            await hub["t"].update(f"k{n}", {"m": n})
        yield a, hub


@pytest.mark.parametrize("doc", [None, "[1]", '{"n":', '{"n":"\\ud800"}', "[" * 100 + "]" * 100])
async def test_a_record_that_cannot_be_joined_costs_one_record(pair, doc):
    a, hub = pair
    replica = Spoiling(hub, ["k3"], doc=doc)
    report = await meet_replica(a, replica)
    assert not report.completed
    assert any("cannot be joined" in blocker for blocker in report.blockers)
    assert await a["t"].count() == 5
    status = await a.status()
    assert (status.holes, status.whole) == (1, False)
    assert any("t/k3" in blocker for blocker in status.blockers)
    assert status.vector == {}  # it must not claim what is missing
    # Everything else goes on: both ways, through this node, and again.
    await a["t"].put("own", {})
    await hub["t"].put("fresh", {})
    await meet_replica(a, replica)
    assert await hub["t"].get("own")
    assert await a["t"].get("fresh")
    assert (await a.status()).vector == {await a.actor(): 1}
    assert (await a.verify()).ok
    # A good one arrives.
    replica.bad.clear()
    report = await meet_replica(a, replica)
    assert report.completed
    await assert_equal(a, hub)


async def test_a_hole_heals_through_another_peer_when_it_knows_as_much(tmp_path, pair):
    a, hub = pair
    await meet_replica(a, Spoiling(hub, ["k3"]))
    async with opened(tmp_path / "other.db", space="s", name="other") as other:
        await heal(hub, other)
        await meet(a, other)
        assert (await a["t"].get("k3")).fields == {"n": 3, "m": 3}
        await heal(hub, a)
        await assert_equal(a, hub, other)


async def test_what_came_beside_a_hole_is_passed_on_without_claiming_the_hole(tmp_path, pair):
    a, hub = pair
    await meet_replica(a, Spoiling(hub, ["k3"]))
    async with opened(tmp_path / "third.db", space="s", name="third") as third:
        await meet(third, a)
        assert await third["t"].count() == 5
        await meet(third, hub)
        assert await third["t"].count() == 6
        await heal(hub, a, third)
        await assert_equal(a, hub, third)


async def test_a_responder_with_a_hole_tells_the_initiator_nothing_false(pair):
    """The hub is the one that cannot join: it acknowledges what it read, asks again, and stays short of the vector."""
    a, hub = pair
    await heal(hub, a)
    await a["t"].update("k3", {"m": "new"})
    spoilt = Spoiling(a, ["k3"])
    for _ in range(2):
        await sync(spoilt, MemoryLink(lambda chunks: respond(Replica(hub), chunks, rights="rw"), url="memory://hub"))
    status = await hub.status()
    assert status.holes == 1
    assert status.vector.get(await a.actor(), 0) == 0
    assert (await hub["t"].get("k3")).fields["m"] == 3
    spoilt.bad.clear()
    for _ in range(2):
        await sync(spoilt, MemoryLink(lambda chunks: respond(Replica(hub), chunks, rights="rw"), url="memory://hub"))
    await assert_equal(a, hub)


async def test_a_hole_is_gone_when_what_it_misses_has_come_from_another_peer(tmp_path, pair):
    a, hub = pair
    await meet_replica(a, Spoiling(hub, ["k3"]))
    async with opened(tmp_path / "other.db", space="s", name="other") as other:
        await meet(other, hub)
        await meet(a, other)
        status = await a.status()
        assert (status.holes, status.whole, status.blockers) == (0, True, ())
        assert status.vector == (await hub.status()).vector
        await hub["t"].put("more", {})
        assert (await meet(a, hub)).completed
        await assert_equal(a, hub)


async def test_a_hole_of_a_peer_that_goes_on_under_another_identity_is_gone_and_its_old_feed_read_anew(pair):
    a, hub = pair
    await meet_replica(a, Spoiling(hub, ["k3"]))
    before = await hub.actor()
    await hub.write(lambda tx: begin_incarnation(tx, "hub"))
    assert (await meet(a, hub)).completed
    assert (await a.status()).holes == 0
    with raw(a.path) as connection:
        assert connection.execute("SELECT checkpoint FROM peer WHERE actor = ?", (before,)).fetchone() == (0,)
    await assert_equal(a, hub)


ODD_NAMES = {"unprintable": "no\nsuch\x1b[2J", "long": "n" * 400, "lines": "\n"}


def under(name, n, *, seq, key="k") -> FeedBatch:
    """A record of a collection that no local node could write, as a plain one."""
    delta = Delta(
        actors=(STRANGER,),
        labels=("odd",),
        collections=(name,),
        collection=[0],
        key=[key],
        actor=[0],
        seq=[seq],
        clock=[(NOW_MS << 16) + seq],
        flags=[0],
        doc=[f'{{"n":{n}}}'],
    )
    vector = VersionVector({STRANGER: seq})
    return FeedBatch(feed=FEED, start=seq - 1, end=seq, drained=True, vector=vector, delta=delta)


def stored_under(path, name):
    with raw(path) as connection:
        query = (
            "SELECT r.key, r.doc, r.live FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ?"
            " ORDER BY r.key"
        )
        return connection.execute(query, (name,)).fetchall()


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
async def test_a_collection_that_nobody_could_name_is_stored_and_passed_on_and_not_shown(trio, name):
    a, b, hub = trio
    await a["t"].put("mine", {"n": 0})
    batches = [under(name, n, seq=n) for n in (1, 2)]
    outcomes = [await Replica(a).apply(batch, STRANGER) for batch in batches]
    assert [(o.fresh + o.merged, o.holes, o.completed) for o in outcomes] == [(1, 0, True)] * 2
    await heal(hub, a, b)
    await assert_equal(*trio)
    for node in trio:
        assert stored_under(node.path, name) == [("k", '{"n":2}', 0)]
        status = await node.status()
        assert (status.quarantined, status.blockers, status.holes) == (1, (), 0)
        assert (status.collections, status.records, status.deleted) == ({"t": 1}, 1, 0)
        assert [entry.key for entry in await node.log() if entry.collection == name][:1] == ["k"]
        with pytest.raises(InvalidName):
            await node[name].get("k")
    changes = [change async for change in until(b.watch(0), "end", b)]
    assert [(change.collection, change.key) for change in changes] == [("t", "mine"), ("t", "end")]


async def until(changes, key, node):
    """The changes up to that of a record which is put now."""
    await node["t"].put(key, {})
    async for change in changes:
        yield change
        if change.key == key:
            return


async def test_records_of_such_a_collection_join_without_asking_anybody(trio):
    a, b, hub = trio
    name = ODD_NAMES["unprintable"]
    await Replica(a).apply(under(name, 1, seq=1), STRANGER)
    other = Actor("ef" * 16)
    theirs = under(name, 2, seq=1)
    theirs = replace(
        theirs, feed=FeedId("ef" * 8), vector=VersionVector({other: 1}), delta=replace(theirs.delta, actors=(other,))
    )
    await Replica(b).apply(theirs, other)
    await heal(hub, a, b)
    await assert_equal(*trio)
    for node in trio:
        assert await node.conflicts(None) == []
        assert (await node.status()).quarantined == 1
        with raw(node.path) as connection:
            (stored,) = connection.execute("SELECT live FROM record").fetchall()
            assert stored == (0,)
    assert len(cells_of(a.path).existence) == 2


async def test_a_record_of_several_kinds_of_strangeness_is_hidden_whole_and_kept_verbatim(trio):
    a, b, hub = trio
    strange = from_the_future()
    strange = replace(strange, delta=replace(strange.delta, collections=(ODD_NAMES["long"],)))
    await Replica(a).apply(strange, STRANGER)
    await heal(hub, a, b)
    await assert_equal(*trio)
    assert cells_of(a.path) == cells_of(b.path)
    assert set(cells_of(b.path).cells) == {"plain", "tensor", "odd"}
    for node in trio:
        with raw(node.path) as connection:
            ((fields, reason),) = connection.execute("SELECT fields, reason FROM quarantine").fetchall()
            assert (fields, "name of a collection" in reason) == ("[]", True)


async def test_a_name_that_sql_cannot_ask_for_is_a_hole_and_leaves_no_collection(trio):
    a, _, hub = trio
    outcome = await Replica(a).apply(under("no\0such", 1, seq=1), STRANGER)
    assert (outcome.holes, outcome.completed) == (1, False)
    with raw(a.path) as connection:
        assert connection.execute("SELECT name FROM collection").fetchall() == []
    await heal(hub, a)
    assert (await hub.status()).records == 0


async def test_what_cannot_be_shown_stands_in_a_list_with_why(tmp_path, trio):
    a, b, hub = trio
    await Replica(a).apply(from_the_future(), STRANGER)
    await heal(hub, a, b)
    (hidden,) = await b.quarantine()
    assert (hidden.collection, hidden.key, hidden.fields, hidden.held) == ("t", "k", ("odd", "tensor"), True)
    assert hidden.since_ms is not None
    assert "type" in hidden.reason
    await a["t"].put("good", {"n": 1})
    await meet_replica(b, Spoiling(a, {"good"}))
    hole, other = await b.quarantine()
    assert (hole.key, hole.held, hole.peer) == ("good", False, a.label)
    assert other == hidden
    assert await b.quarantine(collection="elsewhere") == []
    assert await b.quarantine(limit=1) == [hole]
    await meet_replica(b, Replica(a))  # the bytes are readable again: nobody has to ask
    assert await b.quarantine() == [hidden]


@pytest.mark.parametrize("schemas", [(), None])
async def test_a_version_that_knows_more_shows_what_was_hidden(tmp_path, monkeypatch, schemas):
    """Type 78 becomes a register in a later version, and the long name a name; no user does anything."""
    path = tmp_path / "a.db"
    async with opened(path, schemas=schemas) as node, opened(tmp_path / "b.db") as other:
        await Replica(node).apply(from_the_future(), STRANGER)
        await Replica(node).apply(under(ODD_NAMES["long"], 1, seq=2), STRANGER)
        assert len(await node.quarantine()) == 2
        before = await node.status()
        await meet(node, other)
    names = "holdfast.engine.{}.is_name".format
    monkeypatch.setattr("holdfast.engine.detector.READABLE", frozenset({0, 255, 77, 78}))
    monkeypatch.setattr("holdfast.engine.detector.READING", 2)
    monkeypatch.setattr("holdfast.engine.detector.agreed", _agreed_later)
    for module in (
        "projection",
        "storage.rows",
        "storage.reproject",
        "storage.quarantine",
        "status",
        "storage.reading",
    ):
        monkeypatch.setattr(names(module), lambda text: 1 <= len(text) <= 512, raising=False)
    async with opened(path, schemas=schemas) as node:
        assert await node.quarantine() == []
        assert (await node["t"].get("k")).fields["odd"] == {"json": 1}
        after = await node.status()
        assert (after.quarantined, after.digest, after.lsn) == (0, before.digest, before.lsn)
        assert sum(after.collections.values()) == 2
    monkeypatch.undo()
    async with opened(path, schemas=schemas) as node:  # and back: an application may be put back to the version before
        assert len(await node.quarantine()) == 2
        assert (await node["t"].get("k")).fields == {"plain": "readable"}
        assert (await node.verify()).problems == ()


def _agreed_later(cell):
    (sibling,) = cell.values()
    return sibling.value if isinstance(sibling.value, str) else None
