"""What runs next: the callbacks that are ready, the timers, and virtual time.

Virtual time is a whole number of microseconds. Each step costs one, so that code that spins lets time pass; when
nothing is ready, time jumps to the next timer. Knows nothing of tasks. Invariants: the only decision is which of the
ready callbacks runs (a draw from "sched", 0 is the one that has waited longest); time never goes back.
"""

from __future__ import annotations

import heapq

from .choices import Choices
from .life import Life, SimHandle

_SWEEP_MIN = 1_000
"""Cancelled timers that are not worth a sweep."""


class Schedule:
    """Callbacks to come.

    Attributes:
        now_us: Virtual microseconds since the world began.
        idle_at: The number of steps that had run when nothing was ready last.
        steps: How many have run.
    """

    def __init__(self, choices: Choices) -> None:
        self.now_us = 0
        self.steps = 0
        self.idle_at = 0
        self._choices = choices
        self._ready: list[SimHandle] = []
        self._timers: list[tuple[int, int, SimHandle]] = []
        self._cancelled = 0

    def soon(self, handle: SimHandle) -> None:
        """Put a callback into the line."""
        self._ready.append(handle)

    def at(self, handle: SimHandle, when_us: int) -> None:
        """Put a callback into the line at a moment to come."""
        handle.when_us, handle.is_timer = when_us, True
        heapq.heappush(self._timers, (when_us, handle.number, handle))

    def timer_cancelled(self) -> None:
        """A timer was cancelled; most are, so they are swept out now and then."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_MIN and self._cancelled * 2 > len(self._timers):
            self._keep([timer for timer in self._timers if not timer[2].cancelled()])

    def take(self) -> SimHandle | None:
        """Take out what runs next, or None if nothing is left to happen; it may have been cancelled."""
        ready = self._ready
        while True:
            if not ready or (self._timers and self._timers[0][0] <= self.now_us):
                self._advance()
            count = len(ready)
            if count > 1:
                handle = ready.pop(self._choices.draw("sched", count))
            elif count:
                handle = ready.pop()
            else:
                return None
            if handle.life is None or not handle.life.held:
                break
            handle.life.waiting.append(handle)
        self.now_us += 1
        self.steps += 1
        return handle

    def ready(self) -> tuple[SimHandle, ...]:
        """What could run now."""
        return tuple(self._ready)

    def drop(self, life: Life | None) -> list[SimHandle]:
        """Take out all that belongs to a life."""
        everything = [*self._ready, *(timer[2] for timer in self._timers)]
        if life is not None:
            everything += life.waiting
            life.waiting.clear()
        self._ready[:] = [handle for handle in self._ready if handle.life is not life]
        self._keep([timer for timer in self._timers if timer[2].life is not life])
        dropped = [handle for handle in everything if handle.life is life]
        for handle in dropped:
            handle.is_timer = False
        return dropped

    def _keep(self, timers: list[tuple[int, int, SimHandle]]) -> None:
        heapq.heapify(timers)
        self._timers = timers
        self._cancelled = sum(timer[2].cancelled() for timer in timers)

    def _advance(self) -> None:
        """Make ready what is due; if nothing is ready, it is the next timer's time."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._cancelled -= 1
        if not self._ready:
            self.idle_at = self.steps
            if timers:
                self.now_us = max(self.now_us, timers[0][0])
        while timers and timers[0][0] <= self.now_us:
            handle = heapq.heappop(timers)[2]
            handle.is_timer = False
            if handle.cancelled():
                self._cancelled -= 1
            else:
                self._ready.append(handle)
