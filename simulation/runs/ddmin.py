"""Delta debugging: the smallest part of a list for which something still holds, by trying to leave parts out.

Pure. Invariant: what is returned was tried and held, or is the whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def ddmin(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> list[T]:
    """Leave out ever smaller parts while `holds` says that the rest will do.

    Args:
        items: For which it holds.
        holds: Tries a part of them; raises whatever should end the search.
    """
    kept = [*items]
    size = max(1, len(kept) // 2)
    while kept:
        kept, smaller = _without_parts(kept, size, holds)
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return kept


def _without_parts(kept: list[T], size: int, holds: Callable[[Sequence[T]], bool]) -> tuple[list[T], bool]:
    """One pass from the end, where what follows a failure stands."""
    smaller = False
    end = len(kept)
    while end > 0:
        rest = kept[: max(0, end - size)] + kept[end:]
        if holds(rest):
            kept, smaller = rest, True
        end -= size
    return kept, smaller
