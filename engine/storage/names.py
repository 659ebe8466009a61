"""Numbers for what repeats in the file: identities, collections, vectors.

Knows nothing of records. Invariant: a number stands for the same thing for ever, also when a vector that nothing refers
to any more has been deleted; what is remembered here is only what committed transactions, or the open one, have stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from holdfast.clocks import Actor, VersionVector

from ..reached import reached
from .pasts import restored

UNSETTLED_MAX: Final = 64
"""Extra contexts that may stand before a session drains and those that no record carries are looked for."""

LOGGED_MAX: Final = 64
"""Vectors that log rows refer to before those are looked for that no row refers to any more."""

_FREE: Final = (
    "DELETE FROM context WHERE id IN (SELECT value FROM json_each(?)) AND settled = 1 AND logged = 0"
    " AND NOT EXISTS (SELECT 1 FROM peer WHERE vector = context.id)"
    " AND NOT EXISTS (SELECT 1 FROM peer WHERE told = context.id)"
    " AND NOT EXISTS (SELECT 1 FROM hole WHERE context = context.id)"
)
_JUDGE_AGAIN: Final = (
    "UPDATE purging SET judged = min(judged, coalesce((SELECT min(lsn) - 1 FROM record"
    " WHERE live = 0 AND extra IS NOT NULL AND extra IN (SELECT value FROM json_each(?))), judged))"
)
_CARRIES: Final = "SELECT 1 FROM record WHERE id = ? AND extra = ?"
_CARRIERS: Final = (
    "SELECT extra, max(id) FROM record WHERE extra IN (SELECT value FROM json_each(?)) GROUP BY extra ORDER BY extra"
)


class Names(Mapping[int, Actor]):
    """Identities, collections and vectors by number, remembered.

    Args:
        connection: The writer's.
        keep: The bytes of a vector as the file keeps it.
    """

    def __init__(
        self, connection: sqlite3.Connection, keep: Callable[[VersionVector], bytes] = VersionVector.encode
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._numbers: dict[Actor, int] = {}
        self._labelled: set[Actor] = set()
        self._actors: dict[int, Actor] = {}
        self._collections: dict[str, int] = {}
        self._unsettled: dict[int, VersionVector] | None = None
        self._last_extra: tuple[VersionVector | None, int] = (None, 0)
        self._last_vector: tuple[VersionVector | None, int] = (None, 0)
        self._unsettled_max = UNSETTLED_MAX
        self._logged_max = LOGGED_MAX
        self._carriers: dict[int, int] = {}

    def forget(self) -> None:
        """Drop what was remembered: the transaction it came from was undone."""
        for cache in (self._numbers, self._actors, self._collections):
            cache.clear()
        self._labelled.clear()
        self._unsettled = None
        self._last_extra = self._last_vector = (None, 0)
        self._carriers.clear()

    def number(self, actor: Actor, label: str = "") -> int:
        """The number of an identity, given one if it is new; a label that was unknown is noted."""
        known = self._numbers.get(actor)
        if known is not None and (not label or actor in self._labelled):
            return known
        self._connection.execute(
            "INSERT INTO actor (actor, label) VALUES (?, ?)"
            " ON CONFLICT (actor) DO UPDATE SET label = excluded.label WHERE label = '' AND excluded.label <> ''",
            (actor, label),
        )
        (number,) = self._connection.execute("SELECT id FROM actor WHERE actor = ?", (actor,)).fetchone()
        self._numbers[actor], self._actors[number] = number, actor
        if label:
            self._labelled.add(actor)
        return int(number)

    def actor(self, number: int) -> Actor:
        """The identity with this number."""
        known = self._actors.get(number)
        if known is None:
            (text,) = self._connection.execute("SELECT actor FROM actor WHERE id = ?", (number,)).fetchone()
            known = self._actors[number] = Actor(text)
            self._numbers[known] = number
        return known

    def __getitem__(self, number: int) -> Actor:
        return self.actor(number)

    def __iter__(self) -> Iterator[int]:
        return (number for (number,) in self._connection.execute("SELECT id FROM actor ORDER BY id"))

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM actor").fetchone()
        return int(count)

    def collection(self, name: str) -> int:
        """The number of a collection, given one if it is new."""
        known = self.known_collection(name)
        if known is None:
            self._connection.execute("INSERT INTO collection (name) VALUES (?)", (name,))
            known = self.known_collection(name)
            assert known is not None, "it was just stored"
        return known

    def known_collection(self, name: str) -> int | None:
        """The number of a collection that has one."""
        known = self._collections.get(name)
        if known is None:
            found = self._connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()
            if found is None:
                return None
            known = self._collections[name] = int(found[0])
        return known

    def unsettled(self) -> dict[int, VersionVector]:
        """The extra contexts that the node's vector does not cover yet, by number."""
        if self._unsettled is None:
            rows = self._connection.execute("SELECT id, vector FROM context WHERE settled = 0").fetchall()
            self._unsettled = {number: restored(self._connection, vector) for number, vector in rows}
        return self._unsettled

    def extra(self, vector: VersionVector) -> int:
        """The number of an extra context that the node's vector does not cover."""
        last, number = self._last_extra
        if last is not vector:  # the records of one batch share one value
            number = self._intern(vector, settled=0, logged=0)
            self.unsettled()[number] = vector
            self._last_extra = vector, number
        return number

    def vector(self, vector: VersionVector) -> int:
        """The number of a vector that log rows refer to: it stays."""
        last, number = self._last_vector
        if last is not vector:  # own operations between two sessions share one value
            number = self._intern(vector, settled=1, logged=1)
            self._last_vector = vector, number
        return number

    def passing(self, vector: VersionVector) -> int:
        """The number of a vector that a peer or a hole refers to: whoever replaces it frees it."""
        return self._intern(vector, settled=1, logged=0)

    def vector_at(self, number: int) -> VersionVector:
        """The vector with this number."""
        (encoded,) = self._connection.execute("SELECT vector FROM context WHERE id = ?", (number,)).fetchone()
        return restored(self._connection, encoded)

    def settle(self, covering: VersionVector) -> None:
        """Void the extra contexts that `covering` covers."""
        self._void([number for number, vector in self.unsettled().items() if covering.dominates(vector)])

    def free(self, numbers: Iterable[int | None]) -> None:
        """Delete those of these vectors that nothing refers to any more."""
        gone = [number for number in numbers if number is not None]
        if gone:
            self._connection.execute(_FREE, (json.dumps(gone),))

    def free_unsettled(self, *, drained: bool) -> None:
        """Delete extra contexts that no record carries any more: when a session has drained, or once there are many.

        Records that take in more leave them behind, and some will never be covered (their sender was put back). To
        find out that none carries a context reads every record, so one that does is remembered and looked at first.
        Must not be called while records wait to be written.
        """
        if drained or len(self.unsettled()) > self._unsettled_max:
            self._void(self._orphans())
            # What is left may grow by half before all records are read again.
            self._unsettled_max = max(UNSETTLED_MAX, 3 * len(self.unsettled()) // 2)

    def has_many_logged(self, count: int) -> bool:
        """Whether so many vectors are marked as referred to by the log that it is worth reading it."""
        return count > self._logged_max

    def unlog(self, numbers: Sequence[int], *, left: int) -> None:
        """The log refers to these vectors no more, and to so many others."""
        self._connection.executemany("UPDATE context SET logged = 0 WHERE id = ?", [(n,) for n in numbers])
        self._last_vector = (None, 0)
        self._logged_max = max(LOGGED_MAX, 3 * left // 2)
        self.free(numbers)

    def _orphans(self) -> list[int]:
        stubs = {number for (number,) in self._connection.execute("SELECT DISTINCT context FROM stub")}
        asked = [number for number in self.unsettled() if number not in stubs and not self._is_carried(number)]
        if not asked:
            return []
        reached("contexts: every record was asked what it carries")
        carriers = dict(self._connection.execute(_CARRIERS, (json.dumps(asked),)).fetchall())
        self._carriers |= carriers
        return [number for number in asked if number not in carriers]

    def _is_carried(self, number: int) -> bool:
        carrier = self._carriers.get(number)
        return carrier is not None and bool(self._connection.execute(_CARRIES, (carrier, number)).fetchone())

    def _void(self, done: list[int]) -> None:
        if done:
            self._connection.executemany("UPDATE context SET settled = 1 WHERE id = ?", [(n,) for n in done])
            self._connection.executemany("DELETE FROM stub WHERE context = ?", [(n,) for n in done])
            self._connection.execute(_JUDGE_AGAIN, (json.dumps(done),))
            self._last_extra = (None, 0)
            for number in done:
                del self.unsettled()[number]
                self._carriers.pop(number, None)
            self.free(done)

    def _intern(self, vector: VersionVector, *, settled: int, logged: int) -> int:
        encoded = self._keep(vector)
        self._connection.execute(
            "INSERT INTO context (vector, settled, logged) VALUES (?, ?, ?) ON CONFLICT (vector)"
            " DO UPDATE SET settled = min(settled, excluded.settled), logged = max(logged, excluded.logged)",
            (encoded, settled, logged),
        )
        (number,) = self._connection.execute("SELECT id FROM context WHERE vector = ?", (encoded,)).fetchone()
        return int(number)
