"""The one writer: jobs that arrive while a commit is under way share the next one (group commit).

Owns the writing connection's queue; knows nothing of what jobs do. Invariants: a job's result is handed out only after
the commit that holds it is durable; a job that fails undoes only itself; a cancelled caller cancels no commit.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from .edits import Delete
from .reserve import Freeing, NoRoomError, Reserve
from .storage.attached import Attached
from .storage.connection import CHECKPOINT_PAGES, JOURNAL_BYTES_MAX, Connection
from .storage.faults import disk_full, is_full, translated
from .storage.store import Store, Tx
from .storage.write import SinglePut, SingleWrite, write_each
from .witness import Witness, testify

_log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[Tx], T]

CHECKPOINT_PAGES_LOW: Final = 32
"""WAL pages (128 KiB) after which a commit checkpoints while the disk has little room."""

JOURNAL_BYTES_LOW: Final = 256 * 1024
"""What is left of the log's file then, once what it held is in the database: its room is wanted elsewhere."""

GROUP_MAX: Final = 256
"""Jobs in one commit: bounds how long one transaction holds the file."""


class _Waiting(NamedTuple):
    job: Job[Any]
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class Writer:
    """Runs jobs on the writing connection, several to a commit when they come together."""

    def __init__(
        self,
        thread: Connection,
        store: Store,
        witness: Witness,
        committed: Callable[[int, int], None],
        reserve: Reserve | None = None,
    ) -> None:
        self._thread = thread
        self._store = store
        self._witness = witness
        self._committed = committed
        self._reserve = reserve
        self._queue: deque[_Waiting] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    def run(self, job: Job[T]) -> asyncio.Future[T]:
        """Run one job in a transaction; await its result, which comes after the commit.

        Cancelling the caller cancels only its future: the write is not taken back.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.append(_Waiting(job, done))
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._next)  # not at once: whoever writes in this turn of the loop shares the commit
        return done

    async def close(self) -> None:
        """Wait for the jobs that were accepted."""
        await self._idle.wait()
        if self._reserve is not None:
            self._reserve.close()

    def _next(self) -> None:
        """Hand the next group to the storage thread."""
        while self._queue:
            group = self._group()
            jobs = [waiting.job for waiting in group]
            try:
                self._thread.hand(partial(self._commit, jobs), partial(self._finish, group))
            except Exception as error:  # noqa: BLE001 - every waiting caller must learn of it
                _settle(group, [_Failed(error)] * len(group))
            else:
                return
        self._idle.set()

    def _group(self) -> list[_Waiting]:
        """The next jobs to share a commit; one that reads another database has one of its own."""
        group = [self._queue.popleft()]
        if not isinstance(group[0].job, Attached):
            while self._queue and len(group) < GROUP_MAX and not isinstance(self._queue[0].job, Attached):
                group.append(self._queue.popleft())
        return group

    def _finish(
        self, group: list[_Waiting], committed: tuple[list[object], int, int] | None, error: BaseException | None
    ) -> None:
        """On the event loop, once per commit: tell the callers, go on."""
        try:
            if error is not None:
                _settle(group, [_Failed(error)] * len(group))
            elif committed is not None:
                outcomes, lsn, changes = committed
                _settle(group, outcomes)
                self._committed(lsn, changes)
        finally:
            self._next()

    def _commit(self, jobs: list[Job[Any]], connection: sqlite3.Connection) -> tuple[list[object], int, int]:
        """On the storage thread: one transaction for all jobs, or, on a full disk, for those that make it less full."""
        if self._reserve is None:
            return self._commit_all(jobs, connection)
        if self._reserve.look():
            # What the file grows by is taken while there is room; a full disk then stops no checkpoint.
            low = self._reserve.low
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES_LOW if low else CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_LOW if low else JOURNAL_BYTES_MAX}")
        if not self._reserve.spent or self._reserve.retake():
            try:
                return self._commit_covered(jobs, connection)
            except (sqlite3.OperationalError, NoRoomError) as error:
                if not isinstance(error, NoRoomError) and not is_full(error):
                    raise
                self._reserve.give_up()
        return self._commit_freeing(jobs, connection)

    def _commit_freeing(self, jobs: list[Job[Any]], connection: sqlite3.Connection) -> tuple[list[object], int, int]:
        """Those that a full disk must not stop; the others learn that it is full."""
        going = [job for job in jobs if _frees(job)]
        full = _Failed(disk_full(self._thread.path))
        if not going:
            raise full.error
        self._checkpoint(connection)
        outcomes, lsn, changes = self._commit_all(going, connection)
        done = iter(outcomes)
        return [next(done) if _frees(job) else full for job in jobs], lsn, changes

    def _commit_covered(self, jobs: list[Job[Any]], connection: sqlite3.Connection) -> tuple[list[object], int, int]:
        """One transaction for all jobs, if what it puts into the log has room in the file as well."""
        assert self._reserve is not None, "only where room is kept"
        reserve, covered = self._reserve, False

        def cover() -> None:
            nonlocal covered
            covered = reserve.cover(lambda: self._growth(connection))

        done = self._commit_all(jobs, connection, cover)
        if covered:
            reserve.uncover()
            self._checkpoint(connection)
        return done

    def _growth(self, connection: sqlite3.Connection) -> int:
        """By how many bytes the file is shorter than what it and its log hold."""
        (pages,), (size,) = (connection.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
        return int(pages * size - Path(self._thread.path).stat().st_size)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """What the log holds goes into the file, if that has room to grow, and the log's space is used again."""
        assert self._reserve is not None, "only where room is kept"
        if self._growth(connection) <= self._reserve.free():
            with suppress(sqlite3.OperationalError):  # somebody took the room
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _commit_all(
        self, jobs: list[Job[Any]], connection: sqlite3.Connection, last: Callable[[], None] | None = None
    ) -> tuple[list[object], int, int]:
        """One transaction for all jobs, with `last` at its end; gives also the lsn, and the rows changed so far."""
        with _beside(jobs[0], connection), self._store.transaction() as tx:
            outcomes = [jobs[0](tx)] if len(jobs) == 1 else self._parts(tx, jobs)
            actor, seq, shared, given_up = tx.actor, tx.seq, tx.shared, tx.given_up
            if last is not None:
                last()
        testify(self._witness, actor, seq, shared, given_up)
        return outcomes, tx.lsn, connection.total_changes

    def _parts(self, tx: Tx, jobs: list[Job[Any]]) -> list[object]:
        """Several jobs, in order; single writes that come together are read and written together."""
        outcomes: list[object] = []
        for single, run in groupby(jobs, key=lambda job: isinstance(job, SingleWrite | SinglePut)):
            if single:
                outcomes += self._together(tx, cast("list[SingleWrite | SinglePut]", [*run]))
            else:
                outcomes += [self._part(tx, job) for job in run]
        return outcomes

    def _together(self, tx: Tx, jobs: list[SingleWrite | SinglePut]) -> list[object]:
        """Single writes at once; one by one if that fails, so that only the one at fault fails."""
        try:
            with tx.part():
                return [self._outcome(each) for each in write_each(tx, jobs)]
        except BaseException as error:
            if not tx.connection.in_transaction:  # a full disk has undone the whole group
                raise
            _log.warning("%d writes failed together and are done one by one: %r", len(jobs), error)
        return [self._part(tx, job) for job in jobs]

    def _outcome(self, each: object) -> object:
        if not isinstance(each, Exception):
            return each
        try:
            with translated(self._thread.path):
                raise each
        except Exception as error:  # noqa: BLE001 - it belongs to the caller of this write alone
            return _Failed(error)

    def _part(self, tx: Tx, job: Job[Any]) -> object:
        try:
            with translated(self._thread.path), tx.part():
                return job(tx)
        except BaseException as error:  # also what a resolver raises to stop the program: it reaches its caller alone
            if not tx.connection.in_transaction:  # a full disk has undone the whole group
                raise
            return _Failed(error)


def _frees(job: Job[Any]) -> bool:
    """Whether a full disk must not stop it."""
    return isinstance(job, Freeing) or (isinstance(job, SingleWrite) and isinstance(job.write.edit, Delete))


def _beside(job: Job[Any], connection: sqlite3.Connection) -> AbstractContextManager[None]:
    return job.beside(connection) if isinstance(job, Attached) else nullcontext()


def _settle(group: list[_Waiting], outcomes: list[object] | list[_Failed]) -> None:
    for (_, done), outcome in zip(group, outcomes, strict=True):
        if done.done():  # its caller was cancelled
            continue
        if isinstance(outcome, _Failed):
            done.set_exception(outcome.error)
        else:
            done.set_result(outcome)
