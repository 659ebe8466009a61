"""A driver whose machine can lose power: SQLite through apsw, on a file system that knows what was not synced.

Needs the extra `power`, imported when first used. Invariant: what is acknowledged was synced by SQLite itself; the
draws decide about everything else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from holdfast.engine.storage.connection import Durability, prepare_reader, prepare_writer
from holdfast.errors import MissingExtra

from ..kernel.choices import Choices
from .conditions import Failure
from .platters import Platters

if TYPE_CHECKING:
    from .power_connection import PowerConnection

LOGS = ("-wal", "-journal")
"""What SQLite keeps beside a database and needs after a power cut; the index (-shm) is made anew."""


class PowerDriver:
    """Opens connections on one machine's disk.

    Raises:
        MissingExtra: apsw is not installed.
    """

    def __init__(self) -> None:
        try:
            from .crash_vfs import CrashVfs
        except ImportError as error:
            raise MissingExtra(
                "simulated power cuts need apsw", subject="holdfast[power]", remedy="pip install 'holdfast[power]'"
            ) from error
        self.platters = Platters()
        self._vfs = CrashVfs(self.platters)

    @property
    def powered(self) -> bool:
        """Whether the machine still has power."""
        return self.platters.powered

    def connect_writer(self, path: Path, durability: Durability) -> sqlite3.Connection:
        """The writing connection; it creates the file if there is none."""
        import apsw

        connection = self._connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        try:
            prepare_writer(connection, durability)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_reader(self, path: Path) -> sqlite3.Connection:
        """A query-only connection to a file that exists."""
        import apsw

        connection = self._connect(path, apsw.SQLITE_OPEN_READONLY)
        try:
            prepare_reader(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_tool(self, path: Path) -> sqlite3.Connection:
        """A connection with nothing set."""
        import apsw

        return self._connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)

    @contextmanager
    def failing(self, _path: Path, failure: Failure | None) -> Iterator[None]:
        """Inside the block, what `failure` names fails."""
        from .power_connection import only_the_first

        self.platters.failure = failure
        try:
            with only_the_first():
                yield
        finally:
            self.platters.failure = None

    def power_cut(self, source: Path, target: Path, choices: Choices, stream: str) -> None:
        """Write what is left of a database and its logs after a power cut beside `target`; changes nothing here."""
        for suffix in ("", *LOGS):
            self.platters.image(_beside(source, suffix), _beside(target, suffix), choices, stream)

    def give_up(self) -> None:
        """From here on nothing counts that the connections do while they are closed."""
        self.platters.abandoned = True

    def go_on(self, source: Path | None, target: Path) -> None:
        """Begin anew with the database `target`; what was not synced in its `source` is not certain in it either."""
        old, self.platters = self.platters, Platters()
        self._vfs.platters = self.platters
        if source is not None:
            for suffix in ("", *LOGS):
                self.platters.take_over(old, _beside(source, suffix), _beside(target, suffix))

    def _connect(self, path: Path, flags: int) -> sqlite3.Connection:
        import apsw

        from .power_connection import PowerConnection, as_sqlite3

        with as_sqlite3():
            connection: PowerConnection = PowerConnection(apsw.Connection(str(path), flags, self._vfs.name))
        # The adapter has the part of sqlite3.Connection that the engine uses; the suite for both drivers proves it.
        return cast("sqlite3.Connection", connection)


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)
