"""Salvages a damaged file: what is whole goes on in a new file, which gets back from peers what is gone.

Knows nothing of sessions. Invariants: the damaged file is set aside and never changed or deleted; what goes on claims
nothing that may be gone, under an identity that nobody takes for the old one (docs/decisions, 0034).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from holdfast.clocks import Actor, VersionVector
from holdfast.errors import DamagedFile, FileUnreadable, HoldfastError, NotADatabase, OlderFormat, UsageError

from .arguments import check_path
from .backups import set_aside
from .delta import STRETCH_BYTES
from .documents import shown
from .lock import WriterLock
from .schema import Schema
from .seams import Seams
from .storage.birth import begin_incarnation
from .storage.connection import connect_reader
from .storage.copying import sync
from .storage.declare import declared_schemas, keep_declared
from .storage.faults import is_foreign, is_full, reachable, translated
from .storage.grafting import graft
from .storage.migrations import FORMAT, format_of, migrate
from .storage.peers import stored_elsewhere
from .storage.query import index_sql
from .storage.reissue import reissue
from .storage.reproject import reproject
from .storage.rows import COLUMNS, Row
from .storage.salvaging import Salvaged, proven, salvage
from .storage.store import Store, Tx
from .storage.withdrawal import up_to, withdraw_all
from .witness import SideFile, testify

NAMED_MAX: Final = 1_000
"""Lost records that a report names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SalvageReport:
    """What was salvaged of a damaged file.

    Attributes:
        records: Records that go on.
        lost: How many are gone as far as is known; the next sync brings back what peers hold.
        named: (collection, key) of them, at most 1,000.
        unsent: Those whose last writes here had never left the node: nobody has these.
        nameless: Others are gone that nothing names any more.
        tables: Tables beside the records of which rows are gone, as the log.
        aside: The folder in which the damaged file stands.
    """

    records: int
    lost: int
    named: tuple[tuple[str, str], ...]
    unsent: tuple[tuple[str, str], ...]
    nameless: bool
    tables: tuple[str, ...]
    aside: Path

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"aside": str(self.aside)}


def salvage_file(path: str | Path, *, seams: Seams | None = None) -> SalvageReport:
    """Go on with what is whole of a damaged file, which nobody has open. Sync afterwards: peers give back the rest.

    Args:
        path: The file; it is set aside as it is.
        seams: Time and randomness.

    Raises:
        FileLocked: A process has it open.
        DamagedFile: Not even whose file it is can be read; all is as it was.
        NotADatabase, NewerFormat, OlderFormat, DiskFull, FileUnreadable: All is as it was.
    """
    file = check_path(path)
    if seams is not None and not isinstance(seams, Seams):
        raise UsageError(
            f"seams is {shown(seams)}", subject=str(file), remedy="Pass an object of Seams, or leave it out."
        )
    if not file.is_file():
        raise FileUnreadable("there is no such file", subject=str(file), remedy="Check the path.")
    lock = WriterLock(file)
    lock.acquire("being salvaged")
    try:
        return _salvage(file, Seams() if seams is None else seams)
    finally:
        lock.release()


def _salvage(path: Path, seams: Seams) -> SalvageReport:
    draft = path.with_name(f"{path.name}.new")
    witness = SideFile(path)
    with reachable(str(path)):
        _discard(draft)
        try:
            with translated(str(path)):
                found, known = _draw(path, draft, seams)
            aside = set_aside(path)
            draft.rename(path)
        finally:
            _discard(draft)
        sync(path.parent)
    if witness.recall() is not None:  # else the application keeps its witness elsewhere: it will find another identity
        testify(witness, *known)
        witness.close()
    assert aside is not None, "it was there a moment ago"
    return SalvageReport(
        records=found.records,
        lost=len(found.lost),
        named=tuple(found.lost[:NAMED_MAX]),
        unsent=tuple(found.unsent[:NAMED_MAX]),
        nameless=found.nameless,
        tables=tuple(found.tables),
        aside=aside,
    )


def _draw(path: Path, draft: Path, seams: Seams) -> tuple[Salvaged, tuple[Any, ...]]:
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        migrate(target, str(draft))
        try:
            found = _read(path, draft, target)
        except (sqlite3.DatabaseError, LookupError) as error:
            if isinstance(error, sqlite3.Error) and (is_full(error) or is_foreign(error)):
                raise
            raise DamagedFile(
                f"not even whose file it is can be read: {error}",
                subject=str(path),
                remedy="Keep it. Restore a backup, or make a new file and sync it: peers have all that left this one.",
            ) from error
        store = Store(target, seams)
        with store.transaction() as tx:
            _go_on(tx, found)
            known = (tx.actor, tx.seq, tx.shared, dict(tx.given_up))
    with draft.open("rb"):
        sync(draft)
    return found, known


def _read(path: Path, draft: Path, target: sqlite3.Connection) -> Salvaged:
    """What is whole, into the draft; where not even the list of tables can be read, by that of the draft."""
    try:
        with closing(connect_reader(path)) as source:
            _check_format(source, path)
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.DatabaseError, NotADatabase):
        known = SideFile(path).recall()
        if known is None:  # nothing tells that this is a file of ours, and whose
            raise
        return _read_grafted(path, draft, target, known.actor)
    with closing(connect_reader(path)) as source:
        return salvage(source, target)


def _read_grafted(path: Path, draft: Path, target: sqlite3.Connection, known: Actor) -> Salvaged:
    copy = draft.with_name(f"{draft.name}.copy")
    try:
        graft(path, draft, copy)
        with closing(connect_reader(copy)) as source:
            found = source.execute("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor").fetchone()
            if found != (known,):
                raise LookupError("its tables are not where those of a new file are")
            return salvage(source, target)
    finally:
        _discard(copy)


def _check_format(source: sqlite3.Connection, path: Path) -> None:
    if format_of(source, str(path)) != FORMAT:
        what = f"only files of format {FORMAT} are salvaged"
        raise OlderFormat(what, subject=str(path), remedy="Use the version that wrote it, or a backup.")


def _go_on(tx: Tx, found: Salvaged) -> None:
    """Another identity, which claims nothing of what is not here and whose records say what they have taken in."""
    try:
        schemas = declared_schemas(tx.connection)
    except (HoldfastError, ValueError, LookupError, TypeError, AttributeError):  # the application declares them again
        tx.connection.execute("UPDATE collection SET schema = NULL")
        schemas = []
    keep_declared(tx)
    _index(tx, schemas)
    (label,) = tx.connection.execute("SELECT label FROM node").fetchone()
    old, actor, shared, stored, last = tx.own, tx.actor, tx.shared, stored_elsewhere(tx), tx.seq
    shown = proven(tx.connection)
    claimed = _lesser(tx.vector, shown)
    begin_incarnation(tx, label)
    # Nobody knows a position of the new feed yet, so what stands in it already may lie in one stretch.
    tx.connection.execute("INSERT INTO stretch (first, id) VALUES (1, ?)", (tx.store.seams.entropy(STRETCH_BYTES),))
    if last > shared:
        reissue(tx, old, shared, stored)
    withdraw_all(tx, up_to(claimed, actor, min(shared, claimed.seq(actor))), lambda extra: _lesser(extra, shown))
    lsn = tx.next_lsn() if found.stale else tx.lsn
    for number in found.stale:
        _tell_stale(tx, number, lsn)
    reproject(tx, [name for (name,) in tx.connection.execute("SELECT name FROM collection ORDER BY id").fetchall()])
    tx.connection.execute("UPDATE node SET policy = x''")


def _lesser(claimed: VersionVector, shown: VersionVector) -> VersionVector:
    """What is claimed, as far as something here shows it: too little brings more than needed, too much loses."""
    entries = {actor: min(seq, shown.seq(actor)) for actor, seq in claimed.items()}
    return VersionVector({actor: seq for actor, seq in entries.items() if seq})


def _index(tx: Tx, schemas: list[Schema]) -> None:
    for schema in schemas:
        for fields in schema.index_fields:
            tx.connection.execute(index_sql(tx.names.collection(schema.name), fields))


def _tell_stale(tx: Tx, number: int, lsn: int) -> None:
    """A record that is not what it last was says only of what stands in it that it was taken in."""
    columns = tx.connection.execute(f"SELECT {COLUMNS} FROM record r WHERE r.id = ?", (number,)).fetchone()  # noqa: S608 - constants only
    if columns is None:
        return
    taken: dict[Any, int] = {}
    for stamp in Row._make(columns).record(tx.names).stamps():
        taken[stamp.dot.actor] = max(stamp.dot.seq, taken.get(stamp.dot.actor, 0))
    extra = tx.names.extra(VersionVector(taken))
    tx.connection.execute("UPDATE record SET extra = ?, lsn = ? WHERE id = ?", (extra, lsn, number))


def _discard(draft: Path) -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        draft.with_name(draft.name + end).unlink(missing_ok=True)
