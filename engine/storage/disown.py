"""Takes back what one node has changed since a moment, where it still shows: ordinary operations, a page at a time.

Knows nothing of who asks. Invariant: only what that node wrote is changed, and it reads afterwards as what others say
beside it, or else as others were last seen to have written it since, as far as this node's log tells, or else as it
read at this node at that moment; what others wrote stays.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from holdfast.clocks import Actor
from holdfast.resolvers import Policy

from ..cells import Record
from ..edits import Delete, Edit, Put, Update
from ..turns import Texts, shown
from .declare import declared_schemas
from .erasing import REGISTER
from .journal import Kind
from .past import State, life, states_at
from .reading import all_actors
from .retained import check_kept
from .rows import COLUMNS, Row
from .store import Tx
from .write import Write, write_all

PAGE_RECORDS: Final = 500
_PLAIN: Final = Policy()
_OWN: Final = frozenset((Kind.PUT, Kind.UPDATE, Kind.DELETE))
"""What this node itself wrote; a decision may have chosen a value of anybody."""

PREFIX_MIN: Final = 8
"""Characters of an identity's name that are enough to mean it."""

_CHANGED: Final = (
    f"SELECT {COLUMNS}, c.name, r.key, r.lsn FROM record r JOIN collection c ON c.id = r.collection"  # noqa: S608 - constants only
    f" WHERE (r.lsn, r.id) > (?, ?) AND r.lsn <= ? AND c.name <> '{REGISTER}' ORDER BY r.lsn, r.id LIMIT ?"
)
_YOUNG: Final = (
    "SELECT l.record FROM log l JOIN record r ON r.id = l.record LEFT JOIN retained t ON t.collection = r.collection"
    " WHERE l.record IN (SELECT value FROM json_each(?)) AND l.record > coalesce(t.newest, 0)"
    " GROUP BY l.record HAVING min(l.lsn) > ?"
)
"""Records that were not known at a moment: what stands in them has been written since, also where it was superseded.

Records are numbered as they come: one of before a record that had its log trimmed was known before the floor.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Whose changes, and since when.

    Attributes:
        actors: The node's identities.
        since: What stood when this lsn was the last one is what is gone back to.
        until: Records that changed later are left alone: they were changed by the revert itself.
    """

    actors: frozenset[Actor]
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Page:
    """The operations of one page, and the position that it reaches; None behind the last."""

    writes: list[Write]
    end: tuple[int, int] | None

    @property
    def deletes(self) -> int:
        """How many of the operations are deletes."""
        return sum(isinstance(write.edit, Delete) for write in self.writes)


def identities(connection: sqlite3.Connection, node: str) -> frozenset[Actor]:
    """The identities that go by a label, or whose name begins so."""
    rows = connection.execute("SELECT actor, label FROM actor").fetchall()
    return frozenset(
        Actor(actor) for actor, label in rows if label == node or (len(node) >= PREFIX_MIN and actor.startswith(node))
    )


def page(connection: sqlite3.Connection, case: Case, after: tuple[int, int], author: str, note: str) -> Page:
    """What takes back the changes to the next records in feed order; raises HistoryTrimmed."""
    check_kept(connection, None, case.since)
    rows = connection.execute(_CHANGED, (*after, case.until, PAGE_RECORDS)).fetchall()
    if not rows:
        return Page([], None)
    writes = [
        Write(collection=name, key=key, edit=edit, author=author, note=note)
        for name, key, edit in _edits(connection, case, rows)
    ]
    return Page(writes, (rows[-1][-1], rows[-1][0]))


@dataclass(frozen=True, slots=True)
class _Last:
    """What others wrote to a record since a moment: its fields, None for one that they took away.

    Attributes:
        live: Whether the record exists by the last of it; None if nothing of that is known.
    """

    fields: dict[str, str | None]
    live: bool | None

    def over(self, old: Texts) -> dict[str, str]:
        """How the record reads with that, from how it read before."""
        return {name: text for name, text in {**old, **self.fields}.items() if text is not None}


@dataclass(frozen=True, slots=True)
class _Spoilt:
    """A record that these identities have written to.

    Attributes:
        record: All of it.
        rest: What others say in it.
        stands: Whether, by the others, the record exists; False also where none of them says anything of that.
        texts: How what the others say reads.
    """

    record: Record
    rest: Record
    stands: bool
    texts: Texts


@dataclass(frozen=True, slots=True)
class Disowning:
    """A job that writes one page."""

    case: Case
    after: tuple[int, int]
    author: str
    note: str

    def __call__(self, tx: Tx) -> Page:
        """Write it."""
        found = page(tx.connection, self.case, self.after, self.author, self.note)
        if found.writes:
            write_all(tx, found.writes)
        return found


def _edits(connection: sqlite3.Connection, case: Case, rows: list[tuple[Any, ...]]) -> Iterator[tuple[str, str, Edit]]:
    actors = all_actors(connection)
    policies = {schema.name: schema.policy for schema in declared_schemas(connection)}
    young = {number for (number,) in connection.execute(_YOUNG, (json.dumps([row[0] for row in rows]), case.since))}
    theirs: dict[str, dict[str, _Spoilt]] = {}
    for *columns, name, key, _ in rows:
        row = Row._make(columns)
        record = row.record(actors)
        if any(stamp.dot.actor in case.actors for stamp in record.stamps()):
            rest = _without(record, case.actors)
            live, texts = shown(name, key, rest, policies.get(name, _PLAIN))
            stands = live if rest.existence else bool(rest.cells) and row.id in young
            theirs.setdefault(name, {})[key] = _Spoilt(record, rest, stands, texts)
    for name, records in theirs.items():
        then = states_at(connection, name, [*records], case.since)
        now = states_at(connection, name, [*records], case.until)
        for key, spoilt in records.items():
            last = _last_of_others(connection, case, name, key, then[key])
            edit = _edit(case.actors, spoilt, last, then[key], now[key])
            if edit is not None:
                yield name, key, edit


def _last_of_others(connection: sqlite3.Connection, case: Case, collection: str, key: str, then: State) -> _Last:
    """What others wrote since the moment: operations of this file, and records that a sync brought first as theirs.

    What else a sync brought may hold values of several nodes, and says nothing here.
    """
    steps = life(connection, collection, key, -1)
    fields: dict[str, str | None] = {}
    live: bool | None = None
    lived, before = then
    for step in reversed([step for step in steps if case.since < step.lsn <= case.until]):
        lives, texts = step.after
        born = step.kind == Kind.MERGE and not lived and step is steps[-1]
        if step.dot.actor not in case.actors and (born or step.kind in _OWN):
            old = before if lived else {}
            changed = {name for name in old.keys() | texts.keys() if old.get(name) != texts.get(name)}
            fields |= {name: texts.get(name) for name in changed} if lives else {}
            live = lives
        lived, before = lives, texts
    return _Last(fields, live)


def _without(record: Record, actors: frozenset[Actor]) -> Record:
    """What others say in a record beside what these identities say."""
    lives = {dot: life for dot, life in record.existence.items() if dot.actor not in actors}
    cells = {
        name: {dot: sibling for dot, sibling in cell.items() if dot.actor not in actors}
        for name, cell in record.cells.items()
    }
    return Record(lives, {name: cell for name, cell in cells.items() if cell})


def _edit(actors: frozenset[Actor], spoilt: _Spoilt, last: _Last, then: State, now: State) -> Edit | None:
    """What takes back what these identities wrote, where it still stands; None if nothing of it shows."""
    (lived, old), (lives, new) = then, now
    record, rest = spoilt.record, spoilt.rest
    known = lived if last.live is None else last.live
    if not (spoilt.stands or (known and not rest.existence)):
        return Delete() if lives else None
    before = {**last.over(old if lived else {}), **spoilt.texts}
    if not lives:
        return Put(before)
    fields = {name for name, cell in record.cells.items() if any(dot.actor in actors for dot in cell)}
    if known and len(rest.existence) < len(record.existence):
        fields |= before.keys() - new.keys()  # who removed a field has left nothing but the frontier
    changed = {name: before[name] for name in fields & before.keys() if new.get(name) != before[name]}
    gone = frozenset(fields & new.keys() - before.keys())
    return Update(changed, gone) if changed or gone else None
