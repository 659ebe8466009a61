"""A process of a crew: loads a scenario from a pipe, then runs the seeds that come, until the pipe is closed.

Invariants: whatever goes wrong is sent back or ends the process; nothing is printed and no world is left on disk; it
does not outlive who started it.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import sys
from multiprocessing.connection import Connection
from typing import NoReturn

from holdfast.errors import HoldfastError, SimulationFault

from ..world.outcome import Outcome
from .folders import remove_living
from .lived import live_seed
from .scenario import Scenario


def work(pipe: Connection) -> None:
    """Serve the other end of a pipe."""
    text = pipe.recv_bytes()
    try:
        scenario: Scenario = pickle.loads(text)  # noqa: S301 - from the process that started this one
    except Exception as error:  # noqa: BLE001 - modules of the user may raise whatever they like
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send("")
    for seed in iter(pipe.recv, None):
        pipe.send(_lived(scenario, seed))


def _lived(scenario: Scenario, seed: int) -> Outcome | HoldfastError:
    try:
        return live_seed(scenario, seed)
    except HoldfastError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a defect of the simulation, reported where it can be seen
        what = f"the simulation failed itself: {type(error).__name__}: {error}"
        return SimulationFault(what, subject=f"seed {seed}", remedy="Run this seed alone to see where.")


def _leave(_number: int, _frame: object) -> NoReturn:
    """End this process at once: a world that is stopped anywhere cannot be closed in order, and nobody needs it."""
    remove_living()
    os._exit(0)


def leave_with(pipe: Connection) -> None:
    """End this process in the middle of a seed when the other end of the pipe is closed: nobody wants it any more."""

    def look(number: int, frame: object) -> None:
        hung_up = select.poll()
        hung_up.register(pipe, 0)
        if any(event & select.POLLHUP for _, event in hung_up.poll(0)):
            _leave(number, frame)

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    pipe = Connection(int(sys.argv[1]))
    try:
        signal.signal(signal.SIGTERM, _leave)
        leave_with(pipe)
        work(pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(0)
