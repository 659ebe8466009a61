"""The open engines of a hub: one per space, opened when its first client comes and kept until the hub stops.

It must not know what an engine is, but that it can be closed. Invariant: a space is never opened twice, and one that
cannot be opened is no trouble to the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """What can be closed."""

    async def close(self) -> None:
        """Give everything back."""
        ...


R = TypeVar("R", bound=Closable)
OpenEngine = Callable[[str, Path], Awaitable[R]]
"""Opens the engine of the space of that name in that file."""


class OpenEngines(Generic[R]):
    """Opens engines on first use.

    Args:
        open_engine: How to open one.
    """

    def __init__(self, open_engine: OpenEngine[R]) -> None:
        self._open_engine = open_engine
        self._tasks: dict[str, asyncio.Task[R]] = {}

    async def get(self, space: str, path: Path) -> R:
        """The engine of `space`; raises what `open_engine` raises, and the next call tries again."""
        task = self._tasks.get(space)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._tasks[space] = asyncio.create_task(self._open(space, path))
        # Whoever comes first may leave first: the others still wait for the same engine.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close all engines, each whatever happens to the others."""
        tasks, self._tasks = self._tasks, {}
        await asyncio.gather(*(_close(space, task) for space, task in tasks.items()))

    async def _open(self, space: str, path: Path) -> R:
        return await self._open_engine(space, path)


async def _close(space: str, opening: asyncio.Task[R]) -> None:
    try:
        engine = await opening
    except Exception:  # noqa: BLE001 - whoever asked for this engine was told why it could not be opened
        return
    try:
        await engine.close()
    except Exception:  # noqa: BLE001 - the other engines are still to be closed
        _log.exception("space %s could not be closed", space)
