"""Copies of a node's files, as a crash, a backup or a user makes them.

Knows nothing of connections. Invariant: a copy has what the occasion leaves: never the index (-shm), which SQLite
makes anew, and never the lock, which goes with the process.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

DATABASE: Final = "node.db"
LOG: Final = f"{DATABASE}-wal"
WITNESS: Final = f"{DATABASE}-witness"
CRASH_LEAVES: Final = (DATABASE, LOG, f"{DATABASE}-journal", WITNESS)


def copy_files(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy those of the files that are there into a new folder."""
    target.mkdir(parents=True)
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def put_in_place(backup: Path, present: Path, target: Path) -> None:
    """A new folder with a backup's files instead of the present ones; a witness that the backup lacks stays."""
    copy_files(backup, target, CRASH_LEAVES)
    if not (target / WITNESS).exists() and (present / WITNESS).exists():
        shutil.copyfile(present / WITNESS, target / WITNESS)
