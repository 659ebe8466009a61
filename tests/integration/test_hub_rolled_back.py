"""A hub whose directory was put back in place, with its witness: nothing at the hub can tell, every node can."""

from __future__ import annotations

import shutil

import pytest

from holdfast.engine.replica import Replica
from holdfast.transport.answering import Responder
from holdfast.transport.handshake import RENEW
from holdfast.transport.messages import Hello, Refuse

from ..nodes import assert_equal, heal, meet, opened
from .side import Side, begin, exchange, perform, sync
from .side import assert_equal as assert_sides_equal


def save(path, backup):
    for suffix in ("", "-witness"):
        shutil.copy(f"{path}{suffix}", f"{backup}{suffix}")


def put_back(backup, path):
    """Old contents in the same files: host, inode and witness agree."""
    save(backup, path)


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("writes", [1, 6])
async def test_nodes_and_a_hub_that_was_put_back_agree_again(tmp_path, first, writes):
    path, backup = tmp_path / "hub.db", tmp_path / "backup"
    async with (
        opened(tmp_path / "e0.db", space="s") as e0,
        opened(tmp_path / "e1.db", space="s") as e1,
        opened(tmp_path / "e2.db", space="s") as e2,
    ):
        nodes = [e0, e1, e2]
        await e0["t"].put("base", {"v": 0})
        async with opened(path, space="s", name="hub") as hub:
            await heal(hub, *nodes)
        save(path, backup)
        async with opened(path, name="hub", seed="tuesday") as hub:
            for n in range(3):
                await e1["t"].put(f"a{n}", {"v": n})
            await meet(e1, hub)
            await meet(e0, hub)
        put_back(backup, path)
        async with opened(path, name="hub", seed="wednesday") as hub:
            assert hub.renewed is None
            for n in range(writes):
                await e2["t"].put(f"b{n}", {"v": n})
            for node in [e2, nodes[first]]:
                await meet(node, hub)
            await heal(hub, *nodes)
            assert hub.renewed
            assert (await hub.status()).incarnations == 2
            await assert_equal(hub, *nodes)
            assert await hub["t"].count() == 4 + writes
            # Of what the first one says, the hub may lack even the base: then each takes the other for a copy.
            assert e0.renewed is e2.renewed is None


async def test_what_was_read_and_not_acknowledged_keeps_its_name_from_what_was_lost(tmp_path):
    """The hub gives a number again, and who reads that acknowledges it with the next call only."""
    path, backup = tmp_path / "hub.db", tmp_path / "backup"
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "b.db", space="s") as b:
        async with opened(path, space="s", name="hub") as hub:
            await hub["t"].put("base", {"v": 0})
            await heal(hub, a, b)
        save(path, backup)
        async with opened(path, name="hub", seed="tuesday") as hub:
            await hub["t"].put("lost", {"v": 1})
            await meet(a, hub)
        put_back(backup, path)
        async with opened(path, name="hub", seed="wednesday") as hub:
            await hub["t"].put("new", {"v": 2})
            await meet(b, hub)
            assert hub.renewed is None
            await meet(a, hub)
            assert hub.renewed
            await heal(hub, a, b)
            await assert_equal(hub, a, b)
            assert {d.key for d in await b["t"].query()} == {"base", "lost", "new"}


@pytest.mark.parametrize("own", [False, True])
async def test_a_reading_token_gets_all_from_a_hub_that_was_put_back(tmp_path, own):
    """It changes nothing at the hub, so the hub goes on as it is; the node reads anew."""
    path, backup = tmp_path / "hub.db", tmp_path / "backup"
    async with opened(tmp_path / "reader.db", space="s") as reader, opened(tmp_path / "e.db", space="s") as e:
        async with opened(path, space="s", name="hub") as hub:
            await e["t"].put("base", {})
            await meet(e, hub)
            await meet(reader, hub, rights="r")
        save(path, backup)
        async with opened(path, name="hub", seed="tuesday") as hub:
            await hub["t"].put("lost", {})
            await meet(reader, hub, rights="r")
        put_back(backup, path)
        async with opened(path, name="hub", seed="wednesday") as hub:
            if own:
                await reader["t"].put("own", {})
            for n in range(5):
                await e["t"].put(f"new{n}", {})
                await meet(e, hub)
            await meet(reader, hub, rights="r")
            assert hub.renewed is None
            assert {d.key for d in await reader["t"].query()} >= {"base", "lost", *(f"new{n}" for n in range(5))}


async def test_two_hubs_of_which_one_was_put_back_agree_again(tmp_path):
    path, backup = tmp_path / "hub.db", tmp_path / "backup"
    async with opened(tmp_path / "two.db", space="s") as two, opened(tmp_path / "e.db", space="s") as e:
        async with opened(path, space="s", name="hub") as hub:
            await e["t"].put("base", {})
            await heal(hub, e, two)
        save(path, backup)
        async with opened(path, name="hub", seed="tuesday") as hub:
            await e["t"].put("k", {})
            await heal(hub, e, two)
        put_back(backup, path)
        async with opened(path, name="hub", seed="wednesday") as hub:
            await e["t"].put("l", {})
            await meet(e, two)
            await heal(hub, two, e)
            await assert_equal(hub, two, e)
            assert await hub["t"].count() == 3


# ------------------------------------------------------------------------------------- by messages, without a file


def rolled_back():
    """A hub, what it was before, and three nodes that it told of what came in between."""
    hub, nodes = Side("hub"), [Side(f"e{n}") for n in range(3)]
    nodes[0].write("base", {"v": 0})
    for node in nodes:
        sync(node, hub)
    old = hub.copy("wednesday")
    for n in range(3):
        nodes[1].write(f"a{n}", {"v": n})
    for node in (nodes[1], nodes[0]):
        sync(node, hub)
    return old, nodes


def test_a_hello_says_what_was_assumed_of_its_receiver():
    hub, node = Side("hub"), Side("node")
    node.write("k", {})
    sync(node, hub)
    assert not exchange(node, hub).said[0].lacks
    node.write("l", {})
    node.write("m", {})
    done = exchange(node, hub)
    assert dict(done.said[0].lacks.items()) == {node.actor: 2}
    assert not any(hello.lacks for hello in done.answered if isinstance(hello, Hello))
    assert not exchange(node, hub).said[0].lacks


def test_a_hub_that_has_forgotten_takes_nothing_before_it_has_begun_anew():
    old, nodes = rolled_back()
    before = old.actor
    nodes[1].write("later", {})
    done = exchange(nodes[1], old)
    if old.actor == before:  # it did not hold the base of the vector: it asked for a whole one
        done = exchange(nodes[1], old, begin(nodes[1], whole_vector=True))
    assert old.actor != before
    assert "later" not in old.docs()
    assert done.answered[0].actor == old.actor
    for node in (*nodes, *nodes):
        sync(node, old)
    assert_sides_equal(old, *nodes)
    assert len(old.docs()) == 5


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_hub_that_has_forgotten_may_be_cut_at_any_message(cut):
    old, nodes = rolled_back()
    for node in nodes:
        node.write(f"from {node.name}", {})
        exchange(node, old, answered_max=cut)
        exchange(node, old, said_max=cut)
        exchange(node, old, answered_max=cut)
    for node in (*nodes, *nodes):
        sync(node, old)
    assert_sides_equal(old, *nodes)
    assert len(old.docs()) == 7


def test_an_old_request_that_comes_again_is_no_sign_of_a_rolled_back_hub():
    """What it assumes is older than what its receiver holds."""
    hub, node, other = Side("hub"), Side("node"), Side("other")
    before, said = hub.actor, []
    for turn in range(4):
        node.write(f"k{turn}", {})
        other.write(f"o{turn}", {})
        for side in (other, node):
            said += [done.said for done in sync(side, hub)]
    for request in said * 2:
        responder, answers = Responder("rw"), []
        for message in request:
            if not responder.stopped:
                answers += perform(hub, responder, responder.receive(message))
        answers += perform(hub, responder, responder.finish()) + perform(hub, responder, responder.close())
        assert not any(isinstance(answer, Refuse) and answer.code != RENEW for answer in answers)
        assert hub.actor == before
    for side in (other, node, other):
        sync(side, hub)
    assert hub.actor == before
    assert_sides_equal(hub, node, other)


def test_sessions_that_overlap_are_no_sign_of_a_rolled_back_hub():
    """A hello that was read before others moved on assumes less than there is by now."""
    hub, node, other = Side("hub"), Side("node"), Side("other")
    node.write("k", {})
    for side in (node, other, node):
        sync(side, hub)
    actors = hub.actor, node.actor
    late = [begin(node) for _ in range(2)]
    other.write("o", {})
    sync(other, hub)
    sync(node, hub)
    for session in late:
        exchange(node, hub, session)
    sync(node, hub)
    assert (hub.actor, node.actor) == actors
    assert_sides_equal(hub, node, other)


def test_operations_that_were_withdrawn_are_no_sign_of_a_rolled_back_hub():
    """An identity that was given up takes its names back: nobody judges its successor by them."""
    hub, node = Side("hub"), Side("node")
    node.write("shared", {})
    sync(node, hub)
    copy = node.copy("copy")
    for side in (node, copy):
        for n in range(3):
            side.write(f"{side.name}{n}", {"n": n})
    hub_before = hub.actor
    for side in (node, copy, node, copy, node):
        sync(side, hub)
    assert hub.actor == hub_before
    assert_sides_equal(hub, node, copy)


async def test_two_that_notice_at_once_make_the_hub_begin_anew_once(tmp_path):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        replica, before = Replica(hub), await hub.actor()
        await replica.renew("first", of=before)
        once = await hub.actor()
        await replica.renew("second", of=before)
        assert await hub.actor() == once != before
