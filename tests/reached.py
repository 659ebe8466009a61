"""Adds up which rare states of the engine the worlds of a test run were in, over all its processes.

A campaign of enough seeds that never was in one of them fails: what no world reaches, no world tests. Invariant: only
worlds that ended count, and a run that was narrowed to fewer seeds demands nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from holdfast.engine.reached import RARE_STATES

SEEDS_DEMANDED = 500
"""Seeds from which on every rare state must have been reached."""

_OUTPUT = "holdfast_reached"


def never_reached(counts: Mapping[str, int], seeds: int) -> list[str]:
    """What a campaign owes: the rare states that it was never in, if it had seeds enough to be in all of them."""
    return sorted(name for name in RARE_STATES if not counts.get(name)) if seeds >= SEEDS_DEMANDED else []


class Reached:
    """The plugin: one in each process; the first process has the last word."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seeds = 0
        self.counts: Counter[str] = Counter()

    def add(self, seeds: int, counts: Mapping[str, int]) -> None:
        """Worlds of this process have ended."""
        self.seeds += seeds
        self.counts.update(counts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """Another process has ended; one that crashed says nothing, and its tests fail anyway."""
        said = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if said is not None:
            self.add(said["seeds"], said["counts"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        """Pass on what this process counted, or judge the whole."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = {"seeds": self.seeds, "counts": dict(self.counts)}
        elif never_reached(self.counts, self.seeds):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        """Say what is missing."""
        for name in never_reached(self.counts, self.seeds):
            terminalreporter.write_line(f"NEVER REACHED by {self.seeds} simulated worlds: {name}", red=True)
