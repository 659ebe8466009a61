"""Draws for whoever makes plans, from one named stream of choices.

Knows nothing of plans. Invariant: every result follows from the choices alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .choices import Choices, between, chance, pick

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Dice:
    """One stream of draws."""

    choices: Choices
    stream: str

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return between(self.choices, self.stream, low, high)

    def chance(self, per_mille: int) -> bool:
        """True so often in a thousand."""
        return chance(self.choices, self.stream, per_mille)

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of them."""
        return pick(self.choices, self.stream, items)

    def some(self, items: Sequence[_Item], per_mille: int = 500) -> tuple[_Item, ...]:
        """Each of them so often in a thousand, in their order."""
        return tuple(item for item in items if self.chance(per_mille))

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """All of them in another order."""
        rest = list(items)
        return [rest.pop(self.between(0, len(rest) - 1)) for _ in items]

    def span(self, low: int, high: int) -> int:
        """A number from `low` (at least 1) to `high`; each doubling is as likely, so small ones are usual."""
        high = max(low, high)
        bits = self.between(low.bit_length(), high.bit_length())
        return min(high, max(low, self.between(1 << bits - 1, (1 << bits) - 1)))
