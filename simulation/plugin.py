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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from . import Outcome, Progress, Report
    from .runs.artefact import Artefact
    from .runs.shrink import Shrinking

MARK: Final = "partition"
FOLDER: Final = ".holdfast-failures"
ROWS_SHOWN: Final = 25
ROWS_SMALL: Final = 15
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
    text = "Make the first failure of each partition test small, for so many seconds at most."
    group.addoption("--partition-shrink", metavar="SECONDS", type=_seconds, default=None, help=text)


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
    home = getattr(collector, "obj", None)
    function = getattr(home(), name) if inspect.isclass(home) else obj
    test: PartitionTest = PartitionTest.from_parent(collector, name=name, function=function, mark=marks[-1])
    return test


class PartitionTest(pytest.Item):
    """One marked function."""

    def __init__(self, *, function: Any, mark: pytest.Mark, **named: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**named)
        self.obj = function
        self._mark = mark
        self.own_markers.extend(function.pytestmark)
        self.keywords.update({mark.name: mark for mark in function.pytestmark})

    def runtest(self) -> None:
        """Run all seeds."""
        from holdfast.errors import HoldfastError

        name, arguments = self.obj.__name__, self._mark.kwargs
        if not inspect.iscoroutinefunction(self.obj):
            pytest.fail(f"{name} is marked as a program of simulated nodes: write it as async def {name}(engine)")
        self._check_parameters(name)
        programs = {**arguments.get("programs", {}), name: self.obj}
        try:
            _simulate(self.config, self.nodeid, {"seeds": SEEDS, **arguments, "programs": programs})
        except HoldfastError as error:  # of the arguments: a failed seed is told by _simulate
            pytest.fail(f"the mark of {name}: {error}")

    def _check_parameters(self, name: str) -> None:
        """A program takes the engine of its node, and the mark takes arguments by name."""
        if self._mark.args:
            pytest.fail(f"the mark of {name} takes its arguments by name, such as partition(seeds=50)")
        more = [*inspect.signature(self.obj).parameters][1:]
        if more:
            remedy = "it runs on the nodes of a world, where fixtures and parameters do not reach"
            pytest.fail(f"{name} takes the engine only, not {', '.join(more)}: {remedy}; take the fixture simulation")

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
    unknown = [name for name in arguments if name not in inspect.signature(simulate).parameters]
    if unknown:
        known = ", ".join(inspect.signature(simulate).parameters)
        pytest.fail(f"a simulation has no argument {unknown[0]!r}; there are: {known}", pytrace=False)
    if "PYTEST_XDIST_WORKER" in os.environ:  # all cores are busy already
        arguments.setdefault("processes", 1)
    with _shown(config, nodeid) as show:
        report = simulate(**{"on_progress": show, **arguments})
    failure = report.first_failure
    if failure is not None:
        pytest.fail(_told(config, nodeid, report, failure), pytrace=False)
    return report


@contextmanager
def _shown(config: pytest.Config, nodeid: str) -> Iterator[Callable[[Progress], None]]:
    """How far the seeds are."""
    with _line(config) as say:

        def show(seen: Progress) -> None:
            failed = f", {seen.failed} failed" if seen.failed else ""
            say(f"{nodeid}: {seen.done} of {seen.total} seeds{failed}")

        yield show


@contextmanager
def _line(config: pytest.Config) -> Iterator[Callable[[str], None]]:
    """A line of the terminal that is written over and goes again; nothing where there is none."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capture is None or not reporter.isatty:
        yield lambda _text: None
        return

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.rewrite(text, erase=True)

    try:
        yield say
    finally:
        say("")


def _told(config: pytest.Config, nodeid: str, report: Report, failure: Outcome) -> str:
    """Everything that one needs to go on, first things first."""
    from .kernel.trace import render
    from .report import write_report
    from .runs.artefact import artefact_of

    folder = config.rootpath / FOLDER
    folder.mkdir(exist_ok=True)
    stem = f"{re.sub(r'[^A-Za-z0-9]+', '-', nodeid)[-80:].strip('-')}-{failure.seed}"
    artefact, page = folder / f"{stem}.json", folder / f"{stem}.html"
    command = f"pytest {shlex.quote(nodeid)} --partition-seeds {failure.seed}-{failure.seed}"
    kept = artefact_of(failure, report.scenario, again=command)
    kept.write(artefact)
    write_report(report, page, command=command)
    seconds = config.getoption("--partition-shrink")
    smaller = [] if seconds is None else _smaller(config, nodeid, report, kept, folder / f"{stem}-small.json")
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
            *smaller,
            "",
            f"the last {len(rows)} rows of the trace, in virtual time:",
            render(rows),
        ]
    )


def _smaller(config: pytest.Config, nodeid: str, report: Report, kept: Artefact, file: Path) -> list[str]:
    """The failure made small, with the functions that it needs, in a file of its own; or why there is none."""
    from holdfast.errors import HoldfastError

    from . import shrink

    scenario = report.scenario
    with _line(config) as say:

        def show(seen: Shrinking) -> None:
            say(f"{nodeid}: shrinking: try {seen.tries}, {seen.events} events, {seen.nodes} nodes")

        try:
            small = shrink(
                kept,
                seconds=config.getoption("--partition-shrink"),
                schemas=scenario.schemas,
                resolvers=scenario.resolvers,
                programs=scenario.programs,
                checks=scenario.checks,
                on_progress=show,
            )
        except HoldfastError as error:
            return [f"smaller:  none: {error}"]
    if not small.shrunk:
        return ["smaller:  none was found in that time"]
    small.write(file)
    before, after = small.shrunk["from"], small.shrunk["to"]
    what = ", ".join(f"{after[name]} of {before[name]} {name}" for name in ("nodes", "events"))
    return [f"smaller:  {file} ({what})", *(f"  {line}" for line in small.text().splitlines()[-ROWS_SMALL:])]


def _seconds(text: str) -> float:
    """How long shrinking may take; argparse tells of what is raised here."""
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


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
