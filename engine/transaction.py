"""A transaction over several records: reads now, writes at the end, all or nothing.

Optimistic: nothing is locked meanwhile. Invariant: it commits only if every record it has read is still in the state
it read; its writes share one lsn, so they are whole here at once and elsewhere whenever the space is drained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from holdfast.errors import TransactionConflict, UsageError
from holdfast.resolvers import Policy

from .collection import Fields, put_edit, update_edit
from .documents import check_key, check_name
from .edits import Delete, Edit
from .host import Host
from .preview import preview
from .storage import reading
from .storage.journal import Journal
from .storage.reading import Document
from .storage.rows import Records
from .storage.store import Tx
from .storage.write import Receipt, Write, write_all
from .versions import NO_RECORD, Version, version_of


class Transaction:
    """Collects writes; an ``async with`` block commits them at its end, and none if it raises.

    Attributes:
        receipts: Of its writes, in order, once it has committed.
    """

    def __init__(self, node: Host) -> None:
        self._node = node
        self._writes: list[Write] = []
        self._pending: dict[tuple[str, str], list[Write]] = {}
        self._read: dict[tuple[str, str], Version] = {}
        self._begun = self._ended = False
        self.receipts: list[Receipt] = []

    async def get(self, collection: str, key: str) -> Document | None:
        """The record as committed, with this transaction's own writes on it; checked again at commit.

        Its `version` is that of the committed record: the writes have none before they are committed.
        """
        self._check_not_ended()
        check_key(key, check_name(collection, "collection"))
        found = (await self._node.readers.run(reading.documents, collection, [key])).get(key)
        self._read.setdefault((collection, key), found.version if found else NO_RECORD)
        writes = self._pending.get((collection, key))
        if writes:
            schema = self._node.schemas.get(collection)
            return await self._node.readers.run(preview, writes, schema.policy if schema else Policy())
        return found

    def put(self, collection: str, key: str, fields: Fields) -> None:
        """Write a whole record; see `Collection.put`."""
        self._check(collection, key)
        self._add(collection, key, put_edit(collection, key, fields))

    def update(self, collection: str, key: str, fields: Fields, *, upsert: bool = False) -> None:
        """Write some fields; see `Collection.update`."""
        self._check(collection, key)
        self._add(collection, key, update_edit(collection, key, fields), upsert=upsert)

    def delete(self, collection: str, key: str) -> None:
        """Mark a record dead; see `Collection.delete`."""
        self._check(collection, key)
        self._add(collection, key, Delete())

    async def __aenter__(self) -> Self:
        """Begin; nothing is held.

        Raises:
            UsageError: It was begun before; its writes would be committed again.
        """
        if self._begun:
            raise _used("a transaction is begun once")
        self._begun = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, unless the block raised.

        Raises:
            TransactionConflict: A record it had read was changed meanwhile; run the block again.
            TransactionTooLarge: More than 10,000 operations or 16 MiB.
        """
        self._ended = True
        if kind is None and self._writes:
            self.receipts = await self._node.write(Committing(self._read, self._writes))

    def _add(self, collection: str, key: str, edit: Edit, *, upsert: bool = False) -> None:
        write = Write(collection=collection, key=key, edit=edit, upsert=upsert)
        self._writes.append(write)
        self._pending.setdefault((collection, key), []).append(write)

    def _check(self, collection: str, key: str) -> None:
        self._check_not_ended()
        check_key(key, check_name(collection, "collection"))

    def _check_not_ended(self) -> None:
        if self._ended:  # a write would be lost without a word
            raise _used("the transaction has ended")


@dataclass(frozen=True, slots=True)
class Committing:
    """A job that writes what a transaction has collected, if what it has read still stands."""

    read: Mapping[tuple[str, str], Version]
    writes: list[Write]

    def __call__(self, tx: Tx) -> list[Receipt]:
        """Write it; raises TransactionConflict."""
        records = Records(tx, Journal(tx))
        for (collection, key), version in self.read.items():
            stored = records.at(collection, key)
            live = stored.row is not None and stored.row.live
            if version != (version_of(records.current(stored).frontier) if live else NO_RECORD):
                raise TransactionConflict(
                    "a record that the transaction had read was changed before it committed",
                    subject=f"{collection}/{key}",
                    remedy="Run the transaction again.",
                )
        return write_all(tx, self.writes)


def _used(what: str) -> UsageError:
    return UsageError(what, subject="transaction", remedy="Begin another one: async with engine.transaction() as tx.")
