"""The writer lock: one process writes a file, and whoever comes second learns who holds it.

Knows nothing of SQLite. Invariant: the kernel's lock decides (it goes with the process, however that ends); the text
in the lock file only informs.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

from holdfast.errors import FileLocked, FileUnreadable

HOLDER_BYTES_MAX = 400


class WriterLock:
    """An exclusive lock beside a database file."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(database.name + "-lock")
        self._descriptor: int | None = None

    def acquire(self, holder: str) -> None:
        """Take the lock and note the holder.

        Raises:
            FileLocked: Another process, or another engine of this one, holds it.
            FileUnreadable: The lock file cannot be made or locked.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnreadable(
                f"the lock file cannot be opened: {error.strerror}", subject=str(self.path), remedy="Check the folder."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held_by = _noted(descriptor)
            os.close(descriptor)
            raise FileLocked(
                f"the file is open for writing in {_described(held_by)}",
                subject=str(self._database),
                remedy="Close it there, or open it here with read_only=True.",
                typed="End that process first; what only reads (get, list, query, export, status) works beside it.",
            ) from error
        except OSError as error:  # a failing device, a file system without locks
            os.close(descriptor)
            raise FileUnreadable(
                f"the lock file cannot be locked: {error.strerror}",
                subject=str(self.path),
                remedy="Check the device; use a file system with locks.",
            ) from error
        self._descriptor = descriptor
        with suppress(OSError):  # a full disk: the lock holds without the text, which only informs
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "name": holder})[:HOLDER_BYTES_MAX].encode(), 0)

    def release(self) -> None:
        """Give the lock back; the file stays, so that nobody locks one that was replaced."""
        if self._descriptor is not None:
            with suppress(OSError):  # as above
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _noted(descriptor: int) -> str:
    try:
        return os.read(descriptor, HOLDER_BYTES_MAX).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""  # that it is held is certain; by whom only informs


def _described(holder: str) -> str:
    try:
        note = json.loads(holder)
        return f"process {note['pid']} ({note['name']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
