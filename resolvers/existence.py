"""The rules for a record that one author deleted while another changed it.

A record's existence is a register like any field: its siblings are dead (`deleted`) or alive.
These rules know nothing of the fields; where a record lives on, it lives on whole.

Invariant: siblings that agree are no conflict, so each rule then takes the newest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .values import Conflict, Leave, Resolution, Take, Version


@dataclass(frozen=True, slots=True)
class UpdateWins:
    """The record lives on if any sibling is alive; the default."""

    name: ClassVar[str] = "update-wins"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Take the newest sibling that is alive."""
        return Take(newest(conflict.siblings, deleted=False))


@dataclass(frozen=True, slots=True)
class DeleteWins:
    """The record is dead if any sibling is dead."""

    name: ClassVar[str] = "delete-wins"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Take the newest sibling that is dead."""
        return Take(newest(conflict.siblings, deleted=True))


@dataclass(frozen=True, slots=True)
class AskOnDelete:
    """A person decides; until then the record lives on."""

    name: ClassVar[str] = "ask-on-delete"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Leave the conflict open if some siblings are dead and some alive."""
        if len({sibling.deleted for sibling in conflict.siblings}) > 1:
            return Leave()
        return Take(len(conflict.siblings) - 1)


def newest(siblings: tuple[Version, ...], *, deleted: bool) -> int:
    """Return the index of the newest sibling that is dead or alive as asked, else of the newest."""
    wanted = (index for index in reversed(range(len(siblings))) if siblings[index].deleted is deleted)
    return next(wanted, len(siblings) - 1)
