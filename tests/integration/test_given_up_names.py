"""A node that gives up names which others have seen: nobody passes over what is left, and nothing dead comes back."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from holdfast.clocks import Actor, Dot
from holdfast.engine.edits import Update
from holdfast.engine.storage.birth import begin_incarnation
from holdfast.engine.storage.journal import Journal
from holdfast.engine.storage.reissue import reissue
from holdfast.engine.storage.rows import Records

from ..gate import first
from .side import Side, assert_equal, now, sync

STRANGER = Actor("5" * 32)


def renew(side):
    """A sign of one who is not known to hold anything: every operation of this identity gets a new name."""
    now(side.replica.renew("a stranger's sign", peer=STRANGER))


def conflicts(side):
    return side.connection.execute("SELECT count(*) FROM conflict WHERE standing = 1").fetchone()[0]


def pair():
    e, hub = Side("e"), Side("hub")
    e.write("k", {"note": 1, "title": "kept"})
    sync(e, hub)
    return e, hub


@pytest.mark.parametrize("seen_again", [False, True])
def test_what_others_have_written_on_is_the_same_everywhere(seen_again):
    """The hub's write is the frontier, a field under the old name is not: neither side may pass over the record."""
    e, hub = pair()
    hub.update("k", note=2)
    sync(e, hub)
    if seen_again:  # the edge's own write is in front, and has seen the hub's
        e.update("k", more=3)
    renew(e)
    sync(e, hub)
    sync(e, hub)
    assert_equal(e, hub)
    assert e.docs() == {"k": '{"more":3,"note":2,"title":"kept"}' if seen_again else '{"note":2,"title":"kept"}'}
    assert not conflicts(hub)


def test_a_new_name_of_a_hidden_value_brings_no_dead_record_back():
    e, hub = pair()
    hub.delete("k")
    sync(e, hub)
    renew(e)
    assert e.docs() == {}
    sync(e, hub)
    sync(e, hub)
    assert_equal(e, hub)
    assert hub.docs() == {}


def test_of_several_new_names_in_one_record_the_last_stands_in_front():
    """It has seen the others; they all once stood beside it."""
    e, hub = pair()
    e.update("k", note=2)
    sync(e, hub)
    hub.update("k", more=3)
    sync(e, hub)
    renew(e)
    with e.store.transaction() as tx:
        records = Records(tx, Journal(tx))
        record = records.current(records.at("t", "k"))
    assert record.cells["title"].keys() == {Dot(e.actor, 1)}
    assert record.cells["note"].keys() == {Dot(e.actor, 2)}
    assert record.frontier == {Dot(hub.actor, 1), Dot(e.actor, 2)}
    sync(e, hub)
    sync(e, hub)
    assert_equal(e, hub)


def test_a_field_that_the_hub_removed_stays_removed():
    e, hub = pair()
    hub.write("k", Update({"note": "2"}, removed=frozenset({"title"})))
    sync(e, hub)
    renew(e)
    sync(e, hub)
    assert_equal(e, hub)
    assert hub.docs() == {"k": '{"note":2}'}


def test_a_node_that_is_behind_brings_back_nothing_that_lasts():
    """It holds what was replaced under a name that was given up; whoever knows better has the last word."""
    e, hub = pair()
    late, third = Side("late"), Side("third")
    sync(late, hub)
    sync(third, hub)
    third.delete("k")
    sync(third, hub)
    sync(e, hub)
    renew(e)
    sync(late, e)
    for _ in range(2):
        for node in (e, late, third):
            sync(node, hub)
    assert_equal(e, hub, late, third)
    assert e.docs() == {}


def test_what_comes_back_under_a_name_given_in_between_is_known_again():
    """The hub holds the second name of three: that was this node's as well, and gets no fourth."""
    e, hub = Side("e"), Side("hub")
    e.write("k", {"note": 1})
    renew(e)
    sync(e, hub)
    renew(e)
    sync(e, hub)
    sync(e, hub)
    assert_equal(e, hub)
    assert e.connection.execute("SELECT seq FROM node").fetchone() == (1,)
    assert not conflicts(e)


def test_records_that_wait_for_a_session_go_on_waiting():
    e, hub = pair()
    hub.update("k", note=2)
    sync(e, hub)
    renew(e)
    assert not e.whole
    vector = e.vector
    assert vector.seq(hub.actor) == 0  # it had seen what has another name now
    sync(e, hub)
    assert e.whole
    assert e.vector.seq(hub.actor) == hub.vector.seq(hub.actor) == 1


def test_what_was_taken_back_is_not_claimed_by_a_second_sign():
    """Under the second identity nothing was written: its end once claimed all again that nobody had read anew."""
    e, hub = pair()
    hub.write("k", {"note": 2})
    sync(e, hub)
    for _ in range(2):
        renew(e)
        assert e.vector.seq(hub.actor) == 0
        assert not e.whole
    sync(e, hub)
    assert e.whole
    assert e.vector.seq(hub.actor) == 1
    assert_equal(e, hub)


def test_a_part_of_a_commit_that_fails_gives_up_nothing():
    e, _ = pair()
    with e.store.transaction() as tx:
        with suppress(ValueError), tx.part():
            old = tx.own
            begin_incarnation(tx, "e")
            reissue(tx, old, 0, 0)
            assert [*tx.given_up.values()] == [0]
            raise ValueError
        assert tx.given_up == {}


@pytest.mark.parametrize("seed", first(12, range(40)))
def test_random_fleets_agree(seed):
    rng = Random(seed)
    hubs = [Side("a"), Side("b")]
    edges = [Side(f"e{number}") for number in range(3)]
    sync(hubs[1], hubs[0])
    nodes = [*hubs, *edges]
    for step in range(40):
        node = rng.choice(nodes)
        match rng.choice(("put", "update", "update", "delete", "sync", "sync", "sync", "renew")):
            case "put":
                node.write(rng.choice("xy"), {"v": step, "w": step})
            case "update":
                node.update(rng.choice("xy"), **{rng.choice("vw"): step})
            case "delete":
                node.delete(rng.choice("xy"))
            case "sync":
                sync(*((rng.choice(edges), rng.choice(hubs)) if rng.random() < 0.8 else hubs))
            case "renew" if step > 10:
                renew(node)
            case _:
                pass
    for _ in range(4):
        for edge in edges:
            for hub in hubs:
                sync(edge, hub)
    assert_equal(*nodes)
