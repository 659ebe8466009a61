"""What opens SQLite for a simulated disk, and how it fails on request: a port, and Python's own sqlite3 behind it.

Knows nothing of engines, loops and draws. Invariant: an error is SQLite's own answer to a real failure below it, so
its transactions are in the state in which such a failure leaves them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, Protocol

from holdfast.engine.storage.connection import Durability, connect_reader, connect_writer
from holdfast.errors import UsageError

from ..kernel.choices import Choices
from .conditions import Failure

DESCRIPTORS: Final = Path("/dev/fd")


class Driver(Protocol):
    """Opens connections to the file of one node, and makes what is below them fail (a port)."""

    @property
    def powered(self) -> bool:
        """Whether the machine still has power."""
        ...

    def connect_writer(self, path: Path, durability: Durability) -> sqlite3.Connection:
        """The writing connection; it creates the file if there is none."""
        ...

    def connect_reader(self, path: Path) -> sqlite3.Connection:
        """A query-only connection."""
        ...

    def connect_tool(self, path: Path) -> sqlite3.Connection:
        """A connection of another program, or to a file of its own."""
        ...

    def failing(self, path: Path, failure: Failure | None) -> AbstractContextManager[None]:
        """Inside the block, what `failure` names fails for every connection to `path`."""
        ...

    def power_cut(self, source: Path, target: Path, choices: Choices, stream: str) -> None:
        """Write what a power cut would leave of the database `source` and its logs to `target` and beside it."""
        ...

    def give_up(self) -> None:
        """The node is dead: what its connections still do to their files counts no more."""
        ...

    def go_on(self, source: Path | None, target: Path) -> None:
        """The node's database is `target` from here on.

        Args:
            source: What it was a copy of, if the machine never stopped; None: all that is in it is certain.
            target: The database.
        """
        ...


class PlainDriver:
    """Python's sqlite3. It can lose the process between two functions, but never power.

    A log that is full cannot be read either, as far as it is not in SQLite's memory: no descriptor refuses writing
    for want of space and allows reading.
    """

    powered = True

    def connect_writer(self, path: Path, durability: Durability) -> sqlite3.Connection:
        """The engine's own writing connection."""
        return connect_writer(path, durability)

    def connect_reader(self, path: Path) -> sqlite3.Connection:
        """The engine's own reading connection, which waits for no lock: that would be real time."""
        connection = connect_reader(path)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def connect_tool(self, path: Path) -> sqlite3.Connection:
        """A connection with nothing set."""
        return sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)

    def failing(self, path: Path, failure: Failure | None) -> AbstractContextManager[None]:
        """Put descriptors under SQLite with which the kernel refuses what is to fail."""
        database, log = path, path.with_name(path.name + "-wal")
        match failure:
            case None:
                return nullcontext()
            case Failure.READ:
                return _swapped({database: (database, os.O_WRONLY), log: (log, os.O_WRONLY)})
            case Failure.WRITE:
                return _swapped({database: (database, os.O_RDONLY), log: (log, os.O_RDONLY)})
            case Failure.LOG_FULL:
                return _swapped({log: (Path("/dev/full"), os.O_WRONLY)})

    def power_cut(self, source: Path, target: Path, choices: Choices, stream: str) -> None:
        """It cannot lose power."""
        raise UsageError(
            "this disk cannot lose power: Python's sqlite3 shows no syncs",
            subject=str(source),
            remedy="Make the disk with driver=PowerDriver(), of holdfast[power].",
            typed="Install holdfast[power].",
        )

    def give_up(self) -> None:
        """Nothing counts anyway."""

    def go_on(self, source: Path | None, target: Path) -> None:
        """Nothing is kept."""


@contextmanager
def _swapped(by: dict[Path, tuple[Path, int]]) -> Iterator[None]:
    """Inside the block, this process's descriptors of each file are another file's, opened with other rights.

    Closing a descriptor drops the process's locks on its file; SQLite's are kept between processes only by those, and
    a simulated file has connections of one process.
    """
    held: list[tuple[int, int]] = []
    try:
        for path, (stand_in, flags) in by.items():
            if not path.exists():
                continue
            open_here = descriptors_of([path])
            other = os.open(stand_in, flags | os.O_CLOEXEC)
            for descriptor in open_here:
                held.append((descriptor, os.dup(descriptor)))
                os.dup2(other, descriptor, inheritable=False)
            os.close(other)
        yield
    finally:
        for descriptor, saved in held:
            os.dup2(saved, descriptor, inheritable=False)
            os.close(saved)


def descriptors_of(paths: Sequence[Path]) -> list[int]:
    """The open descriptors of this process that refer to these files."""
    wanted = {(state.st_dev, state.st_ino) for state in (path.stat() for path in paths)}
    found = []
    for descriptor in sorted(int(name) for name in os.listdir(DESCRIPTORS)):  # noqa: PTH208 - numbers, no paths
        try:
            state = os.fstat(descriptor)
        except OSError:  # the one that listed the folder
            continue
        if (state.st_dev, state.st_ino) in wanted:
            found.append(descriptor)
    return found
