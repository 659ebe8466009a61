"""A node that can die: what it holds open besides SQLite is let go without any of what a clean end does.

Knows nothing of what makes it die. Invariant: every engine of a simulation that lives on a disk is known to that disk
from its construction on, so that a crash while it opens leaks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.engine.node import Node
from holdfast.engine.schema import Schema
from holdfast.engine.seams import Seams

from .disk import Disk


class Mortal(Node):
    """Mix into the engine of a simulated node: ``class SimEngine(Mortal, Engine)``."""

    def __init__(self, path: Path, schemas: Sequence[Schema] | None, seams: Seams) -> None:
        super().__init__(path, schemas, seams)
        if isinstance(seams.storage, Disk):
            seams.storage.tenant(self)

    def give_up(self) -> None:
        """Let go of the lock and of the witness; the connections belong to the disk."""
        if self._witness is not None:
            self._witness.close()
        if self._lock is not None:
            self._lock.release()
