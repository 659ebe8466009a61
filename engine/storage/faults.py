"""Turns the errors of SQLite and of the system into those of the tree, where they arise.

Invariant: what leaves the storage layer is a StorageError that names the file, with the original error as its cause.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import (
    DamagedFile,
    DiskFull,
    FileLocked,
    FileUnreadable,
    HoldfastError,
    NotADatabase,
    StorageError,
)

from ..packing import UnreadableCellsError

REMEDY_DAMAGED = (
    "Run `holdfast verify`: if it finds something, `--repair` goes on with what is whole of it, and a backup does with"
    " what it held; if not, check the device."
)

_READ_ONLY = "this user may not write the folder, the file, or the log that stands beside it (-wal, -shm)"
_RIGHTS = (
    "Give this user the right to write there: to read a file takes a log beside it as well. A -shm of another user may"
    " be deleted while nobody has the file open."
)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise SQLite's errors as StorageErrors about `path`."""
    try:
        yield
    except UnreadableCellsError as error:
        raise DamagedFile(f"a record's cells cannot be read: {error}", subject=path, remedy=REMEDY_DAMAGED) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it found where a name should stand
        raise DamagedFile(f"bytes that are no text: {error}", subject=path, remedy=REMEDY_DAMAGED) from error
    except sqlite3.Error as error:
        raise fault(error, path) from error


@contextmanager
def reachable(path: str) -> Iterator[None]:
    """Raise what the operating system says of `path` as FileUnreadable: a failing device, a missing right."""
    try:
        yield
    except OSError as error:
        raise FileUnreadable(
            f"the system says: {error.strerror or error}", subject=path, remedy="Check folder, rights and device."
        ) from error


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk is full."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def is_foreign(error: sqlite3.Error) -> bool:
    """Whether the file is no database at all."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB


def disk_full(path: str) -> DiskFull:
    """What a write learns that found no room."""
    remedy = "Free space; the write was undone. Reads, deletes and what syncs send go on."
    return DiskFull("no space left on the device", subject=path, remedy=remedy)


def fault(error: sqlite3.Error, path: str) -> HoldfastError:
    """The error of the tree that stands for `error`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what = f"SQLite says: {error}"
    match code:
        case sqlite3.SQLITE_FULL:
            return disk_full(path)
        case sqlite3.SQLITE_NOTADB:
            return NotADatabase(what, subject=path, remedy="Check the path; the file was left as it is.")
        case sqlite3.SQLITE_CORRUPT:  # also what SQLite makes of a page that the device could not read (EIO)
            return DamagedFile(what, subject=path, remedy=REMEDY_DAMAGED)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return FileLocked(what, subject=path, remedy="Another program holds the file; close it.")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            is_right = code == sqlite3.SQLITE_READONLY
            return FileUnreadable(
                _READ_ONLY if is_right else what,
                subject=path,
                remedy=_RIGHTS if is_right else "Check folder, rights and device.",
            )
        case _:
            return StorageError(what, subject=path, remedy="Report this: the engine did not expect it.")
