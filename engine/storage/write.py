"""Local operations in a transaction: check, stamp, edit, log.

Knows nothing of threads or callers. Invariant: an operation takes a dot exactly when it changes a record; one that is
refused leaves the transaction as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.clocks import Dot, Timestamp
from holdfast.errors import HoldfastError, NoSuchRecord, TransactionTooLarge, VersionMismatch

from ..cells import BIRTH, DECISION, Record
from ..delta import BATCH_RECORDS_MAX
from ..detector import disputed
from ..documents import RECORD_BYTES_MAX, is_name, split
from ..edits import Delete, Edit, Put, Seen, Update, edited
from ..packing import UnreadableCellsError
from ..projection import project
from ..turns import Turn, shown, turn, turn_of_fields
from ..versions import Version, version_of
from .journal import Journal, Kind
from .plain import PlainPuts
from .rows import Records, Stored
from .store import Tx

TRANSACTION_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One local operation.

    Attributes:
        collection, key, edit: What to write where.
        seen: The dots that its author had read; None for the state at commit.
        if_version: Refuse unless the record has this version; None for no check.
        upsert: Whether an update or delete of a record that is not there is legal.
        decision: Whether it settles a conflict.
        author, note: For the log.
    """

    collection: str
    key: str
    edit: Edit
    seen: Seen = None
    if_version: Version | None = None
    upsert: bool = False
    decision: bool = False
    author: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of a write that returned.

    Attributes:
        collection, key: What was written.
        dot: The operation's name, unique for ever.
        clock: Its packed hybrid timestamp.
        lsn: Its transaction in this node's feed.
        version: The record's version after it.
    """

    collection: str
    key: str
    dot: Dot
    clock: Timestamp
    lsn: int
    version: Version


def write_all(tx: Tx, writes: list[Write]) -> list[Receipt]:
    """Write operations that are whole together: one lsn, one clock.

    Raises:
        NoSuchRecord, VersionMismatch, TransactionTooLarge: Nothing of it was written.
    """
    check_size(writes)
    journal = Journal(tx)
    records = Records(tx, journal)
    _load(records, writes)
    lsn, clock = tx.next_lsn(), tx.clock.tick()
    receipts = [_write(tx, records, journal, write, lsn, clock) for write in writes]
    records.flush()
    journal.flush()
    if records.written > TRANSACTION_BYTES_MAX:
        raise _too_large(writes, records.written)
    return receipts


@dataclass(frozen=True, slots=True)
class SingleWrite:
    """A job that writes one operation in a transaction of its own."""

    write: Write

    @property
    def collection(self) -> str:
        """Where it writes."""
        return self.write.collection

    @property
    def key(self) -> str:
        """What it writes."""
        return self.write.key

    def __call__(self, tx: Tx) -> Receipt:
        """Write it; raises like `write_all`."""
        (receipt,) = write_all(tx, [self.write])
        return receipt


@dataclass(frozen=True, slots=True)
class SinglePut:
    """A job that puts one record in a transaction of its own; its document is split only if a record is there.

    Attributes:
        collection, key, if_version, author, note: As in `Write`.
        doc: Canonical JSON text.
    """

    collection: str
    key: str
    doc: str
    if_version: Version | None = None
    author: str = ""
    note: str = ""

    @property
    def write(self) -> Write:
        """The same as a `Write`."""
        return Write(
            collection=self.collection,
            key=self.key,
            edit=Put(split(self.doc)),
            if_version=self.if_version,
            author=self.author,
            note=self.note,
        )

    def __call__(self, tx: Tx) -> Receipt:
        """Write it; raises like `write_all`."""
        (outcome,) = write_each(tx, [self])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def write_each(tx: Tx, jobs: Sequence[SingleWrite | SinglePut]) -> list[Receipt | Exception]:
    """Write operations that share nothing but the commit: each has an lsn of its own, or its error.

    What can fail does so before it changes anything, so the rows of all are read and written together.
    """
    journal = Journal(tx)
    records = Records(tx, journal)
    puts = PlainPuts(tx, journal)
    _load(records, jobs)
    outcomes: list[Receipt | Exception] = []
    plain = True
    for job in jobs:
        stored, lsn, clock = records.at(job.collection, job.key), tx.lsn + 1, tx.clock.tick()
        try:
            if isinstance(job, SinglePut) and _is_plain(job, stored):
                outcomes.append(_put_plain(tx, puts, job, stored, lsn, clock))
            else:
                plain = False
                puts.give_back(stored, records)
                outcomes.append(_write(tx, records, journal, job.write, lsn, clock))
            tx.next_lsn()
        except (HoldfastError, UnreadableCellsError) as error:
            outcomes.append(error)
    puts.flush()
    if not plain:
        records.flush()
    journal.flush()
    return outcomes


def check_size(writes: list[Write]) -> None:
    """Check the bounds of a transaction.

    Raises:
        TransactionTooLarge: More than 10,000 operations or 16 MiB of values.
    """
    size = sum(_size(write) for write in writes)
    if len(writes) > BATCH_RECORDS_MAX or size > TRANSACTION_BYTES_MAX:
        raise _too_large(writes, size)


def _too_large(writes: list[Write], size: int) -> TransactionTooLarge:
    return TransactionTooLarge(
        f"{len(writes)} operations on records of {size} bytes; at most {BATCH_RECORDS_MAX} on {TRANSACTION_BYTES_MAX}",
        subject=writes[0].collection,
        remedy="Split it, or use put_many, which commits in parts.",
        typed="Split it, or use `holdfast import`, which commits in parts.",
    )


def _load(records: Records, writes: Sequence[Write | SingleWrite | SinglePut]) -> None:
    for collection in dict.fromkeys(write.collection for write in writes):
        records.load(collection, [write.key for write in writes if write.collection == collection])


def _size(write: Write) -> int:
    fields = write.edit.fields if isinstance(write.edit, Put | Update) else {}
    return sum(len(name) + len(text) for name, text in fields.items()) + len(write.key)


def _is_plain(job: SinglePut, stored: Stored) -> bool:
    """Whether nothing is there under the key, in the file or in this transaction, and the author does not object."""
    return stored.row is None and stored.number == 0 and not job.if_version  # None, or NO_RECORD


def _put_plain(tx: Tx, puts: PlainPuts, job: SinglePut, stored: Stored, lsn: int, clock: Timestamp) -> Receipt:
    stamp = tx.stamp(clock, BIRTH)
    puts.put(stored, job.doc, lsn, stamp, author=job.author, note=job.note)
    version = version_of((stamp.dot,))
    return Receipt(collection=job.collection, key=job.key, dot=stamp.dot, clock=clock, lsn=lsn, version=version)


def _write(tx: Tx, records: Records, journal: Journal, write: Write, lsn: int, clock: Timestamp) -> Receipt:
    stored = records.at(write.collection, write.key)
    before = records.current(stored)
    _check(tx, stored, before, write)
    _check_record_size(before, write)
    birth = 0 if before.existence else BIRTH
    stamp = tx.stamp(clock, birth | (DECISION if write.decision else 0))
    after = edited(before, write.edit, stamp, write.seen)
    if isinstance(write.edit, Put) and write.seen is None:
        records.reborn(stored)
    records.change(stored, after, lsn)
    journal.note(
        _kind(write),
        lsn,
        stored.number,
        stamp,
        turned=_turn(tx, write, before, after),
        author=write.author,
        note=write.note,
    )
    version = version_of(after.frontier)
    return Receipt(collection=write.collection, key=write.key, dot=stamp.dot, clock=clock, lsn=lsn, version=version)


def _check(tx: Tx, stored: Stored, before: Record, write: Write) -> None:
    subject = f"{write.collection}/{write.key}"
    live = _live(tx, stored, before)
    if write.if_version is not None:
        found = version_of(before.frontier) if live else Version("")
        if found != write.if_version:
            raise VersionMismatch(
                f"the record has version {found or 'none'}, not {write.if_version or 'none'}",
                subject=subject,
                remedy="Read it again and decide anew.",
                typed="Read it again (`holdfast get --json` shows the version) and decide anew.",
            )
    if not live and not isinstance(write.edit, Put) and not write.upsert:
        raise NoSuchRecord(
            "there is no such record",
            subject=subject,
            remedy="Put it, or pass upsert=True.",
            typed="Check the key (`holdfast list FILE COLLECTION`), or create the record: `put`, or `update --upsert`.",
        )


def _live(tx: Tx, stored: Stored, before: Record) -> bool:
    if stored.after is None:
        return stored.row is not None and bool(stored.row.live)
    if disputed(before.existence):
        return project(stored.collection, stored.key, before, tx.policy(stored.collection)).live
    return before.alive


def _check_record_size(before: Record, write: Write) -> None:
    if isinstance(write.edit, Put) and not before.existence:
        return  # bounded already, by what a put may hold
    size = sum(len(s.value or "") for cell in before.cells.values() for s in cell.values()) + _size(write)
    if size > RECORD_BYTES_MAX * 4:
        raise TransactionTooLarge(
            f"the record would hold {size} bytes in all its siblings",
            subject=f"{write.collection}/{write.key}",
            remedy="Settle its conflicts, or split it.",
        )


def _turn(tx: Tx, write: Write, before: Record, after: Record) -> Turn:
    place, policy = (write.collection, write.key), tx.policy(write.collection)
    if isinstance(write.edit, Update):
        few = turn_of_fields(before, after, {*write.edit.fields, *write.edit.removed})
        if few is not None and is_name(write.collection):
            return few
    return turn(shown(*place, before, policy), shown(*place, after, policy))


def _kind(write: Write) -> Kind:
    if write.decision:
        return Kind.DECIDE
    match write.edit:
        case Put():
            return Kind.PUT
        case Update():
            return Kind.UPDATE
        case Delete():
            return Kind.DELETE
