"""A connection of a simulated disk: functions run inline, whole and in order, each after a virtual latency.

Knows nothing of failures; the disk that it belongs to makes them. Invariant: as on a storage thread, a function that
was accepted runs even if its caller is cancelled, and the caller gets the same errors.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from holdfast.engine.storage.faults import translated
from holdfast.errors import EngineClosed

P = ParamSpec("P")
T = TypeVar("T")

SECOND_US: Final = 1_000_000


class Host(Protocol):
    """The disk, as its connections see it."""

    def latency_us(self) -> int:
        """How long the next function waits."""
        ...

    def perform(self, connection: InlineConnection, function: Callable[[], T]) -> T:
        """Run a function under the condition that the disk is in."""
        ...

    def closed(self, connection: InlineConnection) -> None:
        """A connection is closed."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    function: Callable[[], Any]
    done: asyncio.Future[Any]
    last: bool


class InlineConnection:
    """An open connection; see `Connection` in engine/storage/connection.py.

    Attributes:
        raw: SQLite's connection; path: the file.
        writes: Whether it is the writing one.
    """

    def __init__(self, host: Host, raw: sqlite3.Connection, path: str, *, writes: bool) -> None:
        self.raw = raw
        self.path = path
        self.writes = writes
        self._host = host
        self._jobs: deque[_Job] = deque()
        self._open = True
        self._dead = False

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, ...)` at one step and give its result.

        Raises:
            EngineClosed: The connection is closed.
            StorageError: SQLite failed.
        """
        if self._dead:
            await asyncio.get_running_loop().create_future()  # what is left of a dead node hears nothing any more
        if not self._open:
            raise EngineClosed("the engine is closed", subject=self.path, remedy="Open it again.")
        with translated(self.path):
            result: T = await self._accept(partial(function, self.raw, *args, **kwargs))
        return result

    async def close(self) -> None:
        """Wait for what was accepted, and close."""
        if self._open and not self._dead:
            self._open = False
            await self._accept(self.raw.close, last=True)

    def interrupt_reading(self) -> None:
        """Nothing is ever under way between two steps."""

    def give_up(self) -> None:
        """Run nothing more; whoever waits, waits for ever, as after a crash."""
        self._dead = True
        self._jobs.clear()
        self.raw.close()

    def _accept(self, function: Callable[[], Any], *, last: bool = False) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(function, done, last))
        if len(self._jobs) == 1:
            self._schedule()
        return done

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(self._host.latency_us() / SECOND_US, self._step)

    def _step(self) -> None:
        if not self._jobs:  # given up meanwhile
            return
        job = self._jobs[0]
        outcome: object = None
        error: Exception | None = None
        try:
            outcome = job.function() if job.last else self._host.perform(self, job.function)
        except FailedFunction as failed:
            error = failed.error
        if self._jobs and self._jobs[0] is job:  # a hook may have crashed the node
            self._settle(job, outcome, error)

    def _settle(self, job: _Job, outcome: object, error: Exception | None) -> None:
        self._jobs.popleft()
        if job.last:
            self._host.closed(self)
        if not job.done.done():
            if error is not None:
                job.done.set_exception(error)
            else:
                job.done.set_result(outcome)
        if self._jobs:
            self._schedule()


class FailedFunction(Exception):
    """Carries what a function raised, apart from what a hook of the harness raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
