"""Reads the feed: records in the order in which they changed here, as batches of columns.

Read-only; knows nothing of sessions or bytes. Invariants (docs/protocol.md, Rules): a batch is read in one
transaction and never ends inside an lsn; a record whose whole frontier the reader holds is skipped; `drained` is true
exactly when nothing stood behind the batch in that transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from holdfast.clocks import EMPTY, Actor, Dot, VersionVector

from ..delta import ASIDE, BATCH_BYTES_TARGET, BATCH_RECORDS_MAX, Delta, FeedBatch, FeedId
from ..documents import compose
from ..packing import decode, forward
from .store import vector_of

ROWS_AT_ONCE: Final = 64
"""Rows that are read before their size is known: at the largest, 32 MiB."""

_BEHIND: Final = """
WITH held (node, seq) AS MATERIALIZED (
    SELECT a.id, j.value FROM json_each(?) j JOIN actor a ON a.actor = j.key
)
SELECT r.lsn, r.collection, r.key, r.node, r.seq, r.clock, r.flags, r.extra, r.cells, r.doc
FROM record r LEFT JOIN held h ON h.node = r.node
WHERE r.lsn > ? AND (h.seq IS NULL OR r.seq > h.seq)
ORDER BY r.lsn, r.id
"""

_WHOLE: Final = """
SELECT r.lsn, r.collection, r.key, r.node, r.seq, r.clock, r.flags, r.extra, r.cells, r.doc
FROM json_each(?) j JOIN collection c ON c.name = j.value ->> 0
JOIN record r ON r.collection = c.id AND r.key = j.value ->> 1
"""

_PENDING: Final = (
    "SELECT count(*), coalesce(sum(length(key) + length(doc) + coalesce(length(cells), 0)), 0) FROM (" + _BEHIND + ")"  # noqa: S608 - constants only
)


class FeedRow(NamedTuple):
    """A record's row as the feed reads it; node and seq are None where several dots make the frontier."""

    lsn: int
    collection: int
    key: str
    node: int | None
    seq: int | None
    clock: int
    flags: int
    extra: int | None
    cells: bytes | None
    doc: str


def read_batch(
    connection: sqlite3.Connection,
    *,
    start: int,
    held: VersionVector,
    omit: bool = True,
    records_max: int = BATCH_RECORDS_MAX,
    bytes_target: int = BATCH_BYTES_TARGET,
) -> FeedBatch:
    """The next batch behind a checkpoint, read in one transaction.

    Args:
        connection: Any connection that is not inside a transaction.
        start: The checkpoint (lsn).
        held: The reader's version vector: what it covers is skipped.
        omit: Leave out values that `held` covers.
        records_max: Records at which a batch is closed; a transaction is never split.
        bytes_target: Bytes of keys, documents and cells at which a batch is closed.
    """
    connection.execute("BEGIN")
    try:
        head, feed = connection.execute("SELECT lsn, feed FROM node").fetchone()
        cursor = connection.execute(_BEHIND, (json.dumps(dict(held.items())), start))
        rows, more = _take(cursor, records_max, bytes_target)
        return FeedBatch(
            feed=FeedId(feed),
            start=start,
            end=rows[-1].lsn if more else head,
            drained=not more,
            vector=vector_of(connection),
            delta=_delta(connection, rows, held, omit=omit),
        )
    finally:
        connection.execute("COMMIT")


def read_keys(connection: sqlite3.Connection, places: Sequence[tuple[str, str]]) -> FeedBatch:
    """These records whole, as a batch that reaches no checkpoint and so moves nothing.

    It ends at the size of any batch; who still lacks some of them asks again.
    """
    connection.execute("BEGIN")
    try:
        (feed,) = connection.execute("SELECT feed FROM node").fetchone()
        wanted = [*dict.fromkeys(places)][:BATCH_RECORDS_MAX]
        rows = _within(connection.execute(_WHOLE, (json.dumps(wanted),)), BATCH_BYTES_TARGET)
        delta = _delta(connection, rows, EMPTY, omit=False)
        vector = vector_of(connection)
        return FeedBatch(feed=FeedId(feed), start=ASIDE, end=ASIDE, drained=False, vector=vector, delta=delta)
    finally:
        connection.execute("COMMIT")


def pending(connection: sqlite3.Connection, start: int, held: VersionVector) -> tuple[int, int]:
    """How many records stand behind a checkpoint that `held` does not cover, and their bytes at rest."""
    count, size = connection.execute(_PENDING, (json.dumps(dict(held.items())), start)).fetchone()
    return int(count), int(size)


def _take(cursor: sqlite3.Cursor, records_max: int, bytes_target: int) -> tuple[list[FeedRow], bool]:
    """Whole transactions up to the limits, at least one; and whether more stand behind them."""
    taken: list[FeedRow] = []
    size = 0
    for group, more in _groups(cursor):
        size += sum(map(_size, group))
        if taken and (len(taken) + len(group) > records_max or size > bytes_target):
            return taken, True
        taken += group
        if more and (len(taken) >= records_max or size >= bytes_target):
            return taken, True  # before the next transaction is read, which may be as large
    return taken, False


def _within(cursor: sqlite3.Cursor, bytes_target: int) -> list[FeedRow]:
    """Rows until their size passes the target, at least one."""
    taken: list[FeedRow] = []
    size = 0
    for row in map(FeedRow._make, cursor):
        size += _size(row)
        if taken and size > bytes_target:
            break
        taken.append(row)
    return taken


def _size(row: FeedRow) -> int:
    return len(row.doc) + len(row.key) + (len(row.cells) if row.cells else 0)


def _groups(cursor: sqlite3.Cursor) -> Iterator[tuple[list[FeedRow], bool]]:
    """The rows of each lsn together, and whether more stand behind them."""
    rest: list[FeedRow] = []
    while rows := [*map(FeedRow._make, cursor.fetchmany(ROWS_AT_ONCE))]:
        rest += rows
        at = 0
        last = rest[-1].lsn
        while rest[at].lsn != last:
            lsn, first = rest[at].lsn, at
            while rest[at].lsn == lsn:
                at += 1
            yield rest[first:at], True
        rest = rest[at:]
    if rest:
        yield rest, False


def _delta(connection: sqlite3.Connection, rows: list[FeedRow], held: VersionVector, *, omit: bool) -> Delta:
    actors, labels = _actors(connection)
    packed: dict[int, tuple[str, bytes]] = {}
    kept: list[FeedRow] = []
    used: dict[Actor, int] = {}
    for row in rows:
        if row.cells is not None:
            lists = decode(row.cells)
            dots = lists.dots()
            if row.node is None and held.covers_all(
                Dot(actors[n], s) for n, s in (dots[e >> 1] for e in lists.existence)
            ):
                continue
            values, cells = forward(row.doc, lists, actors, held if omit else EMPTY)
            packed[len(kept)] = (
                compose(values),
                cells.renamed(lambda actor: used.setdefault(actor, len(used))).encoded(),
            )
        kept.append(row)
    index = {n: used.setdefault(actors[n], len(used)) for n in {r.node for r in kept if r.cells is None} if n}
    collections = _names(connection, {row.collection for row in kept})
    contexts = _contexts(connection, {row.extra for row in kept if row.extra is not None})
    places = {number: at for at, number in enumerate(collections)}
    context_places = {number: at for at, number in enumerate(contexts)}
    plain = [at not in packed for at in range(len(kept))] if packed else [True] * len(kept)
    return Delta(
        actors=tuple(used),
        labels=tuple(labels.get(actor, "") for actor in used),
        collections=tuple(collections.values()),
        contexts=tuple(contexts.values()),
        collection=[places[row.collection] for row in kept],
        key=[row.key for row in kept],
        actor=[index[row.node or 0] if is_plain else -1 for row, is_plain in zip(kept, plain, strict=True)],
        seq=[(row.seq or 0) if is_plain else 0 for row, is_plain in zip(kept, plain, strict=True)],
        clock=[row.clock if is_plain else 0 for row, is_plain in zip(kept, plain, strict=True)],
        flags=[row.flags if is_plain else 0 for row, is_plain in zip(kept, plain, strict=True)],
        doc=[packed[at][0] if at in packed else row.doc for at, row in enumerate(kept)],
        cells={at: cells for at, (_, cells) in packed.items()},
        extra={at: context_places[row.extra] for at, row in enumerate(kept) if row.extra in context_places},
    )


def _actors(connection: sqlite3.Connection) -> tuple[dict[int, Actor], dict[Actor, str]]:
    rows = connection.execute("SELECT id, actor, label FROM actor").fetchall()
    return {number: Actor(actor) for number, actor, _ in rows}, {Actor(actor): label for _, actor, label in rows}


def _names(connection: sqlite3.Connection, numbers: Iterable[int]) -> Mapping[int, str]:
    rows = connection.execute("SELECT id, name FROM collection ORDER BY id").fetchall()
    wanted = set(numbers)
    return {number: name for number, name in rows if number in wanted}


def _contexts(connection: sqlite3.Connection, numbers: set[int]) -> Mapping[int, VersionVector]:
    """The extra contexts among these numbers that still say something."""
    if not numbers:
        return {}
    rows = connection.execute("SELECT id, vector FROM context WHERE settled = 0 ORDER BY id").fetchall()
    return {number: VersionVector.decode(vector) for number, vector in rows if number in numbers}
