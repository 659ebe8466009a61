"""What a peer that does not keep to the protocol comes to: a session that ends, one record, never a wrong state."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.engine.delta import Delta, FeedId
from holdfast.engine.replica import Replica
from holdfast.engine.storage.birth import begin_incarnation
from holdfast.errors import SessionRefused
from holdfast.transport.answering import Responder
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.messages import Ack, Batch, Hello, NeedVector, NeedWhole, VectorNote
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync as sync_over
from holdfast.transport.wire import Decoder, encode

from ..nodes import assert_equal as assert_nodes_equal
from ..nodes import heal, link_to, meet, opened
from ..transport.samples import decoded
from .side import Side, assert_equal, begin, exchange, now, perform, sync

MALLORY, FEED = Actor("66" * 16), FeedId("66" * 8)
NOTHING = VectorNote(b"", VersionVector({}))
EXCHANGES_MAX = 8


def greeting(said, **changes):
    """An answer that would be believed."""
    plain = replace(
        said,
        actor=MALLORY,
        label="mallory",
        feed=FEED,
        head=1,
        space=said.space or SpaceId("66" * 16),
        vector=NOTHING,
        peer_feed=said.feed,
        checkpoints={0: 0},
        held_of=said.actor,
        held=0,
        ticket=b"",
        holds=b"",
        digest=b"",
        lacks=EMPTY,
    )
    return replace(plain, **changes)


def batch(said, **changes):
    """An empty batch behind whatever was read."""
    start = said.checkpoints.get(0, 0) if said.peer_feed == FEED else 0
    note = VectorNote(VersionVector({}).fingerprint(), VersionVector({}))
    return replace(Batch(feed=FEED, start=start, end=start, drained=True, vector=note, delta=Delta()), **changes)


def peer(answer):
    """A link to somebody who answers every hello with these messages."""

    async def respond(chunks):
        request = b"".join([chunk async for chunk in chunks])
        said = next(iter(decoded(Decoder(), request)))
        assert isinstance(said, Hello)
        for message in answer(said):
            for frame in encode(message):
                yield frame

    return MemoryLink(respond, url="memory://mallory")


STANDSTILLS = {
    "does not acknowledge": lambda said: [greeting(said), batch(said)],
    "never knows the vector": lambda said: [greeting(said), NeedVector()],
    "never says that all is read": lambda said: [greeting(said), batch(said, drained=False, start=5, end=9)],
    "the same records again": lambda said: [
        greeting(said),
        batch(said),
        NeedWhole(said.feed, (("t", "k"),)),
        Ack(feed=said.feed, checkpoint=said.head, taken=True),
    ],
}


@pytest.mark.parametrize("cause", STANDSTILLS)
async def test_a_sync_with_a_peer_that_leads_nowhere_ends_and_says_why(tmp_path, cause):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        actor, link = await a.actor(), peer(STANDSTILLS[cause])
        with pytest.raises(SessionRefused, match=cause):
            await sync_over(Replica(a), link)
        assert link.round_trips <= EXCHANGES_MAX
        assert await a.actor() == actor


async def test_a_peer_that_has_always_read_another_file_is_given_up(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        link = peer(lambda said: [greeting(said, checkpoints={0: 2**61}), batch(said)])
        with pytest.raises(SessionRefused, match="again and again: a peer has read this feed up to"):
            await sync_over(Replica(a), link)
        assert link.round_trips <= EXCHANGES_MAX
        assert (await a["t"].get("k")).fields == {}


async def test_one_operation_in_ever_new_guises_is_no_progress(tmp_path):
    """Each is another value under the same name: it changes something here every time."""
    clock = iter(range(1 << 40, 1 << 41, 1 << 16))

    def answer(said):
        delta = Delta(
            actors=(MALLORY,),
            labels=("",),
            collections=("t",),
            collection=[0],
            key=["forged"],
            actor=[0],
            seq=[1],
            clock=[next(clock)],
            flags=[1],
            doc=["{}"],
        )
        note = VectorNote(VersionVector({}).fingerprint(), VersionVector({MALLORY: 1}))
        return [greeting(said), batch(said, start=5, end=9, drained=False, delta=delta, vector=note)]

    async with opened(tmp_path / "a.db", space="s") as a:
        link = peer(answer)
        with pytest.raises(SessionRefused, match="never says that all is read"):
            await sync_over(Replica(a), link)
        assert link.round_trips <= EXCHANGES_MAX


FORGERIES = {
    "ever higher operations": lambda n: {"head": n},
    "ever higher operations, under ever new feeds": lambda n: {"head": n, "feed": FeedId(f"{n // 2:016x}")},
    "ever new operations of one who said at first what it has": lambda _: {"head": 1},
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_peer_that_makes_up_more_than_it_had_is_left(tmp_path, forgery):
    """Each batch is in order, moves the checkpoint and the vector, and is never the last."""
    numbers = itertools.count(1)

    def answer(said):
        n = next(numbers)
        changes = FORGERIES[forgery](n)
        feed = changes.get("feed", FEED)
        delta = Delta(
            actors=(MALLORY,),
            labels=("",),
            collections=("t",),
            collection=[0],
            key=[f"forged{n}"],
            actor=[0],
            seq=[n],
            clock=[n << 16],
            flags=[1],
            doc=["{}"],
        )
        vector = VersionVector({MALLORY: n})
        note = VectorNote(vector.fingerprint(), EMPTY)
        start = said.checkpoints.get(0, 0) if said.peer_feed == feed else 0
        hello = greeting(said, vector=VectorNote(b"", vector), **changes)
        return [hello, batch(said, feed=feed, start=start, end=n, drained=False, delta=delta, vector=note)]

    async with opened(tmp_path / "a.db", space="s") as a:
        link = peer(answer)
        with pytest.raises(SessionRefused, match="never says that all is read"):
            await sync_over(Replica(a), link)
        assert link.round_trips <= EXCHANGES_MAX
        assert await a["t"].count() > 1


async def test_a_peer_under_this_nodes_own_identity_is_refused(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a:
        await a["t"].put("k", {})
        actor, link = await a.actor(), peer(lambda said: [greeting(said, actor=said.actor, held=9), batch(said)])
        with pytest.raises(SessionRefused, match="own identity"):
            await sync_over(Replica(a), link)
        assert (await a.actor(), a.renewed) == (actor, None)


# ------------------------------------------------------------------------------------------- records nobody could send


def believed(hub, **vector):
    """All that the hub has, in one batch."""
    return replace(now(Replica.read(hub.replica, 0, EMPTY)), **vector)


@pytest.mark.parametrize("stands", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("celled", [False, True], ids=["plain", "celled"])
def test_a_record_beyond_its_batchs_vector_is_a_hole_until_it_comes_with_one_that_fits(stands, celled):
    node, hub = Side("node"), Side("hub", batch_records=100)
    hub.write("k", {"n": 0, "m": 0})
    hub.write("l", {})
    if stands:
        sync(node, hub)
    before = node.docs(), hub.vector
    hub.write("k", {"n": 1, "m": 0}) if not celled else hub.update("k", n=1)
    start = node.checkpoint(hub) if stands else 0
    sent = now(Replica.read(hub.replica, start, EMPTY))
    outcome = now(node.replica.apply(replace(sent, vector=before[1]), hub.actor))
    assert (outcome.holes, outcome.completed, outcome.foreign) == (1, False, 0)
    assert node.docs() == (before[0] if stands else {"l": "{}"})
    sync(node, hub)
    assert_equal(node, hub)


def test_what_a_third_node_passes_on_under_an_extra_context_is_no_hole():
    node, hub, third = Side("node"), Side("hub"), Side("third")
    for n in range(6):
        hub.write(f"k{n}", {"n": n})
        hub.update(f"k{n}", m=n)
    exchange(node, hub, answered_max=3)
    assert not node.whole
    for _ in range(2):
        done = sync(third, node)
        assert done[-1].initiator.holes == 0
    assert third.docs() == node.docs()
    assert len(third.docs()) == 4


@pytest.mark.parametrize("claimed", [False, True])
def test_an_operation_of_ones_own_that_one_never_wrote_shows_a_copy(claimed):
    node, hub = Side("node"), Side("hub", batch_records=100)
    hub.write("k", {})
    sent = believed(hub)
    vector = VersionVector({node.actor: 9}) if claimed else sent.vector
    forged = replace(sent, vector=vector, delta=replace(sent.delta, actors=(node.actor,), seq=[9]))
    outcome = now(node.replica.apply(forged, hub.actor))
    assert (outcome.holes, outcome.foreign, outcome.completed) == (1, 9, False)
    assert node.docs() == {}


def test_a_copy_that_writes_through_the_peer_while_one_reads_is_found_at_once(monkeypatch):
    node, hub = Side("node"), Side("hub")
    node.write("shared", {"v": 0})
    sync(node, hub)
    copy, before = node.copy("copy"), node.actor
    copy.write("copied", {})
    read = hub.replica.read

    async def meanwhile(start, held):
        monkeypatch.setattr(hub.replica, "read", read)
        sync(copy, hub)
        return await read(start, held)

    monkeypatch.setattr(hub.replica, "read", meanwhile)
    assert exchange(node, hub).initiator.renewed
    assert node.actor != before
    node.write("own", {})
    for side in (node, copy, node):
        sync(side, hub)
    assert_equal(node, copy, hub)
    assert set(hub.docs()) == {"shared", "copied", "own"}


def test_a_copy_that_writes_through_the_caller_is_found_by_the_one_who_answers():
    """The caller has got what the copy of the hub wrote after its hello."""
    node, hub = Side("node"), Side("hub")
    hub.write("shared", {"v": 0})
    sync(node, hub)
    copy, before = hub.copy("copy"), hub.actor
    node.write("own", {})
    session = begin(node)
    copy.write("copied", {})
    sync(Side("other"), copy)
    third = Side("third")
    third.connection.execute("UPDATE node SET space = ?, bond = 2", (node.facts().membership.space,))
    sync(third, copy)
    node.connection.execute("UPDATE peer SET url = NULL")
    sync(node, third)
    node.connection.execute("UPDATE peer SET url = CASE WHEN actor = ? THEN 'list://hub' END", (before,))
    exchange(node, hub, session)
    assert hub.actor != before
    hub.write("later", {})
    for _ in range(2):
        sync(node, hub)
    assert_equal(node, hub)
    assert set(hub.docs()) == {"shared", "own", "copied", "later"}


# ----------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("rights", ["rw", "r"])
def test_a_checkpoint_beyond_the_end_of_a_peers_feed_is_given_up(rights):
    node, hub = Side("node"), Side("hub")
    hub.write("before", {})
    sync(node, hub)
    hub.write("behind", {})
    node.connection.execute("UPDATE peer SET checkpoint = ?", (2**61,))
    sync(node, hub, rights=rights)
    hub.write("later", {})
    sync(node, hub, rights=rights)
    assert set(node.docs()) == {"before", "behind", "later"}
    assert node.vector == hub.vector


def test_a_checkpoint_beyond_the_end_of_the_callers_feed_shows_a_copy():
    node, hub = Side("node"), Side("hub")
    node.write("before", {})
    sync(node, hub)
    before = node.actor
    node.write("behind", {})
    hub.connection.execute("UPDATE peer SET checkpoint = ?", (2**61,))
    sync(node, hub)
    assert node.actor != before
    node.write("later", {})
    sync(node, hub)
    assert node.vector == hub.vector
    assert node.docs() == hub.docs()
    assert set(hub.docs()) == {"before", "behind", "later"}


# ------------------------------------------------------------------------------------------------ identities that stay


def answered(hub, said):
    """What the hub answers to a request."""
    responder, answers = Responder("rw"), []
    for message in said:
        answers += [] if responder.stopped else perform(hub, responder, responder.receive(message))
    return answers + perform(hub, responder, responder.finish()) + perform(hub, responder, responder.close())


@pytest.mark.parametrize("arrives", [*itertools.product(["first", "second", "neither"], repeat=3)])
def test_a_request_that_is_repeated_on_the_way_costs_nothing(arrives):
    """A proxy sends it again; the answer to the one or to the other arrives, or none, and an older one comes again."""
    node, hub = Side("node"), Side("hub")
    sync(node, hub)
    before, older = node.actor, []
    for n, which in enumerate(arrives):
        node.write(f"k{n}", {})
        session = begin(node)
        said = perform(node, session, session.opening())
        answers = {"first": answered(hub, said), "second": answered(hub, said), "neither": []}
        for message in answers[which]:
            perform(node, session, session.receive(message))
        assert not session.renewed
        for request in older:
            answered(hub, request)
        older.append(said)
        answered(hub, said)
    sync(node, hub)
    assert node.actor == before
    assert_equal(node, hub)


@pytest.mark.parametrize("cuts", [(a, b) for a in (None, 0, 1, 2, 3) for b in (None, 0, 1, 2, 3)])
def test_a_hub_that_renews_costs_its_edges_nothing(cuts):
    hub, edges = Side("hub"), [Side("a"), Side("b")]
    for edge in edges:
        edge.write(edge.name, {})
        sync(edge, hub)
        edge.update(edge.name, n=1)
        sync(edge, hub)
    before = [edge.actor for edge in edges]
    for turn in range(2):
        with hub.store.transaction() as tx:
            begin_incarnation(tx, "hub")
        hub.write(f"hub{turn}", {})
        for edge in edges:
            edge.write(f"{edge.name}{turn}", {})
            for answered_max in cuts:
                exchange(edge, hub, answered_max=answered_max)
                edge.update(edge.name, n=turn)
            sync(edge, hub)
    for edge in edges * 2:
        sync(edge, hub)
    assert [edge.actor for edge in edges] == before
    assert_equal(hub, *edges)


async def test_a_sync_that_another_would_overtake_goes_first(tmp_path):
    """Else the later ticket would arrive first, and the earlier one look like a copy's."""
    async with opened(tmp_path / "h.db", space="s") as hub, opened(tmp_path / "a.db", space="s") as a:
        await heal(hub, a)
        actor, said, later = await a.actor(), asyncio.Event(), []

        async def slow(chunks):
            said.set()
            if later:
                await asyncio.wait(later, timeout=0.3)  # as long as it takes, if it does not wait for this one
            async for frame in respond(Replica(hub), chunks, rights="rw"):
                yield frame

        await a["t"].put("k", {})
        later.append(asyncio.create_task(_after(said, a, hub)))
        await sync_over(Replica(a), MemoryLink(slow, url=link_to(hub).url))
        await asyncio.gather(*later)
        assert (await a.actor(), a.renewed) == (actor, None)
        await assert_nodes_equal(a, hub)


async def _after(said, a, hub):
    await said.wait()
    await a["t"].put("l", {})
    await meet(a, hub)
