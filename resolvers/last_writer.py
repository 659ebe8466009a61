"""Last writer wins: the newest of the concurrent versions is shown.

It ranks concurrent versions only. A write that had seen the other one has superseded it before
any resolver is asked, whatever the clocks say.

Invariant: removals take part with their own clock, like any other version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .values import Conflict, Resolution, Take


@dataclass(frozen=True, slots=True)
class LastWriterWins:
    """Takes the last sibling by clock, actor and sequence."""

    name: ClassVar[str] = "last-writer-wins"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Take the last sibling of the canonical order."""
        return Take(len(conflict.siblings) - 1)
