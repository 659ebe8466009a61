"""Checks a file against itself: pages, rows, digests, vectors, indexes, inbox, log.

Read-only: it reports and changes nothing. Invariant: every problem names the object; an empty list means that each
row is what its cells say, that the vector covers every dot, and that the digest is the sum of the rows'.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

from holdfast.clocks import Actor, VersionVector
from holdfast.errors import DamagedFile
from holdfast.resolvers import Policy

from .declared import has_absent_rules
from .digest import DIGEST_MASK, digest_head, plain_digests
from .documents import is_name
from .host import Host
from .packing import UnreadableCellsError
from .projection import Projection
from .storage.journal import Kind
from .storage.pasts import restored
from .storage.query import index_name
from .storage.reading import all_actors
from .storage.rows import COLUMNS, Row, row_values
from .storage.store import vector_of

T = TypeVar("T")

PAGE: Final = 2_000
PROBLEMS_MAX: Final = 100
_LOGGED: Final = (
    "SELECT record, max(lsn) FROM log WHERE record > ? AND record <= ? AND NOT (kind = ? AND was = 0) GROUP BY record"
)
"""The last change of each; a record that came with a starter stands where it stood in the feed of its giver."""
_MISCOUNTED: Final = (
    "SELECT c.name, r.key, r.conflicts FROM record r JOIN collection c ON c.id = r.collection"
    " LEFT JOIN conflict x ON x.record = r.id AND x.standing = 1 WHERE r.conflicts > 0"
    " GROUP BY r.id HAVING count(x.id) <> r.conflicts LIMIT 20"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a check found.

    Attributes:
        records: Rows that were checked.
        problems: What is wrong, a line each, at most 100; empty if all is well.
    """

    records: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"ok": self.ok}


@dataclass(slots=True)
class _Check:
    """The running state of one check."""

    policies: dict[str, Policy]
    problems: list[str] = field(default_factory=list)
    records: int = 0
    digest: int = 0
    damaged: bool = False
    last: int = 0

    def count(self, row: Row) -> None:
        self.records += 1
        self.digest += row.digest
        self.last = row.id

    def note(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX and problem not in self.problems:
            self.problems.append(problem)


async def verify_file(node: Host, on_progress: Callable[[int], None] | None) -> VerifyReport:
    """Check the file of a node. Records are read page by page, each page in a transaction of its own.

    Commits that happen meanwhile are not mistaken for damage: the sum is compared only if none happened.
    """
    check = _Check({name: schema.policy for name, schema in node.schemas.items()})

    async def reported(step: Callable[..., T], *args: object) -> T | None:
        """What a step gives; None if a page that it reads is damaged: what the others read is checked all the same."""
        try:
            return await node.readers.run(step, check, *args)
        except DamagedFile as error:
            check.damaged = True
            check.note(f"file: {error.what}")
            return None

    before = await reported(_file)
    while await reported(_page):
        if on_progress:
            on_progress(check.records)
    await reported(_sums, None if check.damaged else before)
    return VerifyReport(records=check.records, problems=tuple(check.problems))


def problems_of(connection: sqlite3.Connection, policies: dict[str, Policy]) -> tuple[str, ...]:
    """What is wrong with a file that nobody writes to, a line each, at most 100; as `verify_file` finds it."""
    check = _Check(policies)
    try:
        before = _file(connection, check)
        while _page(connection, check):
            pass
        _sums(connection, check, before)
    except sqlite3.DatabaseError as error:
        check.note(f"file: SQLite says: {error}")
    return tuple(check.problems)


def _file(connection: sqlite3.Connection, check: _Check) -> int:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            check.note(f"file: {line}")
    for number, name, schema in connection.execute("SELECT id, name, schema FROM collection ORDER BY id").fetchall():
        for fields in json.loads(schema)["indexes"] if schema else []:
            wanted = index_name(number, fields)
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (wanted,)).fetchone() is None:
                check.note(f"collection {name}: the index over {', '.join(fields)} is missing")
    (lsn,) = connection.execute("SELECT lsn FROM node").fetchone()
    return int(lsn)


def _page(connection: sqlite3.Connection, check: _Check) -> bool:
    """Check one page of rows; False after the last."""
    connection.execute("BEGIN")
    try:
        rows = connection.execute(
            f"SELECT {COLUMNS}, c.name, r.key, r.lsn FROM record r JOIN collection c ON c.id = r.collection"  # noqa: S608 - constants only
            " WHERE r.id > ? ORDER BY r.id LIMIT ?",
            (check.last, PAGE),
        ).fetchall()
        actors, vector = all_actors(connection), vector_of(connection)
        numbers = {actor: number for number, actor in actors.items()}
        (head,) = connection.execute("SELECT lsn FROM node").fetchone()
        logged = (
            dict(connection.execute(_LOGGED, (check.last, rows[-1][0], int(Kind.MERGE))).fetchall()) if rows else {}
        )
        unsettled = {
            number: restored(connection, encoded)
            for number, encoded in connection.execute("SELECT id, vector FROM context WHERE settled = 0")
        }
    finally:
        connection.execute("COMMIT")
    sound = _sound_plain(rows, actors, vector)
    for *columns, name, key, lsn in rows:
        row = Row._make(columns)
        if row.id in sound:
            check.count(row)
        else:
            have = vector.join(unsettled[row.extra]) if row.extra in unsettled else vector
            _row(check, row, f"{name}/{key}", (name, key), actors, numbers, have)
        if lsn > head:
            check.note(f"{name}/{key}: it stands at {lsn} in a feed that ends at {head}")
        if logged.get(row.id, 0) > lsn:
            check.note(f"{name}/{key}: the log tells of a change at {logged[row.id]}, it stands as it was at {lsn}")
    return bool(rows)


def _sound_plain(rows: Sequence[tuple[Any, ...]], actors: dict[int, Actor], vector: VersionVector) -> set[int]:
    """Numbers of the plain records that are what they were when they were written: all but a few of most files."""
    plain = [(Row._make(columns), name, key) for *columns, name, key, _ in rows]
    plain = [
        (row, name, key)
        for row, name, key in plain
        if row.cells is None and row.node in actors and row.seq and not row.conflicts and is_name(name) and row.live
    ]
    digests = plain_digests(
        (digest_head(name, actors[row.node or 0]), key, row.seq or 0, row.clock, row.flags, row.doc)
        for row, name, key in plain
    )
    return {
        row.id
        for (row, *_), digest in zip(plain, digests, strict=True)
        if digest == row.digest and vector.seq(actors[row.node or 0]) >= (row.seq or 0)
    }


def _row(
    check: _Check,
    row: Row,
    subject: str,
    place: tuple[str, str],
    actors: dict[int, Actor],
    numbers: dict[Actor, int],
    have: VersionVector,
) -> None:
    check.count(row)
    try:
        record = row.record(actors)
        policy = check.policies.get(place[0], Policy())
        values, projection = row_values(*place, record, policy, numbers.__getitem__)
    except (UnreadableCellsError, ValueError, KeyError) as error:
        check.note(f"{subject}: its cells cannot be read: {error}")
        return
    if values.digest != row.digest:
        check.note(f"{subject}: its digest is not that of its cells")
    elif (values.doc, values.live) != (row.doc, row.live) and not (row.conflicts and has_absent_rules(policy)):
        check.note(f"{subject}: its document is not what its cells and the declared rules say")
    if (values.node, values.seq, values.clock) != (row.node, row.seq, row.clock):
        check.note(f"{subject}: its columns name another frontier than its cells")
    if _standing(projection) != row.conflicts:
        check.note(f"{subject}: the inbox counts {row.conflicts} conflicts, its cells have {_standing(projection)}")
    if not have.covers_all(stamp.dot for stamp in record.stamps()):
        check.note(f"{subject}: the version vector does not cover a dot that stands here")


def _standing(projection: Projection | None) -> int:
    return len(projection.settled) if projection else 0


def _sums(connection: sqlite3.Connection, check: _Check, before: int | None) -> None:
    lsn, digest = connection.execute("SELECT lsn, digest FROM node").fetchone()
    if lsn == before and check.digest & DIGEST_MASK != digest:
        check.note("the digest of the space is not the sum of its records'")
    for name, key, counted in connection.execute(_MISCOUNTED):
        check.note(f"{name}/{key}: it counts {counted} conflicts, the inbox has other rows")
    (stray,) = connection.execute(
        "SELECT count(*) FROM conflict x LEFT JOIN record r ON r.id = x.record WHERE r.id IS NULL"
    ).fetchone()
    if stray:
        check.note(f"{stray} rows of the inbox name records that do not exist")
