"""How long a run takes in real time: for people, never for what happens in a world."""

from __future__ import annotations

import time


def now_s() -> float:
    """Seconds that only go on."""
    return time.monotonic()


def cpu_s() -> float:
    """Processor time of this process, in seconds."""
    return time.process_time()
