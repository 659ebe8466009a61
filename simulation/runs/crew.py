"""Several processes that run the seeds of one scenario.

Each is a fresh interpreter that loads the scenario and asks for seeds over a pipe; the user's main script is not run
again there. Knows no worlds. Invariants: outcomes come in the order of the seeds, whoever ran them; whatever ends the
caller's loop, no process is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from holdfast.errors import SimulationFault

from ..world.outcome import Outcome

AHEAD_MAX = 64
"""Outcomes that may wait for an earlier seed before no more seeds are handed out."""


class CannotLoadError(Exception):
    """The other process cannot import what the scenario needs."""


class _Hand:
    """One process."""

    def __init__(self, scenario: bytes) -> None:
        self.pipe, theirs = Pipe()
        command = [sys.executable, "-m", "holdfast.simulation.runs.worker", str(theirs.fileno())]
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, and arguments of our own
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            process_group=0,  # Ctrl-C is for us; we end them
        )
        theirs.close()
        self.seed: int | None = None
        self.pipe.send_bytes(scenario)

    def give(self, seed: int) -> None:
        self.seed = seed
        self.pipe.send(seed)

    def end(self) -> None:
        self.pipe.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def outcomes(scenario: bytes, seeds: Sequence[int], processes: int) -> Iterator[Outcome]:
    """Run all seeds; gives their outcomes in order.

    Raises:
        CannotLoadError: The scenario cannot be loaded elsewhere; nothing was run.
        SimulationFault: A process died.
    """
    hands = [_Hand(scenario) for _ in range(min(processes, len(seeds)))]
    try:
        for hand in hands:
            _greet(hand)
        yield from _shared_out(hands, seeds)
    finally:
        for hand in hands:
            hand.end()


def _greet(hand: _Hand) -> None:
    refusal = _received(hand)
    if refusal:
        raise CannotLoadError(refusal)


def _shared_out(hands: Sequence[_Hand], seeds: Sequence[int]) -> Iterator[Outcome]:
    waiting = iter(seeds)
    done: dict[int, Outcome] = {}
    place = 0
    by_pipe = {id(hand.pipe): hand for hand in hands}
    while place < len(seeds):
        for hand in hands:
            if hand.seed is None and len(done) < AHEAD_MAX and (seed := next(waiting, None)) is not None:
                hand.give(seed)
        for pipe in wait([hand.pipe for hand in hands if hand.seed is not None]):
            hand = by_pipe[id(pipe)]
            outcome = _received(hand)
            assert hand.seed is not None, "it was asked for"
            if not isinstance(outcome, Outcome):
                raise outcome
            done[hand.seed], hand.seed = outcome, None
        while place < len(seeds) and seeds[place] in done:
            yield done.pop(seeds[place])
            place += 1


def _received(hand: _Hand) -> Any:  # noqa: ANN401 - what a worker sends
    try:
        return hand.pipe.recv()
    except (EOFError, OSError) as error:
        code = hand.process.wait(10)
        what = f"the process that ran it ended with code {code}"
        subject = f"seed {hand.seed}" if hand.seed is not None else "a worker of the simulation"
        raise SimulationFault(what, subject=subject, remedy="Run this seed alone to see why.") from error
