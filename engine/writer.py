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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeVar, cast

from .storage.attached import Attached
from .storage.connection import Connection
from .storage.faults import translated
from .storage.store import Store, Tx
from .storage.write import SinglePut, SingleWrite, write_each
from .witness import Witness, testify

_log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[Tx], T]

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

    def __init__(self, thread: Connection, store: Store, witness: Witness, committed: Callable[[int], None]) -> None:
        self._thread = thread
        self._store = store
        self._witness = witness
        self._committed = committed
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
        self, group: list[_Waiting], committed: tuple[list[object], int] | None, error: BaseException | None
    ) -> None:
        """On the event loop, once per commit: tell the callers, go on."""
        try:
            if error is not None:
                _settle(group, [_Failed(error)] * len(group))
            elif committed is not None:
                outcomes, lsn = committed
                _settle(group, outcomes)
                self._committed(lsn)
        finally:
            self._next()

    def _commit(self, jobs: list[Job[Any]], connection: sqlite3.Connection) -> tuple[list[object], int]:
        """On the storage thread: one transaction for all jobs."""
        with _beside(jobs[0], connection), self._store.transaction() as tx:
            outcomes = [jobs[0](tx)] if len(jobs) == 1 else self._parts(tx, jobs)
            actor, seq, shared, given_up = tx.actor, tx.seq, tx.shared, tx.given_up
        testify(self._witness, actor, seq, shared, given_up)
        return outcomes, tx.lsn

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
