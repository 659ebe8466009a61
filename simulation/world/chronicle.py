"""What a world writes into its trace for people: lives, writes, conflicts and sessions, each as a row where it happens.

Decides nothing and draws nothing. Invariant: a row says what was observed, never what was planned; the same world
writes the same rows.

The rows (`what`, and what the detail begins with, for `report/lanes.py` to read):

    up, down, paused, resumed   the cause
    wrote, decided              the record, and the operation
    conflict, settled           the record and its field, how it stands, and by which rule
    synced, sync failed         the peer, and how long it took in virtual milliseconds
    healing, agreed
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.transport.progress import SyncReport

from ..kernel.trace import Trace
from ..observed.operation import Wrote
from ..plans.plan import Event

_CONFLICTS: Final = (
    "SELECT c.name || '/' || r.key || coalesce('.' || f.field, ''), f.state, f.rule, f.opened > :lsn"
    " FROM conflict f JOIN record r ON r.id = f.record JOIN collection c ON c.id = r.collection"
    " WHERE f.opened > :lsn OR f.closed > :lsn ORDER BY f.opened, f.id"
)
DETAIL_CHARS_MAX: Final = 300


@dataclass(slots=True)
class Chronicle:
    """Writes rows into a trace.

    Args:
        trace: Where they go.
        now_us: Virtual time.
        folder: Where the files of this run are.
    """

    trace: Trace
    now_us: Callable[[], int]
    folder: str
    _seen_lsn: dict[str, int] = field(default_factory=dict)

    def note(self, node: str, what: str, detail: str = "") -> None:
        """A row; a long detail is cut, and the folder of this run is left out: equal runs have equal rows."""
        detail = detail.replace(self.folder, "")
        cut = detail if len(detail) <= DETAIL_CHARS_MAX else f"{detail[: DETAIL_CHARS_MAX - 1]}…"
        self.trace.add(self.now_us(), node, what, cut)

    def wrote(self, operations: list[Wrote]) -> None:
        """Operations that their node committed."""
        for operation in operations:
            what = "decided" if operation.decision else "wrote"
            self.note(operation.node, what, f"{'/'.join(operation.place)} {operation}")

    def conflicts(self, node: str, connection: sqlite3.Connection, lsn: int) -> None:
        """Conflicts that the file has had since the last look; an older state of the file has none."""
        seen = self._seen_lsn.get(node, 0)
        self._seen_lsn[node] = lsn
        if lsn > seen:
            for place, state, rule, new in connection.execute(_CONFLICTS, {"lsn": seen}).fetchall():
                self.note(node, "conflict" if new else "settled", f"{place} {state}, by {rule}")

    def synced(self, node: str, peer: str, began_us: int, report: SyncReport) -> None:
        """A session came to its end."""
        said = f"sent {report.sent}, received {report.received}, conflicts {report.conflicts}"
        blockers = "" if report.completed else f"; {'; '.join(report.blockers)}"
        self.note(node, "synced", f"{peer} {self._since(began_us)} ms: {said}{blockers}")

    def sync_failed(self, node: str, peer: str, began_us: int, error: HoldfastError) -> None:
        """A session was cut off, or never began."""
        self.note(node, "sync failed", f"{peer} {self._since(began_us)} ms: {error.code}: {error.what}")

    def _since(self, began_us: int) -> int:
        return (self.now_us() - began_us) // 1000


def said(event: Event) -> str:
    """What an event says, but for its time, node and name."""
    arguments = ", ".join(f"{name}={kind.write(value)}" for name, kind, value in event.action.arguments())
    return arguments[:200]
