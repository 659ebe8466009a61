"""Loops for tests: made, run and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.simulation.choices import SeededChoices
from holdfast.simulation.loop import SimLoop
from holdfast.simulation.trace import Trace


@contextmanager
def loop_of(seed=0, *, trace=None, choices=None) -> Iterator[SimLoop]:
    loop = SimLoop(choices or SeededChoices(seed), trace or Trace())
    try:
        yield loop
    finally:
        loop.close()


def run(coro, seed=0):
    with loop_of(seed) as loop:
        return loop.run_until_complete(coro)


class FirstInLine:
    """Always the plainest choice."""

    def draw(self, stream, n):
        return 0
