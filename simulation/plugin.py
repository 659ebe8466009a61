"""The pytest plugin: an application's async functions run as programs on the nodes of simulated worlds.

pytest loads this module in every project that has Holdfast installed, so it imports nothing of Holdfast until a test
asks for it. Invariants: one marked function is one test, whatever the number of seeds; one that fails says the seed,
what was broken, how to see it again and where the files are.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from . import Outcome, Report

MARK: Final = "partition"
FOLDER: Final = ".holdfast-failures"
ROWS_SHOWN: Final = 25
SEEDS: Final = 50
_SEEDS: Final = re.compile(r"(\d+)(?:-(\d+))?")
_ABOUT: Final = (
    "partition(seeds=50, nodes=4, hours=1, partitions='medium', schemas=..., resolvers=..., programs=..., checks=...): "
    "run this async function of an engine on every edge of simulated worlds; arguments as holdfast.simulation.simulate"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    group = parser.getgroup("holdfast")
    text = "Seeds of partition tests instead of their own: 500 for the first 500, 7-7 for seed 7."
    group.addoption("--partition-seeds", metavar="N|A-B", default=None, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """The mark, and whether the option can be understood."""
    config.addinivalue_line("markers", _ABOUT)
    _chosen(config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> PartitionTest | None:  # noqa: ANN401 - pytest's own
    """A marked function becomes a test of ours; other plugins for async functions never see it."""
    marks = [mark for mark in getattr(obj, "pytestmark", ()) if getattr(mark, "name", "") == MARK]
    if not marks or not callable(obj) or inspect.isclass(obj):
        return None
    test: PartitionTest = PartitionTest.from_parent(collector, name=name, function=obj, arguments=marks[-1].kwargs)
    return test


class PartitionTest(pytest.Item):
    """One marked function."""

    def __init__(self, *, function: Any, arguments: dict[str, Any], **named: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**named)
        self.obj = function
        self._arguments = arguments
        self.own_markers.extend(function.pytestmark)
        self.keywords.update({mark.name: mark for mark in function.pytestmark})

    def runtest(self) -> None:
        """Run all seeds."""
        name = self.obj.__name__
        if not inspect.iscoroutinefunction(self.obj):
            pytest.fail(f"{name} is marked as a program of simulated nodes: write it as async def {name}(engine)")
        programs = {**self._arguments.get("programs", {}), name: self.obj}
        _simulate(self.config, self.nodeid, {"seeds": SEEDS, **self._arguments, "programs": programs})

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401 - pytest's own
        """A failed seed in its own words: frames of the simulation say nothing to its user."""
        if isinstance(excinfo.value, pytest.fail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the function stands."""
        return self.path, inspect.getsourcelines(self.obj)[1] - 1, self.name


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Like `holdfast.simulation.simulate`; the test fails with the first seed that does."""

    def run(plan: object = None, **arguments: Any) -> Report:  # noqa: ANN401 - those of simulate
        __tracebackhide__ = True
        return _simulate(request.config, request.node.nodeid, {"plan": plan, **arguments})

    return run


def _simulate(config: pytest.Config, nodeid: str, arguments: dict[str, Any]) -> Report:
    from . import simulate

    __tracebackhide__ = True
    chosen = _chosen(config)
    if chosen is not None:
        arguments = {**arguments, "seeds": chosen}
    if "PYTEST_XDIST_WORKER" in os.environ:  # all cores are busy already
        arguments.setdefault("processes", 1)
    report = simulate(**arguments)
    failure = report.first_failure
    if failure is not None:
        pytest.fail(_told(config.rootpath, nodeid, report, failure), pytrace=False)
    return report


def _told(root: Path, nodeid: str, report: Report, failure: Outcome) -> str:
    """Everything that one needs to go on, first things first."""
    from .kernel.trace import render
    from .report import write_report
    from .runs.artefact import artefact_of

    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    stem = f"{re.sub(r'[^A-Za-z0-9]+', '-', nodeid)[-80:].strip('-')}-{failure.seed}"
    artefact, page = folder / f"{stem}.json", folder / f"{stem}.html"
    command = f"pytest {shlex.quote(nodeid)} --partition-seeds {failure.seed}-{failure.seed}"
    artefact_of(failure, report.scenario).write(artefact)
    write_report(report, page, command=command)
    rows = [row for row in failure.trace if row.what != "state"][-ROWS_SHOWN:]
    failed, seeds = report.totals.failed, report.totals.seeds
    return "\n".join(
        [
            f"seed {failure.seed} failed ({failed} of {seeds} seeds did): {failure.invariant}",
            f"  {failure.fault}",
            "",
            f"again:    {command}",
            f"artefact: {artefact}",
            f"report:   {page}",
            "",
            f"the last {len(rows)} rows of the trace, in virtual time:",
            render(rows),
        ]
    )


def _chosen(config: pytest.Config) -> range | None:
    """The seeds of the option; None if it is not given."""
    said = config.getoption("--partition-seeds")
    if said is None:
        return None
    found = _SEEDS.fullmatch(said)
    first, last = (int(found[1]), int(found[2])) if found and found[2] else (0, int(found[1]) - 1 if found else -1)
    if last < first:
        remedy = "write a number of seeds, such as 500, or a range, such as 7-7"
        raise pytest.UsageError(f"--partition-seeds {said}: {remedy}")
    return range(first, last + 1)
