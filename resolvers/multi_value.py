"""Multi-value: all concurrent values are shown, and the reader chooses.

Invariant: the list holds each distinct value once, in canonical order; removals add nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import JSON
from .values import Conflict, Delete, Resolution, Value


@dataclass(frozen=True, slots=True)
class MultiValue:
    """Shows the list of the distinct sibling values; for fields only, as existence has no value.

    The field is a list only while versions are concurrent: a reader must expect both forms.
    """

    name: ClassVar[str] = "multi-value"
    version: ClassVar[int] = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Return the distinct values as a list; remove the field if every sibling removed it."""
        distinct: dict[str, JSON] = {}
        for sibling in conflict.siblings:
            if not sibling.deleted:
                distinct.setdefault(sibling.text, sibling.value)
        return Value(list(distinct.values())) if distinct else Delete()
