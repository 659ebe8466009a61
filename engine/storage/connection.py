"""Connections to the file: one that writes, others that only read, each on a thread of its own.

The only module that opens SQLite. Knows nothing of records. Invariants: a transaction is one function handed to the
thread in one hop; only the writing connection checkpoints (SQLite has a WAL-reset bug); readers are query-only.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, Final, Literal, ParamSpec, Protocol, TypeVar

import aiosqlite

from holdfast.errors import EngineClosed, ForkedEngine, StorageError

from ..reserve import Reserve
from .faults import translated

P = ParamSpec("P")
T = TypeVar("T")
Durability = Literal["full", "normal"]

SQLITE_MIN: Final = (3, 38, 0)
"""The first version with the ``->>`` operator; STRICT, UPSERT and RETURNING are older."""

CHECKPOINT_PAGES: Final = 4_000
"""WAL pages (16 MiB) after which a commit of the writer checkpoints."""

JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
"""What a checkpoint leaves of the WAL file."""

VALUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest value that a query may make: functions that make larger ones could not be interrupted."""

CACHE_KIB: Final = 8_192
READER_CACHE_KIB: Final = 4_096


class Connection(Protocol):
    """An open connection (a port): runs whole functions, one after the other."""

    @property
    def path(self) -> str:
        """The database file."""
        ...

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, ...)` and give its result.

        Raises:
            EngineClosed: The connection is closed.
            StorageError: SQLite failed.
        """
        ...

    def hand(
        self, function: Callable[[sqlite3.Connection], T], done: Callable[[T | None, BaseException | None], object]
    ) -> None:
        """Run `function(connection)`, then call `done(result, error)` on the event loop, and do not wait.

        Raises:
            EngineClosed: The connection is closed.
        """
        ...

    async def close(self) -> None:
        """Wait for what runs, and close."""
        ...

    def interrupt_reading(self) -> None:
        """End the statement under way, if any, with an error. For query-only connections."""
        ...


class Storage(Protocol):
    """What opens connections (a port)."""

    async def open_writer(self, path: Path, durability: Durability = "full") -> Connection:
        """Open the connection that writes; it creates the file if there is none."""
        ...

    async def open_reader(self, path: Path) -> Connection:
        """Open a query-only connection to a file that exists."""
        ...


class StorageThread(aiosqlite.Connection):
    """A connection whose transactions are whole functions, one hop each."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], path: Path) -> None:
        super().__init__(connector, iter_chunk_size=256)
        self.path = str(path)
        self._pid = os.getpid()
        # A thread that waits for work must not keep a program alive that forgot to close the engine.
        self._thread.daemon = True
        self._stopping: asyncio.Future[object] | None = None
        self._closing = False

    async def close(self) -> None:
        """Let end what was handed over, then close; nothing is taken from now on."""
        self._closing = True
        await super().close()

    def stop(self) -> asyncio.Future[object] | None:
        """Let the thread end; gives what is done when it has."""
        self._stopping = super().stop()
        return self._stopping

    async def start(self) -> None:
        """Start the thread and open the connection; a thread whose connection cannot be opened has ended."""
        try:
            await self
        except BaseException:
            # It reports its end to the event loop, which may be closed as soon as the caller knows of the error.
            if self._stopping is not None:
                await self._stopping
            raise

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, ...)` on the thread and give its result.

        Raises:
            EngineClosed: The connection is closed.
            ForkedEngine: This process is a fork of the one that opened the file.
            StorageError: SQLite failed.
        """
        connection = self._usable()
        with translated(self.path):
            result: T = await self._execute(function, connection, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result

    def hand(
        self, function: Callable[[sqlite3.Connection], T], done: Callable[[T | None, BaseException | None], object]
    ) -> None:
        """Run `function(connection)` on the thread, then `done(result, error)` on the event loop, and do not wait.

        What `run` does, for one who serves many callers at once: no future, no task, one wake-up of the loop.

        Raises:
            EngineClosed, ForkedEngine: As `run`; then neither is called.
        """
        connection = self._usable()
        loop = asyncio.get_running_loop()

        def work() -> None:
            result = error = None
            try:
                with translated(self.path):
                    result = function(connection)
            except BaseException as fault:  # noqa: BLE001 - the thread passes it on
                error = fault
            loop.call_soon_threadsafe(done, result, error)

        self._tx.put_nowait((None, work))

    def _usable(self) -> sqlite3.Connection:
        if os.getpid() != self._pid:
            raise ForkedEngine("a connection does not survive a fork", subject=self.path, remedy="Open the file anew.")
        if self._closing or not self._running or self._connection is None:
            raise EngineClosed("the engine is closed", subject=self.path, remedy="Open it again.")
        return self._connection

    def interrupt_reading(self) -> None:
        """End the statement under way, if any, with an error. For query-only connections."""
        if self._connection is not None:
            with suppress(sqlite3.ProgrammingError):  # its thread has just closed it
                self._connection.interrupt()


class Threads:
    """Storage on threads, one for each connection."""

    async def open_writer(self, path: Path, durability: Durability = "full") -> Connection:
        """Open the connection that writes; it creates the file if there is none."""
        return await _open(path, lambda: connect_writer(path, durability))

    async def open_reader(self, path: Path) -> Connection:
        """Open a query-only connection to a file that exists."""
        return await _open(path, lambda: connect_reader(path))

    def reserve(self, database: Path) -> Reserve:
        """The room that is kept for a database."""
        return Reserve(database)


async def _open(path: Path, connector: Callable[[], sqlite3.Connection]) -> StorageThread:
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise StorageError(
            f"SQLite {sqlite3.sqlite_version} is too old", subject=str(path), remedy="Use 3.38 or later."
        )
    thread = StorageThread(connector, path)
    starting = asyncio.ensure_future(thread.start())
    try:
        with translated(str(path)):
            await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        await thread.close()
        raise
    return thread


def connect_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """The writing connection; it creates the file if there is none."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        prepare_writer(connection, durability)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A query-only connection to a file that exists."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        prepare_reader(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_writer(connection: sqlite3.Connection, durability: Durability) -> None:
    """Make a fresh connection the writing one."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted leaves no trace in free space: see erasing.py


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Make a fresh connection one that only reads."""
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
