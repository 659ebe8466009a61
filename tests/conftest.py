"""Options of the test run: which seeds the long runs take, where their results are kept, how many worlds are run."""

from __future__ import annotations

from pathlib import Path


def pytest_addoption(parser):
    group = parser.getgroup("soak", "long runs (make soak)")
    group.addoption("--seeds", metavar="A-B", default="0-2", help="seeds of every seeded long run, A to B inclusive")
    group.addoption(
        "--results",
        metavar="FILE",
        type=Path,
        help="append the result of each run to FILE (JSON Lines) and leave out the seeds that it has already",
    )
    parser.addoption(
        "--simulation-seeds", type=int, default=20, metavar="N", help="seeds that tests/simulation/runs runs; 20"
    )
