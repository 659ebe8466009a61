"""The way in: run a plan, or plans drawn from seeds, and report.

Invariant: the report of the same arguments is the same but for real time, with any number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from holdfast.engine.arguments import check_callable, check_count, check_path
from holdfast.engine.schema import Schema
from holdfast.errors import UsageError
from holdfast.resolvers import Resolver

from ..plans.plan import Plan
from ..plans.weather import Partitions
from ..world.after import Check
from ..world.outcome import Outcome
from ..world.programs import Program
from . import crew
from .lived import live_seed, not_deterministic
from .report import Report
from .results import Result, ResultsFile, missing, result_of
from .scenario import Fleet, Scenario, scenario_of
from .stopwatch import now_s
from .totals import totals_of

OUTCOMES_KEPT: Final = 1_000
"""Outcomes that a report keeps besides those that failed."""

SEEDS_MAX: Final = 2**63
SEEDS_AT_ONCE_MAX: Final = 1_000_000
"""More seeds than a campaign ever ends with; results go into a file and the next range is run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is.

    Attributes:
        done, total, failed: Seeds that are done, of how many, and how many of them failed.
        running: If there is one seed only: which share of its chaos has passed.
    """

    done: int
    total: int
    failed: int
    running: float = 0


def simulate(  # noqa: PLR0913 - each is one documented choice, by keyword
    plan: Plan | str | Path | None = None,
    *,
    seeds: int | Iterable[int] | None = None,
    nodes: int = 4,
    hours: float = 1,
    partitions: Partitions = "medium",
    keys: int = 6,
    faults: Collection[str] | None = None,
    operations: int | None = None,
    schemas: Schema | Sequence[Schema] = (),
    resolvers: Mapping[str, Resolver] | Collection[Resolver] = (),
    programs: Mapping[str, Program] | None = None,
    checks: Check | Sequence[Check] = (),
    processes: int | None = None,
    results: str | Path | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Run worlds and say what came of them.

    Args:
        plan: A `Plan`, its JSON text, or the path of a file that holds it. None: each seed draws its own from the next
            arguments.
        seeds: A number of seeds, from 0 on, or the seeds themselves; None: the plan's own, or 0.
        nodes: How many, hubs included.
        hours: How long the chaos lasts, in virtual hours.
        partitions: How bad the network is: none, light, medium, heavy.
        keys: How many keys each collection has.
        faults: Exactly these kinds; None: each seed has some.
        operations: How many writes and reads; None: some for each node.
        schemas: What the nodes declare. A user's resolvers in them are known by their names.
        resolvers: Further ones that the plan names.
        programs: Asynchronous functions of an engine, by name. The plan says where they run; where it is drawn, each
            runs on every edge, from the start and again after each restart, until healing cancels it.
        checks: Rules of the application: functions of a `WorldAfter` that assert what must hold when the nodes agree.
        processes: How many run at once; None: one for each core. Functions that cannot be sent to another process
            (lambdas, those of a script) run in this one.
        results: A file of JSON lines: what stands there is not run again, what runs is appended, and all adds up.
        on_progress: Called after each seed; while it runs, if there is one only.

    Raises:
        InvalidPlan: The plan, or an argument that one is drawn from, is not legal.
        UsageError: There are no seeds, or the file of results is of another scenario.
    """
    check_callable(on_progress, "on_progress")
    kept = None if results is None else check_path(results, "results")
    if processes is not None:
        check_count(processes, "processes", least=1)
    chosen = faults if faults is None or isinstance(faults, str) else tuple(sorted(faults, key=str))
    fleet = Fleet(nodes=nodes, hours=hours, partitions=partitions, keys=keys, faults=chosen, operations=operations)
    scenario = scenario_of(plan, fleet, schemas=schemas, resolvers=resolvers, programs=programs, checks=checks)
    wanted = _seeds(seeds, scenario)
    scenario.plan(wanted[0])  # arguments that are not legal are refused here, not in a worker
    return _campaign(scenario, wanted, processes, kept, on_progress)


def _seeds(seeds: int | Iterable[int] | None, scenario: Scenario) -> list[int]:
    if seeds is None:
        return [scenario.source.seed if isinstance(scenario.source, Plan) else 0]
    given: object = seeds
    named = given if isinstance(given, Iterable) else range(given) if isinstance(given, int) else ()
    wanted = [*dict.fromkeys(islice(named, SEEDS_AT_ONCE_MAX + 1))]
    numbers = all(isinstance(seed, int) and 0 <= seed < SEEDS_MAX for seed in wanted)
    if not numbers or not 0 < len(wanted) <= SEEDS_AT_ONCE_MAX:
        remedy = f"Pass a number of seeds such as 100, or a range; at most {SEEDS_AT_ONCE_MAX:,} at once."
        raise UsageError("there are no seeds, too many, or one is out of range", subject="seeds", remedy=remedy)
    return wanted


def _campaign(
    scenario: Scenario,
    seeds: Sequence[int],
    processes: int | None,
    results: Path | None,
    on_progress: Callable[[Progress], object] | None,
) -> Report:
    began = now_s()
    file = ResultsFile(results, scenario.digest) if results is not None else None
    found: dict[int, Result] = {**file.found} if file is not None else {}
    to_run = missing(seeds, found)
    kept: list[Outcome] = []
    done, failed = len(seeds) - len(to_run), sum(not found[seed].ok for seed in seeds if seed in found)

    def running(share: float) -> None:
        if on_progress is not None:
            on_progress(Progress(0, len(seeds), 0, share))

    for outcome in _outcomes(scenario, to_run, processes or os.cpu_count() or 1, running):
        result = found[outcome.seed] = result_of(outcome)
        if file is not None:
            file.add(result)
        if not outcome.ok or len(kept) < OUTCOMES_KEPT:
            kept.append(
                outcome if not outcome.ok or len(seeds) == 1 else replace(outcome, trace=outcome.trace.without_rows())
            )
        done, failed = done + 1, failed + (not outcome.ok)
        if on_progress is not None:
            on_progress(Progress(done, len(seeds), failed))
    kept_results = tuple(found[seed] for seed in sorted(found))
    return Report(
        scenario=scenario,
        outcomes=tuple(kept),
        results=kept_results,
        totals=totals_of(kept_results),
        elapsed_s=now_s() - began,
    )


def _outcomes(
    scenario: Scenario, seeds: Sequence[int], processes: int, running: Callable[[float], None]
) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if len(seeds) == 1:
        yield live_seed(scenario, seeds[0], keep=None, again=bool(scenario.functions), on_time=running)
        return
    # One sample shows whether the user's functions are deterministic.
    sample = live_seed(scenario, seeds[0], again=True) if scenario.functions and seeds else None
    travelling = scenario.pickled() if processes > 1 else None
    if travelling is not None:
        try:
            yield from _compared(scenario, sample, crew.outcomes(travelling, seeds, processes))
        except crew.CannotLoadError:
            pass  # the functions are those of modules that only this process can import
        else:
            return
    if sample is not None:
        yield sample
        seeds = seeds[1:]
    for seed in seeds:
        yield live_seed(scenario, seed)


def _compared(scenario: Scenario, sample: Outcome | None, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes, with the sample in place of the first, which must be the same where texts have other hashes."""
    if sample is not None:
        other = next(outcomes)
        if sample.ok and sample.digest != other.digest:
            sample = replace(sample, fault=not_deterministic(scenario, sample.seed, sample, other))
        yield sample
    yield from outcomes
