"""One collection of records: what an application reads and writes.

A thin face over the writer and the readers; knows nothing of SQL or sessions. Invariant: a write that returned is
durable, and its receipt names it for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.resolvers import JSON

from .delta import BATCH_RECORDS_MAX
from .documents import check_key, check_name, encode_document, encode_value, split
from .edits import Delete, Edit, Put, Update
from .host import Host
from .storage import reading
from .storage.bulk import put_many
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
            author: Who wrote, for the log.
            note: Why, for the log.

        Raises:
            InvalidKey, InvalidValue, VersionMismatch, ReadOnlyEngine, StorageError: Nothing was written.
        """
        doc = encode_document(fields, f"{self.name}/{key}")
        return await self._node.write(
            SinglePut(self.name, check_key(key, self.name), doc, if_version, author=author, note=note)
        )

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
        edit = update_edit(self.name, key, fields)
        return await self._write(edit, key, upsert=upsert, if_version=if_version, author=author, note=note)

    async def delete(self, key: str, *, if_version: Version | None = None, author: str = "", note: str = "") -> Receipt:
        """Mark a record dead; a concurrent update elsewhere revives it whole, unless the schema says otherwise.

        Raises:
            NoSuchRecord: There is none.
            VersionMismatch, ReadOnlyEngine, StorageError: Nothing was written.
        """
        return await self._write(Delete(), key, if_version=if_version, author=author, note=note)

    async def put_many(self, rows: Rows, *, on_progress: Callable[[int], None] | None = None) -> BulkReport:
        """Put many records, in transactions of at most 10,000 records or 16 MiB.

        Args:
            rows: (key, fields) pairs, plain or asynchronous.
            on_progress: Called with the number of records that are durable, after each transaction.

        Raises:
            InvalidKey, InvalidValue: At a row that is refused; the transactions before it stay.
        """
        keys: list[str] = []
        docs: list[str] = []
        size = done = lsn = 0
        async for key, fields in _asynchronous(rows):
            doc = encode_document(fields, f"{self.name}/{key}")
            keys.append(check_key(key, self.name))
            docs.append(doc)
            size += len(doc) + len(key)
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
        checked = [check_key(key, self.name) for key in keys]
        return await self._node.readers.run(reading.documents, self.name, checked)

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

    async def _write(self, edit: Edit, key: str, **options: Any) -> Receipt:  # noqa: ANN401 - options of Write
        write = Write(collection=self.name, key=check_key(key, self.name), edit=edit, **options)
        return await self._node.write(SingleWrite(write))

    async def _put_part(self, keys: list[str], docs: list[str]) -> int:
        return await self._node.write(lambda tx: put_many(tx, self.name, keys, docs))


def put_edit(collection: str, key: str, fields: Fields) -> Put:
    """The edit of a put, its values checked."""
    return Put(split(encode_document(fields, f"{collection}/{key}")))


def update_edit(collection: str, key: str, fields: Fields) -> Update:
    """The edit of an update, its values checked."""
    texts = {}
    removed = set()
    encode_document(dict.fromkeys(fields), f"{collection}/{key}")  # field names as in a put
    for name, value in dict(fields).items():
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
