"""The history of records: what changed when, by whom, how they read then, and ways back as ordinary operations.

Knows nothing of tables. Invariant: it is this node's history: what its readers saw, in the order in which they saw it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from holdfast.clocks import Dot, Timestamp, millis
from holdfast.errors import UsageError
from holdfast.resolvers import JSON

from .arguments import check_count, check_keys
from .documents import compose, decode_object, shown
from .edits import Delete
from .going_back import NAMED
from .host import Host
from .snapshots import Snapshots
from .storage import past
from .storage.past import State

PAGE_RECORDS = 500

RISKY: Final = 100
"""A step that writes more records than that takes a snapshot first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One change in a record's life.

    Attributes:
        key: Of the record.
        lsn: Its transaction at this node.
        kind: "put", "update", "delete", "decide", "merge" (a sync brought it) or "reissue".
        dot: The operation; of a merge, the latest write that the record showed after it.
        clock_ms: Its author's time, milliseconds since 1970.
        seen_ms: When readers of this node saw it, by its clock, as `as_of` and `revert` count; None if that is not kept
            any more: a sync brought it.
        author, note: As given by whoever wrote.
        fields: How the record read after it; None if there was no such record.
    """

    key: str
    lsn: int
    kind: str
    dot: Dot
    clock_ms: int
    seen_ms: int | None
    author: str | None
    note: str | None
    fields: dict[str, JSON] | None

    def as_json(self) -> dict[str, Any]:
        """The revision as plain JSON values."""
        return {
            "key": self.key,
            "lsn": self.lsn,
            "kind": self.kind,
            "dot": self.dot._asdict(),
            "clock_ms": self.clock_ms,
            "seen_ms": self.seen_ms,
            "author": self.author,
            "note": self.note,
            "fields": self.fields,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReport:
    """What an undo or a revert did, or would do.

    Attributes:
        written: Records that were written, those that were deleted among them.
        deleted: Records that were deleted.
        left: (collection, key) of records that were left alone, or in part: what the change wrote was changed since.
        named: (collection, key) of the first of those that were written.
        before: Name of the snapshot that was taken first; None of a preview, or if few records had to be written.
    """

    written: int
    deleted: int
    left: tuple[tuple[str, str], ...]
    named: tuple[tuple[str, str], ...]
    before: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"left": [*map(list, self.left)], "named": [*map(list, self.named)]}


class Past:
    """A collection as readers of this node saw it at an earlier moment; get it as ``engine["tasks"].as_of(moment)``."""

    def __init__(self, node: Host, collection: str, moment: int | datetime) -> None:
        self._node = node
        self._collection = collection
        self._moment = moment

    async def lsn(self) -> int:
        """The last transaction of that moment, at this node."""
        return await lsn_of(self._node, self._moment, self._collection)

    async def get(self, key: str) -> dict[str, JSON] | None:
        """How a record read; None if there was none."""
        return (await self.get_many([key])).get(key)

    async def get_many(self, keys: Sequence[str]) -> dict[str, dict[str, JSON]]:
        """How those of these records read that were there."""
        checked, lsn = check_keys(keys, self._collection), await self.lsn()
        states = await self._node.readers.run(past.states_at, self._collection, checked, lsn)
        return {key: fields for key, state in states.items() if (fields := _fields(state)) is not None}

    async def documents(self) -> AsyncGenerator[tuple[str, dict[str, JSON]], None]:
        """Every record that was there, by key, and how it read."""
        lsn, after = await self.lsn(), ""
        while keys := await self._node.readers.run(past.keys_after, self._collection, after, PAGE_RECORDS):
            states = await self._node.readers.run(past.states_at, self._collection, keys, lsn)
            for key in keys:
                fields = _fields(states[key])
                if fields is not None:
                    yield key, fields
            after = keys[-1]


def check_moment(moment: object) -> int | datetime:
    """The moment, if it is an lsn or a time with its zone; raises UsageError."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment
    if type(moment) is int:
        check_count(moment, "moment")
        return moment
    raise UsageError(
        f"the moment is {shown(moment)}", subject="moment", remedy="Pass an lsn, or a datetime with its time zone."
    )


async def lsn_of(node: Host, moment: int | datetime, collection: str | None) -> int:
    """The last transaction of a moment at this node, as far as one collection, or all, can tell."""
    if isinstance(moment, datetime):
        return await node.readers.run(past.lsn_before, round(moment.timestamp() * 1000) + 1, collection)
    return moment


async def read_life(node: Host, collection: str, key: str | None, limit: int) -> list[Revision]:
    """The changes of a record, or of all of a collection, newest first."""
    if key is None:
        steps = await node.readers.run(past.lives, collection, limit)
    else:
        steps = await node.readers.run(past.life, collection, key, limit)
    return [
        Revision(
            key=step.key,
            lsn=step.lsn,
            kind=step.kind.name.lower(),
            dot=step.dot,
            clock_ms=millis(Timestamp(step.clock)),
            seen_ms=step.seen_ms,
            author=step.author,
            note=step.note,
            fields=_fields(step.after),
        )
        for step in steps
    ]


async def undo(node: Host, lsn: int, author: str, note: str, *, preview: bool) -> UndoReport:
    """Take back what the transaction of an lsn changed, as far as it was not changed since."""
    return await _go(node, past.Undoing(lsn, author, note or f"undo of {lsn}"), f"undo of {lsn}", preview=preview)


async def revert(
    node: Host, collection: str, keys: Sequence[str], moment: int | datetime, author: str, note: str, *, preview: bool
) -> UndoReport:
    """Let records read as they did at an earlier moment."""
    if isinstance(moment, datetime) and moment.timestamp() * 1000 > node.seams.time.now_ms():
        what = "the moment is still to come, by this node's clock"
        raise UsageError(what, subject=moment.isoformat(), remedy="Name an earlier one.")
    lsn = await lsn_of(node, moment, collection)
    job = past.Reverting(collection, keys, lsn, author, note or f"as at {lsn}")
    return await _go(node, job, f"going back to {lsn}", preview=preview)


async def _go(node: Host, job: past.Reverting | past.Undoing, what: str, *, preview: bool) -> UndoReport:
    """Look what a job would write, keep what stands if that is much, then let it write."""
    if not preview and node.read_only:
        await node.write(lambda _: None)  # which says so
    told = await node.readers.run(job.preview)
    if preview:
        return _report(told, None)
    before = await Snapshots(node).keep_before(f"before {what}", job.note) if len(told.writes) > RISKY else None
    return _report(await node.write(job), before.name if before else None)


def _report(plan: past.Plan, before: str | None) -> UndoReport:
    return UndoReport(
        written=len(plan.writes),
        deleted=sum(isinstance(write.edit, Delete) for write in plan.writes),
        left=plan.left,
        named=tuple((write.collection, write.key) for write in plan.writes[:NAMED]),
        before=before,
    )


def _fields(state: State) -> dict[str, JSON] | None:
    live, texts = state
    return decode_object(compose(texts)) if live else None
