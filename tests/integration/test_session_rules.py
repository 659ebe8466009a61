"""The numbered rules of docs/protocol.md, Rules: two sessions and a list, no loop, no socket, no sleep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast import Manual, Schema
from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.engine.delta import ASIDE, Delta, FeedBatch
from holdfast.engine.membership import Bond, Membership
from holdfast.errors import IncompatibleProtocol, MalformedMessage, SessionRefused, SpaceMismatch
from holdfast.transport import answering
from holdfast.transport.answering import Responder
from holdfast.transport.effects import Fail, Send
from holdfast.transport.handshake import RENEW, to_message
from holdfast.transport.messages import PROTOCOL_VERSION, Ack, Batch, Hello, NeedVector, NeedWhole, Refuse
from holdfast.transport.responder import respond
from holdfast.transport.session import Initiator
from holdfast.transport.wire import Decoder, encode

from ..transport.samples import decoded
from .side import HUB, Side, assert_equal, begin, exchange, now, perform, sync


@pytest.fixture
def node():
    return Side("node")


@pytest.fixture
def hub():
    return Side("hub")


def names(messages):
    return [type(message).__name__ for message in messages]


def fill(side, prefix, count, **fields):
    for n in range(count):
        side.write(f"{prefix}{n}", {"by": side.name, "n": n, **fields})


# --------------------------------------------------------------------------------------------------- 1: handshake


def test_1_a_hello_says_who_from_where_and_how_far(node, hub):
    node.write("k", {})
    sync(node, hub)
    node.write("l", {})
    done = exchange(node, hub)
    said, answer = done.said[0], done.answered[0]
    facts = node.facts()
    assert (said.actor, said.label, said.feed, said.head) == (node.actor, "node", facts.feed, 2)
    assert (said.space_name, said.space) == ("plant", facts.membership.space)
    assert (said.peer_feed, said.held_of, said.checkpoints) == (hub.facts().feed, hub.actor, {0: hub.facts().head - 1})
    assert said.clock_ms > 0
    assert (answer.held_of, answer.held) == (node.actor, 1)
    assert answer.checkpoints == {0: 1}


def test_1_the_vector_travels_as_a_difference_when_both_know_the_base(node, hub):
    fill(node, "k", 3)
    sync(node, hub)
    node.write("l", {})
    after = exchange(node, hub)
    for hello in (after.said[0], after.answered[0]):
        assert hello.vector.base
        assert len(hello.vector.entries) <= 1


def test_1_at_first_contact_only_the_handshake_is_sent_before_the_answer(node, hub):
    fill(node, "n", 5)
    fill(hub, "h", 5)
    first = exchange(node, hub)
    assert names(first.said) == ["Hello"]
    assert names(first.answered) == ["Hello", "Batch", "Batch", "Batch"]
    assert not first.said[0].vector.base
    assert first.initiator.pulled
    assert not first.initiator.pushed
    assert node.docs().keys() >= hub.docs().keys()


def test_1_a_session_in_which_nothing_is_new_is_one_exchange(node, hub):
    fill(node, "n", 3)
    sync(node, hub)
    sync(node, hub)
    (only,) = sync(node, hub)
    assert names(only.said) == ["Hello"]
    assert names(only.answered) == ["Hello", "Batch"]
    assert len(only.answered[1].delta) == 0


def test_1_a_base_that_the_peer_does_not_hold_is_asked_for_whole(node, hub):
    fill(node, "n", 3)
    sync(node, hub)
    node.write("n9", {})
    hub.connection.execute("UPDATE peer SET vector = NULL")  # the hub has forgotten what it was told
    first = exchange(node, hub)
    assert names(first.answered) == ["Hello", "NeedVector"]
    assert first.initiator.next_whole_vector
    done = sync(node, hub)
    assert any(isinstance(message, NeedVector) for message in done[0].answered)
    assert not done[1].said[0].vector.base
    assert_equal(node, hub)


def test_1_a_hub_that_was_replaced_is_a_new_peer(node):
    old, new = Side("hub"), Side("other hub")
    fill(node, "n", 3)
    sync(node, old)
    fill(new, "h", 2)
    # The new one has the old one's space id: it was set up as its replacement.
    new.connection.execute("UPDATE node SET space = ?, bond = 2", (old.facts().membership.space,))
    sync(node, new)
    assert_equal(node, new)


def test_1_an_empty_hub_in_place_of_a_lost_one_gets_everything(node):
    """What the node would leave out for the old hub, the new one lacks."""
    for cut in range(6):
        old, new, node = Side("hub"), Side("new hub"), Side(f"node{cut}")
        fill(old, "h", 4)
        exchange(node, old, answered_max=cut)
        exchange(node, old, answered_max=cut)
        node.write("own", {})
        sync(node, new)
        assert new.docs() == node.docs()
        assert new.digest == node.digest
        if cut > 3:  # else some records wait for the end of a session that nobody can end any more
            assert_equal(node, new)


def test_1_a_hub_that_came_back_from_yesterdays_backup_gets_everything_again(node, hub):
    fill(node, "n", 3)
    sync(node, hub)
    yesterday = hub.copy("restored")
    fill(node, "m", 3)
    sync(node, hub)
    from holdfast.engine.storage.birth import begin_incarnation

    with yesterday.store.transaction() as tx:
        begin_incarnation(tx, "hub")
    sync(node, yesterday)
    assert_equal(node, yesterday)
    assert len(yesterday.docs()) == 6


# ------------------------------------------------------------------------------------- spaces, identities, rights


def test_1_a_new_node_takes_over_the_space_of_the_hub(node, hub):
    of_hub = hub.facts().membership.space
    assert node.facts().membership.space != of_hub
    sync(node, hub)
    assert node.facts().membership == hub.facts().membership == Membership(of_hub, Bond.LOOSE)
    node.write("k", {})
    sync(node, hub)
    assert node.facts().membership == hub.facts().membership == Membership(of_hub, Bond.BOUND)


def test_1_two_nodes_that_have_met_others_do_not_mix_their_spaces(node, hub):
    node.write("n", {})
    sync(node, hub)
    stranger, strangers_hub = Side("stranger"), Side("strangers hub")
    stranger.write("k", {})
    sync(stranger, strangers_hub)
    with pytest.raises(SpaceMismatch):
        sync(stranger, hub)
    assert set(hub.docs()) == {"n"}


def test_1_a_space_of_another_name_is_refused_at_once(hub):
    other = Side("node", space="office")
    other.write("k", {})
    with pytest.raises(SpaceMismatch, match="plant"):
        sync(other, hub)
    assert hub.docs() == {}
    assert other.facts().membership.bond is Bond.FREE


def test_1_an_initiator_that_belongs_elsewhere_refuses_a_hub_that_does_not_mind(node, hub):
    """A hub's answer is checked as well: it need not be honest."""
    node.write("n", {})
    sync(node, hub)
    session = begin(node)
    session.opening()
    answer = exchange(Side("x"), hub).answered[0]
    with pytest.raises(SpaceMismatch):
        perform(node, session, session.receive(replace(answer, space=SpaceId("0" * 32), aliases=())))


def test_1_both_sides_under_one_identity_never_exchange_records(hub):
    hub.write("k", {})
    twin = hub.copy("twin")
    twin.write("l", {})
    before = twin.actor
    done = sync(twin, hub)
    assert done[0].answered[0].code == RENEW
    assert twin.actor != before
    assert_equal(twin, hub)
    assert set(hub.docs()) == {"k", "l"}


def test_1_a_token_that_may_only_read_gets_all_and_leaves_nothing(node, hub):
    fill(hub, "h", 3)
    fill(node, "n", 3)
    done = sync(node, hub, rights="r")
    assert done[-1].answered[0].rights == "r"
    assert not done[-1].initiator.pushed
    assert set(hub.docs()) == {"h0", "h1", "h2"}
    assert len(node.docs()) == 6
    sync(node, hub)
    assert_equal(node, hub)


def test_1_a_reader_that_sends_batches_all_the_same_is_not_acknowledged(node, hub):
    sync(node, hub)
    fill(node, "n", 3)
    done = exchange(node, hub, rights="r")
    assert "Batch" in names(done.said)
    assert "Ack" not in names(done.answered)
    assert hub.docs() == {}


# --------------------------------------------------------------------------------------------- 2: streaming, need


def test_2_records_come_in_feed_order_from_the_checkpoint(node, hub):
    fill(hub, "h", 5)
    sync(node, hub)
    hub.update("h1", n=9)
    hub.write("late", {})
    done = exchange(node, hub)
    (batch,) = [message for message in done.answered if isinstance(message, Batch)]
    assert batch.delta.key == ["h1", "late"]
    assert (batch.start, batch.end) == (5, 7)


def test_2_what_the_peer_has_taken_in_is_not_sent_back(node, hub):
    other = Side("other")
    fill(node, "n", 4)
    sync(node, hub)
    sync(other, hub)
    done = sync(node, hub)
    assert sum(len(m.delta) for x in done for m in x.answered if isinstance(m, Batch)) == 0
    done = sync(other, hub)
    assert sum(len(m.delta) for x in done for m in x.said if isinstance(m, Batch)) == 0


def test_2_values_that_the_peer_holds_are_left_out(node, hub):
    hub.write("k", {"long": "x" * 5_000, "n": 0})
    sync(node, hub)
    hub.update("k", n=1)
    done = sync(node, hub)
    (doc,) = [doc for x in done for m in x.answered if isinstance(m, Batch) for doc in m.delta.doc]
    assert doc == '{"n":1}'
    assert_equal(node, hub)


def test_2_a_value_that_was_left_out_and_is_missing_is_asked_for(node, hub):
    hub.write("k", {"kept": "x", "n": 0})
    hub.update("k", n=1)
    hub.write("l", {})
    session = exchange(node, hub, answered_max=1).initiator
    believed = now(hub.replica.read(0, VersionVector({hub.actor: 1})))
    perform(node, session, session.receive(to_message(believed, hub.vector)))
    assert [key for _, key in session.next_wants] == ["k"]
    assert set(node.docs()) == {"l"}  # everything else flows
    assert not session.pulled
    assert node.checkpoint(hub) == 0
    again = exchange(node, hub, begin(node, wants=session.next_wants))
    assert isinstance(again.said[1], NeedWhole)
    assert node.docs()["k"] == '{"kept":"x","n":1}'
    assert next(m.start for m in again.answered if isinstance(m, Batch)) == ASIDE
    sync(node, hub)
    assert_equal(node, hub)


def test_2_a_responder_asks_for_what_it_lacks_and_gets_it(node, hub, monkeypatch):
    monkeypatch.setattr(answering, "forgotten", lambda *_: None)
    node.write("k", {"kept": "x", "n": 0})
    sync(node, hub)
    node.update("k", n=1)
    # The hub has lost what it had taken in and does not notice: what the node remembers of its vector is too new.
    hub.connection.execute("DELETE FROM record")
    hub.connection.execute("DELETE FROM vector")
    hub.connection.execute("UPDATE node SET digest = 0")
    hub.store.forget()
    done = sync(node, hub)
    assert any(isinstance(m, NeedWhole) for m in done[0].answered)
    assert any(message.start == ASIDE for each in done for message in each.said if isinstance(message, Batch))
    assert hub.docs() == {"k": '{"kept":"x","n":1}'}
    assert_equal(node, hub)


# ------------------------------------------------------------------------------- 3: one transaction per batch, cuts


def test_3_a_batch_that_does_not_start_at_the_checkpoint_joins_and_moves_nothing(node, hub):
    fill(hub, "h", 6)
    exchange(node, hub, answered_max=1)
    batches = []
    at = 0
    while not batches or not batches[-1].drained:
        batches.append(now(hub.replica.read(at, EMPTY)))
        at = batches[-1].end
    assert len(batches) == 3
    outcome = now(node.replica.apply(batches[2], hub.actor, follows=True))
    assert (outcome.fresh, outcome.moved, outcome.completed) == (2, False, False)
    assert node.checkpoint(hub) == 0
    assert node.vector == EMPTY
    assert not node.whole
    for batch in batches:
        now(node.replica.apply(batch, hub.actor, follows=True))
    assert node.checkpoint(hub) == 6
    assert node.vector == hub.vector
    assert node.whole


def test_3_a_batch_that_comes_twice_changes_nothing(node, hub):
    fill(hub, "h", 2)
    sync(node, hub)
    digest, head = node.digest, node.facts().head
    outcome = now(node.replica.apply(now(hub.replica.read(0, EMPTY)), hub.actor, follows=True))
    assert (outcome.fresh, outcome.merged, outcome.moved) == (0, 0, False)
    assert (node.digest, node.facts().head) == (digest, head)


def test_3_records_of_a_cut_session_carry_the_senders_context_onwards(node, hub):
    fill(hub, "h", 6)
    exchange(node, hub, answered_max=3)  # the hello and two of three batches
    assert len(node.docs()) == 4
    assert node.vector == EMPTY
    assert not node.whole
    third = Side("third")
    sync(third, node)  # what came in parts is passed on in parts
    assert len(third.docs()) == 4
    assert third.vector == EMPTY
    sync(third, node)
    sync(node, hub)
    sync(third, node)
    assert_equal(node, hub, third)


def scene():
    """Two nodes that have met and then written on both sides, with conflicts and deletes."""
    node, hub = Side("node"), Side("hub")
    fill(hub, "c", 5)
    sync(node, hub)
    for side in (node, hub):
        fill(side, side.name, 5)
        side.update("c0", v=side.name)
        side.update("c1", **{side.name: 1})
    node.delete("c2")
    hub.update("c2", v=1)
    hub.delete("c3")
    node.delete("c4")
    return node, hub


def lengths():
    node, hub = scene()
    done = exchange(node, hub)
    return len(done.said), len(done.answered)


SAID, ANSWERED = lengths()


def expected():
    node, hub = scene()
    sync(node, hub)
    sync(node, hub)
    assert_equal(node, hub)
    return node.docs()


EXPECTED = expected()


def test_3_the_scene_is_worth_cutting():
    assert SAID >= 4
    assert ANSWERED >= 4


@pytest.mark.parametrize("said_max", range(SAID + 1))
def test_3_a_request_that_is_cut_at_any_message_loses_nothing(said_max):
    node, hub = scene()
    exchange(node, hub, said_max=said_max)
    hub.update("c0", v="meanwhile")
    node.write("meanwhile", {})
    sync(node, hub)
    sync(node, hub)
    assert_equal(node, hub)
    assert set(node.docs()) == set(EXPECTED) | {"meanwhile"}


@pytest.mark.parametrize("answered_max", range(ANSWERED + 1))
def test_3_an_answer_that_is_cut_at_any_message_loses_nothing(answered_max):
    node, hub = scene()
    exchange(node, hub, answered_max=answered_max)
    sync(node, hub)
    sync(node, hub)
    assert_equal(node, hub)
    assert node.docs() == EXPECTED


@pytest.mark.parametrize("said_max", range(SAID))
def test_3_a_sync_that_is_cut_again_and_again_ends_all_the_same(said_max):
    node, hub = scene()
    for answered_max in range(ANSWERED):
        exchange(node, hub, said_max=said_max)
        exchange(node, hub, answered_max=answered_max)
    sync(node, hub)
    assert_equal(node, hub)
    assert node.docs() == EXPECTED
    # The lost acknowledgements were no sign of a copy.
    assert len([actor for actor in node.vector.items() if actor[0][:16] == node.actor[:16]]) == 1


def test_3_the_first_contact_can_be_cut_anywhere():
    for said_max, answered_max in [(0, None), (1, None), *((None, n) for n in range(5))]:
        node, hub = Side("node"), Side("hub")
        fill(node, "n", 3)
        fill(hub, "h", 5)
        exchange(node, hub, said_max=said_max, answered_max=answered_max)
        sync(node, hub)
        sync(node, hub)
        assert_equal(node, hub)
        assert len(node.docs()) == 8
        assert len(node.vector) == 2


def test_3_what_was_acknowledged_is_not_sent_again(node, hub):
    sync(node, hub)
    fill(node, "n", 6)
    cut = exchange(node, hub, answered_max=0)
    assert sum(len(m.delta) for m in cut.said if isinstance(m, Batch)) == 6
    sync(node, hub)  # the acknowledgement was lost: the hello's checkpoint says as much
    assert_equal(node, hub)
    after = exchange(node, hub)
    assert sum(len(m.delta) for m in after.said if isinstance(m, Batch)) == 0


# ---------------------------------------------------------------------------------------------------- 4: drained


def test_4_only_a_drained_batch_moves_the_vector(node, hub):
    fill(hub, "h", 6)
    for answered_max, vector in ((2, EMPTY), (2, EMPTY), (None, hub.vector)):
        exchange(node, hub, answered_max=answered_max)
        assert node.vector == vector
    assert node.whole


def test_4_the_vector_is_that_of_the_transaction_that_was_drained(node, hub):
    fill(hub, "h", 2)
    batch = now(hub.replica.read(0, EMPTY))
    assert batch.drained
    hub.write("later", {})
    exchange(node, hub, answered_max=1)
    now(node.replica.apply(batch, hub.actor, follows=True))
    assert node.vector == VersionVector({hub.actor: 2})


def test_4_a_batch_that_was_lost_moves_nothing(node, hub):
    fill(hub, "h", 6)
    done = exchange(node, hub, answered_max=1)
    batches = [now(hub.replica.read(at, EMPTY)) for at in (0, 2, 4)]
    for batch in (batches[0], batches[2]):
        now(node.replica.apply(batch, hub.actor, follows=True))
    assert node.checkpoint(hub) == 2
    assert node.vector == EMPTY
    sync(node, hub)
    assert_equal(node, hub)
    assert not done.initiator.pulled


def test_4_an_update_of_the_vector_alone_is_a_drained_batch_as_well(node, hub):
    """A record that a third node overwrote before anyone read it leaves a number in vectors and nothing else."""
    third = Side("third")
    node.write("k", {"n": 1})
    sync(node, hub)
    sync(third, hub)
    third.update("k", n=2)
    sync(third, hub)
    sync(node, hub)
    assert node.vector == hub.vector == third.vector


# -------------------------------------------------------------------------------------------- 7: whole transactions


def test_7_a_batch_never_ends_inside_a_transaction(node, hub):
    from holdfast.engine.edits import Put
    from holdfast.engine.storage.write import Write, write_all

    for n in range(4):
        with hub.store.transaction() as tx:
            write_all(tx, [Write(collection="t", key=f"{n}/{m}", edit=Put({})) for m in range(5)])
    done = exchange(node, hub)
    assert [m.delta.key for m in done.answered if isinstance(m, Batch)] == [
        [f"{n}/{m}" for m in range(5)] for n in range(4)
    ]


# ------------------------------------------------------------------------------------------------ copies, restores


@pytest.mark.parametrize("met_before", [True, False], ids=["between sessions", "before the first session"])
def test_a_copy_that_was_made_while_no_session_ran_loses_no_write(node, hub, met_before):
    node.write("shared", {"v": 0})
    if met_before:
        sync(node, hub)
    copy = node.copy("copy")
    for side, name in ((node, "original"), (copy, "copy")):
        side.write(name, {})
        side.update("shared", v=name)
    for side in (node, copy, node, copy):
        sync(side, hub)
    assert_equal(node, copy, hub)
    assert set(hub.docs()) == {"shared", "original", "copy"}


@pytest.mark.parametrize("cut", [{"answered_max": 0}, {"answered_max": 2}, {"said_max": 2}])
def test_a_copy_is_found_also_when_the_session_before_was_cut(node, hub, cut):
    node.write("shared", {"v": 0})
    sync(node, hub)
    copy = node.copy("copy")
    for side, name in ((node, "original"), (copy, "copy")):
        fill(side, name, 3)
    exchange(node, hub, **cut)
    exchange(copy, hub, **cut)
    for side in (copy, node, copy, node):
        sync(side, hub)
    assert_equal(node, copy, hub)
    assert len(hub.docs()) == 7


def test_many_copies_of_one_file_all_keep_their_writes(node, hub):
    node.write("shared", {})
    sync(node, hub)
    copies = [node, *(node.copy(f"copy{n}") for n in range(4))]
    for _ in range(2):
        for n, side in enumerate(copies):
            side.write(f"k{n}", {"n": n})
            side.update("shared", **{f"f{n}": 1})
        for side in copies:
            sync(side, hub)
    for side in copies * 2:
        sync(side, hub)
    assert_equal(*copies, hub)
    assert len(hub.docs()) == 6


def test_yesterdays_file_is_found_by_the_number_that_the_hub_holds(node, hub):
    node.write("k", {"v": 0})
    sync(node, hub)
    yesterday = node.copy("restored")
    for n in range(5):
        node.update("k", v=n)
    node.write("tuesday", {})
    sync(node, hub)
    before = yesterday.actor
    yesterday.write("new", {})
    sync(yesterday, hub)
    sync(yesterday, hub)
    assert yesterday.actor != before
    assert_equal(yesterday, hub)
    assert set(hub.docs()) == {"k", "tuesday", "new"}


def test_a_hub_whose_file_was_rolled_back_unnoticed_learns_it_from_a_node(node, hub):
    hub.write("h", {"v": 0})
    sync(node, hub)
    yesterday = hub.copy("restored")
    hub.write("later", {})
    sync(node, hub)
    before = yesterday.actor
    sync(node, yesterday)
    assert yesterday.actor != before
    yesterday.write("again", {})
    sync(node, yesterday)
    sync(node, yesterday)
    assert_equal(node, yesterday)
    assert set(yesterday.docs()) == {"h", "later", "again"}


def test_a_node_that_comes_by_another_address_keeps_its_identity(node, hub):
    fill(node, "n", 3)
    sync(node, hub)
    before = node.actor
    node.connection.execute("UPDATE peer SET url = 'list://old address'")
    fill(node, "m", 3)
    sync(node, hub)
    assert node.actor == before
    assert_equal(node, hub)


# -------------------------------------------------------------------------------------- what a peer must not send


def answer_to(node, hub):
    return exchange(node, hub).answered


@pytest.mark.parametrize(
    "message",
    [
        Ack(feed="00" * 8, checkpoint=1),
        Batch(feed="00" * 8, start=0, end=0, drained=True, vector=None, delta=Delta()),
    ],
    ids=["ack", "batch"],
)
def test_an_answer_must_begin_with_a_hello(node, message):
    session = begin(node)
    session.opening()
    (effect,) = session.receive(message)
    assert isinstance(effect, Fail)
    assert isinstance(effect.error, MalformedMessage)


@pytest.mark.parametrize("message", [Ack(feed="00" * 8, checkpoint=1), NeedVector(), NeedWhole("00" * 8, ())])
def test_a_request_must_begin_with_a_hello(message):
    (effect,) = Responder("rw").receive(message)
    assert isinstance(effect, Fail)
    assert isinstance(effect.error, MalformedMessage)


def test_a_request_without_any_message_is_refused():
    (effect,) = Responder("rw").finish()
    assert isinstance(effect, Fail)
    assert isinstance(effect.error, MalformedMessage)


def test_a_second_hello_in_one_request_is_refused(node, hub):
    responder = Responder("rw")
    (message,) = [effect.message for effect in begin(node).opening() if isinstance(effect, Send)]
    perform(hub, responder, responder.receive(message))
    (effect,) = responder.receive(message)
    assert isinstance(effect.error, MalformedMessage)


def test_a_batch_on_an_unknown_base_is_refused(node, hub):
    sync(node, hub)
    responder = Responder("rw")
    (message,) = [effect.message for effect in begin(node).opening() if isinstance(effect, Send)]
    perform(hub, responder, responder.receive(message))
    batch = FeedBatch(feed=node.facts().feed, start=0, end=0, drained=True)
    (effect,) = responder.receive(to_message(batch, VersionVector({Actor("9" * 32): 4})))
    assert isinstance(effect.error, MalformedMessage)


def test_a_refusal_is_an_error_with_the_peers_words(node):
    session = begin(node)
    session.opening()
    (effect,) = session.receive(Refuse(code="hub-error", message="no room", subject="hub", remedy="Wait."))
    assert isinstance(effect.error, SessionRefused)
    assert (effect.error.what, effect.error.subject, effect.error.remedy) == ("no room", "hub", "Wait.")


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1, 255])
async def test_a_peer_of_another_protocol_version_is_refused_by_name(node, hub, version):
    """Over the wire: only bytes have versions."""
    node.write("k", {})

    async def request():
        for effect in begin(node).opening():
            for frame in encode(replace(effect.message, version=version)):
                yield frame

    decoder, answers = Decoder(), []
    with pytest.raises(IncompatibleProtocol):  # noqa: PT012 - the refusal comes before the error
        async for frame in respond(hub.replica, request(), rights="rw"):
            answers += decoded(decoder, frame)
    (refusal,) = answers
    assert (refusal.code, str(version) in refusal.message) == (IncompatibleProtocol.code, True)
    session = begin(node)
    session.opening()
    (effect,) = session.receive(refusal)
    assert isinstance(effect.error, IncompatibleProtocol)
    assert hub.docs() == {}
    # And the other way about: an answer of another version.
    (answer,) = exchange(node, hub, answered_max=1).answered
    with pytest.raises(IncompatibleProtocol, match=str(version)):
        list(decoded(Decoder(), b"".join(encode(replace(answer, version=version)))))


def test_a_responder_says_nothing_more_after_a_refusal(hub):
    responder = Responder("rw")
    other = Side("node", space="office")
    (message,) = [effect.message for effect in begin(other).opening() if isinstance(effect, Send)]
    (refusal,) = perform(hub, responder, responder.receive(message))
    assert isinstance(refusal, Refuse)
    assert responder.stopped
    assert responder.finish() == []


# ------------------------------------------------------------------------------------------------------ divergence


def test_equal_vectors_with_different_cells_are_reported(node, hub):
    fill(node, "n", 3)
    sync(node, hub)
    sync(node, hub)
    hub.connection.execute("UPDATE node SET digest = digest + 1")
    (only,) = sync(node, hub)
    assert only.initiator.diverged


def test_a_policy_that_differs_shows_otherwise_and_holds_the_same():
    node, hub = Side("node", schemas=(Schema(name="t", fields={"v": Manual()}),)), Side("hub")
    node.write("k", {"v": 0})
    sync(node, hub)
    node.update("k", v="N")
    hub.update("k", v="H")
    sync(node, hub)
    sync(node, hub)
    assert_equal(node, hub)
    assert isinstance(sync(node, hub)[0].answered[0], Hello)
    assert sync(node, hub)[0].answered[0].policy != sync(node, hub)[0].said[0].policy


def test_the_initiator_is_only_an_initiator():
    assert not hasattr(Initiator, "finish")
    assert HUB.startswith("list://")


def test_an_acknowledgement_says_what_was_taken_in_by_then_by_whatever_session(node, hub):
    """The hub is still at the batches of a session that was cut, when the next one sends them again."""
    sync(node, hub)
    node.write("k", {})
    hub.write("l", {})
    cut, cut_answer = begin(node), Responder("rw")
    said = perform(node, cut, cut.opening())
    perform(hub, cut_answer, cut_answer.receive(said[0]))
    session, answer = begin(node), Responder("rw")
    again = perform(node, session, session.opening())
    answers = perform(hub, answer, answer.receive(again[0]))
    for message in said[1:]:
        perform(hub, cut_answer, cut_answer.receive(message))
    for message in again[1:]:
        perform(hub, answer, answer.receive(message))
    answers += perform(hub, answer, answer.finish()) + perform(hub, answer, answer.close())
    for message in answers:
        perform(node, session, session.receive(message))
    assert session.pushed
    assert session.taken
