"""Names outlive the rows of the log that gave them: what is renamed, claimed and followed is as with the whole log."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from holdfast.clocks import Actor, Dot, VersionVector
from holdfast.engine.retention import Retention
from holdfast.engine.storage.peers import stored_elsewhere
from holdfast.engine.storage.reissue import present_name
from holdfast.engine.storage.retained import declare_retention
from holdfast.engine.storage.trimming import trim
from holdfast.engine.storage.withdrawal import _seen_first

from ..gate import first
from .side import Side, assert_equal, now, sync

STRANGER = Actor("5" * 32)


def trim_all(side: Side, rows: int = 0) -> int:
    """Let go of all but the last rows; gives how many went."""
    with side.store.transaction() as tx:
        declare_retention(tx, (), Retention(rows=rows))
    deleted, more = 0, True
    while more:
        with side.store.transaction() as tx:
            part = trim(tx)
        deleted, more = deleted + part.deleted, part.more
    return deleted


def said(side: Side) -> dict[str, Any]:
    """What a node would go by if a sign came now."""
    with side.store.transaction() as tx:
        peers = [actor for (actor,) in side.connection.execute("SELECT actor FROM peer ORDER BY actor")]
        return {
            "stored": {peer: stored_elsewhere(tx, peer) for peer in (None, STRANGER, *peers)},
            "seen": [_seen_first(tx, tx.own, known) for known in range(tx.seq + 1)],
            "seq": tx.seq,
            "docs": side.docs(),
        }


class Fleet:
    """Hubs and edges that write and meet by one seed; some trim, by dice of their own."""

    def __init__(self, seed: int, *, trims: bool, renews: bool) -> None:
        self.rng, self.dice, self.trims = Random(seed), Random(seed), trims
        self.hubs = [Side("a"), Side("b")]
        self.edges = [Side(f"e{number}") for number in range(3)]
        self.nodes = [*self.hubs, *self.edges]
        self.kinds = ("put", "update", "update", "delete", "sync", "sync", "sync", *(("renew",) if renews else ()))
        self.receipts: list[tuple[Side, Any]] = []
        self.deleted = 0
        sync(self.hubs[1], self.hubs[0])

    def step(self, number: int) -> None:
        rng = self.rng
        node, key = rng.choice(self.nodes), rng.choice("xy")
        match rng.choice(self.kinds):
            case "put":
                self.receipts.append((node, node.write(key, {"v": number, "w": number})))
            case "update":
                node.update(key, **{rng.choice("vw"): number})
            case "delete":
                node.delete(key)
            case "sync":
                sync(*((rng.choice(self.edges), rng.choice(self.hubs)) if rng.random() < 0.8 else self.hubs))
            case _ if number > 15:
                now(node.replica.renew("a sign", peer=rng.choice((STRANGER, None))))
        if self.trims and self.dice.random() < 0.5:
            self.deleted += trim_all(self.dice.choice(self.nodes), self.dice.randrange(3))

    def heal(self) -> None:
        for _ in range(4):
            for edge in self.edges:
                for hub in self.hubs:
                    sync(edge, hub)
        assert_equal(*self.nodes)


@pytest.mark.parametrize("seed", first(3, range(8)))
def test_a_trimmed_log_says_of_names_what_the_whole_one_says(seed: int):
    whole, trimmed = (Fleet(seed, trims=trims, renews=False) for trims in (False, True))
    exact = alike = behind = 0
    for number in range(50):
        for fleet in (whole, trimmed):
            fleet.step(number)
        if number % 4:
            continue
        for one, other in zip(whole.nodes, trimmed.nodes, strict=True):
            full, left = said(one), said(other)
            assert (left["docs"], left["seq"]) == (full["docs"], full["seq"])
            assert left["stored"][None] == full["stored"][None]
            # Of a peer that was behind when rows went it is known again when it has passed the last of them.
            assert all(left["stored"][peer] <= seq for peer, seq in full["stored"].items())
            alike += sum(left["stored"][peer] == seq > 0 for peer, seq in full["stored"].items())
            behind += sum(left["stored"][peer] != seq for peer, seq in full["stored"].items())
            for known, (claimed, had) in enumerate(zip(left["seen"], full["seen"], strict=True)):
                assert had.dominates(claimed), "it claims more than the operation had seen"
                exact += claimed == had and known > 0
    assert trimmed.deleted > 10
    assert exact > 100
    assert alike > 5 * behind
    whole.heal()
    trimmed.heal()


@pytest.mark.parametrize("seed", first(4, range(12)))
def test_fleets_that_trim_and_give_up_names_agree(seed: int):
    whole, trimmed = (Fleet(seed, trims=trims, renews=True) for trims in (False, True))
    for number in range(40):
        for fleet in (whole, trimmed):
            fleet.step(number)
    for fleet in (whole, trimmed):
        fleet.heal()
    assert trimmed.deleted > 5
    keys = {key for fleet in (whole, trimmed) for key in fleet.nodes[0].docs()}
    assert keys == {*whole.nodes[0].docs()} == {*trimmed.nodes[0].docs()}


def test_a_receipt_is_followed_to_its_new_name_when_its_row_is_gone():
    whole, trimmed = Side("e"), Side("e")
    names = []
    for side in (whole, trimmed):
        receipts = [side.write(key, {"n": n}) for n in range(3) for key in "xy"]
        if side is trimmed:
            assert trim_all(side) == 5
        now(side.replica.renew("a sign", peer=STRANGER))
        if side is trimmed:
            trim_all(side)
        names.append([present_name(side.connection, receipt) for receipt in receipts])
        assert not {name.actor for name in names[-1]} & {receipt.dot.actor for receipt in receipts}
    assert names[0] == names[1]


def test_nothing_is_claimed_where_nothing_is_known():
    side = Side("e")
    side.write("k", {"n": 1})
    with side.store.transaction() as tx:
        tx.connection.execute("DELETE FROM log")
        tx.connection.execute("INSERT INTO trimmed (actor, first, seq, lsn) VALUES (?, 1, 1, 1)", (tx.own,))
        tx.take_in(VersionVector({STRANGER: 7}))
        assert _seen_first(tx, tx.own, 0) == VersionVector({})
        assert _seen_first(tx, tx.own, 1).covers(Dot(STRANGER, 7))
