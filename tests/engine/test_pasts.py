"""Vectors at rest: the same whatever past they are kept over, and whatever becomes of the file's past afterwards."""

from __future__ import annotations

import pytest

from holdfast import Engine
from holdfast.clocks import EMPTY, SEQ_MAX, VersionVector
from holdfast.engine.storage import pasts
from holdfast.engine.storage.pasts import restored
from holdfast.engine.storage.retiring import begin_anew, retire
from holdfast.engine.storage.store import Tx, vector_of
from holdfast.errors import MalformedVector

from ..strategies import POOL

HELD = VersionVector(dict.fromkeys(POOL, 5))
OTHERS = (
    EMPTY,
    HELD,
    HELD.replaced({POOL[0]: 3}),
    HELD.replaced({POOL[1]: 0, POOL[2]: 9}),
    VersionVector({POOL[3]: 1}),
    HELD.replaced({POOL[0]: SEQ_MAX}),
)
"""Behind the past, ahead of it, beside it."""


def all_of_them(tx: Tx) -> int:
    """Whoever is in the vector is retired."""
    return retire(tx, at_once=1, after_ms=-1_000_000)


async def test_a_vector_is_the_same_over_every_past(node: Engine):
    def keep(tx: Tx) -> list[bytes]:
        return [tx.kept(each) for each in OTHERS]

    await node.write(lambda tx: tx.take_in(HELD.replaced({POOL[5]: 0, POOL[4]: 2})))
    rests = await node.write(keep)
    for _ in range(3):
        assert await node.write(all_of_them) > 0
        rests += await node.write(keep)
        await node.write(lambda tx: tx.take_in(tx.vector.join(HELD).advance(POOL[4], tx.vector.seq(POOL[4]) + 9)))
    read = await node.readers.run(lambda connection: [restored(connection, rest) for rest in rests])
    assert read == [*OTHERS] * 4
    assert min(map(len, rests[-len(OTHERS) :])) < len(HELD.encode()) / 4


async def test_a_vector_that_goes_back_says_less_than_its_past(node: Engine):
    await node.write(lambda tx: tx.take_in(HELD))
    await node.write(all_of_them)
    less = HELD.replaced({POOL[0]: 2, POOL[1]: 0})
    await node.write(lambda tx: begin_anew(tx, less))
    assert await node.readers.run(vector_of) == less
    await node.write(lambda tx: tx.take_in(VersionVector({POOL[1]: 1})))
    assert await node.readers.run(vector_of) == less.advance(POOL[1], 1)


async def test_a_past_that_is_not_what_it_was_is_refused(node: Engine, monkeypatch: pytest.MonkeyPatch):
    await node.write(lambda tx: tx.take_in(HELD))
    await node.write(all_of_them)
    await node.write(lambda tx: tx.connection.execute("UPDATE past SET vector = ?", (OTHERS[2].encode(),)))
    monkeypatch.setattr(pasts, "_cached", {})
    with pytest.raises(MalformedVector, match="past 1"):
        await node.readers.run(vector_of)
