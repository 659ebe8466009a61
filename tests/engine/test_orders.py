"""Small cases in every order of delivery: the state does not depend on the order, and equals the oracle's.

Operations are written at their nodes with what each is to have read; then two nodes read the feeds of the authors,
one record state at a time, in every order there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations, product
from zlib import crc32

import pytest

from holdfast.clocks import EMPTY
from holdfast.engine.delta import FeedBatch
from holdfast.engine.edits import Delete, Edit, Put, Update
from holdfast.engine.storage.apply import apply_batch
from holdfast.engine.storage.feed import read_batch
from holdfast.engine.storage.write import Write, write_all

from .invariants import check_member
from .member import Member, Wall, new_member
from .oracle import Known, Operation, Oracle

NOW = 1_750_000_000_000
PLACE = ("c", "k")
COPIES_MAX = 4
PUT_V, PUT_W = Put({"v": '"put"'}), Put({"w": '"put"'})
SET_V, SET_W = Update({"v": '"set"'}), Update({"w": '"set"'})
DROP_V, DELETE = Update(removed=frozenset({"v"})), Delete()
Step = tuple[str, Edit] | tuple[str, str]
"""Either an author and an edit, or two nodes: the first reads the second."""

CASES: dict[str, Sequence[Step]] = {
    "concurrent creates": [("A", PUT_V), ("B", PUT_V), ("C", PUT_W)],
    "create against delete and create again": [("A", PUT_V), ("B", "A"), ("B", DELETE), ("B", PUT_W), ("A", SET_W)],
    "delete against update": [("A", PUT_V), ("B", "A"), ("A", DELETE), ("B", SET_W)],
    "two deletes and an update": [("A", PUT_V), ("B", "A"), ("C", "A"), ("A", DELETE), ("B", DELETE), ("C", SET_V)],
    "a revived record": [("A", PUT_V), ("B", "A"), ("A", DELETE), ("C", "A"), ("C", PUT_W), ("B", SET_V)],
    "a removed field against a set one": [("A", PUT_V), ("B", "A"), ("A", DROP_V), ("B", SET_V)],
    "a merge of a conflict": [("A", PUT_V), ("B", PUT_V), ("C", "A"), ("C", "B"), ("C", SET_V), ("A", SET_V)],
    "a chain over three nodes": [("A", PUT_V), ("B", "A"), ("B", SET_W), ("C", "B"), ("C", DROP_V), ("A", SET_V)],
    "a put against two updates": [("A", PUT_V), ("B", "A"), ("C", "A"), ("A", PUT_W), ("B", SET_V), ("C", SET_W)],
    "creates of a deleted key": [("A", PUT_V), ("A", DELETE), ("B", "A"), ("C", "A"), ("B", PUT_V), ("C", PUT_W)],
}


@dataclass(frozen=True, slots=True)
class State:
    """A record as its author's feed gave it after one operation."""

    author: Member
    batch: FeedBatch
    sent: Known


class Lab:
    """Three authors, and readers that come later."""

    def __init__(self) -> None:
        self.oracle = Oracle()
        self.members: dict[str, Member] = {}
        self.states: list[State] = []

    def member(self, name: str) -> Member:
        if name not in self.members:
            # Equal clocks everywhere, so that ties between stamps are common.
            self.members[name] = new_member(name, Wall(NOW), crc32(name.encode()))
            self.oracle.known[name] = {}
        return self.members[name]

    def play(self, steps: Sequence[Step]) -> None:
        for name, what in steps:
            if isinstance(what, str):
                self.deliver(name, self.state(self.member(what)))
            else:
                self.write(self.member(name), what)

    def write(self, author: Member, edit: Edit) -> None:
        read = self.oracle.has_read(author.name, PLACE)
        with author.store.transaction() as tx:
            (receipt,) = write_all(tx, [Write(collection="c", key="k", edit=edit, upsert=True)])
        clears = None if isinstance(edit, Put) else getattr(edit, "removed", frozenset())
        operation = Operation(
            dot=receipt.dot, place=PLACE, clock=receipt.clock, read=read, alive=not isinstance(edit, Delete),
            birth=not read, writes=getattr(edit, "fields", {}), clears=clears,
        )  # fmt: skip
        self.oracle.write_together(author.name, [operation])
        self.states.append(self.state(author))

    def state(self, author: Member) -> State:
        batch = read_batch(author.connection, start=0, held=EMPTY)
        return State(author, batch, dict(self.oracle.known[author.name]))

    def deliver(self, reader: str, state: State) -> None:
        member = self.member(reader)
        with member.store.transaction() as tx:
            apply_batch(tx, state.batch, member.peer(state.author))
        self.oracle.deliver(reader, state.sent, [PLACE])
        check_member(member, self.oracle)

    def outcomes(self) -> set[tuple[object, ...]]:
        """What new readers hold after reading all states, in every order."""
        found = set()
        for order in permutations(self.states):
            for state in order:
                self.deliver("reader", state)
            found.add(outcome(self.member("reader")))
            self.leave("reader")
        return found

    def leave(self, reader: str) -> None:
        self.members.pop(reader).close()
        del self.oracle.known[reader]


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    for member in lab.members.values():
        member.close()


def outcome(member: Member) -> tuple[object, ...]:
    row = member.connection.execute("SELECT r.doc, r.live, r.digest, r.conflicts FROM record r").fetchone()
    ids = member.connection.execute("SELECT id, kind FROM conflict WHERE standing = 1 ORDER BY id").fetchall()
    return *row, *ids


@pytest.mark.parametrize("case", CASES)
def test_every_order_of_delivery_ends_in_one_state(lab: Lab, case: str):
    lab.play(CASES[case])
    assert len(lab.outcomes()) == 1


@pytest.mark.parametrize("case", CASES)
def test_every_state_may_come_twice_or_never(lab: Lab, case: str):
    """What came is the maximal writes of what came, whatever is missing still: `check_member` says so at each step."""
    lab.play(CASES[case])
    for times in product((0, 1, 2), repeat=len(lab.states)):
        if 0 < sum(times) <= COPIES_MAX:
            for state, repeat in zip(reversed(lab.states), reversed(times), strict=True):
                for _ in range(repeat):
                    lab.deliver("reader", state)
            lab.leave("reader")


EDITS = {"put v": PUT_V, "set v": SET_V, "drop v": DROP_V, "delete": DELETE, "put w": PUT_W}


@pytest.mark.parametrize("names", [*combinations_with_replacement(EDITS, 3)], ids=", ".join)
def test_any_three_concurrent_edits_of_a_record_commute(lab: Lab, names: tuple[str, ...]):
    """A record that all three authors know, then one edit at each of the three at once."""
    lab.write(lab.member("A"), Put({"v": "0", "w": "0"}))
    for author in "BC":
        lab.deliver(author, lab.states[0])
    lab.states.clear()
    for author, name in zip("ABC", names, strict=True):
        lab.write(lab.member(author), EDITS[name])
    assert len(lab.outcomes()) == 1
