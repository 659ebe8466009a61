"""Room on the disk that is kept for what must go on when it is full: deletes, and giving away what is held.

Knows nothing of what is written. Invariants: room is taken while there is still some, as soon as the disk gets low; it
is given up only when the disk is full, and only for work that makes it less so; nothing else is written until it could
be taken again, so whoever adds waits and whoever drains does not. What is committed to the log has room in the file:
else the log could never be used again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from .storage.store import Tx

RESERVE_BYTES: Final = 256 * 1024
"""Several times what the log holds while the disk is low: its checkpoint has room, and then its space is used again."""

COVERED_BYTES: Final = RESERVE_BYTES // 2
"""By how much a file may be about to grow with the reserve as it is: what the log takes besides has room as well."""

LOW_BYTES: Final = 64 * 1024 * 1024
"""Free bytes from which on downwards room is kept."""

T = TypeVar("T")


class NoRoomError(Exception):
    """What is about to be committed to the log would not fit into the file."""


@dataclass(frozen=True, slots=True)
class Freeing(Generic[T]):
    """A job of the writer that a full disk must not stop."""

    job: Callable[[Tx], T]

    def __call__(self, tx: Tx) -> T:
        """Do it."""
        return self.job(tx)


@runtime_checkable
class KeepsReserve(Protocol):
    """A storage whose files stand on a disk that others fill as well."""

    def reserve(self, database: Path) -> Reserve:
        """The room that is kept for a database."""
        ...


class Reserve:
    """The room that is kept beside one database.

    Args:
        database: Its file.

    Attributes:
        low: There is little room on the disk.
        spent: The disk was full, and the room was given up.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}-reserve")
        self.low = False
        self.spent = False
        self._held = self.path.exists()

    def look(self) -> bool:
        """Keep room while the disk is low, called before every commit; tells whether that has changed."""
        was, self.low = self.low, self.free() < LOW_BYTES
        if self.low:
            self._held = self._held or (not self.spent and self._take())
        elif self._held:
            self._held = False
            self._remove()
        return self.low is not was

    def give_up(self) -> None:
        """The disk is full: let there be a little more room."""
        self.spent, self._held = True, False
        self._remove()

    def retake(self) -> bool:
        """Whether there is room again, so that everything may be written."""
        self._held = self._take()
        self.spent = not self._held
        return self._held

    def cover(self, growth: Callable[[], int]) -> bool:
        """Keep room for a file that is to grow by so many bytes, called before a commit; tells whether it had to.

        It is asked how many only on a disk that has become low: this runs with every commit.

        Raises:
            NoRoomError: There is none; the commit must not be made.
        """
        if self.free() >= LOW_BYTES or (size := growth()) <= COVERED_BYTES:
            return False
        if not self._take(RESERVE_BYTES + size):
            raise NoRoomError
        self._held = True
        return True

    def uncover(self) -> None:
        """What was committed goes into the file now: let it have the room."""
        with suppress(OSError):
            os.truncate(self.path, RESERVE_BYTES)

    def close(self) -> None:
        """Whoever opens the file next looks for itself; what is left would only be in the way."""
        if self._held:
            self._remove()

    def free(self) -> int:
        """Free bytes on the disk; as if there were enough where the system does not tell."""
        try:
            room = os.statvfs(self.path.parent)
        except OSError:
            return LOW_BYTES
        return room.f_bavail * room.f_frsize

    def free_for_all(self) -> int:
        """Free bytes, with what is kept here."""
        try:
            return self.free() + self.path.stat().st_size
        except OSError:
            return self.free()

    def _take(self, size: int = RESERVE_BYTES) -> bool:
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError:
            self._remove()
            return False
        return True

    def _remove(self) -> None:
        with suppress(OSError):  # a device that takes nothing at all any more
            self.path.unlink(missing_ok=True)
