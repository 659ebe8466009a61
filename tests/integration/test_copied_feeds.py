"""Copies that only merge move a feed that they share with the original: who reads both passes over nothing."""

from __future__ import annotations

import random

import pytest

from holdfast.engine.delta import StretchId
from holdfast.transport.messages import Ack, Batch, Hello

from ..gate import first
from .side import Side, assert_equal, begin, exchange, perform, sync


def edge_with_copy():
    """A hub, an edge that has synced with it, and a copy of the edge's file; another writer has news."""
    hub, edge, other = Side("hub"), Side("edge"), Side("other")
    edge.write("base", {})
    for side in (edge, other):
        sync(side, hub)
    return hub, edge, edge.copy("copy"), other


@pytest.mark.parametrize("merges", [1, 2, 5])
def test_a_copy_that_only_merges_hides_no_write_of_its_original(merges):
    hub, edge, copy, other = edge_with_copy()
    for n in range(merges):
        other.write(f"other{n}", {})
        sync(other, hub)
        sync(copy, hub)
    edge.write("own", {})
    sync(edge, hub)
    assert "own" in hub.docs()
    for _ in range(2):
        for side in (copy, edge, other):
            sync(side, hub)
    assert_equal(hub, edge, copy, other)


@pytest.mark.parametrize("first", ["edge", "copy"])
def test_of_two_copies_that_only_merge_one_goes_on_under_a_new_identity(first):
    hub, edge, copy, other = edge_with_copy()
    for n in range(2):
        other.write(f"other{n}", {})
        sync(other, hub)
        for side in (edge, copy) if first == "edge" else (copy, edge):
            sync(side, hub)
    assert edge.actor != copy.actor
    assert_equal(hub, edge, copy)


def test_what_is_merged_between_hello_and_reading_hides_nothing():
    """The copy's hello says nothing new; what its batch reaches came in behind it, from another session."""
    hub, edge, copy, other = edge_with_copy()
    second = Side("second")
    sync(other, second)
    second.write("from second", {})
    session = begin(copy)
    copy.connection.execute("UPDATE peer SET url = NULL")
    sync(copy, second)
    copy.connection.execute("UPDATE peer SET url = NULL WHERE actor = ?", (second.actor,))
    copy.connection.execute("UPDATE peer SET url = 'list://hub' WHERE actor = ?", (hub.actor,))
    exchange(copy, hub, session)
    sync(copy, hub)
    edge.write("own", {})
    sync(edge, hub)
    assert {"own", "from second"} <= set(hub.docs())


def test_an_acknowledgement_of_what_a_copy_sent_is_none():
    """Between the hub's hello and the end of its answer the copy has brought the checkpoint to where it is."""
    hub, edge, _, _ = edge_with_copy()
    edge.write("own", {})
    session = begin(edge)
    for message in exchange(edge, hub, session, answered_max=1).answered:
        assert isinstance(message, Hello)
    ack = Ack(feed=edge.facts().feed, checkpoint=edge.facts().head, stretch=StretchId(b"else"), taken=True)
    perform(edge, session, session.receive(ack))
    assert not session.pushed
    peer = edge.facts(actor=hub.actor).peer
    assert peer is not None
    assert peer.acked < edge.facts().head
    sync(edge, hub)
    assert_equal(edge, hub)


# ------------------------------------------------------------------------------------------- two files behind one URL


def hub_with_copy():
    """A hub and its copy, an edge that reads from either, and two writers whose records both hubs get."""
    hub, edge, x, y = Side("hub"), Side("edge"), Side("x"), Side("y")
    x.write("base", {})
    for side in (x, y, edge):
        sync(side, hub)
    return hub, hub.copy("copy"), edge, x, y


def test_a_hub_that_was_put_back_and_has_grown_past_a_checkpoint_hides_nothing():
    """What came in meanwhile came back by a writer whose acknowledgement was lost: vectors alone say nothing."""
    hub, edge, x, y = Side("hub"), Side("edge"), Side("x"), Side("y")
    for side in (x, y, edge):
        sync(side, hub)
    old = hub.copy("wednesday")
    x.write("x", {})
    exchange(x, hub, answered_max=0)
    sync(edge, hub)
    y.write("y", {})
    for side in (y, x):
        sync(side, old)
    for _ in range(2):
        for side in (edge, x, y):
            sync(side, old)
    assert_equal(old, edge, x, y)
    assert set(edge.docs()) == {"x", "y"}


def test_a_reader_is_sent_back_to_the_start_by_a_batch_that_ends_before_it_starts():
    hub, copy, edge, x, y = hub_with_copy()
    x.write("x", {})
    sync(x, copy)
    sync(edge, copy, rights="r")
    y.write("y", {})
    sync(y, hub)
    done = exchange(edge, hub, rights="r")
    back = next(message for message in done.answered if isinstance(message, Batch))
    assert back.end < back.start
    assert edge.checkpoint(hub) == 0
    sync(edge, hub, rights="r")
    assert {"x", "y", "base"} == set(edge.docs())


# ------------------------------------------------------------------------------------------------------- any schedule


@pytest.mark.parametrize("hub_is_copied", [False, True])
@pytest.mark.parametrize("seed", first(5, range(15)))
def test_no_acknowledged_write_is_missing_after_any_schedule(seed, hub_is_copied):
    """Copies of nodes write too as long as there is one hub; two files answer at one URL otherwise."""
    draw = random.Random(seed)
    hubs, nodes, wrote = [Side("hub")], [Side(f"n{n}") for n in range(3)], set()
    writers = [*nodes]
    for step in range(40):
        node, hub = draw.choice(nodes), draw.choice(hubs)
        match draw.randrange(10):
            case 0 if len(nodes) < 6:
                nodes.append(node.copy(f"copy{seed}/{step}"))
                writers += [] if hub_is_copied else nodes[-1:]
            case 1 if hub_is_copied and len(hubs) < 2:
                hubs.append(hub.copy(f"hub{seed}/{step}"))
            case 2:
                exchange(node, hub, answered_max=draw.randrange(4))
            case 3 | 4:
                wrote.add(f"k{step}")
                draw.choice(writers).write(f"k{step}", {"by": step})
            case _:
                sync(node, hub)
    for _ in range(4):
        for hub in hubs:
            for node in nodes:
                sync(node, hub)
    assert len(wrote) > 1
    for side in (*hubs, *nodes):
        assert set(side.docs()) == wrote, side.name
        assert side.digest == hubs[0].digest
