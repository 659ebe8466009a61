"""The life of a node between its start and its crash, and what runs in it: tasks, futures, handles.

Knows no schedule. Invariants: everything that was started in a life belongs to it, by context and therefore through
any depth of tasks and callbacks; tasks, futures and handles hash by their own number, so that a set of them has the
same order in every process (asyncio keeps such sets, and hands them to programs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")
Awaited = Generator[Any, None, T] | Coroutine[Any, Any, T]
"""What a task runs."""

current_node: Final[ContextVar[str]] = ContextVar("holdfast.simulation.node", default="")
"""The node that the running code belongs to; "" for the world itself."""

PROGRAM: Final = "program"
current_work: Final[ContextVar[str]] = ContextVar("holdfast.simulation.work", default="")
"""What the application is about: the name of the plan's action, or `PROGRAM`; "" for syncs and the world's own work."""

current_program: Final[ContextVar[str]] = ContextVar("holdfast.simulation.program", default="")
"""The user's program that the running code belongs to, through any depth of tasks; "" for everything else."""


@dataclass(eq=False, slots=True)
class Life:
    """One life of a node; a restart begins another.

    Attributes:
        node: The name of the node.
        alive: False from the crash on: nothing of this life runs any more.
        held: The process is stopped: what is due waits in `waiting`.
    """

    node: str
    alive: bool = field(default=True, init=False)
    held: bool = field(default=False, init=False)
    waiting: list[SimHandle] = field(default_factory=list, init=False)


current_life: Final[ContextVar[Life | None]] = ContextVar("holdfast.simulation.life", default=None)
"""The life that the running code belongs to; None for the world itself."""


class Lines(Protocol):
    """What a handle tells when it is cancelled."""

    def timer_cancelled(self) -> None:
        """One of the timers was cancelled."""
        ...


class SimHandle(asyncio.TimerHandle):
    """A callback to come."""

    __slots__ = ("is_timer", "life", "number", "when_us")

    _callback: Any
    _args: Any
    _loop: Any

    def __init__(self, callback: Callable[..., object], args: Sequence[object], loop: Lines, context: Context) -> None:
        # Not the base class's, which asks the loop for its debug mode.
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._source_traceback = None
        self._repr = None
        self.life: Life | None = context.get(current_life)
        self.number = 0
        self.when_us = 0
        self.is_timer = False

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def cancel(self) -> None:
        """Never run it."""
        if not self._cancelled:
            if self.is_timer:
                self._loop.timer_cancelled()
            self._cancelled = True
            self._callback = self._args = None

    def when(self) -> float:
        """The moment it is due, in the seconds of the loop."""
        return self.when_us / 1_000_000

    @property
    def task(self) -> SimTask[Any] | None:
        """The task that it lets go on; None if it runs a function."""
        owner = getattr(self._callback, "__self__", None)
        return owner if isinstance(owner, SimTask) else None

    def label(self) -> str:
        """What it runs, in words that are the same in every process."""
        if self.task is not None:
            return self.task.label
        return str(getattr(self._callback, "__qualname__", type(self._callback).__name__))


class SimFuture(asyncio.Future[T]):
    """A future that hashes by number."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimTask(asyncio.Task[T]):
    """A task that hashes by number and knows its life."""

    def __init__(self, number: int, coro: Awaited[T], life: Life | None, **options: Any) -> None:  # noqa: ANN401
        self.number = number
        self.life = life
        self.label = str(getattr(coro, "__qualname__", type(coro).__name__))
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number
