"""What a node does for its file by itself, after commits: trims the log, clears erased traces, shrinks vectors.

Knows nothing of records. Invariants: it acts only behind commits, one bounded step at a time, and shares their commit
where writers are busy; it holds no task and no clock; what failed is tried again behind a later commit.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import Final

from holdfast.errors import HoldfastError

from .storage.connection import Connection
from .storage.erasing import has_traces, remove_traces
from .storage.retiring import may_retire, retire
from .storage.store import Tx
from .storage.trimming import Slice, trim
from .writer import Writer

_log = logging.getLogger(__name__)

CHANGES_EACH: Final = 1_000
"""Changed rows of any table after which the log is looked at."""


class Upkeep:
    """Steps that follow commits."""

    def __init__(self, writer: Writer, thread: Connection) -> None:
        self._writer = writer
        self._thread = thread
        self._seen = self._changes = 0
        self._busy = self._stopped = False
        self._erasing = False
        self._asked = False  # while a step was under way, which may have looked before that

    def committed(self, changes: int) -> None:
        """A commit was made; so many rows were changed since the file was opened."""
        self._changes = changes
        if self._erasing or changes - self._seen >= CHANGES_EACH:
            self.begin()

    def begin(self) -> None:
        """Do what is to be done, if it is not under way."""
        if not self._busy and not self._stopped:
            self._busy = True
            self._step()

    def erased(self) -> None:
        """Values were erased: try behind every commit to remove what the write-ahead log holds of them."""
        self._erasing = self._asked = True
        self.begin()

    async def remove_traces(self) -> bool:
        """Do so now; False if readers hinder it: then behind every commit."""
        removed = await self._thread.run(remove_traces)
        if not removed:
            self.erased()
        return removed

    def stop(self) -> None:
        """Take no further step."""
        self._stopped = True

    def _step(self) -> None:
        self._asked = False
        self._writer.run(_look_after).add_done_callback(self._looked_after)

    def _looked_after(self, done: asyncio.Future[tuple[Slice, bool]]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._rest(error)
            return
        part, traces = done.result()
        self._erasing = traces or self._asked
        if (part.more or self._asked) and not self._stopped:
            self._step()
        elif self._erasing and not self._stopped:
            self._thread.hand(remove_traces, self._removed)
        else:
            self._rest(None)

    def _removed(self, removed: bool | None, error: BaseException | None) -> None:  # noqa: FBT001 - as `hand` calls it
        if removed and not error:
            self._erasing = self._asked
            _log.info("what was erased is gone from the file")
        self._rest(error)
        if self._asked:
            self.begin()

    def _rest(self, error: BaseException | None) -> None:
        self._busy = False
        self._seen = self._changes
        if error is not None:
            _log.log(logging.WARNING if isinstance(error, HoldfastError) else logging.ERROR, "upkeep: %r", error)


def _look_after(tx: Tx) -> tuple[Slice, bool]:
    retire(tx)
    return trim(tx), has_traces(tx)


def is_due(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Whether there is something to do in a file that was opened."""
    if may_retire(connection, now_ms):
        return True
    query = "SELECT traces & 1 OR coalesce((SELECT max(id) FROM log), 0) - counted >= ? FROM node"
    (due,) = connection.execute(query, (CHANGES_EACH,)).fetchone()
    return bool(due)
