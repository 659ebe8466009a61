"""Writes that make records read as they did in a copy, a page of keys at a time.

Knows nothing of where copies come from. Invariant: within its range of keys a page leaves, to readers, exactly what the
copy shows, and it writes only what differs: an operation supersedes no field that reads alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..documents import split
from ..edits import Delete
from .past import NOTHING, State, edit_to
from .store import Tx
from .write import Write, write_all

PAGE_RECORDS: Final = 1_000
PAGE_BYTES: Final = 2 * 1024 * 1024
"""What a page reads of each side; with all their siblings its records stay within what one transaction may hold."""

_SHOWN: Final = "SELECT r.key, r.doc, length(r.doc) + coalesce(length(r.cells), 0) FROM "
_WITHIN: Final = " WHERE c.name = ?1 AND r.live = 1 AND r.key > ?2 AND r.key <= ?3 ORDER BY r.key LIMIT ?4"
_ALL: Final = f"{_SHOWN} collection c JOIN record r ON r.collection = c.id {_WITHIN}"
_AMONG: Final = (
    f"{_SHOWN} json_each(?5) j CROSS JOIN collection c CROSS JOIN record r ON r.collection = c.id AND r.key = j.value"
    f" {_WITHIN}"
)
_LAST_KEY: Final = "\U0010ffff" * 200
"""Behind every key: a key has at most 512 bytes."""


Erased = Mapping[str, frozenset[str] | None]
"""Key -> the fields of the record that were erased since the copy was made; None for all of it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records: of a collection all, or those whose keys stand in a JSON list; and what does not come back."""

    collection: str
    keys: str | None = None
    erased: Erased = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one side shows of a range of keys: documents by key, and the last key up to which that is all."""

    documents: dict[str, str]
    end: str


@dataclass(frozen=True, slots=True)
class Step:
    """One page: the operations that it takes, how many records read alike already, and where it ends.

    Attributes:
        erased: How many records do not get back a value that was erased since.
    """

    writes: list[Write]
    alike: int
    end: str
    erased: int = 0

    @property
    def deletes(self) -> int:
        """How many of the operations are deletes."""
        return sum(isinstance(write.edit, Delete) for write in self.writes)

    @property
    def is_last(self) -> bool:
        """Whether no key lies behind it."""
        return self.end == _LAST_KEY


def collections(connection: sqlite3.Connection) -> list[str]:
    """The names of the collections that a file has records of."""
    return [name for (name,) in connection.execute("SELECT name FROM collection ORDER BY name")]


def shown_after(connection: sqlite3.Connection, chosen: Chosen, after: str, upto: str = _LAST_KEY) -> Shown:
    """The next page of living records behind a key, as JSON texts."""
    bounds = (chosen.collection, after, upto, PAGE_RECORDS)
    cursor = connection.execute(*((_ALL, bounds) if chosen.keys is None else (_AMONG, (*bounds, chosen.keys))))
    found: dict[str, str] = {}
    size = 0
    for key, doc, size_at_rest in cursor:
        found[key] = doc
        size += size_at_rest
        if len(found) == PAGE_RECORDS or size >= PAGE_BYTES:
            return Shown(found, key)
    return Shown(found, upto)


def step(connection: sqlite3.Connection, chosen: Chosen, then: Shown, after: str, note: str) -> Step:
    """What makes the next page of keys behind `after` read as `then`."""
    now = shown_after(connection, chosen, after, then.end)
    pairs = [*_pairs(then.documents, now.documents, now.end)]
    writes: list[Write] = []
    erased = 0
    for key, old, new in pairs:
        before, present = _state(old), _state(new)
        wanted = _without_erased(before, present, chosen.erased[key]) if key in chosen.erased else before
        erased += wanted != before
        edit = edit_to(wanted, present)
        if edit is not None:
            writes.append(Write(collection=chosen.collection, key=key, edit=edit, note=note))
    return Step(writes, len(pairs) - len(writes), now.end, erased)


def _without_erased(then: State, now: State, fields: frozenset[str] | None) -> State:
    """What a record is to read as whose values were erased since: they read as they do now, or not at all."""
    (lived, old), (_, new) = then, now
    if not lived:
        return then
    if fields is None:
        return now
    kept = {name: text for name, text in old.items() if name not in fields}
    return True, kept | {name: new[name] for name in fields & new.keys()}


@dataclass(frozen=True, slots=True)
class Restoring:
    """A job that writes one page."""

    chosen: Chosen
    then: Shown
    after: str
    note: str

    def __call__(self, tx: Tx) -> Step:
        """Write it; raises TransactionTooLarge."""
        found = step(tx.connection, self.chosen, self.then, self.after, self.note)
        if found.writes:
            write_all(tx, found.writes)
        return found


def _pairs(then: dict[str, str], now: dict[str, str], end: str) -> Iterator[tuple[str, str | None, str | None]]:
    """(key, document then, document now) for every key up to `end` that either side shows, in their order."""
    for key in sorted(then.keys() | now.keys()):
        if key <= end:
            yield key, then.get(key), now.get(key)


def _state(doc: str | None) -> State:
    return NOTHING if doc is None else (True, split(doc))
