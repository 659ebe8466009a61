"""Backups: copies of a file that stand anywhere, and files that are put back from them.

Knows nothing of sessions. Invariants: a copy may be taken at any moment and names no place that is taken; a file that
is put back destroys nothing, and goes on under a new identity, so it gets from peers what it has lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from holdfast.errors import FileUnreadable, NotADatabase, UsageError

from .arguments import check_callable, check_path
from .copies import check_sound
from .host import Host
from .lock import WriterLock
from .seams import SystemClock
from .storage.connection import connect_reader
from .storage.copying import Origin, copy_database, origin_of, sync, utc
from .storage.faults import reachable, translated
from .storage.migrations import format_of
from .storage.peers import count_as_shared
from .tickets import MARK_BYTES

_BESIDE: Final = ("", "-wal", "-shm")
"""What a database is made of; the witness stays, because it knows which names were given up."""


async def back_up(node: Host, target: str | Path, on_progress: Callable[[float], None] | None = None) -> None:
    """Copy a node's file as it stands; writers go on meanwhile.

    Args:
        node: Of which file.
        target: A file that is not there yet.
        on_progress: Called with the share that is done, 0 to 1, from another thread.

    Raises:
        UsageError: There is such a file.
        DiskFull, FileUnreadable, DamagedFile: There is none now either.
    """
    check_callable(on_progress, "on_progress")
    path = check_path(target, "target")
    _check_free(path)
    if not node.read_only:
        node.handshakes += 1  # a session that reaches nobody must not take back what the copy has made true
        mark = node.seams.entropy(MARK_BYTES)
        await node.write(lambda tx: count_as_shared(tx, mark))
    origin = Origin(name=path.name, note="", made_ms=node.seams.time.now_ms())
    await node.readers.run(copy_database, path, origin, on_progress)


def restore_backup(
    backup: str | Path, target: str | Path, *, replace: bool = False, on_progress: Callable[[float], None] | None = None
) -> Path | None:
    """Make a file of a backup or a snapshot. Opening it begins a new incarnation; sync brings what came since.

    Args:
        backup: The copy; it stays as it is.
        target: The file to make.
        replace: Set aside a file that stands there, instead of refusing; no process may have it open.
        on_progress: Called with the share that is done, 0 to 1.

    Returns:
        The folder in which what stood there was set aside; None if nothing stood there.

    Raises:
        UsageError: A file stands there, and `replace` is false; or it is the backup itself.
        FileLocked: A process has it open.
        NotADatabase, NewerFormat, DamagedFile, DiskFull, FileUnreadable: All is as it was.
    """
    source, path = check_path(backup, "backup"), check_path(target, "target")
    check_callable(on_progress, "on_progress")
    if not source.is_file():
        raise FileUnreadable("there is no such file", subject=str(source), remedy="Check the path.")
    if path.exists() and path.samefile(source):
        raise UsageError("this is the backup itself", subject=str(path), remedy="Name another file to make of it.")
    if not replace:
        _check_free(path)
    lock = WriterLock(path)
    lock.acquire("being put back")
    try:
        return _restore(source, path, on_progress)
    finally:
        lock.release()


def _restore(source: Path, path: Path, on_progress: Callable[[float], None] | None) -> Path | None:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with translated(str(source)), closing(connect_reader(source)) as connection:
        if format_of(connection, str(source)) == 0:
            raise NotADatabase("the file is empty", subject=str(source), remedy="Name a backup or a snapshot.")
        check_sound(connection, str(source))
        copy_database(connection, draft, _origin(connection, source), on_progress)
    with reachable(str(path)):
        try:
            aside = set_aside(path)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
        sync(path.parent)
    return aside


def _origin(connection: sqlite3.Connection, source: Path) -> Origin:
    return origin_of(connection) or Origin(name=source.name, note="", made_ms=SystemClock().now_ms())


def set_aside(path: Path) -> Path | None:
    """Move a database to a folder beside it; gives the folder, None if nothing stood there."""
    standing = [path.with_name(path.name + end) for end in _BESIDE]
    if not any(part.exists() for part in standing):
        return None
    moment = utc(SystemClock().now_ms(), "%Y-%m-%dT%H-%M-%S")
    home = path.with_name(f"{path.name}-aside")
    taken = len([*home.glob(f"{moment}*")])
    folder = home / (f"{moment}.{taken + 1}" if taken else moment)
    folder.mkdir(mode=0o700, parents=True)
    for part in reversed(standing):  # the database last: SQLite deletes a log that it finds alone
        if part.exists():
            part.rename(folder / part.name)
    return folder


def _check_free(path: Path) -> None:
    if path.exists():
        raise UsageError("there is a file already", subject=str(path), remedy="Name another place, or remove it.")
