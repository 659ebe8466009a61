"""Requests that a network delivers more than once: duplicates of the latest, replays of old ones.

Over TCP this is what proxies that try again do, and whoever recorded a request. Knows nothing of frames. Invariant:
what is delivered again was delivered before, byte for byte, to the same node; the answer goes to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .choices import between, pick
from .conditions import Way
from .connection import Connection, Request
from .stream import NOBODY, Clockwork

REQUESTS_MAX: Final = 8
"""Requests of a pair that are kept."""

AGAIN_MS: Final = (0, 5_000)
"""When a request is delivered once more, after the start of the exchange beside which it is."""

Deliver = Callable[[str, str, Request], bool]
"""Delivers a request once more; gives whether somebody listens there."""


class Repeats:
    """What was delivered between each pair, and may be again."""

    def __init__(self, clockwork: Clockwork, deliver: Deliver) -> None:
        self._clockwork = clockwork
        self._deliver = deliver
        self._kept: dict[tuple[str, str], list[Request]] = {}

    def keep(self, connection: Connection) -> None:
        """Keep the request of an exchange that is over."""
        if connection.caller.name == NOBODY or not connection.request.body:
            return
        kept = self._kept.setdefault((connection.caller.name, connection.callee.name), [])
        kept.append(connection.request)
        del kept[:-REQUESTS_MAX]

    def kept(self, caller: str, callee: str) -> tuple[Request, ...]:
        """The requests of a pair that are kept, the oldest first."""
        return tuple(self._kept.get((caller, callee), ()))

    def replay(self, caller: str, callee: str) -> bool:
        """Deliver one of the old requests once more; False if there is none or nobody listens."""
        kept, label = self.kept(caller, callee), f"net:{caller}>{callee}"
        return bool(kept) and self._deliver(caller, callee, pick(self._clockwork.choices, label, kept))

    def draw(self, connection: Connection, way: Way) -> None:
        """Decide what is delivered once more beside this exchange."""
        caller, callee = way.source, way.target
        if self._clockwork.happens(way.label, way.quality.replay_per_mille):
            self._later(way, lambda: self.replay(caller, callee))
        if self._clockwork.happens(way.label, way.quality.duplicate_per_mille):
            self._later(way, lambda: self._deliver(caller, callee, connection.request))

    def _later(self, way: Way, again: Callable[[], object]) -> None:
        delay_ms = between(self._clockwork.choices, way.label, *AGAIN_MS)
        self._clockwork.later(delay_ms / 1000, again)
