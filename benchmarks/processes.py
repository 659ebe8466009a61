"""Node processes: interpreters of their own that run the functions they are handed.

A node shares no memory and no event loop with its hub or its peers, so their work overlaps and their memory is theirs.
It must not know scenarios.
Invariant: a process ends with the block that started it, whatever happens inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A Python process that runs the functions it is handed, one after the other."""

    pool: ProcessPoolExecutor

    async def run(self, job: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a coroutine function of module level there; arguments and result must be picklable."""
        call = self.pool.submit(_run, job, args, kwargs)
        return await asyncio.wrap_future(call)


@contextmanager
def node_process() -> Iterator[NodeProcess]:
    """Starts a fresh interpreter, which inherits nothing: no records of the parent count as its memory."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        yield NodeProcess(pool)


def _run(job: Callable[..., Awaitable[T]], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    async def main() -> T:
        return await job(*args, **kwargs)

    return asyncio.run(main())
