"""Jobs of the writer that read another database, which stands beside the file while they run.

Knows nothing of what they read. Invariant: the other database is attached before the transaction and detached behind
it, whatever became of it; only the file itself is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from .store import Tx

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attached(Generic[T]):
    """A job that finds the database at `path` under the name `name`; it has a commit of its own."""

    path: Path
    name: str
    job: Callable[[Tx], T]

    def __call__(self, tx: Tx) -> T:
        """Do it."""
        return self.job(tx)

    @contextmanager
    def beside(self, connection: sqlite3.Connection) -> Iterator[None]:
        """The other database, for the block; the connection is in no transaction."""
        connection.execute(f"ATTACH ? AS {self.name}", (str(self.path),))
        try:
            yield
        finally:
            connection.execute(f"DETACH {self.name}")
