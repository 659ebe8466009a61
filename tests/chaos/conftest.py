"""What the chaos needs of the machine, the seeds of long runs, and where results go."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from .results import Result, append, kept


@cache
def missing(what: str) -> str:
    """Why something cannot be used here; "" if it can."""
    match what:
        case "needs_strace":
            return strace_missing()
        case "needs_netns":
            return netns_missing()
        case _:
            return ""


def strace_missing() -> str:
    if shutil.which("strace") is None:
        return "strace is not there: apt install strace"
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "true"]
    done = subprocess.run(probe, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.decode().strip()}"


def netns_missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip is not there: apt install iproute2"
    name = f"hf-probe-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"no network namespaces here: {done.stderr.decode().strip()}"


def pytest_runtest_setup(item):
    for marker in item.iter_markers():
        if reason := missing(marker.name):
            pytest.skip(reason)


def pytest_generate_tests(metafunc):
    """A test with the argument `soak_seed` runs once for each seed that the results do not have yet."""
    if "soak_seed" not in metafunc.fixturenames:
        return
    first, _, last = metafunc.config.getoption("--seeds").partition("-")
    path = metafunc.config.getoption("--results")
    test = metafunc.definition.name
    done = {result.seed for result in kept(path) if result.test == test} if path else set()
    metafunc.parametrize("soak_seed", [seed for seed in range(int(first), int(last or first) + 1) if seed not in done])


class Recorder:
    """Keeps the results of one test."""

    def __init__(self, path: Path | None, test: str, seed: int | None) -> None:
        self._path, self._test, self._seed = path, test, seed
        self.results: list[Result] = []

    def note(self, row: int, how: str, *, runs: int = 1, violations: int = 0, **figures: float) -> None:
        """Keep a result; underscores in the names of figures are spaces."""
        named = {name.replace("_", " "): value for name, value in figures.items()}
        result = Result(
            row=row, how=how, test=self._test, seed=self._seed, runs=runs, violations=violations, figures=named
        )
        self.results.append(result)
        if self._path is not None:
            append(self._path, result)


@pytest.fixture
def recorder(request):
    """Where the figures of a test go."""
    spec = getattr(request.node, "callspec", None)
    seed = spec.params.get("soak_seed") if spec else None
    return Recorder(request.config.getoption("--results"), request.node.originalname, seed)
