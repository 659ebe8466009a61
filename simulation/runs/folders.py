"""The folder in which a world lives, and what becomes of it when the process is killed.

Invariants: while a world lives its folder is locked; one that is not, and is no longer new, belonged to a process that
was killed, and the next one removes it. Nothing else is ever removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "holdfast-run-"
_living: Final[set[Path]] = set()

NEW_S: Final = 60
"""A folder that is younger may be about to be locked."""


def memory() -> Path:
    """Where worlds live: in memory if there is such a place, because a world writes and syncs a lot."""
    shared = Path("/dev/shm")  # noqa: S108 - folders of our own are made there
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def world_folder(place: Path) -> Iterator[Path]:
    """An empty folder in a place, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    _living.add(folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sweep(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _living.discard(folder)
        os.close(lock)


def remove_living() -> None:
    """Remove the folders of this process's worlds; it is about to end in the middle of them."""
    for folder in _living:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(mine: Path) -> None:
    """Remove what killed processes have left beside a new folder."""
    now_s = mine.stat().st_mtime
    for other in mine.parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another removes it at this moment, or it is not ours
            if now_s - other.stat().st_mtime > NEW_S and _is_left(other):
                shutil.rmtree(other, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
