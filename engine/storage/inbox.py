"""The conflict inbox as rows: opened, closed and reopened as records change.

Knows nothing of who decides. Invariant: after every change of a record the rows with `standing` are exactly the
conflicts of its cells; rows of conflicts that ended stay, with how they ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgpack

from holdfast.clocks import Actor, Dot, Timestamp
from holdfast.resolvers import Settlement
from holdfast.resolvers.canonical import decode
from holdfast.resolvers.values import Conflict, Version

from ..cells import DECISION, Record, Stamp
from ..packing import to_msgpack
from ..projection import Projection
from ..reached import reached
from .store import Tx

_STANDING = "SELECT id, field, opened, siblings FROM conflict WHERE record = ? AND standing = 1"
_OPEN = (
    "INSERT INTO conflict (id, record, field, kind, state, standing, rule, error, siblings, opened)"
    " VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = CASE"
    # A conflict that someone has reopened stays open until its rule says something new.
    " WHEN standing = 1 AND rule = excluded.rule AND error IS excluded.error THEN state ELSE excluded.state END,"
    " standing = 1, rule = excluded.rule, error = excluded.error, closed = NULL"
)


@dataclass(slots=True)
class Inbox:
    """The conflicts of the records that one transaction changes."""

    tx: Tx
    _rows: list[tuple[object, ...]] = field(default_factory=list)

    def note(self, record: int, after: Record, projection: Projection | None, lsn: int, *, had: bool = True) -> int:
        """Bring the inbox in line with a record; gives how many conflicts are new (one that grew is not).

        Without `had` none stood before, and the inbox is not asked.
        """
        settled = projection.settled if projection else ()
        before, grown = self._end(record, after, settled, lsn) if had else (set[str](), dict[str, int]())
        for conflict, settlement in settled:
            self.open(record, conflict, settlement, grown.get(conflict.id, lsn))
        return sum(1 for conflict, _ in settled if conflict.id not in before and conflict.id not in grown)

    def open(self, record: int, conflict: Conflict, settlement: Settlement, opened: int) -> None:
        """Note a conflict that stands; `opened`: the lsn of the change that it began with."""
        self._rows.append(
            (
                conflict.id,
                record,
                conflict.field,
                conflict.kind.value,
                "open" if settlement.open else "settled",
                settlement.rule,
                settlement.error or settlement.deferred,
                pack_versions(conflict.siblings),
                opened,
            )
        )

    def flush(self) -> None:
        """Write the rows."""
        self.tx.connection.executemany(_OPEN, self._rows)
        self._rows.clear()

    def _end(
        self, record: int, after: Record, settled: Sequence[tuple[Conflict, Settlement]], lsn: int
    ) -> tuple[set[str], dict[str, int]]:
        """Close what ended; gives the ids that stood before, and id -> when it opened of those that only grew."""
        standing = self.tx.connection.execute(_STANDING, (record,)).fetchall()
        disputed = {conflict.field: conflict for conflict, _ in settled}
        grown: dict[str, int] = {}
        for number, name, opened, siblings in standing:
            now = disputed.get(name)
            if now is None or not {v.dot for v in now.siblings} & {v.dot for v in unpack_versions(siblings)}:
                _close(self.tx, number, _ending(after, name), lsn)
            elif now.id != number:
                reached("inbox: a conflict grows")
                grown[now.id] = opened
                self.tx.connection.execute("DELETE FROM conflict WHERE id = ?", (number,))
        return {number for number, *_ in standing}, grown


def _close(tx: Tx, number: str, state: str, lsn: int) -> None:
    tx.connection.execute("UPDATE conflict SET state = ?, standing = 0, closed = ? WHERE id = ?", (state, lsn, number))


def _ending(after: Record, field: str | None) -> str:
    """How a conflict ended: by a write that says it is a decision, or by any other."""
    stamps: list[Stamp] = []
    if field is None or field not in after.cells:
        stamps = [life.stamp for life in after.existence.values()]
    else:
        stamps = [sibling.stamp for sibling in after.cells[field].values()]
    return "decided" if any(stamp.flags & DECISION for stamp in stamps) else "overwritten"


def pack_versions(versions: tuple[Version, ...]) -> bytes:
    """The versions as bytes, so that the inbox can show a conflict after it ended."""
    return to_msgpack([[*v.dot, v.clock, v.text, v.deleted, v.birth, v.decision] for v in versions])


def dots_of(packed: bytes) -> list[Dot]:
    """The names of the versions that `pack_versions` packed, without looking at their values."""
    return [Dot(Actor(actor), seq) for actor, seq, *_ in msgpack.unpackb(packed)]


def unpack_versions(packed: bytes) -> tuple[Version, ...]:
    """The versions that `pack_versions` packed."""
    return tuple(
        Version(
            dot=Dot(Actor(actor), seq),
            clock=Timestamp(clock),
            value=decode(text) if text else None,
            text=text,
            deleted=deleted,
            birth=birth,
            decision=decision,
        )
        for actor, seq, clock, text, deleted, birth, decision in msgpack.unpackb(packed)
    )
