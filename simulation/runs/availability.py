"""How many local reads and writes were answered, by what held meanwhile, and why the others were refused.

Pure. Invariant: a share of nothing is None, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Reads or writes under one condition.

    Attributes:
        under: The condition, such as "offline"; kind: "read" or "write".
        answered: How many were; refused: how many were not, by the code of the error.
    """

    under: str
    kind: str
    answered: int
    refused: Mapping[str, int]

    @property
    def asked(self) -> int:
        """How many there were."""
        return self.answered + sum(self.refused.values())

    @property
    def share(self) -> float | None:
        """How many of them were answered."""
        return self.answered / self.asked if self.asked else None


def availability_of(answers: Mapping[str, int]) -> list[Availability]:
    """Each condition and kind of what worlds have counted (`Figures.answers`), in order."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, count in answers.items():
        under, kind, said = name.split(": ", 2)
        found.setdefault((under, kind), {})[said] = count
    return [
        Availability(
            under=under,
            kind=kind,
            answered=counts.get("answered", 0),
            refused={said: count for said, count in sorted(counts.items()) if said != "answered"},
        )
        for (under, kind), counts in sorted(found.items())
    ]
