"""Taking back what a misbehaving node has changed since a moment, wherever it still shows.

Knows nothing of tables. Invariant: the ways back are ordinary operations, so they reach every node; a snapshot of what
stood before them is taken first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from holdfast.errors import UsageError

from .documents import check_name
from .going_back import NAMED
from .history import check_moment, lsn_of
from .host import Host
from .snapshots import Snapshots
from .storage import reading
from .storage.disown import Case, Disowning, identities, page

_SHORT: Final = 12
_IDENTITIES: Final = 8
"""How many identities of one name an error names, and by how many characters each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisownReport:
    """What was taken back, or would be.

    Attributes:
        node: Whose changes.
        written, deleted: Records that were written, and those that were deleted: the node had made them.
        named: (collection, key) of the first of them.
        before: Name of the snapshot that was taken first; None of a preview, or if nothing of the node shows.
    """

    node: str
    written: int = 0
    deleted: int = 0
    named: tuple[tuple[str, str], ...] = ()
    before: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self) | {"named": [*map(list, self.named)]}


async def disown(
    host: Host, node: str, since: int | datetime, *, preview: bool, author: str, note: str
) -> DisownReport:
    """Take back what a node has changed since a moment; see `Node.disown`."""
    check_name(node, "node")
    actors = await host.readers.run(identities, node)
    if not actors:
        raise UsageError(
            "no node of this name has written here",
            subject=node,
            remedy="Pass its label, or the beginning of its identity, as status and log show them.",
        )
    if len(actors) > 1:
        named = ", ".join(sorted(actor[:_SHORT] for actor in actors)[:_IDENTITIES])
        raise UsageError(
            f"{len(actors)} identities go by this name, of different nodes or of one that was restored: {named}",
            subject=node,
            remedy="Pass the beginning of the one that you mean; of several, disown one after the other.",
        )
    if not preview and host.read_only:
        await host.write(lambda _: None)  # which says so
    moment = await lsn_of(host, check_moment(since), None)
    case = Case(actors, moment, await host.readers.run(reading.head))
    note = note or f"without {node} since {moment}"
    told = await _walk(host, case, DisownReport(node=node), author, note, write=False)
    if preview or not told.written + told.deleted:
        return told
    kept = await Snapshots(host).keep_before(f"before taking back what {node} has changed", note)
    return await _walk(host, case, DisownReport(node=node, before=kept.name), author, note, write=True)


async def _walk(host: Host, case: Case, report: DisownReport, author: str, note: str, *, write: bool) -> DisownReport:
    position: tuple[int, int] | None = (case.since, 2**62)
    written = deleted = 0
    named: tuple[tuple[str, str], ...] = ()
    while position is not None:
        if write:
            found = await host.write(Disowning(case, position, author, note))
        else:
            found = await host.readers.run(page, case, position, author, note)
        deleted += found.deletes
        written += len(found.writes) - found.deletes
        named = (named + tuple((write.collection, write.key) for write in found.writes))[:NAMED]
        position = found.end
    return DisownReport(node=report.node, written=written, deleted=deleted, named=named, before=report.before)
