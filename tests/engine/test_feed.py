"""Where a batch of the feed is closed: whole transactions, by what goes out and by what stands at rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.clocks import EMPTY
from holdfast.engine.delta import FeedBatch
from holdfast.engine.edits import Edit, Put, Update
from holdfast.engine.storage.apply import apply_batch
from holdfast.engine.storage.feed import AT_REST_MAX, read_batch
from holdfast.engine.storage.write import Write, write_all

from .member import Member, Wall, new_member

KEYS = [f"k{number:02}" for number in range(40)]
LONG = '"' + "x" * 1_000 + '"'


@pytest.fixture
def pair() -> Iterator[tuple[Member, Member]]:
    """Both hold the records; A has then changed one field of each, one transaction after the other."""
    members = a, b = new_member("A", Wall(1_750_000_000_000), 1), new_member("B", Wall(1_750_000_000_000), 2)
    write(a, KEYS, Put({"long": LONG, "v": "0"}))
    take(b, a, read_batch(a.connection, start=0, held=b.vector))
    for key in KEYS:
        write(a, [key], Update({"v": "1"}))
    yield members
    for member in members:
        member.close()


def write(member: Member, keys: list[str], edit: Edit) -> None:
    with member.store.transaction() as tx:
        write_all(tx, [Write(collection="c", key=key, edit=edit) for key in keys])


def take(reader: Member, source: Member, batch: FeedBatch) -> None:
    with reader.store.transaction() as tx:
        assert apply_batch(tx, batch, reader.peer(source)).moved


def batches(source: Member, reader: Member, bytes_target: int) -> list[FeedBatch]:
    """All that the reader lacks, in its order."""
    start, found = reader.peer(source).checkpoint_in(source.feed), list[FeedBatch]()
    while not found or not found[-1].drained:
        found.append(
            read_batch(source.connection, start=start, held=reader.vector, bytes_target=bytes_target, records_max=100)
        )
        start = found[-1].end
    return found


def test_values_that_stay_here_do_not_fill_a_batch(pair: tuple[Member, Member]):
    a, b = pair
    target = 12_000
    at_rest = len(LONG) * len(KEYS)
    assert at_rest > 3 * target
    (whole,) = batches(a, b, target)
    assert len(whole.delta) == len(KEYS)
    assert whole.delta.size() < target


@pytest.mark.parametrize("bytes_target", [1_200, 1_500, 3_000])
def test_no_batch_is_larger_than_it_may_be(pair: tuple[Member, Member], bytes_target: int):
    found = batches(*pair, bytes_target)
    assert len(found) > 1
    assert max(batch.delta.size() for batch in found if len(batch.delta) > 1) <= bytes_target


def test_what_a_batch_carries_has_bounded_size_at_rest(pair: tuple[Member, Member]):
    """Its reader writes the records whole, in one transaction."""
    a, b = pair
    target = 2 * len(LONG)
    found = batches(a, b, target)
    largest = max(len(batch.delta) for batch in found) * len(LONG)
    assert target < largest <= AT_REST_MAX * target
    assert sum(len(batch.delta) for batch in found) == len(KEYS)


@pytest.mark.parametrize("bytes_target", [1, 100, 777, 5_000, 1 << 20])
def test_batches_of_any_size_bring_the_same(pair: tuple[Member, Member], bytes_target: int):
    a, b = pair
    found = batches(a, b, bytes_target)
    assert [key for batch in found for key in batch.delta.key] == KEYS
    for batch in found:
        take(b, a, batch)
    docs = "SELECT key, doc, digest FROM record ORDER BY key"
    assert a.connection.execute(docs).fetchall() == b.connection.execute(docs).fetchall()
    assert batches(a, b, bytes_target)[0].delta.key == []


def test_records_of_one_write_are_closed_by_their_size(pair: tuple[Member, Member]):
    a, b = pair
    write(a, ["new"], Put({"v": LONG}))
    write(a, ["newer"], Put({"v": LONG}))
    start = batches(a, b, 1 << 20)[0].start + len(KEYS)
    closed = read_batch(a.connection, start=start, held=EMPTY, bytes_target=1_100)
    assert (closed.delta.key, closed.drained) == (["new"], False)
    both = read_batch(a.connection, start=start, held=EMPTY, bytes_target=2_100)
    assert (both.delta.key, both.drained) == (["new", "newer"], True)
