"""Records for tests: states that nodes can reach by writing and joining, and any cells at all.

Each follows from a seed. Hypothesis draws only that: drawing every part of a record takes it a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from holdfast.clocks import EMPTY, Dot, Timestamp, VersionVector
from holdfast.engine.cells import ABSENT, BIRTH, DECISION, EQUIVOCAL, REGISTER, Life, Record, Sibling, Stamp
from holdfast.engine.edits import Delete, Edit, Put, Update, edited
from holdfast.engine.join import Memory, join
from tests.strategies import POOL

NAMES = ("a", "b", "é")
TEXTS = ("0", "1", "null", '"p"', '"é"', "[1,{}]", '{"a":1,"b":{}}', "1.5")
NODES = POOL[:3]
FLAGS_MAX = BIRTH | DECISION


@dataclass(frozen=True, slots=True)
class State:
    """A record at a node, with what it has taken in."""

    record: Record = ABSENT
    context: VersionVector = EMPTY

    def joined(self, other: State) -> State:
        record = join(self.record, Memory(self.context), other.record, Memory(other.context))
        return State(record, self.context.join(other.context))


T = TypeVar("T")
SEEDS = st.integers(0, 2**32)


def reachable() -> st.SearchStrategy[list[State]]:
    """States of one record at three nodes that wrote and joined, some writes on an earlier read."""
    return SEEDS.map(lambda seed: _reached(Random(seed)))


def edits() -> st.SearchStrategy[Edit]:
    """Any local write."""
    return SEEDS.map(lambda seed: _edit(Random(seed)))


def any_records() -> st.SearchStrategy[Record]:
    """Any cells, also of types that no version knows yet, with bases and flags."""
    return SEEDS.map(lambda seed: _any_record(Random(seed)))


def some(rng: Random, of: Iterable[T], at_least: int = 0) -> list[T]:
    """Some of these values, in any order."""
    pool = list(of)
    return rng.sample(pool, rng.randint(min(at_least, len(pool)), len(pool)))


def _edit(rng: Random) -> Edit:
    fields = {name: rng.choice(TEXTS) for name in some(rng, NAMES)}
    return rng.choice((Put(fields), Update(fields), Update(fields, frozenset(some(rng, NAMES))), Delete()))


def _reached(rng: Random) -> list[State]:
    states, clock = [State() for _ in NODES], 0
    for _ in range(rng.randint(1, 12)):
        at, other = rng.randrange(len(NODES)), rng.randrange(len(NODES))
        if at != other:
            states[at] = states[at].joined(states[other])
            continue
        state, clock = states[at], clock + rng.randint(0, 1)
        dot = Dot(NODES[at], state.context.seq(NODES[at]) + 1)
        known = {stamp.dot for stamp in state.record.stamps()}
        seen = frozenset(some(rng, sorted(known))) if known and rng.random() < 0.3 else None
        record = edited(state.record, _edit(rng), Stamp(dot, Timestamp(clock), 0 if known else BIRTH), seen)
        states[at] = State(record, state.context.advance(*dot))
    return states


def _any_record(rng: Random) -> Record:
    stamps = {}
    for _ in range(rng.randint(1, 5)):
        dot = Dot(rng.choice(POOL), rng.choice((1, 2, 127, 128, 2**40, 2**63 - 1)))
        stamps[dot] = Stamp(dot, Timestamp(rng.choice((0, 1, 2**62, rng.getrandbits(63)))), rng.randint(0, FLAGS_MAX))
    lives = {dot: Life(stamps[dot], alive=rng.random() < 0.7) for dot in some(rng, stamps, 1)}
    cells = {
        name: {dot: _any_sibling(rng, stamps[dot]) for dot in some(rng, stamps, 1)[: rng.choice((1, 1, 3))]}
        for name in some(rng, (*NAMES, "", "\0", "long" * 50))
    }
    return Record(lives, cells)


def _any_sibling(rng: Random, stamp: Stamp) -> Sibling:
    base = rng.choice((None, None, b"", rng.randbytes(4)))
    tag, value = rng.choice(
        (
            (REGISTER, rng.choice(TEXTS)),
            (REGISTER, rng.choice(TEXTS)),
            (EQUIVOCAL, '["1","2"]'),
            (rng.randint(1, EQUIVOCAL - 1), rng.randbytes(3)),
            (rng.randint(1, EQUIVOCAL - 1), "text"),
        )
    )
    return Sibling(stamp, tag, value, base)


def deep(levels: int) -> object:
    """Lists inside each other."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value
