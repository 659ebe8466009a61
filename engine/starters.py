"""Starters of a node: the ones that it offers, and the one that it begins with itself.

Knows nothing of how they travel. Invariants: nothing here holds up the event loop or a session; a starter is only
offered while its position is one of this file's feed behind which nothing was erased, and only taken in by a file that
holds nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from .delta import FeedId, StretchId
from .node import Node
from .storage.attached import Attached
from .storage.erasing import erased_since
from .storage.starter import changed_since, draw_starter, may_start, records_in
from .storage.starter_check import Starter, checked_starter
from .storage.starting import NAME, is_blank, take_starter
from .storage.stretches import gave, stretch_at

_SUFFIX: Final = ".db"
_BESIDE: Final = ("", "-journal", "-wal", "-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Which state of which feed a starter is, and how many records it holds."""

    feed: FeedId
    lsn: int
    stretch: StretchId
    records: int


class Offering:
    """What a node offers to others.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def worth(self) -> int:
        """How many records a starter would hold; 0 while it may not be the start of others."""
        return await self._node.readers.run(lambda connection: records_in(connection) if may_start(connection) else 0)

    async def behind(self, position: Position) -> int | None:
        """How many records who starts there still has to read; None if nobody may start there any more.

        It is no position of this file's feed, or something was erased since: a starter of then holds it still.
        """
        return await self._node.readers.run(_behind, position)

    async def draw(self, target: Path) -> Position:
        """Write a starter to a new file; raises DiskFull, FileUnreadable, DamagedFile."""
        await asyncio.to_thread(draw_starter, self._node.path, target)
        return await asyncio.to_thread(_position, target)


class Beginning:
    """How a node begins with a starter of another.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.lock = node.starting

    @property
    def part(self) -> Path:
        """Where it is kept while it comes."""
        return self._node.path.with_name(f"{self._node.path.name}-{NAME}.part")

    @property
    def path(self) -> Path:
        """Where it stands once it has come."""
        return self._node.path.with_name(f"{self._node.path.name}-{NAME}{_SUFFIX}")

    async def is_blank(self) -> bool:
        """Whether the node could begin with one: it holds nothing, and may write."""
        if self._node.holds or self._node.read_only:
            return False
        blank = await self._node.readers.run(is_blank)
        self._node.holds = not blank
        return blank

    async def check(self) -> Starter:
        """Check the one that has come; raises StorageError if it is not what it must be."""
        return await asyncio.to_thread(checked_starter, self.path)

    async def take(self, starter: Starter, url: str) -> bool:
        """Take it in, durably; False if the node holds something by now. Raises SpaceMismatch, StorageError."""
        schemas = tuple(self._node.schemas.values())
        job = partial(take_starter, starter=starter, url=url, schemas=schemas)
        return await self._node.write(Attached(starter.path, NAME, job))

    def clear(self) -> None:
        """Delete what has come, but not what is still coming."""
        for end in _BESIDE:
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).unlink()


def _behind(connection: sqlite3.Connection, position: Position) -> int | None:
    connection.execute("BEGIN")
    try:
        (feed,) = connection.execute("SELECT feed FROM node").fetchone()
        if feed != position.feed or not gave(connection, position.feed, position.lsn, position.stretch):
            return None
        if erased_since(connection, position.lsn):
            return None
        return changed_since(connection, position.lsn)
    finally:
        connection.execute("COMMIT")


def _position(path: Path) -> Position:
    with closing(sqlite3.connect(path)) as connection:
        feed, lsn = connection.execute("SELECT feed, lsn FROM node").fetchone()
        return Position(feed=FeedId(feed), lsn=lsn, stretch=stretch_at(connection, lsn), records=records_in(connection))
