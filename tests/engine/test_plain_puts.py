"""Puts of absent records, written without looking inside, leave exactly what the general way leaves."""

from __future__ import annotations

import asyncio
import random
import sqlite3

from holdfast.engine.documents import encode_document
from holdfast.engine.edits import Delete, Update
from holdfast.engine.storage.write import SinglePut, SingleWrite, Write
from holdfast.errors import NoSuchRecord, VersionMismatch

from ..nodes import Wall, opened

GROUPS = 120
TABLES = ("node", "actor", "vector", "context", "collection", "record", "log", "ledger", "conflict", "quarantine")


def some_job(rng, receipts):
    """A write to one of few records: mostly a put, so that puts meet absent, living, dead and just written ones."""
    place = {"collection": rng.choice("ab"), "key": f"k{rng.randrange(40)}"}
    fields = {name: rng.choice([1, 2.5, "é\n", None, [1, {"x": "y"}]]) for name in rng.sample("xyz", rng.randrange(4))}
    mine = [receipt.version for receipt in receipts if (receipt.collection, receipt.key) == tuple(place.values())]
    version = rng.choice([None, None, None, "", mine[-1] if mine else "gone.1"])
    remarks = {"author": rng.choice(["", "ann"]), "note": rng.choice(["", "why"])}
    match rng.randrange(6):
        case 0:
            update = Update({name: encode_document({"v": value}, "t") for name, value in fields.items()})
            return SingleWrite(Write(**place, edit=update, upsert=rng.random() < 0.5, if_version=version, **remarks))
        case 1:
            return SingleWrite(Write(**place, edit=Delete(), if_version=version, **remarks))
        case _:
            return SinglePut(**place, doc=encode_document(fields, "t"), if_version=version, **remarks)


def the_general_way(job):
    return job if isinstance(job, SingleWrite) else SingleWrite(job.write)


def contents(path):
    with sqlite3.connect(path) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}


async def test_plain_puts_leave_what_the_general_way_leaves(tmp_path):
    rng = random.Random(7)
    (tmp_path / "general").mkdir()
    paths = tmp_path / "n.db", tmp_path / "general" / "n.db"
    walls = Wall(), Wall()
    receipts, refused = [], set()
    async with opened(paths[0], wall=walls[0]) as plain, opened(paths[1], wall=walls[1]) as general:
        for _ in range(GROUPS):
            jobs = [some_job(rng, receipts) for _ in range(rng.choice([1, 2, 12]))]
            got = await asyncio.gather(*(plain.write(job) for job in jobs), return_exceptions=True)
            expected = await asyncio.gather(
                *(general.write(the_general_way(job)) for job in jobs), return_exceptions=True
            )
            assert [str(outcome) for outcome in got] == [str(outcome) for outcome in expected]
            receipts += [outcome for outcome in got if not isinstance(outcome, Exception)]
            refused |= {type(outcome) for outcome in got if isinstance(outcome, Exception)}
        assert refused == {NoSuchRecord, VersionMismatch}
        assert len({receipt.lsn for receipt in receipts}) == len(receipts) > GROUPS
        for node in (plain, general):
            assert (await node.verify()).ok
    assert contents(paths[0]) == contents(paths[1])
