"""The end of a world is whole: whoever interrupts it is heard as soon as it is over.

A world that is closed half-way is finalised by Python, which runs code of the dead and prints what it stumbles over.
Invariants: no signal is lost; handlers are as they were afterwards; outside the main thread, where no signal is
handled, nothing happens.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep interrupts back until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[signal.Signals] = []
    # None is a handler that is not Python's and could not be put back.
    before = {number: signal.getsignal(number) for number in INTERRUPTS if signal.getsignal(number) is not None}
    for number in before:
        signal.signal(number, lambda number, _: came.append(signal.Signals(number)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
