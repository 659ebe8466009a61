"""Drafts: what is written beside the place where it will stand, by one writer at a time.

Knows nothing of what is written. Invariant: a draft that is being written is locked, so nobody takes it over; what is
left of one whose writer has ended goes with the next, with all that SQLite has put beside it.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import FileLocked, UsageError

_SUFFIX: Final = ".part"
_BESIDE: Final = ("-journal", "-wal", "-shm")
_LEFT: Final = re.compile(rf"(.+){re.escape(_SUFFIX)}(?:{'|'.join(_BESIDE)})?")


@dataclass(frozen=True, slots=True)
class Draft:
    """An empty file that this writer alone writes; `end` it in any case.

    Attributes:
        path: The file: rename it when it is whole.
    """

    path: Path
    descriptor: int

    def end(self) -> None:
        """Delete what is left of it; what was renamed stays."""
        try:
            with suppress(FileNotFoundError):
                if _is(self.path, self.descriptor):
                    self.path.unlink()
            _clear(self.path)
        finally:
            os.close(self.descriptor)


def begin(target: Path) -> Draft:
    """Begin a draft of `target`, which is not there yet.

    Raises:
        UsageError: It is there.
        FileLocked: Somebody else is writing one.
        OSError: It cannot be made.
    """
    draft = _taken(target)
    if target.exists():  # looked at under the lock: whoever was writing it may just have ended
        draft.end()
        raise UsageError("there is a file already", subject=str(target), remedy="Name another place, or remove it.")
    return draft


def _taken(target: Path) -> Draft:
    path = target.with_name(f"{target.name}{_SUFFIX}")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, target)
            if _is(path, descriptor):
                os.ftruncate(descriptor, 0)
                _clear(path)
                return Draft(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it ended in between: the name stands for another file now


def sweep(folder: Path, suffix: str) -> None:
    """Delete the drafts of files `*suffix` in a folder whose writers have ended; raises OSError."""
    for name in {found[1] for path in folder.iterdir() if (found := _LEFT.fullmatch(path.name))}:
        if name.endswith(suffix):
            with suppress(FileLocked):  # that one is being written
                _taken(folder / name).end()


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        what = "somebody else is writing this file now"
        raise FileLocked(what, subject=str(target), remedy="Wait until that is done, or name another place.") from error
    except OSError:
        pass  # a carried device without locks: whoever writes to it is alone


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _clear(path: Path) -> None:
    for end in _BESIDE:
        path.with_name(path.name + end).unlink(missing_ok=True)
