"""What a scenario is given and what it gives back.

It must not know any scenario, nor how results are printed.
Invariant: a scale changes how often is measured and how far growth is followed, and no other size.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .records import Pairs, generate, load

Scale = Literal["quick", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to run a scenario.

    Args:
        scale: "quick" ends within 40 seconds, "full" repeats more often and grows further.
        directory: Where database files are put; it decides which disk is measured.
        data: A JSON Lines file to take records from instead of making them.
        seed: Of the generator and of every choice a scenario makes.
        fraction: Shrinks counts and repetitions, for tests of the scenarios themselves.
    """

    scale: Scale
    directory: Path
    data: Path | None = None
    seed: int = 1
    fraction: float = 1.0

    def repetitions(self, *, quick: int, full: int) -> int:
        """How often to measure at this scale."""
        return max(1, round((quick if self.scale == "quick" else full) * self.fraction))

    def count(self, number: int) -> int:
        """A count of records or operations, as far as this plan wants it shrunk."""
        return max(min(number, 10), round(number * self.fraction))

    def records(self, number: int) -> Pairs:
        """The first records of the input: `number` of them, or all that the data file has."""
        count = self.count(number)
        return load(self.data, count) if self.data else generate(count, self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a scenario measured.

    Args:
        figures: Absolute numbers; their names carry the unit where it is not a plain count.
        ratios: Numbers that hold across machines, each of a product to its floor.
    """

    figures: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


Run = Callable[[Plan], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where a number is first satisfactory: at least, or at most, `bound`."""

    bound: float
    at_least: bool = False
    condition: str = ""

    def __str__(self) -> str:
        text = f"{'at least' if self.at_least else 'at most'} {self.bound:g}"
        return f"{text} {self.condition}".rstrip()

    def met(self, number: float) -> bool:
        """Whether a number reaches the aim, its condition aside."""
        return number >= self.bound if self.at_least else number <= self.bound


def progress(text: str) -> None:
    """Tells whoever waits what is going on; results have standard output for themselves."""
    print(f"  … {text}", file=sys.stderr, flush=True)
