"""Query-only connections, opened when first needed and handed out one reader at a time.

Invariant: a read sees one committed state and never blocks the writer; at most `READERS_MAX` connections exist, and
none after `close`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from holdfast.errors import EngineClosed

from .storage.connection import StorageThread, open_reader

P = ParamSpec("P")
T = TypeVar("T")

READERS_MAX: Final = 3


class Readers:
    """A small pool of query-only connections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._slots = asyncio.Semaphore(READERS_MAX)
        self._idle: list[StorageThread] = []
        self._all: list[StorageThread] = []
        self._closed = False

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, ...)` on a reader's thread and give its result; raises EngineClosed after `close`."""
        await self._slots.acquire()
        try:
            thread = self._idle.pop() if self._idle else await self._open()
        except BaseException:
            self._slots.release()
            raise
        # Shielded: a cancelled caller must not leave the connection to two readers at once.
        task = asyncio.ensure_future(thread.run(function, *args, **kwargs))
        task.add_done_callback(lambda _: self._give_back(thread))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        threads, self._all, self._idle = self._all, [], []
        for thread in threads:
            await thread.close()

    def _give_back(self, thread: StorageThread) -> None:
        self._idle.append(thread)
        self._slots.release()

    async def _open(self) -> StorageThread:
        if self._closed:
            raise EngineClosed("the engine is closed", subject=str(self._path), remedy="Open it again.")
        thread = await open_reader(self._path)
        self._all.append(thread)
        return thread
