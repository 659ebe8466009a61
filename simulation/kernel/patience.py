"""The end of patience with a program that computes for ever: it never lets go, so nothing else could report it.

Looks at processor time only, so that a busy machine blames nobody. Invariants: only code of programs is stopped, never
the engine's; where a process has no such timer, or somebody else uses it, or this is not its main thread, nothing
happens.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from .fence import Fence

PATIENCE_S: Final = 10.0
"""Processor seconds between two looks: a step that lasts over two of them is ended."""


@contextmanager
def patient(fence: Fence, steps: Callable[[], int], every_s: float = PATIENCE_S) -> Iterator[None]:
    """Report a program, resolver or check that computes in one step for longer than any work needs.

    Args:
        fence: Knows whose code it is, and is told of the fault.
        steps: How many steps have run.
        every_s: Processor seconds between two looks.
    """
    mine = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGVTALRM")
    if not mine or signal.getsignal(signal.SIGVTALRM) != signal.SIG_DFL:
        yield
        return
    last = -1

    def look(_number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, steps()
        if before == last and fence.program_of(frame) is not None:
            what = f"a simulated program computed for more than {every_s:g} s of processor time without a pause"
            raise fence.note(what, "Do less at a time: meanwhile its node does nothing else.", frame)

    signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(signal.ITIMER_VIRTUAL, every_s, every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
