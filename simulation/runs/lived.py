"""One seed of a scenario, lived through: a folder, a fence, a world, and whose fault it was.

Invariants: the outcome follows from plan and choices; nothing is left on disk; what the user's code did wrong comes
before what looks like the engine's failure, because it may be the cause of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from holdfast.errors import HoldfastError, ProgramFault, SimulationFault
from holdfast.resolvers import Resolver

from ..kernel.choices import Choices, RecordingChoices, SeededChoices
from ..kernel.closing import undisturbed
from ..kernel.fence import Fence, fenced
from ..kernel.patience import patient
from ..kernel.trace import ROWS_KEPT, Trace, first_difference
from ..plans.plan import Plan
from ..plans.schemas import BUILT_IN
from ..world.outcome import Outcome
from ..world.programs import defined_at
from ..world.world import World
from .folders import memory, world_folder
from .scenario import Scenario
from .stopwatch import cpu_s
from .watched import Watch


def live(
    scenario: Scenario,
    plan: Plan,
    choices: Choices,
    trace: Trace | None = None,
    on_time: Callable[[float], None] | None = None,
) -> Outcome:
    """Live through a plan once; `on_time` is told now and then which share of the chaos has passed."""
    began = cpu_s()
    watch = Watch()
    with world_folder(memory()) as folder, _quiet(), fenced(scenario.functions) as fence:
        world = World(
            plan,
            choices,
            folder,
            resolvers=_watched(scenario.resolvers, watch),
            programs=scenario.programs,
            checks=scenario.checks,
            trace=trace,
        )
        if on_time is not None:
            world.loop.on_pause = lambda: on_time(min(1, world.loop.now_us / 1000 / plan.length_ms))
        try:
            with patient(fence, lambda: world.loop.steps):
                outcome = world.run()
        finally:
            with undisturbed():
                world.close()
    return replace(outcome, fault=_first(fence, watch, outcome), cpu_s=cpu_s() - began)


def live_seed(
    scenario: Scenario,
    seed: int,
    *,
    keep: int | None = ROWS_KEPT,
    again: bool = False,
    on_time: Callable[[float], None] | None = None,
) -> Outcome:
    """Live through one seed; a second time if it fails or `again`: for the tape, and to see whether both are the same.

    Args:
        scenario: What is run.
        seed: Of the choices, and of the plan if it is drawn.
        keep: Rows of the trace that are kept.
        again: Run it twice in any case.
        on_time: Told now and then which share of the chaos has passed, in each run.
    """
    plan = scenario.plan(seed)
    first = live(scenario, plan, SeededChoices(seed), Trace(keep), on_time)
    if first.ok and not again:
        return first
    choices = RecordingChoices(SeededChoices(seed))
    second = live(scenario, plan, choices, Trace(keep), on_time)
    outcome = replace(second, tape=tuple(choices.tape), cpu_s=first.cpu_s + second.cpu_s)
    if first.digest == second.digest:
        return outcome
    return replace(outcome, fault=not_deterministic(scenario, seed, first, second))


@contextmanager
def _quiet() -> Iterator[None]:
    """What an engine warns of is everyday life here; whoever asked for more than warnings gets them all."""
    logger = logging.getLogger("holdfast")
    level = logger.level
    if level in (logging.NOTSET, logging.WARNING):
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _watched(resolvers: Mapping[str, Resolver], watch: Watch) -> dict[str, Resolver]:
    return {
        name: resolver if resolver is BUILT_IN.get(name) else watch.over(resolver)
        for name, resolver in resolvers.items()
    }


def _first(fence: Fence, watch: Watch, outcome: Outcome) -> HoldfastError | None:
    if isinstance(outcome.fault, ProgramFault):
        return outcome.fault
    users = [*fence.faults, *watch.faults]
    if not users:
        return outcome.fault
    if outcome.fault is not None:
        users[0].__cause__ = outcome.fault
    return users[0]


def not_deterministic(scenario: Scenario, seed: int, first: Outcome, second: Outcome) -> HoldfastError:
    """What two runs of one seed that differ are reported as."""
    parted = first_difference(first.trace, second.trace)
    rows = "" if parted is None else f": first {_said(parted[1])}, then {_said(parted[2])}"
    what = f"two runs of seed {seed} differ{rows}"
    if not scenario.functions:
        remedy = "This is a defect of the simulation: report it with the seed and the versions."
        return SimulationFault(what, subject=f"seed {seed}", remedy=remedy)
    places = ", ".join(dict.fromkeys(defined_at(each) for each in scenario.functions))
    remedy = (
        "Let programs, resolvers and checks follow from their arguments alone: no state that outlives a run, "
        "no order of a set, no hash of a text."
    )
    return ProgramFault(f"a program is not deterministic: {what}", subject=places, remedy=remedy)


def _said(row: object) -> str:
    return "nothing" if row is None else " ".join(str(part) for part in row if part != "")  # type: ignore[attr-defined]
