"""Snapshots: what a file held at some moment, kept beside it under a name, to look at and to go back to.

Knows nothing of sessions. Invariants: a snapshot is a whole, checked copy, and nothing changes it; going back to one
is ordinary operations, so it reaches every node, loses nothing that happened since (the log and the ledger keep it),
and can itself be undone: a snapshot is taken first.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from holdfast.errors import FileUnreadable, InvalidName, NoSuchSnapshot, StorageError, UsageError

from .arguments import check_callable, check_remarks
from .copies import check_kin, check_sound, kin_of, knows
from .documents import shown
from .going_back import RestoreReport, choose, go_back, reading
from .host import Host
from .storage.connection import Connection
from .storage.copying import (
    MARKED_SINCE,
    READ_ONLY,
    SUFFIX,
    Origin,
    copy_database,
    make_folder,
    origin_of,
    snapshots_of,
    utc,
)
from .storage.migrations import format_of
from .storage.past import head_of
from .storage.restoring import Chosen
from .storage.retained import floor_of

AUTOMATIC_KEPT: Final = 3
"""Snapshots that the engine took by itself: the oldest goes when there are more."""

_SCOPE_MAX: Final = 200

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot.

    Attributes:
        name: Its name.
        path: Its file, a database that `Engine.open(path, read_only=True)` reads.
        made_ms: When it was taken: milliseconds since 1970, by this node's clock.
        note: Why, for people.
        automatic: Whether the engine took it by itself, before a step that changes much.
        records: Records that it holds.
        lsn: The node's position in its feed at that moment.
        bytes: Size of its file.
        node: Label of the node that it is of.
        space: Name of the space that it is of; of another one than the file's it cannot be gone back to.
        fault: Why it cannot be read: then only its name, path and bytes are known; None if it can.
    """

    name: str
    path: Path
    made_ms: int
    note: str
    automatic: bool
    records: int
    lsn: int
    bytes: int
    node: str = ""
    space: str = ""
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The snapshot as plain JSON values."""
        return asdict(self) | {"path": str(self.path)}


class Snapshots:
    """The snapshots of a node; get it as ``engine.snapshots``."""

    def __init__(self, node: Host) -> None:
        self._node = node
        self.folder = snapshots_of(node.path)

    async def take(
        self, name: str | None = None, *, note: str = "", on_progress: Callable[[float], None] | None = None
    ) -> Snapshot:
        """Keep what the file holds now. Writers go on meanwhile.

        Args:
            name: Letters, digits, ``.``, ``_`` and ``-``, at most 100; None for the time in UTC.
            note: Why, for people; at most 16 KiB of UTF-8.
            on_progress: Called with the share that is done, 0 to 1, from another thread.

        Raises:
            InvalidName, UsageError: The name cannot be one, or is taken.
            DiskFull, FileUnreadable, DamagedFile: Nothing was kept.
        """
        check_remarks("", note, "snapshot")
        check_callable(on_progress, "on_progress")
        return await self._take(name, note, automatic=False, on_progress=on_progress)

    async def list(self) -> list[Snapshot]:
        """Every snapshot, oldest first; before them what cannot be read, with its `fault`."""
        found = []
        for path in self.paths():
            try:
                found.append(await self._look(path))
            except StorageError as error:
                found.append(_unreadable(path, error))
        return sorted(found, key=lambda snapshot: (snapshot.made_ms, snapshot.name))

    async def find(self, name: str) -> Snapshot:
        """One snapshot; raises NoSuchSnapshot."""
        return await self._look(self._existing(name))

    async def drop(self, name: str) -> None:
        """Delete a snapshot, also one that cannot be read; raises NoSuchSnapshot, FileUnreadable."""
        _delete(self._existing(name))

    async def restore(
        self, name: str, *, collection: str | None = None, keys: Iterable[str] | None = None, preview: bool = False
    ) -> RestoreReport:
        """Let records read as they did, by ordinary operations, which sync carries to every node.

        Committed in parts of about 1,000 records; one that was ended early is run again and goes on. Records that were
        in conflict then read as they were shown then. Nothing is lost: log and ledger keep what is superseded.

        Args:
            name: The snapshot.
            collection: Only this one; records that it did not have then are deleted.
            keys: Only these of its records.
            preview: Only say what would be done.

        Raises:
            NoSuchSnapshot: There is none of this name.
            NoSuchCollection: Neither it nor this file has the collection.
            SpaceMismatch: It is of another space, also of one that goes by the same name.
            DamagedFile: It is not what it was when it was taken.
            UsageError, ReadOnlyEngine: Nothing was written.
        """
        snapshot = await self.find(name)
        if not preview and self._node.read_only:
            await self._node.write(lambda _: None)  # which says so
        async with reading(self._node, snapshot.path) as past:
            await self._check(past, snapshot.path)
            chosen = await choose(self._node, past, collection, keys)
            report = await go_back(self._node, past, chosen, RestoreReport(snapshot=name), write=False)
            if preview or not report.written + report.deleted:
                return report
            kept = await self.keep_before(f"before going back to {name}{_scope(chosen)}", f"as in {name}")
            return await go_back(self._node, past, chosen, RestoreReport(snapshot=name, before=kept.name), write=True)

    async def keep_before(self, note: str, mark: str) -> Snapshot:
        """Take an automatic snapshot before a step that changes much; the oldest goes if there are too many.

        Args:
            note: Before what.
            mark: The note of all operations of the step. If nothing else has changed anything since the last snapshot
                of this note, the step was ended early and is run again: that one is what stood before it.
        """
        automatic = await self._automatic()
        if automatic and automatic[-1].note == note:
            before = automatic[-1]
            if await self._node.readers.run(_only_marked, before.lsn, mark):
                return before
        kept = await self._take(None, note, automatic=True)
        for old in (await self._automatic())[:-AUTOMATIC_KEPT]:
            _delete(old.path)
        return kept

    async def _automatic(self) -> tuple[Snapshot, ...]:
        """Those that the engine took by itself, oldest first."""
        automatic = []
        for path in self.paths():
            with suppress(StorageError):  # what cannot be read is in nobody's way: `list` names it
                snapshot = await self._look(path)
                automatic += [snapshot] if snapshot.automatic else []
        return tuple(sorted(automatic, key=lambda snapshot: (snapshot.made_ms, snapshot.name)))

    async def _take(
        self, name: str | None, note: str, *, automatic: bool, on_progress: Callable[[float], None] | None = None
    ) -> Snapshot:
        async with self._node.snapshotting:  # one after the other, else two of one second would get one name
            now_ms = self._node.seams.time.now_ms()
            path = self._path(name if name is not None else self._free_name(now_ms))
            if path.exists():
                raise UsageError(
                    "there is a snapshot of this name", subject=path.stem, remedy="Choose another, or drop it."
                )
            make_folder(self.folder)
            origin = Origin(name=path.stem, note=note, made_ms=now_ms, automatic=automatic)
            await self._node.readers.run(copy_database, path, origin, on_progress)
            path.chmod(READ_ONLY)
        return await self._look(path)

    async def _check(self, past: Connection, path: Path) -> None:
        """Return if records may read as they do there: it is of this space, and whole."""
        then, now = await past.run(kin_of), await self._node.readers.run(kin_of)
        known = await self._node.readers.run(knows, then)
        check_kin(then, now, known=known, subject=str(path))
        await past.run(check_sound, str(path))

    async def _look(self, path: Path) -> Snapshot:
        async with reading(self._node, path) as connection:
            origin, records, lsn, size = await connection.run(_look, str(path))
            kin = await connection.run(kin_of)
        return Snapshot(
            name=path.stem,
            path=path,
            made_ms=origin.made_ms,
            note=origin.note,
            automatic=origin.automatic,
            records=records,
            lsn=lsn,
            bytes=size,
            node=kin.label,
            space=kin.space,
        )

    def paths(self) -> tuple[Path, ...]:
        """The files of all snapshots."""
        return tuple(sorted(path for path in self.folder.glob(f"*{SUFFIX}") if path.is_file()))

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            have = ", ".join(path.stem for path in self.paths()) or "none yet"
            raise NoSuchSnapshot("there is no snapshot of this name", subject=name, remedy=f"There are: {have}.")
        return path

    def _path(self, name: object) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidName(
                "the name of a snapshot has 1 to 100 letters, digits, dots, dashes and underscores",
                subject=shown(name),
                remedy="Choose a plain name, as `before-import`.",
            )
        return self.folder / f"{name}{SUFFIX}"

    def _free_name(self, now_ms: int) -> str:
        stem = utc(now_ms, "%Y-%m-%dT%H-%M-%S")
        taken = {path.stem for path in self.folder.glob(f"{stem}*{SUFFIX}")}
        names = (stem if number == 1 else f"{stem}.{number}" for number in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)


def _unreadable(path: Path, error: StorageError) -> Snapshot:
    size = path.stat().st_size if path.exists() else 0
    return Snapshot(
        name=path.stem,
        path=path,
        made_ms=0,
        note="",
        automatic=False,
        records=0,
        lsn=0,
        bytes=size,
        fault=error.what,
    )


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        what = f"the snapshot cannot be deleted: {error.strerror}"
        raise FileUnreadable(what, subject=str(path), remedy="Check folder and rights.") from error


def _scope(chosen: Sequence[Chosen]) -> str:
    """What of a file goes back, for a note; nothing if all of it does."""
    if len(chosen) != 1:
        return ""
    only = chosen[0]
    return f": {only.collection}" + (f" {only.keys}"[:_SCOPE_MAX] if only.keys is not None else "")


def _only_marked(connection: sqlite3.Connection, lsn: int, mark: str) -> bool:
    """Whether all that changed behind an lsn is known, and carries this note."""
    query = "SELECT EXISTS (SELECT 1 FROM log WHERE lsn > ? AND note IS NOT ?)"
    (others,) = connection.execute(query, (lsn, mark)).fetchone()
    return not others and floor_of(connection, None)[0] <= lsn <= head_of(connection)


def _look(connection: sqlite3.Connection, path: str) -> tuple[Origin, int, int, int]:
    origin = origin_of(connection)
    if origin is None and 0 < format_of(connection, path) < MARKED_SINCE:
        origin = Origin(name="", note="of an older format", made_ms=0, automatic=True)
    if origin is None:
        raise StorageError(
            "this is no snapshot: it is empty, or was written to",
            subject=path,
            remedy="Move it out of the folder of snapshots.",
        )
    (records,) = connection.execute("SELECT count(*) FROM record WHERE live = 1").fetchone()
    (lsn,) = connection.execute("SELECT lsn FROM node").fetchone()
    (size,) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    return origin, int(records), int(lsn), int(size)
