"""Erasing values for good, as an application sees it.

Knows nothing of tables. Invariant: what is reported as gone is gone from this file; where else it may stand is said.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from holdfast.errors import HoldfastError

from .going_back import reading
from .host import Host
from .snapshots import Snapshots
from .storage.erasing import EraseRecord
from .storage.write import Receipt

_HOLDS = "SELECT 1 FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.key = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseReport:
    """What an erasure did.

    Attributes:
        receipt: Of the operation, which every sync carries on.
        removed: Whether the values are gone from this file's pages; else a reader held them, and it is tried again
            behind every commit, and at the next opening.
        snapshots: Names of this node's snapshots that still hold the record: drop them.
    """

    receipt: Receipt
    removed: bool
    snapshots: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"dot": self.receipt.dot._asdict(), "removed": self.removed, "snapshots": [*self.snapshots]}


async def erase(node: Host, job: EraseRecord) -> EraseReport:
    """Erase, and look for what still holds the record."""
    receipt = await node.write(job)
    removed = node.upkeep is not None and await node.upkeep.remove_traces()
    return EraseReport(receipt=receipt, removed=removed, snapshots=await _holding(node, job.collection, job.key))


async def _holding(node: Host, collection: str, key: str) -> tuple[str, ...]:
    """The snapshots that hold a record, or cannot be read."""
    found = []
    for path in Snapshots(node).paths():
        try:
            async with reading(node, path) as snapshot:
                holds = await snapshot.run(_holds, collection, key)
        except HoldfastError:  # who cannot look must not say that it is not there
            holds = True
        found += [path.stem] if holds else []
    return tuple(found)


def _holds(connection: sqlite3.Connection, collection: str, key: str) -> bool:
    return connection.execute(_HOLDS, (collection, key)).fetchone() is not None
