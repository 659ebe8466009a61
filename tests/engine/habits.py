"""What the applications of a fleet write: all kinds of edits, with values that are often equal."""

from __future__ import annotations

from random import Random

from holdfast.engine.cells import BIRTH, Record, Sibling, Stamp
from holdfast.engine.edits import Delete, Edit, Put, Update, edited
from holdfast.engine.storage.journal import Journal, Kind
from holdfast.engine.storage.rows import Records
from holdfast.engine.storage.store import Store
from holdfast.engine.storage.write import Write
from holdfast.engine.turns import UNTURNED

from .oracle import Place

FIELDS = "abc"
LATER_TAG = 7
"""Type tag that only a later version knows."""

COMMON = ("1", "2", '"p"', "[1]", "null")
NESTED = '{"b":1,"c":{"a":2}}'
"""Holds fields of its own that are named like a record's."""


def any_write(rng: Random, place: Place) -> Write:
    """A put, update, removal or delete, as an application would make it."""
    return Write(collection=place[0], key=place[1], edit=any_edit(rng), upsert=rng.random() < 0.15)


def any_edit(rng: Random) -> Edit:
    dice, names = rng.random(), rng.sample(FIELDS, rng.randint(1, 2))
    if dice < 0.35:
        return Put(values(rng, names if rng.random() < 0.9 else []))
    if dice < 0.68:
        return Update(values(rng, names))
    if dice < 0.80:
        return Update(values(rng, names[1:]), frozenset(names[:1]))
    return Delete()


def values(rng: Random, names: list[str]) -> dict[str, str]:
    return {name: rng.choice((*COMMON, _rare(rng))) for name in names}


def _rare(rng: Random) -> str:
    number = rng.getrandbits(20)
    return str(number) if number % 4 else NESTED


def write_typed(store: Store, place: Place, name: str, value: bytes) -> Stamp:
    """Write a value of a type that only a later version knows, as that version would store it."""
    with store.transaction() as tx:
        journal = Journal(tx)
        records = Records(tx, journal)
        stored, lsn = records.at(*place), tx.next_lsn()
        before = records.current(stored)
        stamp = tx.stamp(tx.clock.tick(), 0 if before.existence else BIRTH)
        after = edited(before, Update({name: "0"}), stamp)
        typed = {stamp.dot: Sibling(stamp, LATER_TAG, value)}
        records.change(stored, Record(after.existence, {**after.cells, name: typed}), lsn)
        journal.note(Kind.UPDATE, lsn, stored.number, stamp, turned=UNTURNED)
        records.flush()
        journal.flush()
    return stamp
