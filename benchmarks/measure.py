"""Measuring: a floor and a product in turns, in one run, and what a process holds in memory.

It must not know what is measured. Single numbers of a busy machine mean little, so durations come in pairs that were
taken next to each other, and a ratio is the median over the pairs.
Invariant: the first pair is a warm-up and is never counted.
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .scenario import progress

Measurement = Callable[[int], Awaitable[float]]

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Turns:
    """Durations in seconds that were measured in turns: `floor[i]` and `product[i]` next to each other."""

    floor: tuple[float, ...]
    product: tuple[float, ...]

    @property
    def floor_s(self) -> float:
        """The median duration of the floor."""
        return median(self.floor)

    @property
    def product_s(self) -> float:
        """The median duration of the product."""
        return median(self.product)

    @property
    def speed(self) -> float:
        """The product's speed over the floor's for the same work: 0.5 means that it takes twice as long."""
        return median(floor / product for floor, product in zip(self.floor, self.product, strict=True))

    @property
    def slowness(self) -> float:
        """The product's duration over the floor's: the median of the inverse, for what is bounded from above."""
        return median(product / floor for floor, product in zip(self.floor, self.product, strict=True))


async def in_turns(name: str, floor: Measurement, product: Measurement, repetitions: int) -> Turns:
    """Measures both `repetitions` times after a warm-up, changing who goes first so that neither gains from order.

    Args:
        name: What to call this in the lines of progress.
        floor: Runs the floor once and gives its seconds; takes the number of the turn, to name files with.
        product: The same for the product.
        repetitions: How many pairs to count.
    """
    pairs = []
    with _still_heap():
        for turn in range(repetitions + 1):
            progress(f"{name}: {f'turn {turn} of {repetitions}' if turn else 'warm-up'}")
            gc.collect()
            if turn % 2:
                first = await product(turn)
                pairs.append((await floor(turn), first))
            else:
                first = await floor(turn)
                pairs.append((first, await product(turn)))
    floors, products = zip(*pairs[1:], strict=True)
    return Turns(floors, products)


@contextmanager
def _still_heap() -> Iterator[None]:
    """Spares the collector the records, which live throughout: its work then depends on what is measured alone."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def peak_rss_mb(pid: int | None = None) -> float:
    """The most memory that a process ever held, in megabytes.

    Linux tells it per program. Elsewhere only a process itself can ask, and of another one this gives 0.
    The kernel's `ru_maxrss` is the second choice, because it starts at the size of the parent that forked.
    """
    return _proc_rss_mb("VmHWM", pid) or (_own_rss_mb() if pid is None else 0.0)


def rss_mb(pid: int | None = None) -> float:
    """The memory that a process holds now, in megabytes; 0 where the system does not tell."""
    return _proc_rss_mb("VmRSS", pid)


def _proc_rss_mb(entry: str, pid: int | None) -> float:
    status = Path(f"/proc/{pid or 'self'}/status")
    if not status.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines[entry].split()[0]) * 1024 / MEGABYTE


def _own_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / MEGABYTE
