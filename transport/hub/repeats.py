"""What goes wrong at the door, in the log without flooding it: the first of a kind at once, the others as a count.

Knows nothing of HTTP. Invariants: nothing is swallowed, every message stands in the log or in a count of one; a client
that fails a thousand times a minute costs a line a minute, a crowd of them a bounded number of lines, and a failure of
the hub itself one line for each cause, however many clients meet it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from aiohttp import web

REPORT_S: Final = 60.0
"""How often a kind that goes on is counted in the log."""

KINDS_MAX: Final = 500
"""Causes and addresses that are told apart; those beyond share a count for each cause."""

OTHERS: Final = "other addresses"

OURSELVES: Final = "this hub"
"""Where the hub's own failures come from, whoever asked when they happened."""

Kind = tuple[str, str]


@dataclass(slots=True)
class _Count:
    logger: logging.Logger
    level: int
    timer: asyncio.TimerHandle
    more: int = 0


class Repeats:
    """Logs complaints about clients.

    Args:
        report_s: How often a kind that goes on is counted in the log.
    """

    def __init__(self, report_s: float = REPORT_S) -> None:
        self._report_s = report_s
        self._counts: dict[Kind, _Count] = {}

    def log(self, logger: logging.Logger, level: int, cause: str, address: str | None, text: str) -> None:
        """Log the first of a kind, and count it if it is another one.

        Args:
            logger: Where it belongs.
            level: Its level there.
            cause: Which kind of failure, as a stable word.
            address: Of the client; OURSELVES for what is no fault of any.
            text: The whole message.
        """
        if not logger.isEnabledFor(level):
            return
        kind = (cause, str(address))
        if kind not in self._counts and len(self._counts) >= KINDS_MAX:
            kind = (cause, OTHERS)
        count = self._counts.get(kind)
        if count is None:
            logger.log(level, "%s", text)
            self._counts[kind] = _Count(logger, level, self._later(kind))
        else:
            count.more += 1

    def close(self) -> None:
        """Log what was only counted so far."""
        for kind, count in self._counts.items():
            count.timer.cancel()
            _report(kind, count)
        self._counts.clear()

    def _due(self, kind: Kind) -> None:
        count = self._counts[kind]
        if count.more:
            _report(kind, count)
            count.more, count.timer = 0, self._later(kind)
        else:
            del self._counts[kind]  # it has stopped: the next one is a first one

    def _later(self, kind: Kind) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._report_s, self._due, kind)


def _report(kind: Kind, count: _Count) -> None:
    if count.more:
        cause, address = kind
        count.logger.log(count.level, "%s from %s: %s more since", cause, address, f"{count.more:,}")


REPEATS: Final = web.AppKey("repeats", Repeats)
