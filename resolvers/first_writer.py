"""First writer wins: the oldest of the concurrent versions is shown.

For what is claimed once and then stands: a booking, a ticket, the author of a record. Like every
resolver it ranks concurrent versions only; a later write that had seen the first still replaces it.

Invariant: removals take part with their own clock, like any other version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .values import Conflict, Resolution, Take


@dataclass(frozen=True, slots=True)
class FirstWriterWins:
    """Takes the first sibling by clock, actor and sequence."""

    name: ClassVar[str] = "first-writer-wins"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Take the first sibling of the canonical order."""
        return Take(0)
