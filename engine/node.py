"""The local node: a file that is open, and everything an application does with it.

Owns the connections, the lock and the watchers; knows nothing of networks. Invariants: one node is one event loop and
one writer; closing is idempotent and waits for the writes that were accepted.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from holdfast.clocks import Actor
from holdfast.errors import EngineClosed, FileUnreadable, ReadOnlyEngine, UsageError

from .arguments import check_callable, check_count, check_path, check_place, check_port
from .collection import Collection
from .conflicts import OpenConflict, find_conflict, find_conflicts, reopen_conflict
from .documents import shown
from .entries import LedgerEntry, LogEntry, read_audit, read_ledger, read_log
from .lock import WriterLock
from .opening import Opening, check_opening, check_readable, open_store
from .purge import Purge
from .readers import Readers
from .reserve import Freeing, KeepsReserve
from .retention import Retention
from .schema import Schema, check_schemas
from .seams import Seams
from .status import Status, read_status
from .storage import reading
from .storage.connection import Connection, Durability
from .storage.declare import declared_schemas
from .storage.faults import reachable
from .storage.migrations import show_as_current
from .storage.reading import Change
from .storage.store import Tx
from .transaction import Transaction
from .unreadable import Unreadable, read_unreadable
from .upkeep import Upkeep, is_due
from .verify import VerifyReport, verify_file
from .witness import SideFile, Witness
from .writer import Writer

T = TypeVar("T")
N = TypeVar("N", bound="Node")

WATCH_PAGE: Final = 500
FOREIGN_POLL_S: Final = 0.2
"""How often a read-only node looks for commits of the process that writes."""


class Opened(Generic[N]):
    """A node that is about to open: await it, or use it as an async context manager."""

    def __init__(self, node: N, opening: Opening | None, witness: Witness) -> None:
        self._node = node
        self._opening = opening
        self._witness = witness

    def __await__(self) -> Generator[Any, None, N]:
        """Open and give the node; the caller closes it."""
        return self._start().__await__()

    async def __aenter__(self) -> N:
        """Open."""
        return await self._start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self._node.close()

    async def _start(self) -> N:
        await self._node.start(self._opening, self._witness)
        return self._node


class Node:
    """One replica of a space in a local file. Made by `open`; use it as an async context manager."""

    def __init__(self, path: Path, schemas: Sequence[Schema] | None, seams: Seams) -> None:
        self.path = path
        self.seams = seams
        self.schemas = {schema.name: schema for schema in schemas or ()}
        self._keeps_schemas = schemas is None
        self.readers = Readers(path, seams.storage)
        self.label = ""
        self.space = ""
        self.renewed: str | None = None
        self.handshakes = 0
        self.purging = Purge()
        self.snapshotting = asyncio.Lock()
        self.starting = asyncio.Lock()
        self.holds = False
        self._writer: Writer | None = None
        self._thread: Connection | None = None
        self._lock: WriterLock | None = None
        self._witness: Witness | None = None
        self.upkeep: Upkeep | None = None
        self._watchers: dict[asyncio.Event, None] = {}  # a set would wake them in the order of their addresses
        self.sessions: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open = False
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def open(  # noqa: PLR0913 - each is one documented choice, by keyword
        cls,
        path: str | Path,
        *,
        space: str | None = None,
        name: str = "",
        schemas: Sequence[Schema] | None = (),
        durability: Durability = "full",
        retention: Retention | None = None,
        witness: Witness | None = None,
        read_only: bool = False,
        purge: Purge | None = None,
        seams: Seams | None = None,
    ) -> Opened[Self]:
        """Open a file, creating it unless `read_only`: ``async with Engine.open(path) as engine`` or ``await``.

        Args:
            path: The database file; `-lock` and `-witness` files stand beside it.
            space: Name of the space; a file holds one, "default" if a new file names none.
            name: Human name of the node; the file's stem if a new file names none.
            schemas: Declared collections; others work too. None keeps what the file's application declared last.
            durability: "full" survives a power cut; "normal" survives a crash of the process only.
            retention: How much of the log is kept; None for what was asked for last, at first 250,000 changes and
                64 MiB of each collection. A schema may ask for more or less.
            witness: What stands outside the file to recognise copies; by default a side file.
            read_only: Only read, beside a process that writes.
            purge: How this node goes about purging, if it is the one that decides (see `members`).
            seams: Time and randomness.

        Raises:
            UsageError: An argument is not what it must be; nothing was opened.
            FileLocked, NotADatabase, NewerFormat, DamagedFile, FileUnreadable, SpaceMismatch: The file is as it was.
        """
        found, declared = check_path(path), None if schemas is None else check_schemas(schemas)
        if seams is not None and not isinstance(seams, Seams):
            raise UsageError(
                f"seams is {shown(seams)}", subject=str(found), remedy="Pass an object of Seams, or leave it out."
            )
        if purge is not None and not isinstance(purge, Purge):
            raise UsageError(f"purge is {shown(purge)}", subject=str(found), remedy="Pass Purge(...), or leave it out.")
        node = cls(found, declared, Seams() if seams is None else seams)
        node.purging = purge or node.purging
        opening = Opening(
            path=found,
            space=space,
            label=name,
            schemas=declared,
            durability=durability,
            seams=node.seams,
            retention=retention,
        )
        check_opening(opening)
        if witness is None:
            witness = SideFile(found)
        else:
            check_port(witness, "witness", ("recall", "note", "place", "close"))
        return Opened(node, None if read_only else opening, witness)

    async def start(self, opening: Opening | None, witness: Witness) -> None:
        """Open the connections (what `open` awaits); without `opening` for reading only."""
        try:
            with reachable(str(self.path)):
                self._check_kind()
            if opening is None:
                await self._open_readers()
            else:
                await self._open_writer(opening, witness)
            self.label, self.space = await self.readers.run(reading.names_of)
            if self._keeps_schemas:
                self.schemas = {schema.name: schema for schema in await self.readers.run(declared_schemas)}
            due = self.upkeep is not None and await self.readers.run(partial(is_due, now_ms=self.seams.time.now_ms()))
        except BaseException:
            await self.close()
            raise
        self._open = True
        if self.upkeep is not None and due:
            self.upkeep.begin()

    @property
    def read_only(self) -> bool:
        """Whether the node can only read."""
        return self._writer is None

    def __getitem__(self, collection: str) -> Collection:
        """The collection of this name; it exists when it has records."""
        return Collection(self, collection)

    def transaction(self) -> Transaction:
        """A transaction over several records; see `Transaction`."""
        return Transaction(self)

    async def actor(self) -> Actor:
        """The identity that new operations are written under."""
        return await self.readers.run(reading.present_actor)

    async def watch(self, since: int | None = None, *, collection: str | None = None) -> AsyncIterator[Change]:
        """Every record that changes, after its commit, local and remote, in lsn order.

        It reads the feed, so it holds no buffer that could overflow: a slow watcher sees the net change of a record
        instead of each step, and misses nothing.

        Args:
            since: Start behind this lsn (0: from the beginning); None: behind what is committed now. An lsn is one
                of this feed: who keeps it over a restart keeps `actor()` beside it, and starts from 0 if that differs.
            collection: Only this one.

        Raises:
            UsageError: This file never gave out such an lsn: it was restored, or the lsn is that of another file.
        """
        check_place(collection, None)
        if since is not None:
            check_count(since, "since")
        head = await self.readers.run(reading.head)
        if since is not None and since > head:
            raise UsageError(
                f"the feed ends at lsn {head}, so {since} is of another file, or of this one before it was restored",
                subject=str(self.path),
                remedy="Read the records anew and watch from there, or watch from the beginning: 0.",
            )
        position = (head if since is None else since, 2**62)
        news = asyncio.Event()
        self._watchers[news] = None
        try:
            while self._open:
                news.clear()
                found, position = await self.readers.run(reading.changes, position, collection, WATCH_PAGE)
                for change in found:
                    yield change
                if not found:
                    await self._next_commit(news)
        finally:
            del self._watchers[news]

    async def conflicts(
        self, state: str | None = "open", *, collection: str | None = None, limit: int | None = None
    ) -> list[OpenConflict]:
        """The conflict inbox.

        Args:
            state: "open", "settled" (by policy), "decided", "overwritten", or None for all.
            collection: Only this one.
            limit: At most so many, oldest first; None for all.
        """
        return await find_conflicts(self, state, collection, limit)

    async def conflict(self, conflict_id: str) -> OpenConflict:
        """One conflict by its id; raises NoSuchConflict."""
        return await find_conflict(self, conflict_id)

    async def reopen(self, conflict_id: str) -> OpenConflict:
        """Put a conflict that was settled or decided back into the inbox of this node; raises NoSuchConflict."""
        return await reopen_conflict(self, conflict_id)

    async def ledger(
        self, *, collection: str | None = None, key: str | None = None, limit: int = 100
    ) -> list[LedgerEntry]:
        """What writes and merges discarded, newest first."""
        check_place(collection, key)
        check_count(limit, "limit")
        return await self.readers.run(read_ledger, collection, key, limit)

    async def quarantine(self, *, collection: str | None = None, limit: int = 100) -> list[Unreadable]:
        """Records that this node cannot show, or not in full, with why; those that are not held first."""
        check_place(collection, None)
        check_count(limit, "limit")
        return await self.readers.run(read_unreadable, collection, limit)

    async def log(self, *, collection: str | None = None, key: str | None = None, limit: int = 100) -> list[LogEntry]:
        """The operation log, newest first."""
        check_place(collection, key)
        check_count(limit, "limit")
        return await self.readers.run(read_log, collection, key, limit)

    async def audit(self, *, collection: str | None = None) -> AsyncIterator[LogEntry]:
        """The whole operation log, oldest first, read page by page."""
        check_place(collection, None)
        position = 0
        while True:
            found, position = await self.readers.run(read_audit, collection, position)
            for entry in found:
                yield entry
            if not found:
                return

    async def status(self) -> Status:
        """What this node holds, whom it met, and what blocks it."""
        oldest_s = self.readers.oldest_s()
        return await self.readers.run(read_status, self.path, oldest_s)

    async def verify(self, *, on_progress: Callable[[int], None] | None = None) -> VerifyReport:
        """Check file, rows, digests, vectors, indexes, inbox and log; reports, changes nothing."""
        check_callable(on_progress, "on_progress")
        return await verify_file(self, on_progress)

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run a job in a write transaction (for the parts of Holdfast; applications use collections)."""
        if self._writer is None:
            if not self._open:
                raise EngineClosed("the engine is closed", subject=str(self.path), remedy="Open it again.")
            raise ReadOnlyEngine("the engine only reads", subject=str(self.path), remedy="Open it for writing.")
        return await self._writer.run(job)

    async def go_on(self, job: Callable[[Tx], T]) -> T:
        """As `write`, for what makes room or gives away what is held: a full disk must not stop it."""
        return await self.write(Freeing(job))

    def columns(self, collection: str) -> tuple[str, ...]:
        """The declared fields of a collection."""
        schema = self.schemas.get(collection)
        return schema.columns if schema else ()

    async def close(self) -> None:
        """Wait for accepted writes, close every connection, give the lock back; all callers wait for one closing."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="holdfast-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._open = False
        self._wake()
        try:
            if self.upkeep is not None:
                self.upkeep.stop()
            if self._writer is not None:
                writer, self._writer = self._writer, None
                await writer.close()
            await self.readers.close()
            if self._thread is not None:
                await self._thread.close()
        finally:
            if self._witness is not None:
                self._witness.close()
            if self._lock is not None:
                self._lock.release()

    async def __aenter__(self) -> Self:
        """The node itself; it is open already."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _check_kind(self) -> None:
        if self.path.exists() and not self.path.is_file():  # SQLite would wait for a pipe for ever
            what = f"this is a {'directory' if self.path.is_dir() else 'device or pipe'}, not a file"
            raise FileUnreadable(what, subject=str(self.path), remedy="Name a file.")

    async def _open_writer(self, opening: Opening, witness: Witness) -> None:
        lock = WriterLock(self.path)
        lock.acquire(opening.label or self.path.name)
        self._lock, self._witness = lock, witness
        self._thread, store, self.renewed = await open_store(opening, witness)
        storage = self.seams.storage
        reserve = storage.reserve(self.path) if isinstance(storage, KeepsReserve) else None
        self._writer = Writer(self._thread, store, witness, self._committed, reserve)
        self.upkeep = Upkeep(self._writer, self._thread)

    async def _open_readers(self) -> None:
        with reachable(str(self.path)):
            there = self.path.exists()
        if not there:
            raise FileUnreadable(
                "there is no such file",
                subject=str(self.path),
                remedy="Open it for writing once.",
                typed="Check the path; `holdfast init FILE --space NAME` makes a database.",
            )
        self.readers.prepare = show_as_current
        await self.readers.run(check_readable, str(self.path))

    def _committed(self, _lsn: int, changes: int) -> None:
        self._wake()
        if self.upkeep is not None:
            self.upkeep.committed(changes)

    def _wake(self) -> None:
        for news in self._watchers:
            news.set()

    async def _next_commit(self, news: asyncio.Event) -> None:
        if self._writer is None and self._open:
            await asyncio.sleep(FOREIGN_POLL_S)
        else:
            await news.wait()
