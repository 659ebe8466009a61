"""The disk of a simulated node: real SQLite files, virtual latency, failures by draws, and what a crash leaves.

The storage seam of an engine (`Seams(storage=disk)`). Knows nothing of plans, networks or other nodes. Invariants:
everything that happens follows from the condition that is set and the draws of the stream `disk:NAME`; an image of a
crash or a power cut is taken before anything of the dead node is closed.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from holdfast.engine.storage.connection import Connection, Durability
from holdfast.engine.storage.faults import translated

from ..kernel.choices import Choices, between, chance
from .conditions import HEALTHY, Condition, Failure
from .drivers import Driver, PlainDriver
from .images import CRASH_LEAVES, DATABASE, copy_files, put_in_place
from .inline import SECOND_US, FailedFunction, InlineConnection
from .notes import WitnessNotes

T = TypeVar("T")

PAGES_LEFT_MAX: Final = 16
"""Pages that a full disk may still have when a function begins."""

_PAGES_MAX: Final = 1_073_741_823
"""SQLite's own bound for the size of a file, in pages."""

Lock = Literal["read", "write"]
OnWrite = Callable[[sqlite3.Connection], None]
OnWritten = Callable[[sqlite3.Connection, bool], None]
"""Told SQLite's connection, and whether the function failed."""


class Tenant(Protocol):
    """Something that holds descriptors in the folder besides SQLite: an engine with its lock and its witness."""

    def give_up(self) -> None:
        """Let go of them, without any of what a clean end does."""
        ...


class Disk:
    """One node's disk.

    Args:
        name: Of the node; its draws are those of the stream `disk:NAME`.
        folder: Where its files are; made if it is not there.
        choices: Decides.
        driver: What opens SQLite; one that can lose power is `power.PowerDriver`.

    Attributes:
        condition: How the disk is now; set another at any time (`dataclasses.replace`).
        held: What another program holds on the file, by `hold_lock`.
    """

    def __init__(self, name: str, folder: Path, choices: Choices, driver: Driver | None = None) -> None:
        self.name = name
        self.folder = folder
        self.driver: Driver = driver or PlainDriver()
        self.condition: Condition = HEALTHY
        self._choices = choices
        self._stream = f"disk:{name}"
        self._connections: list[InlineConnection] = []
        self._tenants: list[Tenant] = []
        self._tool: sqlite3.Connection | None = None
        self.held: Lock | None = None
        self._before: list[OnWrite] = []
        self._after: list[OnWritten] = []
        self._steps: list[Callable[[], None]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._notes = WitnessNotes(folder)

    @property
    def path(self) -> Path:
        """The database file of the node."""
        return self.folder / DATABASE

    # Observers

    def before_write(self, callback: OnWrite) -> None:
        """Call back before each function on the writing connection, with SQLite's connection."""
        self._before.append(callback)

    def after_write(self, callback: OnWritten) -> None:
        """Call back after each function on the writing connection, also one that failed, while there is power."""
        self._after.append(callback)

    def after_step(self, callback: Callable[[], None]) -> None:
        """Call back after each function on any connection.

        What a callback raises goes to the loop: it is the harness's, and the engine never hears of it.
        """
        self._steps.append(callback)

    # The storage seam

    async def open_writer(self, path: Path, durability: Durability = "full") -> Connection:
        """Open the connection that writes; it creates the file if there is none."""
        return await self._opened(path, lambda: self.driver.connect_writer(path, durability), writes=True)

    async def open_reader(self, path: Path) -> Connection:
        """Open a query-only connection to a file that exists."""
        return await self._opened(path, lambda: self.driver.connect_reader(path), writes=False)

    def tenant(self, tenant: Tenant) -> None:
        """Give up `tenant` too when the node dies."""
        self._tenants.append(tenant)

    # Faults

    def hold_lock(self, kind: Lock) -> None:
        """Let another program begin a transaction on the file and leave it open.

        Args:
            kind: "write" keeps the node from writing, "read" keeps it from shortening its log.
        """
        self.release_lock()
        with translated(str(self.path)):
            self._tool = self.driver.connect_tool(self.path)
            self._tool.execute("BEGIN IMMEDIATE" if kind == "write" else "BEGIN")
            self._tool.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        self.held = kind

    def release_lock(self) -> None:
        """Let the other program go."""
        if self._tool is not None:
            self._tool.close()
            self._tool = None
        self.held = None

    # What crashes leave, and copies

    def crash_image(self, target: Path) -> None:
        """The process dies: the disk goes on in a new folder with what the old one held, and the old one is removed."""
        copy_files(self.folder, target, CRASH_LEAVES)
        self._move(target, same=True)

    def power_cut(self, target: Path) -> None:
        """The power fails: as `crash_image`, but what was not synced is lost, torn or kept.

        Raises:
            UsageError: The driver cannot lose power.
        """
        self.power_cut_image(target)
        self._move(target, same=False)

    def power_cut_image(self, target: Path) -> None:
        """Put into a new folder what a power cut would leave now; the node goes on."""
        target.mkdir(parents=True)
        self.driver.power_cut(self.path, target / DATABASE, self._choices, self._stream)
        self._notes.power_cut(target, self._choices, self._stream)

    def backup(self, target: Path) -> None:
        """What SQLite's backup interface copies from the file in use into a new folder: the database alone."""
        target.mkdir(parents=True)
        source = self.driver.connect_reader(self.path)
        copy = self.driver.connect_tool(target / DATABASE)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()

    def snapshot(self, target: Path) -> None:
        """What the snapshot of a whole machine has in a new folder: the file in use with its log, and the witness."""
        copy_files(self.folder, target, CRASH_LEAVES)

    def copy_all(self, target: Path) -> None:
        """What `cp -r` makes of the folder of a node that is closed."""
        assert not self._connections, f"{self.name} is open: a copy of a file in use is no copy"
        shutil.copytree(self.folder, target)

    def restore(self, backup: Path, target: Path) -> None:
        """A dead or closed node gets a backup's files in place of its own; a witness that the backup lacks stays."""
        put_in_place(backup, self.folder, target)
        self._move(target, same=False)

    # For the connections

    def latency_us(self) -> int:
        """How long the next function waits."""
        condition = self.condition
        waits = between(self._choices, self._stream, *condition.latency_us)
        if chance(self._choices, self._stream, condition.stall_per_mille):
            waits += between(self._choices, self._stream, *condition.stall_us)
        return waits

    def closed(self, connection: InlineConnection) -> None:
        """A connection is closed."""
        self._connections.remove(connection)

    def perform(self, connection: InlineConnection, function: Callable[[], T]) -> T:
        """Run a function under the present condition, observers around it."""
        if connection.writes and self.driver.powered:
            for callback in self._before:
                callback(connection.raw)
        failure, pages = self._drawn_failure(writes=connection.writes)
        try:
            if failure is None and pages is None:
                outcome = function()
            else:
                with self._bounded(connection.raw, pages), self.driver.failing(self.path, failure):
                    outcome = function()
        except Exception as error:
            self._observed(connection, failed=True)
            raise FailedFunction(error) from error
        self._observed(connection, failed=False)
        return outcome

    def _observed(self, connection: InlineConnection, *, failed: bool) -> None:
        if not self.driver.powered:
            return
        if connection.writes:
            self._notes.look()
            for callback in self._after:
                callback(connection.raw, failed)
        for step in self._steps:
            step()

    def _drawn_failure(self, *, writes: bool) -> tuple[Failure | None, int | None]:
        """What fails during the next function, and how many pages there are left if they are numbered."""
        condition = self.condition
        if chance(self._choices, self._stream, condition.read_error_per_mille):
            return Failure.READ, None
        if writes and chance(self._choices, self._stream, condition.write_error_per_mille):
            return Failure.WRITE, None
        if writes and condition.full:
            match self._choices.draw(self._stream, 3):
                case 0:
                    return None, 0
                case 1:
                    return None, between(self._choices, self._stream, 1, PAGES_LEFT_MAX)
                case _:
                    return Failure.LOG_FULL, None
        return None, None

    @contextmanager
    def _bounded(self, raw: sqlite3.Connection, pages: int | None) -> Iterator[None]:
        if pages is None:
            yield
            return
        (size,) = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {max(1, size + pages)}").fetchall()
        try:
            yield
        finally:
            raw.execute(f"PRAGMA max_page_count = {_PAGES_MAX}").fetchall()

    async def _opened(self, path: Path, connect: Callable[[], sqlite3.Connection], *, writes: bool) -> InlineConnection:
        await asyncio.sleep(self.latency_us() / SECOND_US)
        with translated(str(path)):
            connection = InlineConnection(self, connect(), str(path), writes=writes)
        self._connections.append(connection)
        return connection

    def give_up(self) -> None:
        """Let go of everything that is open, without any of what a clean end does."""
        self.driver.give_up()
        self.release_lock()
        for connection in self._connections:
            connection.give_up()
        for tenant in self._tenants:
            tenant.give_up()
        self._connections, self._tenants = [], []

    def _move(self, target: Path, *, same: bool) -> None:
        """Give up everything in the old folder, and stand in `target`, with the `same` files or others."""
        self.give_up()
        self.driver.go_on(self.path if same else None, target / DATABASE)
        shutil.rmtree(self.folder)
        self.folder = target
        if same:
            self._notes.go_on(target)
        else:
            self._notes = WitnessNotes(target)
