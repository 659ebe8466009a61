"""Checks a starter that came from elsewhere, before a row of it is taken in: it is a file that others have made.

Knows nothing of how it came. Invariants: a starter that passes has the tables of this program and nothing beside them,
pages and indexes that fit, every record's document canonical, its digest that of its cells and its operations covered
by the vector; how records with siblings read is not believed, because whoever takes it in works it out anew.
"""

from __future__ import annotations

import re
import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import ge
from pathlib import Path
from typing import Any, Final

from holdfast.clocks import EMPTY, Actor, Dot, SpaceId, VersionVector
from holdfast.errors import DamagedFile
from holdfast.resolvers import Policy

from ..cohorts import Cohort, cohorts, covered, encode_columns
from ..delta import FeedId, StretchId
from ..digest import DIGEST_MASK, digest_head, encoded_digests, plain_digests
from ..documents import KEY_BYTES_MAX, is_name
from ..membership import Membership
from ..packing import FLAGS_MAX, UnreadableCellsError
from ..spelling import looks_safe
from .faults import translated
from .members import membership_of
from .migrations import FORMAT, format_of, migrate, scripts
from .pasts import restored
from .rows import COLUMNS, Row, row_values
from .starter import drop_indexes
from .store import vector_of
from .stretches import stretch_at

PAGE: Final = 2_000
NUMBER_MAX: Final = (1 << 63) - 1

_ROWS: Final = f"SELECT r.collection, r.key, r.lsn, r.returned, {COLUMNS} FROM record r ORDER BY r.id"  # noqa: S608 - constants only
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name <> 'sqlite_sequence' ORDER BY name"
_NODE: Final = (
    "SELECT a.actor, n.label, n.feed, n.lsn, n.clock, n.digest, n.space_name FROM node n JOIN actor a ON a.id = n.actor"
)
_ACTOR: Final = re.compile("[0-9a-f]{32}")
_FOUR: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A starter that was checked.

    Attributes:
        path: Its file.
        actor, label, feed, lsn, stretch: Whose state it is, and which position of which feed.
        vector: What that node had taken in.
        membership, space_name: Of which space.
        clock, digest: As they stood there.
        records: How many it holds, tombstones included.
        odd: Numbers of those that have siblings, are dead, or are hidden: the others read as they stand.
    """

    path: Path
    actor: Actor
    label: str
    feed: FeedId
    lsn: int
    stretch: StretchId
    vector: VersionVector
    membership: Membership
    space_name: str
    clock: int
    digest: int
    records: int
    odd: Sequence[int]


def checked_starter(path: Path) -> Starter:
    """Check a starter; one of an older format is brought to this one first.

    Raises:
        NotADatabase, OlderFormat, NewerFormat, DamagedFile: It is not what it must be; nothing may be taken from it.
    """
    subject = str(path)
    with translated(subject), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")  # what they ask is asked of each record below
        _check_schema(connection, subject, format_of(connection, subject))
        _check_pages(connection, subject)
        migrate(connection, subject)
        drop_indexes(connection)  # that a newer format has
        try:
            return _Check(connection, path).run()
        except (ValueError, KeyError, TypeError, OverflowError) as error:  # what cannot be read is no starter
            raise _damaged(subject, f"{type(error).__name__}: {error}") from error


def _check_schema(connection: sqlite3.Connection, subject: str, version: int) -> None:
    """Tables and indexes are letter by letter those of that format: no trigger, no view, no stranger's expression."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for number, script in scripts().items():
            if number <= version:
                model.executescript(script)
        drop_indexes(model)
        wanted = model.execute(_SCHEMA).fetchall()
    if not version or connection.execute(_SCHEMA).fetchall() != wanted:
        raise _damaged(subject, f"its tables are not those of format {version or FORMAT}")


def _check_pages(connection: sqlite3.Connection, subject: str) -> None:
    found = [line for (line,) in connection.execute("PRAGMA integrity_check(3)") if line != "ok"]
    if found:
        raise _damaged(subject, "; ".join(found))


@dataclass(slots=True)
class _Check:
    """The running state of one check."""

    connection: sqlite3.Connection
    path: Path
    actors: dict[int, Actor] = field(default_factory=dict)
    numbers: dict[Actor, int] = field(default_factory=dict)
    collections: dict[int, str] = field(default_factory=dict)
    vector: VersionVector = EMPTY
    has: Mapping[int, int] = field(default_factory=dict)
    unsettled: dict[int, VersionVector] = field(default_factory=dict)
    forgotten: set[int | None] = field(default_factory=set)
    lsn: int = 0
    extra_max: int = 0
    digest: int = 0
    records: int = 0
    odd: array[int] = field(default_factory=lambda: array("q"))
    heads: dict[tuple[int, int], str] = field(default_factory=dict)

    def run(self) -> Starter:
        connection, subject = self.connection, str(self.path)
        actor, label, feed, self.lsn, clock, digest, space_name = connection.execute(_NODE).fetchone()
        self._read_tables()
        for page in _pages(connection):
            self._page(page)
        if self.digest & DIGEST_MASK != digest:
            raise _damaged(subject, "the digest of the space is not the sum of its records'")
        membership = membership_of(connection)
        _need(bool(re.fullmatch("[0-9a-f]{16}", feed)), "its feed")
        _need(all(_ACTOR.fullmatch(space) for space in membership.ids), "the id of its space")
        return Starter(
            path=self.path,
            actor=Actor(actor),
            label=label,
            feed=FeedId(feed),
            lsn=self.lsn,
            stretch=StretchId(stretch_at(connection, self.lsn)),
            vector=self.vector,
            membership=Membership(SpaceId(membership.space), membership.bond, membership.aliases),
            space_name=space_name,
            clock=clock,
            digest=digest,
            records=self.records,
            odd=self.odd,
        )

    def _read_tables(self) -> None:
        connection = self.connection
        self.actors = {number: Actor(text) for number, text in connection.execute("SELECT id, actor FROM actor")}
        _need(all(map(_ACTOR.fullmatch, self.actors.values())), "its identities")
        self.numbers = {actor: number for number, actor in self.actors.items()}
        self.collections = dict(connection.execute("SELECT id, name FROM collection"))
        self.vector = vector_of(connection)
        own = connection.execute("SELECT actor, seq FROM node WHERE seq > 0").fetchall()
        rows = connection.execute("SELECT actor, seq FROM vector").fetchall() + own
        entries = {self.actors[number]: seq for number, seq in rows}
        _need(self.vector == VersionVector(entries), "its past")
        self.has = {number: self.vector.seq(actor) for number, actor in self.actors.items()}
        rows = connection.execute("SELECT id, vector FROM context WHERE settled = 0").fetchall()
        self.unsettled = {number: restored(connection, vector) for number, vector in rows}
        self.forgotten = {None, *(number for (number,) in connection.execute("SELECT id FROM forgotten"))}
        given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'context'").fetchone()
        self.extra_max = given[0] if given else 0
        _need(all(number <= self.extra_max for number in self.unsettled), "its numbers of contexts")
        _need(all(0 < len(name.encode()) <= KEY_BYTES_MAX for name in self.collections.values()), "its collections")

    def _page(self, page: Sequence[tuple[Any, ...]]) -> None:
        """Check some records: most of them as columns, the others one by one."""
        collections, keys, lsns, returned, ids, *_, extras, cells, _, _ = zip(*page, strict=True)
        fits = {*collections} <= self.collections.keys() and {*returned} <= self.forgotten
        fits = fits and min(lsns) > 0 and max(lsns) <= self.lsn and min(ids) > 0
        fits = fits and all(extra is None or 0 < extra <= self.extra_max for extra in {*extras})
        fits = fits and all(keys) and max(map(len, keys)) <= KEY_BYTES_MAX
        long = not all(map(str.isascii, keys)) and max(len(key.encode()) for key in keys) > KEY_BYTES_MAX
        _need(fits and not long, f"a record of {ids[0]} to {ids[-1]}")
        self.records += len(page)
        if any(cells):
            self._packed([row for row in page if row[13] is not None])
            page = [row for row in page if row[13] is None]
        self._plain(page)

    def _plain(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        collections, keys, _, _, ids, live, nodes, seqs, clocks, flags, digests, conflicts, extras, _, docs, _ = zip(
            *rows, strict=True
        )
        found = plain_digests(zip(map(self._head, collections, nodes), keys, seqs, clocks, flags, docs, strict=True))
        named = {number: int(is_name(self.collections[number])) for number in {*collections}}
        shown = [*map(named.__getitem__, collections)]
        sound = found == [*digests] and shown == [*live] and not any(conflicts) and all(map(looks_safe, docs))
        sound = sound and min(seqs) >= 1 and min(clocks) >= 0 and min(flags) >= 0 and max(flags) <= FLAGS_MAX
        known = all(map(ge, map(self.has.__getitem__, nodes), seqs))
        known = known or all(self._covers(*dot) for dot in zip(nodes, seqs, extras, strict=True))
        _need(sound and known, f"a record of {ids[0]} to {ids[-1]}")
        self.digest += sum(digests)
        if not all(shown):
            self.odd.extend(number for number, seen in zip(ids, shown, strict=True) if not seen)

    def _packed(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for cohort in cohorts([(at, row[13]) for at, row in enumerate(rows)]):
            if cohort.is_flat():
                settled = [at for at in cohort.ats if rows[at][5] and not rows[at][11]]
                if len(settled) == len(cohort.ats) and self._flat(cohort, [rows[at] for at in cohort.ats]):
                    continue
            for at in cohort.ats:
                self._odd(rows[at])

    def _flat(self, cohort: Cohort, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Check records of one shape, alive by one operation; False if that is for a look at each."""
        places = [(self.collections[row[0]], row[1]) for row in rows]
        if not all(is_name(name) for name, _ in places):
            return False
        named = cohort.renamed(self.actors)
        encoded = encode_columns(repeat(cohort.shape.body, len(rows)), named.stamps)
        docs = [row[14] for row in rows]
        found = encoded_digests([(*place, cells, doc) for place, cells, doc in zip(places, encoded, docs, strict=True)])
        names = cohort.shape.outline
        sound = found == [row[10] for row in rows] and all(map(looks_safe, docs))
        sound = sound and all(names.cut(doc) is not None for doc in docs)
        first = [*zip(*cohort.stamps[:_FOUR], strict=True)]
        sound = sound and first == [row[6:10] for row in rows] and _are_numbers(cohort.stamps)
        known = all(map(all, covered(cohort.stamps, self.has)))
        known = known or all(self._covers_all(row, cohort, at) for at, row in enumerate(rows))
        _need(sound and known, f"a record of {rows[0][4]} to {rows[-1][4]}")
        self.digest += sum(row[10] for row in rows)
        return True

    def _odd(self, found: tuple[Any, ...]) -> None:
        """Check a record with siblings, a tombstone, or one of a name that no local node could give."""
        row = Row._make(found[4:])
        place = (self.collections[found[0]], found[1])
        try:
            record = row.record(self.actors)
        except UnreadableCellsError as error:
            raise _damaged(str(self.path), f"record {row.id}: {error}") from error
        values, _ = row_values(*place, record, Policy(), self.numbers.__getitem__)
        same = (values.digest, values.node, values.seq, values.clock, values.flags)
        _need(same == (row.digest, row.node, row.seq, row.clock, row.flags), f"record {row.id}")
        extra = self.unsettled.get(row.extra or 0)
        have = self.vector if extra is None else self.vector.join(extra)
        _need(have.covers_all(stamp.dot for stamp in record.stamps()), f"the vector at record {row.id}")
        self.digest += row.digest
        self.odd.append(row.id)

    def _head(self, collection: int, node: int) -> str:
        place = (collection, node)
        if place not in self.heads:
            self.heads[place] = digest_head(self.collections[collection], self.actors[node])
        return self.heads[place]

    def _covers(self, node: int, seq: int, extra: int | None) -> bool:
        if seq <= self.has[node]:
            return True
        context = self.unsettled.get(extra or 0)
        return context is not None and context.covers(Dot(self.actors[node], seq))

    def _covers_all(self, row: tuple[Any, ...], cohort: Cohort, at: int) -> bool:
        nodes, seqs = cohort.stamps[::4], cohort.stamps[1::4]
        return all(self._covers(node[at], seq[at], row[12]) for node, seq in zip(nodes, seqs, strict=True))


def _pages(connection: sqlite3.Connection) -> Iterator[list[tuple[Any, ...]]]:
    cursor = connection.execute(_ROWS)
    while page := cursor.fetchmany(PAGE):
        yield page


def _are_numbers(stamps: Sequence[Sequence[Any]]) -> bool:
    if {*map(type, chain.from_iterable(stamps))} != {int}:
        return False
    smallest, largest = min(map(min, stamps)), max(map(max, stamps))
    return bool(smallest >= 0 and largest <= NUMBER_MAX and max(map(max, stamps[3::4])) <= FLAGS_MAX)


def _need(fits: bool, what: str) -> None:  # noqa: FBT001 - the answer to one question
    if not fits:
        raise ValueError(f"{what} is not what it must be")


def _damaged(subject: str, what: str) -> DamagedFile:
    return DamagedFile(
        f"the copy is not what a hub of this version makes: {what}",
        subject=subject,
        remedy="Sync: it goes by the feed.",
    )
