"""See a failure again, exactly, from its artefact.

Invariant: the tape is followed to the letter, or the report says that it does not fit any more and what the seed gave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.engine.schema import Schema
from holdfast.errors import TapeMismatch
from holdfast.resolvers import Resolver

from ..kernel.choices import SeededChoices, TapedChoices
from ..kernel.trace import Trace
from ..plans.arguments import mistake
from ..world.after import Check
from ..world.outcome import Outcome
from ..world.programs import Program
from .artefact import Artefact, call_with, plan_in, read_artefact, versions
from .lived import live
from .report import Report
from .results import result_of
from .scenario import Fleet, Scenario, scenario_of
from .totals import totals_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it.

    Attributes:
        artefact: What was replayed; scenario: with the functions that were passed.
        outcome: Of this run.
        by: What was followed: the tape, or the seed because the tape does not fit.
        same: The same invariant failed.
        exact: So did every step: the traces have one hash.
        notes: Why it may differ: other versions, where the tape no longer fits.
    """

    artefact: Artefact
    scenario: Scenario
    outcome: Outcome
    by: Literal["tape", "seed"]
    same: bool
    exact: bool
    notes: tuple[str, ...]


def replay(
    failure: Artefact | str | Path,
    *,
    schemas: Schema | Sequence[Schema] = (),
    resolvers: Mapping[str, Resolver] | Collection[Resolver] = (),
    programs: Mapping[str, Program] | None = None,
    checks: Check | Sequence[Check] = (),
) -> Replay:
    """Run a failure again.

    Args:
        failure: An artefact, or the path of its file.
        schemas: As `simulate` takes them, and so are the others: the user's functions that the failure needs.
        resolvers: Named in the plan.
        programs: Named in the plan.
        checks: Asked in the end.

    Raises:
        InvalidPlan: It is no artefact, or needs functions that are not given.
        FileUnreadable: The file cannot be read.
    """
    artefact = failure if isinstance(failure, Artefact) else read_artefact(failure)
    scenario = scenario_in(artefact, schemas=schemas, resolvers=resolvers, programs=programs, checks=checks)
    plan = scenario.plan(artefact.seed)
    notes = _version_notes(artefact)
    taped = TapedChoices(artefact.tape)
    by: Literal["tape", "seed"] = "tape"
    outcome = live(scenario, plan, taped, Trace(None))
    if isinstance(outcome.fault, TapeMismatch) or taped.position < len(artefact.tape):
        why = str(outcome.fault) if isinstance(outcome.fault, TapeMismatch) else "the world ended before the tape did"
        notes = (*notes, f"the tape does not fit any more, so the seed was tried: {why}")
        if scenario.functions:
            notes = (
                *notes,
                "code of yours that goes through a set of texts is repeatable only with PYTHONHASHSEED set",
            )
        by, outcome = "seed", live(scenario, plan, SeededChoices(artefact.seed), Trace(None))
    return Replay(
        artefact=artefact,
        scenario=scenario,
        outcome=outcome,
        by=by,
        same=outcome.invariant == artefact.invariant,
        exact=outcome.digest == artefact.digest,
        notes=notes,
    )


def report_of(found: Replay) -> Report:
    """A replay as the report of one seed."""
    result = result_of(found.outcome)
    return Report(
        scenario=found.scenario,
        outcomes=(found.outcome,),
        results=(result,),
        totals=totals_of([result]),
        elapsed_s=found.outcome.cpu_s,
    )


def scenario_in(
    artefact: Artefact,
    *,
    schemas: Schema | Sequence[Schema] = (),
    resolvers: Mapping[str, Resolver] | Collection[Resolver] = (),
    programs: Mapping[str, Program] | None = None,
    checks: Callable[..., object] | Sequence[Check] = (),
) -> Scenario:
    """The scenario of an artefact with the user's functions put back; raises InvalidPlan if one is missing."""
    given = scenario_of(None, Fleet(), schemas=schemas, resolvers=resolvers, programs=programs, checks=checks)
    have = {
        "programs": set(given.programs),
        "resolvers": set(given.resolvers),
        "checks": {getattr(check, "__name__", type(check).__name__) for check in given.checks},
    }
    lacking = {kind: sorted({*names} - have.get(kind, set())) for kind, names in artefact.needs.items()}
    said = "; ".join(f"{kind} {', '.join(names)}" for kind, names in lacking.items() if names)
    if said:
        call = call_with(kind for kind, names in artefact.needs.items() if names)
        remedy = f"Pass your functions {call}; shrink takes the same."
        raise mistake(f"the failure needs functions that are not here: {said}", "needs", remedy)
    return given.of(plan_in(artefact))


def _version_notes(artefact: Artefact) -> tuple[str, ...]:
    here = versions()
    return tuple(
        f"it was found with {name} {there}, this is {here.get(name, 'unknown')}"
        for name, there in artefact.versions.items()
        if here.get(name) != there
    )
