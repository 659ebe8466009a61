"""One collection of records: what an application reads and writes.

A thin face over the writer and the readers; knows nothing of SQL or sessions. Invariant: a write that returned is
durable, and its receipt names it for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from holdfast.resolvers import JSON

from .arguments import (
    check_callable,
    check_count,
    check_fields,
    check_keys,
    check_limit,
    check_remarks,
    check_rows,
    check_version,
    row_fault,
)
from .delta import BATCH_RECORDS_MAX
from .documents import check_key, check_name, encode_document, encode_value, split
from .edits import Delete, Put, Update
from .erasure import EraseReport, erase
from .history import Past, Revision, UndoReport, check_moment, read_life, revert
from .host import Host
from .storage import reading
from .storage.bulk import BulkPut
from .storage.erasing import EraseRecord
from .storage.query import Parameter, explain, select_ids
from .storage.reading import Change, Document
from .storage.write import TRANSACTION_BYTES_MAX, Receipt, SinglePut, SingleWrite, Write
from .versions import Version

PAGE_RECORDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Remove:
    """As a field's value in an update: take the field away (None is a value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What a bulk put wrote: `records`, in transactions up to `lsn`."""

    records: int
    lsn: int


Fields = Mapping[str, Any]
Rows = Iterable[tuple[str, Fields]] | AsyncIterable[tuple[str, Fields]]


class Collection:
    """The records of one name in a node's space; get it as ``engine["tasks"]``."""

    def __init__(self, node: Host, name: str) -> None:
        self._node = node
        self.name = check_name(name, "collection")

    async def put(
        self, key: str, fields: Fields, *, if_version: Version | None = None, author: str = "", note: str = ""
    ) -> Receipt:
        """Write a whole record; fields that are not given are gone.

        Args:
            key: 1 to 512 bytes of UTF-8.
            fields: A dict of JSON values, at most 512 KiB as text, nested at most 64 deep.
            if_version: Refuse unless the record has this version; `NO_RECORD` for "must not exist".
            author: Who wrote, for the log; at most 512 bytes of UTF-8.
            note: Why, for the log; at most 16 KiB of UTF-8.

        Raises:
            InvalidKey, InvalidValue, VersionMismatch, ReadOnlyEngine, StorageError: Nothing was written.
        """
        check_key(key, self.name)
        subject = f"{self.name}/{key}"
        doc = encode_document(fields, subject)
        check_version(if_version, subject)
        check_remarks(author, note, subject)
        return await self._node.write(SinglePut(self.name, key, doc, if_version, author=author, note=note))

    async def update(
        self,
        key: str,
        fields: Fields,
        *,
        upsert: bool = False,
        if_version: Version | None = None,
        author: str = "",
        note: str = "",
    ) -> Receipt:
        """Write some fields (`Remove()` takes one away); the rest of the record stays.

        Raises:
            NoSuchRecord: There is none, and `upsert` is false.
            InvalidKey, InvalidValue, VersionMismatch, ReadOnlyEngine, StorageError: Nothing was written.
        """
        check_key(key, self.name)
        write = Write(
            collection=self.name,
            key=key,
            edit=update_edit(self.name, key, fields),
            upsert=upsert,
            if_version=if_version,
            author=author,
            note=note,
        )
        return await self._write(write)

    async def delete(self, key: str, *, if_version: Version | None = None, author: str = "", note: str = "") -> Receipt:
        """Mark a record dead; a concurrent update elsewhere revives it whole, unless the schema says otherwise.

        Raises:
            NoSuchRecord: There is none.
            InvalidKey, InvalidValue, VersionMismatch, ReadOnlyEngine, StorageError: Nothing was written.
        """
        check_key(key, self.name)
        write = Write(collection=self.name, key=key, edit=Delete(), if_version=if_version, author=author, note=note)
        return await self._write(write)

    async def put_many(self, rows: Rows, *, on_progress: Callable[[int], None] | None = None) -> BulkReport:
        """Put many records, in transactions of at most 10,000 records or 16 MiB.

        Args:
            rows: (key, fields) pairs, plain or asynchronous.
            on_progress: Called with the number of records that are durable, after each transaction.

        Raises:
            InvalidKey, InvalidValue, UsageError: At a row that is refused; the transactions before it stay.
        """
        check_rows(rows, self.name)
        check_callable(on_progress, "on_progress")
        keys: list[str] = []
        docs: list[str] = []
        size = done = lsn = 0
        async for row in _asynchronous(rows):
            try:
                key, fields = row
            except (TypeError, ValueError) as error:
                raise row_fault(row, done + len(keys) + 1, self.name) from error
            check_key(key, self.name)
            docs.append(encode_document(fields, f"{self.name}/{key}"))
            keys.append(key)
            size += len(docs[-1]) + len(key)
            if len(keys) >= BATCH_RECORDS_MAX or size > TRANSACTION_BYTES_MAX // 4:
                lsn = await self._put_part(keys, docs)
                done += len(keys)
                keys, docs, size = [], [], 0
                if on_progress:
                    on_progress(done)
        if keys:
            lsn = await self._put_part(keys, docs)
            done += len(keys)
            if on_progress:
                on_progress(done)
        return BulkReport(records=done, lsn=lsn)

    async def get(self, key: str) -> Document | None:
        """The record under this key; None if there is none."""
        return (await self.get_many([key])).get(key)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Document]:
        """The records that exist among these keys."""
        checked = check_keys(keys, self.name)
        return await self._node.readers.run(reading.documents, self.name, checked)

    async def history(self, key: str | None = None, *, limit: int = 100) -> list[Revision]:
        """How a record has read at this node, newest first: one revision for each change that its retention keeps.

        Args:
            key: The record; None for all of the collection, in the order in which they changed.
            limit: At most so many revisions.
        """
        if key is not None:
            check_key(key, self.name)
        check_count(limit, "limit")
        return await read_life(self._node, self.name, key, limit)

    def as_of(self, moment: int | datetime) -> Past:
        """The collection as readers of this node saw it at an earlier moment.

        Args:
            moment: An lsn (what stood when that was the last one), or a time with its zone, by this node's clock.
        """
        return Past(self._node, self.name, check_moment(moment))

    async def revert(
        self, keys: Iterable[str], moment: int | datetime, *, author: str = "", note: str = "", preview: bool = False
    ) -> UndoReport:
        """Let records read as they did at an earlier moment, by ordinary operations in one transaction.

        Those that read otherwise now are written; of more than 100 a snapshot is taken first.

        Args:
            keys: The records; one that this node made later is deleted.
            moment: As for `as_of`.
            author: Who does, for the log.
            note: Why, for the log.
            preview: Only say what would be done.

        Raises:
            HistoryTrimmed: How a record read then is not known here: it is no longer, or a sync brought it later.
            TransactionTooLarge: More records than one transaction holds; nothing was written.
            InvalidKey, UsageError, ReadOnlyEngine, StorageError: Nothing was written.
        """
        check_remarks(author, note, self.name)
        checked, when = check_keys(keys, self.name), check_moment(moment)
        return await revert(self._node, self.name, checked, when, author, note, preview=preview)

    async def erase(
        self, key: str, fields: Sequence[str] | None = None, *, author: str = "", note: str = ""
    ) -> EraseReport:
        """Erase a record, or fields of it, with all that this file has kept of their values; peers do so with a sync.

        The record is dead afterwards, or without the fields; its history reads as if they had never been. What others
        write meanwhile without having seen the erasure stays: erase again. Snapshots, backups and bundles are not
        touched, and keys are no values. A collection `holdfast-erasures` lists what was erased.

        Args:
            key: The record; it may be deleted already.
            fields: Their names; None for all of it.
            author: Who erases, for the log and the list.
            note: Why.

        Raises:
            NoSuchRecord: There never was one here, or nothing of one of these fields.
            InvalidKey, UsageError, ReadOnlyEngine, StorageError: Nothing was erased.
        """
        check_key(key, self.name)
        check_remarks(author, note, f"{self.name}/{key}")
        names = None if fields is None else frozenset(check_fields(fields, f"{self.name}/{key}"))
        return await erase(self._node, EraseRecord(self.name, key, names, author, note))

    async def count(self) -> int:
        """How many records exist."""
        return await self._node.readers.run(reading.count, self.name)

    async def query(self, condition: str = "", *params: Parameter, limit: int | None = None) -> list[Document]:
        """The records that match a SQL condition, in its order.

        Args:
            condition: What follows WHERE, over `key`, `doc` and declared fields, with ``?`` for values; it may end
                with ORDER BY and LIMIT.
            params: The values.
            limit: At most so many.

        Raises:
            InvalidQuery: The condition is no SQL over this collection.
        """
        check_limit(limit)
        found = []
        async for page in self.pages(condition, *params, size=min(limit or PAGE_RECORDS, PAGE_RECORDS)):
            found += page
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    async def pages(
        self, condition: str = "", *params: Parameter, size: int = PAGE_RECORDS
    ) -> AsyncIterator[list[Document]]:
        """The matching records, page by page, each read in a transaction of its own.

        Which records match is decided once, at the start; each page shows them as they are when it is read, and a
        record that was deleted meanwhile is left out.
        """
        check_count(size, "size", least=1)
        columns = self._node.columns(self.name)
        ids = await self._node.readers.run(select_ids, self.name, columns, condition, params)
        for at in range(0, len(ids), size):
            yield await self._node.readers.run(reading.documents_by_id, ids[at : at + size])

    async def explain(self, condition: str = "", *params: Parameter) -> list[str]:
        """SQLite's plan for the query, a line each: it names the index that is used."""
        columns = self._node.columns(self.name)
        return await self._node.readers.run(explain, self.name, columns, condition, params)

    def watch(self, since: int | None = None) -> AsyncIterator[Change]:
        """Every change of this collection behind an lsn; see `Node.watch`."""
        return self._node.watch(since, collection=self.name)

    async def _write(self, write: Write) -> Receipt:
        subject = f"{write.collection}/{write.key}"
        check_version(write.if_version, subject)
        check_remarks(write.author, write.note, subject)
        return await self._node.write(SingleWrite(write))

    async def _put_part(self, keys: list[str], docs: list[str]) -> int:
        return await self._node.write(BulkPut(self.name, keys, docs))


def put_edit(collection: str, key: str, fields: Fields) -> Put:
    """The edit of a put, its values checked."""
    return Put(split(encode_document(fields, f"{collection}/{key}")))


def update_edit(collection: str, key: str, fields: Fields) -> Update:
    """The edit of an update, its values checked."""
    texts = {}
    removed = set()
    names = dict.fromkeys(fields) if type(fields) is dict else fields
    encode_document(names, f"{collection}/{key}")  # field names as in a put
    for name, value in fields.items():
        if isinstance(value, Remove):
            removed.add(name)
        else:
            texts[name] = encode_value(value, f"{collection}/{key} {name}")
    return Update(texts, frozenset(removed))


async def _asynchronous(rows: Rows) -> AsyncIterator[tuple[str, Fields]]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


__all__ = ["JSON", "BulkReport", "Collection", "Remove"]
