"""I11: what a node keeps is bounded by what it was given: file, write-ahead log, vector, contexts.

The bounds are stated here, per record and operation; tombstones are kept without limit in this version, and worlds are
too short for the log, the ledger and past conflicts to be trimmed, so they count (docs/reference/limits.md).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import ClassVar

from holdfast.engine.storage.connection import JOURNAL_BYTES_MAX
from holdfast.engine.storage.write import TRANSACTION_BYTES_MAX

from .view import Checker, NodeView, WorldView, observed

_CONTENT = (
    "SELECT (SELECT coalesce(sum(length(key) + length(doc) + coalesce(length(cells), 0)), 0) FROM record)"
    " + (SELECT coalesce(sum(length(coalesce(old, '')) + length(coalesce(note, ''))), 0) FROM log)"
    " + (SELECT coalesce(sum(length(coalesce(value, ''))), 0) FROM ledger)"
    " + (SELECT coalesce(sum(length(siblings) + length(coalesce(error, ''))), 0) FROM conflict)"
    " + (SELECT coalesce(sum(length(vector)), 0) FROM context)"
    " + (SELECT coalesce(sum(length(key) + length(doc)), 0) FROM buried)"
    " + (SELECT coalesce(sum(length(ranges)), 0) FROM forgotten)"
)
_ROWS = (
    "SELECT (SELECT count(*) FROM record), (SELECT count(*) FROM log), (SELECT count(*) FROM ledger),"
    " (SELECT count(*) FROM conflict), (SELECT count(*) FROM context), (SELECT count(*) FROM peer),"
    " (SELECT count(*) FROM buried), (SELECT count(*) FROM forgotten)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a file may take.

    Attributes:
        file_bytes: Of an empty file.
        row_bytes: For each row of any table, with its part of the indexes.
        factor: Bytes for each byte of keys, values and cells: half-full pages, and indexes over fields.
        log_bytes: Of the write-ahead log.
    """

    file_bytes: int = 256 * 1024
    row_bytes: int = 512
    factor: int = 4
    log_bytes: int = JOURNAL_BYTES_MAX + 4 * TRANSACTION_BYTES_MAX


_UNUSED = (
    "SELECT count(*) FROM context WHERE settled = 1 AND logged = 0"
    " AND id NOT IN (SELECT vector FROM peer WHERE vector IS NOT NULL)"
    " AND id NOT IN (SELECT told FROM peer WHERE told IS NOT NULL) AND id NOT IN (SELECT context FROM hole)"
)


class Bounds(Checker):
    """Nothing grows beyond what was written."""

    name: ClassVar[str] = "I11 sizes are bounded"

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def step(self, world: WorldView, node: NodeView) -> None:
        """The write-ahead log and the vector."""
        log = node.path.with_name(node.path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        if size > self._limits.log_bytes:
            raise self.fail(node, None, f"the write-ahead log has {size} bytes, at most {self._limits.log_bytes}")
        image = observed(world, node).image
        strangers = [sorted(image.vector.keys() - self._identities(world))]
        if strangers[0]:
            what = f"the vector has an entry for {strangers[0][0]}, an identity under which nobody has written"
            raise self.fail(node, None, what, identities=strangers[0])

    def end(self, world: WorldView) -> None:
        """The file, and what it keeps beside the records."""
        for node in world.nodes:
            self.step(world, node)
            self._file(node, node.connection)
            self._contexts(world, node)

    def _identities(self, world: WorldView) -> set[str]:
        written = {operation.name.actor for operation in world.model.operations}
        return {*written, *world.history.actors.values(), *world.history.outsiders}

    def _file(self, node: NodeView, connection: sqlite3.Connection) -> None:
        (pages,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        (content,), rows = connection.execute(_CONTENT).fetchone(), sum(connection.execute(_ROWS).fetchone())
        limits = self._limits
        bound = limits.file_bytes + rows * limits.row_bytes + content * limits.factor
        if pages * page > bound:
            what = f"the file has {pages * page} bytes for {rows} rows with {content} bytes, at most {bound}"
            raise self.fail(node, None, what, bytes=pages * page, rows=rows, content=content)

    def _contexts(self, world: WorldView, node: NodeView) -> None:
        (unused,) = node.connection.execute(_UNUSED).fetchone()
        if unused:
            raise self.fail(node, None, f"the file keeps {unused} vectors that nothing refers to", unused=unused)
        _, log, _, _, contexts, peers, *_ = node.connection.execute(_ROWS).fetchone()
        lsn = observed(world, node).image.lsn
        sessions = sum(1 for _ in world.history.synced(node.name))
        bound = 2 * lsn + log + 4 * (peers + sessions) + 16
        if contexts > bound:
            what = f"the file keeps {contexts} vectors; {lsn} transactions and {sessions} sessions explain {bound}"
            raise self.fail(node, None, what, contexts=contexts, bound=bound)
