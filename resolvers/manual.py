"""Manual: every conflict waits for a person.

Invariant: a conflict is never settled by this rule; it stays open, and readers see the version
that the total order shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .values import Conflict, Leave, Resolution


@dataclass(frozen=True, slots=True)
class Manual:
    """Leaves every conflict open."""

    name: ClassVar[str] = "manual"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Leave the conflict to a person."""
        return Leave()
