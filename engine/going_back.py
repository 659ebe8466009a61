"""Lets records read as they did in a copy of the file, by ordinary operations.

Knows nothing of where copies are kept. Invariant: it may be ended anywhere and run again; what reads alike already is
not written.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from holdfast.errors import NoSuchCollection, UsageError

from .arguments import check_keys
from .documents import check_name
from .host import Host
from .storage import restoring
from .storage.connection import Connection
from .storage.erasing import REGISTER, entries
from .storage.restoring import Chosen, Erased, Restoring, Shown, Step

NAMED: Final = 10
"""So many of the records that a way back writes are named by its report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What going back to a snapshot did, or would do.

    Attributes:
        snapshot: Its name.
        written: Records that were written: they read otherwise, or were deleted.
        deleted: Records that were deleted: the snapshot does not have them.
        alike: Records that read as they did then; nothing was written to them.
        erased: Records of which a value was erased since: that does not come back.
        named: (collection, key) of the first of those that were written or deleted.
        before: Name of the snapshot that was taken first; None of a preview, or if nothing had to be written.
    """

    snapshot: str
    written: int = 0
    deleted: int = 0
    alike: int = 0
    erased: int = 0
    named: tuple[tuple[str, str], ...] = ()
    before: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"named": [*map(list, self.named)]}


@asynccontextmanager
async def reading(node: Host, path: Path) -> AsyncIterator[Connection]:
    """A query-only connection to another file of this node."""
    connection = await node.seams.storage.open_reader(path)
    try:
        yield connection
    finally:
        await connection.close()


async def choose(node: Host, past: Connection, collection: str | None, keys: Iterable[str] | None) -> list[Chosen]:
    """Which records to go back with; see `Snapshots.restore`."""
    known = {*await past.run(restoring.collections), *await node.readers.run(restoring.collections)} - {REGISTER}
    if collection == REGISTER:
        what, remedy = "what was erased stays erased", "Name another collection, or none for all of them."
        raise UsageError(what, subject=REGISTER, remedy=remedy)
    if collection is None:
        if keys is not None:
            raise UsageError("keys are of a collection", subject="keys", remedy="Name the collection as well.")
        return [Chosen(name) for name in sorted(known)]
    if check_name(collection, "collection") not in known:
        have = ", ".join(sorted(known)) or "none"
        what = "neither the copy nor the file has this collection"
        raise NoSuchCollection(what, subject=collection, remedy=f"They have: {have}.")
    return [Chosen(collection, None if keys is None else json.dumps(sorted({*check_keys(keys, collection)})))]


async def go_back(
    node: Host, past: Connection, chosen: Iterable[Chosen], report: RestoreReport, *, write: bool
) -> RestoreReport:
    """Page by page, write what differs, or only count it; gives the report with the counts."""
    since = await _erased_since(node, past)
    for each in chosen:
        part = replace(each, erased=since.get(each.collection, {}))
        after, last = "", False
        while not last:
            then = await past.run(restoring.shown_after, part, after)
            step = await _step(node, part, then, after, report.snapshot, write=write)
            report = replace(
                report,
                deleted=report.deleted + step.deletes,
                written=report.written + len(step.writes) - step.deletes,
                alike=report.alike + step.alike,
                erased=report.erased + step.erased,
                named=(report.named + tuple((write.collection, write.key) for write in step.writes))[:NAMED],
            )
            after, last = step.end, step.is_last
    return report


async def _erased_since(node: Host, past: Connection) -> dict[str, Erased]:
    """What was erased since a copy was made, by collection: values of it that do not come back."""
    then = {name for name, _ in await past.run(entries)}
    found: dict[str, dict[str, frozenset[str] | None]] = {}
    for name, entry in await node.readers.run(entries):
        if name not in then:
            keys = found.setdefault(entry.collection, {})
            more = keys.get(entry.key, frozenset())
            keys[entry.key] = None if more is None or entry.fields is None else more | entry.fields
    return dict(found)


async def _step(node: Host, part: Chosen, then: Shown, after: str, name: str, *, write: bool) -> Step:
    note = f"as in {name}"
    if write:
        return await node.write(Restoring(part, then, after, note))
    return await node.readers.run(restoring.step, part, then, after, note)
