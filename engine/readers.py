"""Query-only connections, opened when first needed and handed out one reader at a time.

Invariant: a read sees one committed state and never blocks the writer; at most `READERS_MAX` connections exist, and
none after `close`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from holdfast.errors import EngineClosed, StorageError

from .storage.connection import Connection, Storage

P = ParamSpec("P")
T = TypeVar("T")

READERS_MAX: Final = 3

INTERRUPT_EVERY_S: Final = 0.05
"""How often a statement that delays closing is told to end."""


class Readers:
    """A small pool of query-only connections.

    Attributes:
        prepare: What is done with each when it has been opened, if anything.
    """

    def __init__(self, path: Path, storage: Storage) -> None:
        self.prepare: Callable[[sqlite3.Connection], None] | None = None
        self._path = path
        self._storage = storage
        self._slots = asyncio.Semaphore(READERS_MAX)
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._closed = False

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, ...)` on a reader's thread and give its result.

        Raises:
            EngineClosed: After `close`.
            StorageError: SQLite failed.
        """
        await self._slots.acquire()
        # Shielded: a cancelled caller must leave neither a connection to two readers nor one that nobody closes.
        busy: list[Connection] = []
        task = asyncio.ensure_future(self._on_reader(busy, function, *args, **kwargs))
        task.add_done_callback(self._released)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody waits for the answer: let a long statement end now, so that the reader serves others.
            for thread in busy:
                thread.interrupt_reading()
            raise

    async def close(self) -> None:
        """Close every connection; what is still being read ends with an error."""
        self._closed = True
        threads, self._all, self._idle = self._all, [], []
        await asyncio.gather(*map(_closed, threads))

    def _released(self, task: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not task.cancelled():
            task.exception()  # a caller that was cancelled does not ask for it

    async def _on_reader(
        self,
        busy: list[Connection],
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        thread = await self._open() if self._closed or not self._idle else self._idle.pop()
        busy.append(thread)
        try:
            return await thread.run(function, *args, **kwargs)
        except StorageError as error:
            if self._closed:  # closing has ended the statement
                raise self._refusal() from error
            raise
        finally:
            busy.clear()
            self._idle.append(thread)

    async def _open(self) -> Connection:
        thread = None if self._closed else await self._storage.open_reader(self._path)
        if thread is None or self._closed:
            if thread is not None:  # closed while it opened
                await thread.close()
            raise self._refusal()
        self._all.append(thread)
        if self.prepare is not None:
            await thread.run(self.prepare)
        return thread

    def _refusal(self) -> EngineClosed:
        return EngineClosed("the engine is closed", subject=str(self._path), remedy="Open it again.")


async def _closed(thread: Connection) -> None:
    """Close a connection, whose statement is told to end until it does: one that had not begun has not heard of it."""
    closing = asyncio.ensure_future(thread.close())
    while not closing.done():
        thread.interrupt_reading()
        await asyncio.wait([closing], timeout=INTERRUPT_EVERY_S)
    await closing
