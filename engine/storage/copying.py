"""Copies a database, as it stands in one transaction, into a file of its own that says what it is.

Knows nothing of records or of who wants the copy. Invariant: under the target's name stands nothing, or a whole copy
that was checked and synced; and a copy names what it is a copy of, so the first to write to it goes on under a new
identity, wherever it stands by then.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import DamagedFile, DiskFull, FileUnreadable

from ..digest import DIGEST_MASK
from .drafts import begin, sweep
from .faults import REMEDY_DAMAGED, translated
from .migrations import FORMAT, format_of

SUFFIX: Final = ".db"
"""Ends of the names of snapshots."""

READ_ONLY: Final = 0o444
"""The rights of snapshots: one that is opened for writing becomes a node of its own."""

PAGES_EACH: Final = 1_000
"""Pages that are copied between two reports of progress."""

_HALF: Final = 31
_SUMS: Final = "SELECT coalesce(sum(digest >> ?1), 0), coalesce(sum(digest & ((1 << ?1) - 1)), 0) FROM record"
"""In two halves: the sum of many 62-bit numbers is beyond SQLite's integers."""

MARKED_SINCE: Final = 4
"""The first format whose files can say that they are copies; of an older one the missing witness tells."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a copy says of itself.

    Attributes:
        name: Its name; "" for one that has none.
        note: Why it was made, for people.
        made_ms: When, by the wall clock of the node it was made of.
        automatic: Whether the engine made it by itself.
    """

    name: str
    note: str
    made_ms: int
    automatic: bool = False

    def __str__(self) -> str:
        """Name and moment, for messages."""
        return f"{self.name}, made at {utc(self.made_ms, '%Y-%m-%d %H:%M:%SZ')}"


def utc(ms: int, form: str) -> str:
    """A moment, milliseconds since 1970, as text."""
    from datetime import UTC, datetime  # only who names a copy pays for it

    return datetime.fromtimestamp(ms / 1000, UTC).strftime(form)


def copy_database(
    connection: sqlite3.Connection, target: Path, origin: Origin, on_progress: Progress | None = None
) -> None:
    """Copy the database behind a connection that is in no transaction to a file that is not there yet.

    Args:
        connection: Open on the source; writers go on meanwhile.
        target: Where to; it appears under this name when it is whole, checked and synced.
        origin: What the copy says of itself.
        on_progress: Called with the share that is done, 0 to 1, on the connection's thread.

    Raises:
        DiskFull, FileUnreadable: The copy could not be written; nothing is left of it.
        UsageError, FileLocked: The target is there, or somebody else is writing it.
        DamagedFile: What was read is damaged; nothing is left of the copy.
    """
    try:
        draft = begin(target)
        try:
            with translated(str(target)):
                _draw(connection, draft.path, origin, on_progress)
            sync(draft.path)
            draft.path.rename(target)
            sync(target.parent)
        finally:
            draft.end()
    except OSError as error:
        raise FileUnreadable(
            f"the copy cannot be written: {error.strerror}", subject=str(target), remedy="Check folder and rights."
        ) from error
    except DiskFull as error:
        what, remedy = "no space left for the copy", "Free space, or name another place; nothing of it is left."
        raise DiskFull(what, subject=str(target), remedy=remedy) from error


def origin_of(connection: sqlite3.Connection) -> Origin | None:
    """What a copy says of itself; None if the file is no copy that Holdfast has made."""
    if format_of(connection, "") < MARKED_SINCE:
        return None
    row = connection.execute("SELECT copied FROM node").fetchone()
    return Origin(**json.loads(row[0])) if row is not None and row[0] is not None else None


def snapshots_of(path: Path) -> Path:
    """The folder in which the snapshots of a file stand."""
    return path.with_name(f"{path.name}-snapshots")


def make_folder(folder: Path) -> None:
    """Make the folder of a file's snapshots, or clear it of drafts that were given up; raises FileUnreadable."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        sweep(folder, SUFFIX)
    except OSError as error:
        what = f"the folder of snapshots cannot be made: {error.strerror}"
        raise FileUnreadable(what, subject=str(folder), remedy="Check folder and rights.") from error


def keep_before_migration(connection: sqlite3.Connection, path: Path, now_ms: int) -> None:
    """Keep a file as it is as an automatic snapshot, which the version that wrote it can still open.

    Raises:
        DiskFull, FileUnreadable, DamagedFile: There is none; the file was left as it is.
    """
    target = snapshots_of(path) / f"before-format-{FORMAT}{SUFFIX}"
    if not target.exists():  # else it was ended between the copy and the migration
        make_folder(target.parent)
        origin = Origin(
            name=target.stem, note=f"before the file was brought to format {FORMAT}", made_ms=now_ms, automatic=True
        )
        copy_database(connection, target, origin)
        target.chmod(READ_ONLY)


def _draw(connection: sqlite3.Connection, draft: Path, origin: Origin, on_progress: Progress | None) -> None:
    def tell(_status: int, remaining: int, total: int) -> None:
        if on_progress is not None and total:
            on_progress(1 - remaining / total)

    with closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        copy.execute("PRAGMA locking_mode = EXCLUSIVE")  # else leaving WAL makes a file of shared memory first
        copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, before it has its name
        connection.execute("BEGIN")  # one state, however long it takes
        try:
            connection.execute("SELECT 1 FROM node").fetchone()
            connection.backup(copy, pages=PAGES_EACH, progress=tell, sleep=0)
        finally:
            connection.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable where nothing may be written
        if format_of(copy, str(draft)) >= MARKED_SINCE:
            copy.execute("UPDATE node SET copied = ?", (json.dumps(asdict(origin)),))
        check_whole(copy, str(draft))


def check_whole(copy: sqlite3.Connection, path: str) -> None:
    """Return if the pages of a file are sound and no record is missing by the sum of digests; raises DamagedFile."""
    copy.execute("PRAGMA ignore_check_constraints = ON")  # pages and rows; what stands in them is for `verify`
    found = [line for (line,) in copy.execute("PRAGMA quick_check(3)") if line != "ok"]
    high, low = copy.execute(_SUMS, (_HALF,)).fetchone()
    (digest,) = copy.execute("SELECT digest FROM node").fetchone()
    if ((high << _HALF) + low) & DIGEST_MASK != digest:
        found.append("the digest of the space is not the sum of its records'")
    if found:
        raise DamagedFile(f"the file to copy is damaged: {'; '.join(found)}", subject=path, remedy=REMEDY_DAMAGED)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
