"""How records read at an earlier moment: from how they read now, by taking back the turns that the log keeps.

Knows nothing of who asks. Invariant: what it gives for an lsn is what readers of this node saw when that was the last
one, under the rules that were in force then.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from holdfast.clocks import Actor, Dot
from holdfast.errors import HistoryTrimmed, UsageError

from ..documents import split
from ..edits import Delete, Edit, Put, Update
from ..turns import Texts, Turn, taken_back
from .erasing import REGISTER
from .journal import Kind
from .retained import STANDING, as_kept, check_dated, check_kept
from .store import Tx
from .write import Write, write_all

_PRESENT: Final = (
    "SELECT r.id, r.key, r.live, r.doc FROM json_each(?1) j CROSS JOIN collection c CROSS JOIN place r"
    " ON r.collection = c.id AND r.key = j.value WHERE c.name = ?2 ORDER BY r.id"
)
_SINCE: Final = (
    "SELECT record, old, added, was FROM log WHERE record IN (SELECT value FROM json_each(?)) AND lsn > ?"
    " ORDER BY id DESC"
)
_KEYS: Final = (
    "SELECT DISTINCT r.key FROM place r JOIN collection c ON c.id = r.collection WHERE c.name = ?1 AND r.key > ?2"
    " ORDER BY r.key LIMIT ?3"
)
_STEP: Final = (
    f"l.lsn, CASE WHEN l.kind = {int(Kind.MERGE)} THEN (SELECT v.ms FROM arrival v WHERE v.lsn = l.lsn)"  # noqa: S608 - constants only
    " ELSE l.clock >> 16 END, l.kind, a.actor, l.seq, l.clock, l.author, l.note, l.old, l.added, l.was"
)
_LIFE: Final = (
    f"SELECT l.record, {_STEP} FROM log l"  # noqa: S608 - constants only
    f" LEFT JOIN actor a ON a.id = l.node WHERE l.record = ? AND {STANDING} ORDER BY l.id DESC LIMIT ?"
)
_LIVES: Final = (
    f"SELECT l.record, {_STEP} FROM log l"  # noqa: S608 - constants only
    " JOIN place r ON r.id = l.record JOIN collection c ON c.id = r.collection LEFT JOIN actor a ON a.id = l.node"
    f" WHERE c.name = ? AND {STANDING} ORDER BY l.id DESC LIMIT ?"
)
_STAND: Final = "SELECT r.id, r.key, r.live, r.doc FROM json_each(?) j JOIN place r ON r.id = j.value"
_AT: Final = (
    "SELECT DISTINCT c.name, r.key FROM log l JOIN place r ON r.id = l.record"  # noqa: S608 - constants only
    " JOIN collection c ON c.id = r.collection"
    f" WHERE l.lsn = ? AND c.name <> '{REGISTER}' AND {STANDING} ORDER BY c.name, r.key"
)
"""What a transaction changed. An entry of the register of erasures stays: other nodes have yet to go by it."""

_FIRST: Final = (
    "SELECT r.key, l.lsn, l.kind, l.was, r.id <= coalesce(t.newest, 0) FROM json_each(?1) j"
    " CROSS JOIN collection c CROSS JOIN place r ON r.collection = c.id AND r.key = j.value"
    " JOIN log l ON l.record = r.id LEFT JOIN retained t ON t.collection = r.collection WHERE c.name = ?2"
    " ORDER BY l.id"
)
"""The changes of records, oldest first, and whether the record was known before the floor of its collection."""

_LATER: Final = (
    "SELECT min(lsn) FROM (SELECT min(l.lsn) lsn FROM log l JOIN place r ON r.id = l.record"
    " WHERE l.kind < ?1 AND l.clock >= ?2 << 16"
    " AND (?3 IS NULL OR r.collection = (SELECT id FROM collection WHERE name = ?3))"
    " UNION ALL SELECT min(lsn) FROM arrival WHERE ms >= ?2)"
)

_MS_END: Final = 2**47 - 1
"""The last millisecond that a stamp can name: a later moment, shifted, would be beyond SQLite's integers."""

State = tuple[bool, Texts]
"""Whether a record lives, and its fields."""

NOTHING: Final[State] = (False, {})


class Step(NamedTuple):
    """One change in a record's life, and how the record read after it."""

    key: str
    lsn: int
    seen_ms: int | None
    kind: Kind
    dot: Dot
    clock: int
    author: str | None
    note: str | None
    after: State


def states_at(connection: sqlite3.Connection, collection: str, keys: Sequence[str], lsn: int) -> dict[str, State]:
    """How these records read when `lsn` was the last one; those that were never there are left out.

    Raises:
        HistoryTrimmed: Not all that was changed since is known.
    """
    with _one_state(connection):
        check_kept(connection, collection, lsn)
        return _states_at(connection, collection, keys, lsn)


def _states_at(connection: sqlite3.Connection, collection: str, keys: Sequence[str], lsn: int) -> dict[str, State]:
    rows = connection.execute(as_kept(connection, _PRESENT), (json.dumps(list(keys)), collection)).fetchall()
    found: dict[int, State] = {number: (bool(live), split(doc)) for number, _, live, doc in rows}
    for record, *turn in connection.execute(_SINCE, (json.dumps([*found]), lsn)):
        found[record] = taken_back(*found[record], Turn(*turn))
    shown: dict[str, State] = {}
    for number, key, _, _ in rows:  # of several that stood under a key one lived at most
        if key not in shown or found[number][0]:
            shown[key] = found[number]
    return shown


def keys_after(connection: sqlite3.Connection, collection: str, after: str, limit: int) -> list[str]:
    """The next keys of a collection, of deleted records too."""
    return [key for (key,) in connection.execute(as_kept(connection, _KEYS), (collection, after, limit))]


def life(connection: sqlite3.Connection, collection: str, key: str, limit: int) -> list[Step]:
    """The changes of a record that are known, newest first."""
    steps: list[Step] = []
    with _one_state(connection):
        rows = connection.execute(as_kept(connection, _PRESENT), (json.dumps([key]), collection)).fetchall()
        for number, _, live, doc in reversed(rows):
            states: dict[int, State] = {number: (bool(live), split(doc))}
            changes = connection.execute(as_kept(connection, _LIFE), (number, limit - len(steps)))
            steps += _steps(changes, {number: key}, states)
    return steps


def lives(connection: sqlite3.Connection, collection: str, limit: int) -> list[Step]:
    """The changes of a collection that are known, newest first."""
    with _one_state(connection):
        changes = connection.execute(as_kept(connection, _LIVES), (collection, limit)).fetchall()
        records = json.dumps([*{change[0] for change in changes}])
        rows = connection.execute(as_kept(connection, _STAND), (records,)).fetchall()
    states: dict[int, State] = {number: (bool(live), split(doc)) for number, _, live, doc in rows}
    return [*_steps(changes, {number: key for number, key, *_ in rows}, states)]


def _steps(changes: Iterable[Sequence[Any]], keys: Mapping[int, str], states: dict[int, State]) -> Iterator[Step]:
    """The changes, newest first, from how their records read now."""
    for record, lsn, seen_ms, kind, actor, seq, clock, author, note, *turn in changes:
        yield Step(keys[record], lsn, seen_ms, Kind(kind), Dot(Actor(actor), seq), clock, author, note, states[record])
        states[record] = taken_back(*states[record], Turn(*turn))


def lsn_before(connection: sqlite3.Connection, ms: int, collection: str | None) -> int:
    """The last lsn of before a moment, by this node's clock, as far as one collection or all can tell.

    Raises:
        HistoryTrimmed: Not all that was changed since is known.
    """
    with _one_state(connection):
        check_dated(connection, collection, ms)
        (later,) = connection.execute(
            as_kept(connection, _LATER), (int(Kind.MERGE), min(ms, _MS_END), collection)
        ).fetchone()
        return head_of(connection) if later is None else int(later) - 1


def head_of(connection: sqlite3.Connection) -> int:
    """The last lsn that was committed."""
    (head,) = connection.execute("SELECT lsn FROM node").fetchone()
    return int(head)


@contextmanager
def _one_state(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one committed state: between two statements of a reader a record may change, or the log be trimmed."""
    if connection.in_transaction:  # the writer's
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a way back takes: its operations, and the places that it leaves alone, or in part."""

    writes: list[Write]
    left: tuple[tuple[str, str], ...] = ()


class _WayBack(ABC):
    """A job that takes something back by ordinary writes, and can say before what it would write."""

    __slots__ = ()

    def __call__(self, tx: Tx) -> Plan:
        """Write it; raises UsageError, HistoryTrimmed."""
        return _written(tx, self._plan(tx.connection, tx.lsn))

    def preview(self, connection: sqlite3.Connection) -> Plan:
        """What would be written; raises UsageError, HistoryTrimmed."""
        with _one_state(connection):
            return self._plan(connection, head_of(connection))

    @abstractmethod
    def _plan(self, connection: sqlite3.Connection, head: int) -> Plan:
        """What to write, as records read at `head`."""


@dataclass(frozen=True, slots=True)
class Reverting(_WayBack):
    """A job that lets records read as they did at an lsn."""

    collection: str
    keys: Sequence[str]
    lsn: int
    author: str
    note: str

    def _plan(self, connection: sqlite3.Connection, head: int) -> Plan:
        check_past(self.lsn, head)
        then = states_at(connection, self.collection, self.keys, self.lsn)
        now = states_at(connection, self.collection, self.keys, head)
        edits = {key: edit_to(then.get(key, NOTHING), now.get(key, NOTHING)) for key in self.keys}
        doomed = [key for key, edit in edits.items() if isinstance(edit, Delete)]
        _check_made_here(connection, self.collection, doomed, self.lsn)
        return Plan(_writes(self.collection, edits, self.author, self.note))


@dataclass(frozen=True, slots=True)
class Undoing(_WayBack):
    """A job that takes back what the transaction of an lsn changed, where it still reads as that left it."""

    lsn: int
    author: str
    note: str

    def _plan(self, connection: sqlite3.Connection, head: int) -> Plan:
        check_past(self.lsn, head)
        check_kept(connection, None, self.lsn - 1)  # it may have changed records of any collection
        writes: list[Write] = []
        left: list[tuple[str, str]] = []
        for collection, keys in _grouped(connection.execute(_AT, (self.lsn,)).fetchall()).items():
            before, after, now = (states_at(connection, collection, keys, at) for at in (self.lsn - 1, self.lsn, head))
            edits = {}
            for key in keys:
                edits[key], whole = _undo(before[key], after[key], now[key])
                left += [] if whole else [(collection, key)]
            writes += _writes(collection, edits, self.author, self.note)
        return Plan(writes, tuple(left))


def check_past(lsn: int, head: int) -> None:
    """Return if a transaction has been by now; raises UsageError."""
    if lsn > head:
        what, remedy = f"there is no such transaction yet: the last is {head}", "Look it up in history or log."
        raise UsageError(what, subject=f"lsn {lsn}", remedy=remedy)


def _check_made_here(connection: sqlite3.Connection, collection: str, keys: Sequence[str], lsn: int) -> None:
    """Return if these records were not there at an lsn, and not merely unknown here: no sync brought them first.

    Raises:
        HistoryTrimmed: One of them may have been there, at other nodes.
    """
    seen = set()
    for key, first, kind, was, known in connection.execute(_FIRST, (json.dumps(list(keys)), collection)):
        if key not in seen and first > lsn and kind == Kind.MERGE and was == 0 and not known:
            raise HistoryTrimmed(
                f"its history here begins at lsn {first}, when a sync brought it; how it read before is not known here",
                subject=f"{collection}/{key}",
                remedy="Ask for a later moment, or go back at a node that has its history; `delete` deletes it.",
            )
        seen.add(key)


def _grouped(places: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for collection, key in places:
        found.setdefault(collection, []).append(key)
    return found


def _writes(collection: str, edits: Mapping[str, Edit | None], author: str, note: str) -> list[Write]:
    return [
        Write(collection=collection, key=key, edit=edit, author=author, note=note)
        for key, edit in edits.items()
        if edit is not None
    ]


def _written(tx: Tx, plan: Plan) -> Plan:
    if plan.writes:
        write_all(tx, plan.writes)
    return plan


def edit_to(then: State, now: State) -> Edit | None:
    """What makes a record read as it did; None if it does."""
    (lived, old), (lives, new) = then, now
    if not lived:
        return Delete() if lives else None
    if not lives:
        return Put(old)
    changed = {name: text for name, text in old.items() if new.get(name) != text}
    gone = frozenset(new.keys() - old.keys())
    return Update(changed, gone) if changed or gone else None


def _undo(before: State, after: State, now: State) -> tuple[Edit | None, bool]:
    """What takes a change back, and whether all of it can be: what was changed since stays."""
    (lived, old), (lives, new), (alive, present) = before, after, now
    if lived != lives:
        unchanged = alive == lives and (present == new or not lives)
        return (edit_to(before, now) if unchanged else None), unchanged
    touched = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    same = {name for name in touched if alive and present.get(name) == new.get(name)}
    changed = {name: old[name] for name in same if name in old}
    gone = frozenset(same - old.keys())
    return (Update(changed, gone) if same else None), same == touched
