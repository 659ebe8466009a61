"""A file system of SQLite that reports every write and sync to `Platters`, and fails when they say so.

The only module that needs apsw to be imported; `power.py` imports it when first needed. Invariant: SQLite reads and
writes real files through the real `unix` file system; what is not synced is also noted.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

import apsw

from .conditions import Failure
from .platters import Platters
from .torn import Cut, Written

_JOURNALS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_numbers = count()


class CrashVfs(apsw.VFS):
    """The file system of one machine."""

    def __init__(self, platters: Platters) -> None:
        self.name = f"holdfast-{next(_numbers)}"
        self.platters = platters
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open a file and watch it; SQLite's nameless temporary files are nobody's."""
        if name is None:
            return apsw.VFSFile(self.name, name, flags)
        path = name if isinstance(name, str) else name.filename()
        fresh = not Path(path).exists()
        if fresh and self.platters.count():
            raise _failed(apsw.CantOpenError, apsw.SQLITE_CANTOPEN)
        file = CrashFile(self.platters, path, name, flags)
        if fresh:
            self.platters.created(path)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - as SQLite calls it
        """Unlink a file, for certain if the folder is synced with it."""
        if self.platters.count():
            raise _failed(apsw.IOError, apsw.SQLITE_IOERR_DELETE)
        content = Path(filename).read_bytes() if Path(filename).exists() else None
        super().xDelete(filename, syncdir)
        if content is not None:
            self.platters.unlinked(filename, content)
        if syncdir:
            self.platters.folder_synced()


class CrashFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, platters: Platters, path: str, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._platters = platters
        self._path = path
        self._syncs_folder = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        """Read, unless reading fails."""
        self._check(Failure.READ, apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, and note what was there."""
        if self._platters.abandoned:
            return super().xWrite(data, offset)
        if self._platters.failure is Failure.LOG_FULL and self._path.endswith("-wal"):
            raise _failed(apsw.FullError, apsw.SQLITE_FULL)
        self._check(Failure.WRITE, apsw.SQLITE_IOERR_WRITE)
        size = super().xFileSize()
        old = super().xRead(min(len(data), size - offset), offset) if offset < size else b""
        super().xWrite(data, offset)
        self._platters.file(self._path).changes.append(Written(offset, old, bytes(data), size))
        self._count(apsw.SQLITE_IOERR_WRITE)
        return None

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Truncate, and note what was there."""
        if self._platters.abandoned:
            return super().xTruncate(newsize)
        self._check(Failure.WRITE, apsw.SQLITE_IOERR_TRUNCATE)
        size = super().xFileSize()
        tail = super().xRead(size - newsize, newsize) if newsize < size else b""
        super().xTruncate(newsize)
        self._platters.file(self._path).changes.append(Cut(newsize, tail, size))
        self._count(apsw.SQLITE_IOERR_TRUNCATE)
        return None

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Make what was written certain, and with the first sync of a log its name too."""
        if self._platters.abandoned:
            return
        self._check(Failure.WRITE, apsw.SQLITE_IOERR_FSYNC)
        self._count(apsw.SQLITE_IOERR_FSYNC)
        self._platters.file(self._path).changes.clear()
        if self._syncs_folder:
            self._syncs_folder = False
            self._platters.folder_synced()

    def _check(self, failure: Failure, code: int) -> None:
        platters = self._platters
        if not platters.abandoned and (platters.failure is failure or not platters.powered):
            raise _failed(apsw.IOError, code)

    def _count(self, code: int) -> None:
        if self._platters.count():
            raise _failed(apsw.IOError, code)


def _failed(kind: Callable[[str], apsw.Error], code: int) -> apsw.Error:
    error = kind("disk I/O error" if kind is apsw.IOError else "database or disk is full")
    vars(error).update(result=code & 0xFF, extendedresult=code)
    return error
