"""A guard against syncs that would change too much: what arrives is held before it is stored.

Knows nothing of sessions or links. Invariant: a batch that the guard holds leaves nothing behind; what was stored
before it, under the same watch, has changed at most the share that is allowed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from holdfast.clocks import Actor
from holdfast.errors import SyncHeld, UsageError

from .arguments import check_count
from .documents import shown
from .storage.store import Tx

_LIVING: Final = "SELECT c.name, sum(r.live) FROM record r JOIN collection c ON c.id = r.collection GROUP BY c.id"
_LAST: Final = "SELECT coalesce(max(id), 0) FROM log"
_TURNED: Final = (
    "SELECT c.name, sum(l.was IS 1), sum(l.was IS NULL AND l.old IS NOT NULL) FROM log l"
    " JOIN collection c ON c.id = coalesce((SELECT collection FROM record WHERE id = l.record),"
    " (SELECT collection FROM buried WHERE id = l.record)) WHERE l.id > ? GROUP BY c.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """How much of a collection one sync may delete or rewrite here.

    Args:
        share: Of the records that the collection had when the sync began; above 0, at most 1.
        least: So many records of a collection are always let through.

    Raises:
        UsageError: A number is out of its range.
    """

    share: float = 0.5
    least: int = 100

    def __post_init__(self) -> None:
        if type(self.share) not in (int, float) or not 0 < self.share <= 1:
            what, remedy = f"the share is {shown(self.share)}", "Pass a number above 0, at most 1."
            raise UsageError(what, subject="guard", remedy=remedy)
        check_count(self.least, "least")


class Sentry(Protocol):
    """Looks at what is stored of a peer, and may hold it."""

    def over(self, tx: Tx, peer: Actor) -> AbstractContextManager[None]:
        """Look at what the block stores in this transaction; raises SyncHeld, and then it must be undone."""
        ...


@dataclass(slots=True)
class Watch:
    """What one sync has changed so far, under a guard.

    Attributes:
        living: Records of each collection when it began; None to count them at the first look.
    """

    guard: Guard
    living: dict[str, int] | None = None
    _changed: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def over(self, tx: Tx, peer: Actor) -> Iterator[None]:
        """Look at what the block stores in this transaction.

        Raises:
            SyncHeld: It is too much; the transaction must be undone.
        """
        if self.living is None:
            self.living = living_in(tx.connection)
        (last,) = tx.connection.execute(_LAST).fetchone()
        yield
        changed = dict(self._changed)
        for name, gone, rewritten in tx.connection.execute(_TURNED, (last,)).fetchall():
            changed[name] = changed.get(name, 0) + gone + rewritten
            self._check(name, changed[name], gone)
        self._changed = changed

    def _check(self, name: str, changed: int, gone: int) -> None:
        assert self.living is not None, "it was counted before"
        living = self.living.get(name, 0)
        if changed > max(self.guard.least, self.guard.share * living):
            raise SyncHeld(
                f"the sync would change {changed:,} or more of {living:,} records ({gone:,} deleted in this part)",
                subject=name,
                remedy="Look at what the peer holds. To take it in, sync once without a guard.",
                typed="Look at what the peer holds. To take it in, run it once without --hold-above.",
            )


def living_in(connection: sqlite3.Connection) -> dict[str, int]:
    """How many records each collection has that are not deleted."""
    return {name: int(count) for name, count in connection.execute(_LIVING)}
