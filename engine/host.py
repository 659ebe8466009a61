"""What collections, transactions and the inbox need of the node that they belong to (a port).

Knows nothing of how a node opens or closes. Invariant: reads see committed states only; a write that returned is
durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from .purge import Purge
from .readers import Readers
from .schema import Schema
from .seams import Seams
from .storage.reading import Change
from .storage.store import Tx

T = TypeVar("T")


class Host(Protocol):
    """An open node."""

    path: Path
    readers: Readers
    schemas: dict[str, Schema]
    seams: Seams
    handshakes: int
    purging: Purge
    snapshotting: asyncio.Lock

    @property
    def read_only(self) -> bool:
        """Whether the node can only read."""
        ...

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run a job in a write transaction; its result after the commit."""
        ...

    def columns(self, collection: str) -> tuple[str, ...]:
        """The declared fields of a collection."""
        ...

    def watch(self, since: int | None = None, *, collection: str | None = None) -> AsyncIterator[Change]:
        """Every record that changes, in lsn order."""
        ...
