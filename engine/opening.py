"""Opens a file: lock, format, identity, schemas, in the order in which each may refuse.

Knows nothing of what is done with an open file. Invariant: a file that is refused is left as it was, and a file whose
witness doubts it starts a new incarnation before anything is written under the old one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

from holdfast.errors import DamagedFile, FileUnreadable, NotADatabase, SpaceMismatch

from .arguments import check_choice
from .documents import check_name
from .reached import reached
from .retention import Retention, check_retention
from .schema import Schema
from .seams import Seams
from .storage.birth import begin_file, begin_incarnation
from .storage.connection import Connection, Durability
from .storage.copying import keep_before_migration, origin_of, sync
from .storage.declare import declare, keep_declared
from .storage.faults import reachable
from .storage.migrations import FORMAT, format_of, migrate
from .storage.peers import stored_elsewhere
from .storage.reissue import reissue
from .storage.retained import declare_retention
from .storage.store import Store, Tx
from .witness import Testimony, Witness, doubt, lost, testify

_log = logging.getLogger(__name__)

DATABASE_BYTES_MIN: Final = 512
"""The smallest page of SQLite, which would take anything shorter for an empty file and write over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a file is to be opened; see `Node.open`."""

    path: Path
    space: str | None
    label: str
    schemas: Sequence[Schema] | None
    durability: Durability
    seams: Seams
    retention: Retention | None = None


def check_opening(opening: Opening) -> None:
    """Return if names and durability are legal; raises InvalidName, UsageError."""
    if opening.space is not None:
        check_name(opening.space, "space")
    if opening.label != "":
        check_name(opening.label, "node")
    check_choice(opening.durability, get_args(Durability), "durability")
    check_retention(opening.retention, str(opening.path))


def check_readable(connection: sqlite3.Connection, path: str) -> None:
    """Return if a connection reads a file of this program, of whatever format; raises NotADatabase, NewerFormat."""
    if format_of(connection, path) == 0:
        raise NotADatabase(
            "the file is empty",
            subject=path,
            remedy="Open it for writing once.",
            typed="Check the path; `holdfast init FILE --space NAME` makes a database.",
        )


async def open_store(opening: Opening, witness: Witness) -> tuple[Connection, Store, str | None]:
    """Open the writing side of a file, creating it if there is none.

    Returns:
        The storage thread, the store, and why a new incarnation began (None if none did).

    Raises:
        NotADatabase, NewerFormat, DamagedFile, FileUnreadable: The file was refused and left as it is.
        SpaceMismatch: It holds another space.
    """
    with reachable(str(opening.path)):
        existed = _check_file(opening.path)
    thread = await opening.seams.storage.open_writer(opening.path, opening.durability)
    try:
        store, reason = await thread.run(partial(_prepare, existed=existed), opening, witness)
    except BaseException:
        await thread.close()
        raise
    if reason:
        _log.warning("new incarnation of %s: %s", opening.path, reason)
    return thread, store, reason


def _check_file(path: Path) -> bool:
    """Return whether there is such a file, if it may be opened."""
    folder = path.parent
    if not folder.is_dir():
        raise FileUnreadable("the folder does not exist", subject=str(folder), remedy="Create it first.")
    if path.is_file() and 0 < path.stat().st_size < DATABASE_BYTES_MIN:
        raise NotADatabase("the file is too short to be one", subject=str(path), remedy="Check the path.")
    if path.exists() and path.stat().st_nlink > 1:
        raise FileUnreadable(
            "the file has several names (hard links): SQLite would keep a log beside each and lose writes",
            subject=str(path),
            remedy="Remove the other names, or copy the file.",
        )
    return path.exists()


def _check_emptied(testimony: Testimony, path: str) -> None:
    """Return if a file that is there and holds nothing may have been like that always; raises DamagedFile."""
    if testimony.seq:
        raise DamagedFile(
            f"the file is empty, and its witness has seen {testimony.seq} operations: its write-ahead log was lost, or"
            " something has emptied it",
            subject=path,
            remedy=f"Put {path}-wal back, restore a backup, or move the file and what stands beside it away and sync a"
            " new one.",
        )


def _prepare(
    connection: sqlite3.Connection, opening: Opening, witness: Witness, *, existed: bool
) -> tuple[Store, str | None]:
    path = str(opening.path)
    found = format_of(connection, path)
    with reachable(path):
        testimony = witness.recall()  # before a fresh file gives its witness another one
    if existed and not found and testimony is not None:
        _check_emptied(testimony, path)
    # Only now: a file of another program, or of a newer format, must stay as it is.
    _begin_log(connection, path)
    _make_certain(connection)
    # A process that died while it made the file has left one that holds nothing yet.
    if 0 < format_of(connection, path) < FORMAT and connection.execute("SELECT 1 FROM node").fetchone():
        keep_before_migration(connection, opening.path, opening.seams.time.now_ms())
    migrate(connection, path)
    fresh = connection.execute("SELECT 1 FROM node").fetchone() is None
    if fresh:
        label = opening.label or opening.path.stem
        begin_file(
            connection,
            opening.seams,
            label=label,
            space_name=opening.space or "default",
            announce=lambda actor: witness.note(actor, 0),
        )
        _settle_birth(connection, opening.path)
    _check_space(connection, opening)
    store = Store(connection, opening.seams)
    with store.transaction() as tx:
        returned = _returned(tx, testimony)
        with reachable(path):
            place = witness.place()
        reason = lost(testimony) if fresh else _copied(tx) or doubt(testimony, tx.actor, tx.seq, place)
        if reason and not fresh:
            reached("identity: a new incarnation at opening")
            begin_incarnation(tx, _label(tx, opening))
        if opening.label and opening.label != _label(tx, opening):
            _relabel(tx, opening.label)
        if opening.schemas is None:
            keep_declared(tx)
        else:
            declare(tx, opening.schemas)
        declare_retention(tx, opening.schemas or (), opening.retention)
        if reason and returned is not None:  # by the rules that are in force now
            reissue(tx, *returned)
        actor, seq, shared, given_up = tx.actor, tx.seq, tx.shared, tx.given_up
    testify(witness, actor, seq, shared, given_up)
    return store, reason


def _copied(tx: Tx) -> str | None:
    """Why the file is not the one it was made of, if Holdfast made it as a copy; from now on it stands for itself."""
    origin = origin_of(tx.connection)
    if origin is None:
        return None
    tx.connection.execute("UPDATE node SET copied = NULL")
    return f"it is a copy: {origin}"


def _returned(tx: Tx, testimony: Testimony | None) -> tuple[int, int, int] | None:
    """What `reissue` is to be told if the file is of before its names were given up; None if it is not.

    Names that were given up since, and those of operations that had never left the file when the state that followed
    was lost: whoever shares the identity may have used them, and what the file claims is not what they have written.
    """
    if testimony is None:
        return None
    known = testimony.left.get(tx.actor)
    is_old = testimony.actor == tx.actor and (testimony.seq > tx.seq or origin_of(tx.connection) is not None)
    known = testimony.shared if known is None and is_old else known
    return None if known is None or tx.seq <= known else (tx.own, known, stored_elsewhere(tx))


def _begin_log(connection: sqlite3.Connection, path: str) -> None:
    """Have the file keep a write-ahead log: without one, readers and the writer would lock each other out.

    The statement commits only when it is stepped to its end, and an error of that is lost if nobody does.
    """
    ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
    if mode != "wal":
        raise FileUnreadable(
            f"the file cannot have a write-ahead log here: its journal stays {mode!r}",
            subject=path,
            remedy="Put it on a file system with locks and shared memory: a local disk.",
        )


def _settle_birth(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file's first transactions into the file itself: one that loses its log then still says whose it is."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    with reachable(str(path)):
        sync(path.parent)


def _make_certain(connection: sqlite3.Connection) -> None:
    """Sync what a process left that died in a commit: SQLite shows it, and a power cut could still take it back.

    Readers and peers would have seen operations whose numbers would then be given again.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:  # then only the copying failed, behind the sync
            raise


def _check_space(connection: sqlite3.Connection, opening: Opening) -> None:
    (name,) = connection.execute("SELECT space_name FROM node").fetchone()
    if opening.space is not None and opening.space != name:
        raise SpaceMismatch(
            f"the file holds the space {name!r}, not {opening.space!r}",
            subject=str(opening.path),
            remedy="Open it with its own space, or choose another file: one file is one space.",
        )


def _label(tx: Tx, opening: Opening) -> str:
    (label,) = tx.connection.execute("SELECT label FROM node").fetchone()
    return str(label) or opening.label


def _relabel(tx: Tx, label: str) -> None:
    tx.connection.execute("UPDATE node SET label = ?", (label,))
    tx.connection.execute("UPDATE actor SET label = ? WHERE id = ?", (label, tx.own))
