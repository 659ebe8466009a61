"""What nodes do in a plan: write, read, decide, sync, and run the user's programs.

Values only: how a world does it is not said here. Invariant: an operation says all that its author chose, and nothing
that follows from the state of the node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from .action import Action, CollectionName, Document, HubName, PeriodMs, RecordKey, ThinkMs
from .arguments import (
    SPAN_MS_MAX,
    Flag,
    Integer,
    ListOf,
    Maybe,
    Name,
    Part,
    Text,
    Value,
    Word,
    below,
    mistake,
    read_arguments,
    read_object,
    write_arguments,
)

BULK_RECORDS_MAX: Final = 100_000
STEPS_MAX: Final = 1_000
"""Records that one transaction reads, or writes."""


# ---------------------------------------------------------------------------------------------------------- work


@dataclass(frozen=True, slots=True, kw_only=True)
class Put(Action):
    """Write a whole record."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Action):
    """Write some fields and remove some; without `upsert` a record that does not exist is left alone."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(default_factory=dict, hash=False)
    remove: Annotated[tuple[str, ...], ListOf(Name("field"), 0, 100)] = ()
    upsert: Annotated[bool, Flag()] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Action):
    """Delete a record, if it exists."""

    collection: CollectionName
    key: RecordKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAndSet(Action):
    """Read a record's version, think, and put the record if it still has that version."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(hash=False)
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPut(Action):
    """Put the same fields under `records` keys: `key_prefix` followed by 0, 1, 2, ..."""

    collection: CollectionName
    key_prefix: RecordKey
    records: Annotated[int, Integer(1, BULK_RECORDS_MAX, "records")]
    fields: Document = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record, by collection and key."""

    collection: CollectionName
    key: RecordKey


class _Writes:
    """The kind of a write inside a transaction."""

    def read(self, value: object, path: str) -> Put | Update | Delete:
        given = read_object(value, path)
        for name in given:
            if name not in ("action", "args"):
                raise mistake("a write has no such member", below(path, f"{name:.40}"), "It has action and args.")
        kinds: dict[object, type[Put | Update | Delete]] = {kind.name: kind for kind in (Put, Update, Delete)}
        name = Word(("put", "update", "delete")).read(given.get("action"), f"{path}.action")
        return read_arguments(kinds[name], given.get("args", {}), f"{path}.args")

    def write(self, value: Put | Update | Delete) -> object:
        return {"action": value.name, "args": write_arguments(value)}

    def describe(self) -> str:
        return "object with `action` (`put`, `update` or `delete`) and `args`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transact(Action):
    """Read some records, think, and write some, all in one transaction; begun anew if it conflicts."""

    reads: Annotated[tuple[Record, ...], ListOf(Part(Record, "Record"), 0, STEPS_MAX)] = ()
    writes: Annotated[tuple[Put | Update | Delete, ...], ListOf(_Writes(), 1, STEPS_MAX)]
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide(Action):
    """Decide the oldest conflict of `state`: take its first or last sibling, delete, or write `value`."""

    decision: Annotated[Literal["first", "last", "delete", "value"], Word(("first", "last", "delete", "value"))]
    value: Annotated[Any, Value()] = field(default=None, hash=False)
    state: Annotated[Literal["open", "settled"], Word(("open", "settled"))] = "open"
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen(Action):
    """Put the newest decided conflict back into the inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Action):
    """Read one record; it must be answered, offline as well."""

    collection: CollectionName
    key: RecordKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Action):
    """Read the records that match a SQL condition over the collection."""

    collection: CollectionName
    condition: Annotated[str, Text(4_000)] = ""
    limit: Annotated[int | None, Maybe(Integer(1, 100_000, "records"), "all")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckExport(Action):
    """Read every record of the declared collections, page by page, as an export does; compared is in the end."""


# ---------------------------------------------------------------------------------------------- sync and programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Action):
    """Sync with a hub once."""

    peer: HubName


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEvery(Action):
    """Sync with a hub every `every_ms`, plus 0 to `jitter_ms` drawn anew each time."""

    peer: HubName
    every_ms: PeriodMs
    jitter_ms: ThinkMs = 0
    for_ms: Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until healing")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Action):
    """Watch every change of the node's records, from the first on, and again after each start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram(Action):
    """Run an asynchronous function of the user, registered under this name, on the node."""

    program: Annotated[str, Name("program")]
