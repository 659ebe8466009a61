"""Reads the feed: records in the order in which they changed here, as batches of columns.

Read-only; knows nothing of sessions or bytes. Invariants (docs/protocol.md, Rules): a batch is read in one
transaction and never ends inside an lsn; a record of which the reader holds every operation is skipped; `drained` is
true exactly when nothing stood behind the batch in that transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from holdfast.clocks import EMPTY, Actor, DotRanges, VersionVector

from ..cohorts import Cohort, cohorts, covered, encode_columns, forward
from ..delta import ASIDE, BATCH_BYTES_TARGET, BATCH_RECORDS_MAX, Delta, FeedBatch, FeedId
from ..packing import decode
from ..reached import reached
from .pasts import restored
from .store import fence_and_horizon, vector_of
from .stretches import stretch_at

ROWS_AT_ONCE: Final = 64
"""Rows that are read before their size is known: at the largest, 32 MiB."""

AT_REST_MAX: Final = 4
"""Times the bytes of a batch that its records may have at rest, where their reader will have to write them."""

PACKED_AT_ONCE: Final = 256
"""Rows that are packed at once: all rows of a batch at once are work for the garbage collector."""

_BEHIND: Final = """
WITH apart (node, seq) AS MATERIALIZED (
    SELECT a.id, j.value FROM json_each(?) j JOIN actor a ON a.actor = j.key
), own AS MATERIALIZED (
    SELECT actor AS node, seq FROM node
)
SELECT r.lsn, r.collection, r.key, r.node, r.seq, r.clock, r.flags, r.extra, r.cells, r.doc, r.returned
FROM record r LEFT JOIN apart h ON h.node = r.node LEFT JOIN vector v ON v.actor = r.node
    LEFT JOIN own o ON o.node = r.node
WHERE r.lsn > ? AND (coalesce(h.seq, o.seq, v.seq) IS NULL OR r.seq > coalesce(h.seq, o.seq, v.seq)
    OR (? AND r.cells IS NOT NULL) OR r.returned IS NOT NULL)
ORDER BY r.lsn, r.id
"""

"""What a reader holds is what the vector here says, but for the entries that are apart."""

_WHOLE: Final = """
SELECT r.lsn, r.collection, r.key, r.node, r.seq, r.clock, r.flags, r.extra, r.cells, r.doc, r.returned
FROM json_each(?) j JOIN collection c ON c.name = j.value ->> 0
JOIN record r ON r.collection = c.id AND r.key = j.value ->> 1
"""

_PENDING: Final = (
    "SELECT count(*), coalesce(sum(length(key) + length(doc) + coalesce(length(cells), 0)), 0) FROM ("  # noqa: S608 - constants only
    + _BEHIND
    + ") WHERE cells IS NULL"
)
_SEVERAL: Final = (
    "SELECT cells, length(key) + length(doc) + length(cells), returned FROM record WHERE lsn > ? AND cells IS NOT NULL"
)
"""Records of several operations, which SQL cannot compare with a vector."""
_SETS: Final = "SELECT id, ranges FROM forgotten WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
_WAITING: Final = "SELECT EXISTS (SELECT 1 FROM context WHERE settled = 0)"


FeedRow = tuple[Any, ...]
"""A record's row as the feed reads it: a bare tuple, because the garbage collector looks at any other again and again.

Node and seq are None where several dots make the frontier.
"""

_LSN: Final = 0
_KEY: Final = 2
_CELLS: Final = 8
_DOC: Final = 9
_RETURNED: Final = 10
_SIZED: Final = tuple(map(itemgetter, (_KEY, _DOC, _CELLS)))


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
        vector = vector_of(connection)
        apart = json.dumps(held.otherwise(vector))
        cursor = connection.execute(_BEHIND, (apart, start, _lags(connection, vector, held)))
        sent = _Sent(_Held(connection, held), omit=omit)
        last, more = _take(cursor, sent, records_max, bytes_target)
        end = last if more else head
        fence, horizon = (EMPTY, EMPTY) if more else fence_and_horizon(connection)
        return FeedBatch(
            feed=FeedId(feed),
            start=start,
            end=end,
            fence=fence,
            horizon=horizon,
            start_stretch=stretch_at(connection, start),
            end_stretch=stretch_at(connection, end),
            drained=not more,
            vector=vector,
            delta=_delta(connection, sent),
        )
    finally:
        connection.execute("COMMIT")


def _lags(connection: sqlite3.Connection, vector: VersionVector, held: VersionVector) -> bool:
    """Whether the reader may lack an operation of a record whose frontier it holds.

    Where names were given up (docs/decisions, 0020), what stands under an old one is not behind the frontier.
    """
    (waiting,) = connection.execute(_WAITING).fetchone()
    return bool(waiting) or not held.dominates(vector)


def read_keys(connection: sqlite3.Connection, places: Sequence[tuple[str, str]]) -> FeedBatch:
    """These records whole, as a batch that reaches no checkpoint and so moves nothing.

    It ends at the size of any batch; who still lacks some of them asks again.
    """
    connection.execute("BEGIN")
    try:
        (feed,) = connection.execute("SELECT feed FROM node").fetchone()
        wanted = [*dict.fromkeys(places)][:BATCH_RECORDS_MAX]
        sent = _Sent(_Held(connection, EMPTY), omit=False)
        sent.add(_within(connection.execute(_WHOLE, (json.dumps(wanted),)), BATCH_BYTES_TARGET))
        delta = _delta(connection, sent)
        vector = vector_of(connection)
        return FeedBatch(feed=FeedId(feed), start=ASIDE, end=ASIDE, drained=False, vector=vector, delta=delta)
    finally:
        connection.execute("COMMIT")


def pending(connection: sqlite3.Connection, start: int, held: VersionVector) -> tuple[int, int]:
    """How many records stand behind a checkpoint that `held` does not cover, or that returned, and bytes at rest."""
    apart = json.dumps(held.otherwise(vector_of(connection)))
    count, size = connection.execute(_PENDING, (apart, start, False)).fetchone()
    rest = connection.execute(_SEVERAL, (start,)).fetchall()
    has = _Held(connection, held)
    for cells, length, returned in rest:
        stored = decode(cells)
        stamps = zip(stored.stamps[::4], stored.stamps[1::4], strict=True)
        if returned is not None or not _is_held([has[node] >= seq for node, seq in stamps]):
            count, size = count + 1, size + length
    return int(count), int(size)


def _take(cursor: sqlite3.Cursor, sent: _Sent, records_max: int, bytes_target: int) -> tuple[int, bool]:
    """Add whole transactions up to the limits, at least one; gives the last one, and whether more stand behind them."""
    last = count = at_rest = 0
    for group, more in _groups(cursor):
        size = _bytes(group)
        at_rest += size
        full = sent.size(size, bytes_target) > bytes_target or at_rest > AT_REST_MAX * bytes_target
        if count and (count + len(group) > records_max or full):
            return last, True
        if len(group) > 1 and (len(group) > records_max or full):
            reached("feed: one transaction larger than a batch")
        sent.add(group, size)
        last, count = group[-1][_LSN], count + len(group)
        if more and (count >= records_max or sent.size(0, bytes_target) >= bytes_target):
            return last, True  # before the next transaction is read, which may be as large
    return last, False


def _within(cursor: sqlite3.Cursor, bytes_target: int) -> list[FeedRow]:
    """Rows until their size passes the target, at least one."""
    taken: list[FeedRow] = []
    size = 0
    for row in cursor:
        size += _bytes([row])
        if taken and size > bytes_target:
            break
        taken.append(row)
    return taken


def _bytes(rows: Sequence[FeedRow]) -> int:
    """Characters of keys and documents, and bytes of cells."""
    return sum(map(len, filter(None, chain.from_iterable([map(column, rows) for column in _SIZED]))))


def _groups(cursor: sqlite3.Cursor) -> Iterator[tuple[list[FeedRow], bool]]:
    """The rows of each lsn together, and whether more stand behind them."""
    rest: list[FeedRow] = []
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        rest += rows
        at = 0
        last = rest[-1][_LSN]
        while rest[at][_LSN] != last:
            lsn, first = rest[at][_LSN], at
            while rest[at][_LSN] == lsn:
                at += 1
            yield rest[first:at], True
        rest = rest[at:]
    if rest:
        yield rest, False


def _delta(connection: sqlite3.Connection, sent: _Sent) -> Delta:
    sent.pack()
    if not sent.rows:
        return Delta()
    _, collection, key, node, seq, clock, flags, extra, _, doc, returned = map(list, zip(*sent.rows, strict=True))
    author: list[int] = [number or 0 for number in node]
    for at, text in sent.docs.items():
        author[at], seq[at], clock[at], flags[at], doc[at] = 0, 0, 0, 0, text
    used = {number: at for at, number in enumerate(sorted(({*author} | sent.actors()) - {0}))}
    actors, labels = _actors(connection, used)
    collections = _names(connection, {*collection})
    contexts = _contexts(connection, {*extra} - {None})
    forgotten = _forgotten(connection, {*returned} - {None})
    places = {number: at for at, number in enumerate(collections)}
    context_places = {number: at for at, number in enumerate(contexts)}
    forgotten_places = {number: at for at, number in enumerate(forgotten)}
    index = used | {0: -1}
    return Delta(
        actors=tuple(actors[number] for number in used),
        labels=tuple(labels[number] for number in used),
        collections=tuple(collections.values()),
        contexts=tuple(contexts.values()),
        collection=[*map(places.__getitem__, collection)],
        key=key,
        actor=[*map(index.__getitem__, author)],
        seq=seq,
        clock=clock,
        flags=flags,
        doc=doc,
        cells=sent.cells(used),
        extra={at: context_places[number] for at, number in enumerate(extra) if number in context_places},
        forgotten=tuple(forgotten.values()),
        returned={at: forgotten_places[number] for at, number in enumerate(returned) if number is not None},
    )


@dataclass(slots=True)
class _Sent:
    """What goes out.

    Args:
        has: Identity's number -> the last sequence number that the reader has taken in.
        omit: Leave out values that the reader holds.

    Attributes:
        rows: Rows of the feed. Of those that several writes made, by their position:
        docs: Documents without what was left out; bodies: of the shapes of their cells.
        cohorts: Their stamps.
    """

    has: Mapping[int, int]
    omit: bool = field(kw_only=True)
    rows: list[FeedRow] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    cohorts: list[Cohort] = field(default_factory=list)
    _packed: int = 0
    _waiting: list[FeedRow] = field(default_factory=list)
    _waiting_size: int = 0

    def add(self, rows: list[FeedRow], size: int = 0) -> None:
        """Add rows of the feed, of so many bytes at rest."""
        self._waiting += rows
        self._waiting_size += size

    def size(self, more: int, limit: int) -> int:
        """Bytes that go out, with so many more: at most; exactly if that is above a limit."""
        if self._waiting and self._packed + self._waiting_size + more >= limit:
            self.pack()
        return self._packed + self._waiting_size + more

    def pack(self) -> None:
        """Pack what was added."""
        for first in range(0, len(self._waiting), PACKED_AT_ONCE):
            self._pack(self._waiting[first : first + PACKED_AT_ONCE])
        self._waiting, self._waiting_size = [], 0

    def actors(self) -> set[int]:
        """Numbers of the identities in stamps."""
        return {*chain.from_iterable([chain(*cohort.stamps[::4]) for cohort in self.cohorts])}

    def cells(self, numbers: Mapping[int, int]) -> dict[int, bytes]:
        """The cells, with these numbers of actors."""
        cells: dict[int, bytes] = {}
        for cohort in self.cohorts:
            bodies = map(self.bodies.__getitem__, cohort.ats)
            cells.update(zip(cohort.ats, encode_columns(bodies, cohort.renamed(numbers).stamps), strict=True))
        return cells

    def _pack(self, rows: list[FeedRow]) -> None:
        """Pack the rows of which the reader lacks an operation."""
        lacking: list[tuple[tuple[bool, ...], Cohort]] = []
        returned = [(at, row[_CELLS]) for at, row in enumerate(rows) if row[_CELLS] is not None and row[_RETURNED]]
        lacking += [((False,) * (len(each.stamps) // 4), each) for each in cohorts(returned)]
        others = [(at, row[_CELLS]) for at, row in enumerate(rows) if row[_CELLS] is not None and not row[_RETURNED]]
        for cohort in cohorts(others):
            parts = cohort.parts(zip(*covered(cohort.stamps, self.has), strict=True))
            lacking += [(known, part) for known, part in parts.items() if not _is_held(known)]
        news = {*chain.from_iterable([cohort.ats for _, cohort in lacking])}
        kept = [at for at, row in enumerate(rows) if row[_CELLS] is None or at in news]
        places = {at: place for place, at in enumerate(kept, len(self.rows))}
        whole = [rows[at] for at in kept]
        self._packed += _bytes(whole)
        self.rows += whole
        for known, cohort in lacking:
            ats = [*map(places.__getitem__, cohort.ats)]
            whole_docs = [rows[at][_DOC] for at in cohort.ats]
            docs, bodies = forward(cohort, whole_docs, known if self.omit else [False] * len(known))
            self._packed -= sum(map(len, whole_docs)) - sum(map(len, docs))
            self.docs.update(zip(ats, docs, strict=True))
            self.bodies.update(zip(ats, bodies, strict=True))
            self.cohorts.append(cohort._replace(ats=ats))


def _is_held(known: Iterable[bool]) -> bool:
    """Whether the reader holds every operation that stands in a record."""
    return all(known)


class _Held(dict[int, int]):
    """What a reader has taken in of each identity, by its number here: looked up as it is asked for."""

    def __init__(self, connection: sqlite3.Connection, held: VersionVector) -> None:
        super().__init__()
        self._connection, self._held = connection, held

    def __missing__(self, number: int) -> int:
        (actor,) = self._connection.execute("SELECT actor FROM actor WHERE id = ?", (number,)).fetchone()
        self[number] = seq = self._held.seq(Actor(actor))
        return seq


def _actors(connection: sqlite3.Connection, numbers: Iterable[int]) -> tuple[dict[int, Actor], dict[int, str]]:
    query = "SELECT id, actor, label FROM actor WHERE id IN (SELECT value FROM json_each(?))"
    rows = connection.execute(query, (json.dumps([*numbers]),)).fetchall()
    return {number: Actor(actor) for number, actor, _ in rows}, {number: label for number, _, label in rows}


def _names(connection: sqlite3.Connection, numbers: Iterable[int]) -> Mapping[int, str]:
    rows = connection.execute("SELECT id, name FROM collection ORDER BY id").fetchall()
    wanted = set(numbers)
    return {number: name for number, name in rows if number in wanted}


def _contexts(connection: sqlite3.Connection, numbers: set[int]) -> Mapping[int, VersionVector]:
    """The extra contexts among these numbers that still say something."""
    if not numbers:
        return {}
    rows = connection.execute("SELECT id, vector FROM context WHERE settled = 0 ORDER BY id").fetchall()
    return {number: restored(connection, vector) for number, vector in rows if number in numbers}


def _forgotten(connection: sqlite3.Connection, numbers: set[int]) -> Mapping[int, DotRanges]:
    if not numbers:
        return {}
    rows = connection.execute(_SETS, (json.dumps([*numbers]),)).fetchall()
    return {number: DotRanges.decode(ranges) for number, ranges in rows}
