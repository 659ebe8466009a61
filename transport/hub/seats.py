"""Who may run an exchange: each token as many as it leaves free for others.

Knows nothing of HTTP. Invariants: no more than the limit run at once; while one is free, a token that runs none gets
it; one token, however many nodes share it, never has more than half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import HubError


class Seats:
    """The exchanges that may run at once.

    Args:
        limit: How many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, token: str) -> Iterator[None]:
        """Take a seat for a token, for the block.

        Raises:
            HubError: None is free, or the token has as many as are.
        """
        free = self._limit - self._taken.total()
        if self._taken[token] >= free:
            what = "too many exchanges of this token run" if free > 0 else "the hub is busy"
            raise HubError(what, subject="hub", remedy="Come again later.")
        self._taken[token] += 1
        try:
            yield
        finally:
            self._taken[token] -= 1
            if not self._taken[token]:
                del self._taken[token]
