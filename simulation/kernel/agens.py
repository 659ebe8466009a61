"""Async generators that have begun, by the life that began them.

Python tells the loop of each one's first step, and when it is dropped before its end. Invariant: which generator comes
first never depends on addresses; they are looked up by id and listed by number.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any
from weakref import ref

from .life import Life, current_life

Generator = AsyncGenerator[Any, Any]


class AsyncGenerators:
    """Keeps weak references to them.

    Args:
        end: Called with a generator that was dropped, and its life.
    """

    def __init__(self, end: Callable[[Generator, Life | None], None]) -> None:
        self._end = end
        self._count = 0
        self._begun: dict[int, tuple[int, ref[Generator], Life | None]] = {}

    def began(self, generator: Generator) -> None:
        """The hook for a generator's first step."""
        self._count += 1
        self._begun[id(generator)] = (self._count, ref(generator), current_life.get())

    def dropped(self, generator: Generator) -> None:
        """The hook for a generator that nobody holds any more and that has not ended."""
        _, _, life = self._begun.pop(id(generator), (0, None, None))
        self._end(generator, life)

    def of(self, life: Life | None) -> list[Generator]:
        """Those of one life, in the order of their beginning."""
        found = sorted((number, held()) for number, held, owner in self._begun.values() if owner is life)
        return [generator for _, generator in found if generator is not None]

    def everyone(self) -> list[Generator]:
        """All of them, in the order of their beginning."""
        found = sorted((number, held()) for number, held, _ in self._begun.values())
        return [generator for _, generator in found if generator is not None]

    def sweep(self) -> None:
        """Forget those that have ended."""
        self._begun = {key: entry for key, entry in self._begun.items() if entry[1]() is not None}
