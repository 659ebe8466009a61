"""Make a failure small: the plan first, then the schedule towards first come, first served.

Each step is run; it is taken if the same invariant is broken and the same line finds it so. Knows no single action.
Invariants: what is returned fails in the same way and replays exactly; identities ("ids:*") are never touched, as they
say who is who in the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from holdfast.engine.schema import Schema
from holdfast.errors import InvalidPlan, SimulationFault
from holdfast.resolvers import Resolver

from ..kernel.choices import Choices, RecordingChoices, SeededChoices, Tape
from ..kernel.trace import Trace
from ..plans.plan import Event, Plan
from ..world.after import Check
from ..world.outcome import Outcome
from ..world.programs import Program
from . import simpler
from .artefact import Artefact, artefact_of, read_artefact
from .ddmin import ddmin
from .lived import live
from .replay import replay, scenario_in
from .scenario import Scenario
from .stopwatch import now_s

SECONDS_MAX: Final = 300.0
TRIES_MAX: Final = 1_000
SCHEDULE: Final = "sched"
STEPS_FREE: Final = 5_000
"""Choices of the schedule that a try may take beyond twice those of the failure."""


@dataclass(frozen=True, slots=True)
class Shrinking:
    """How far it is: tries, and what is left of events, nodes and choices of the schedule."""

    tries: int
    events: int
    nodes: int
    picks: int


class _SpentError(Exception):
    """No time or tries are left: what there is, is the result."""


@dataclass(slots=True)
class PlainerChoices:
    """A seed's choices, with the plainest one wherever nothing else is asked for.

    Attributes:
        picks: Positions among the draws of the schedule whose value stays; None: all.
        plain: Streams in which every choice is the plainest.
        steps_max: After so many choices of the schedule the world is ended: a smaller failure takes no longer.
    """

    inner: Choices
    picks: Mapping[int, int] | None = None
    plain: frozenset[str] = frozenset()
    steps_max: int = 10**9
    _position: int = field(default=0, init=False)

    def draw(self, stream: str, n: int) -> int:
        """One of 0 to n - 1."""
        if stream == SCHEDULE and n > 1:
            self._position += 1
            if self._position > self.steps_max:
                raise SimulationFault("it takes too long", subject="a smaller plan", remedy="It is given up.")
            if self.picks is not None:
                return min(self.picks.get(self._position - 1, 0), n - 1)
        return 0 if stream in self.plain and n >= 1 else self.inner.draw(stream, n)


def shrink(  # noqa: PLR0913 - each is one documented choice, by keyword
    failure: Artefact | str | Path,
    *,
    seconds: float = SECONDS_MAX,
    tries: int = TRIES_MAX,
    schemas: Schema | Sequence[Schema] = (),
    resolvers: Mapping[str, Resolver] | Collection[Resolver] = (),
    programs: Mapping[str, Program] | None = None,
    checks: Check | Sequence[Check] = (),
    on_progress: Callable[[Shrinking], object] | None = None,
) -> Artefact:
    """A smaller failure of the same invariant.

    Args:
        failure: An artefact, or the path of its file.
        seconds: How long it may take; the smallest failure so far is the result.
        tries: How many worlds it may run.
        schemas: As `simulate` takes them, and so are the others: the user's functions that the failure needs.
        resolvers: Named in the plan.
        programs: Named in the plan.
        checks: Asked in the end.
        on_progress: Called after each try.

    Raises:
        SimulationFault: The failure does not come again.
        InvalidPlan: It is no artefact, or needs functions that are not given.
    """
    artefact = failure if isinstance(failure, Artefact) else read_artefact(failure)
    scenario = scenario_in(artefact, schemas=schemas, resolvers=resolvers, programs=programs, checks=checks)
    search = _Search(scenario, artefact, now_s() + seconds, tries, on_progress)
    before = {
        "events": len(artefact.plan.get("events", ())),
        "nodes": len(artefact.plan["nodes"]),
        "picks": _picks(artefact.tape),
    }
    try:
        if not search.holds(search.plan):
            return _untouched(artefact, schemas, resolvers, programs, checks)
        search.run()
    except _SpentError:
        pass
    best = search.best
    if best is None:
        return artefact
    return artefact_of(best, scenario, {"tries": search.tries, "from": before, "to": search.size()})


def _untouched(artefact: Artefact, *functions: object) -> Artefact:
    """The seed alone does not show it: a tape that was shrunk before, or a failure that is gone."""
    schemas, resolvers, programs, checks = functions
    again = replay(artefact, schemas=schemas, resolvers=resolvers, programs=programs, checks=checks)  # type: ignore[arg-type]
    if again.same:
        return artefact
    what = f"the failure does not come again; this time: {again.outcome.fault or 'all held'}"
    remedy = "Shrink it with the versions and the commit that it was found with."
    raise SimulationFault(what, subject=f"seed {artefact.seed}", remedy=remedy)


class _Search:
    """The smallest failure so far, and what was spent on it."""

    def __init__(
        self,
        scenario: Scenario,
        artefact: Artefact,
        until_s: float,
        tries_max: int,
        on_progress: Callable[[Shrinking], object] | None,
    ) -> None:
        self.scenario = scenario
        self.invariant = artefact.invariant
        self.seed = artefact.seed
        self.plan = scenario.plan(artefact.seed)
        self.best: Outcome | None = None
        self.tries = 0
        self._until_s = until_s
        self._tries_max = tries_max
        self._on_progress = on_progress
        self._steps_max = STEPS_FREE + 2 * sum(draw.stream == SCHEDULE for draw in artefact.tape)
        self._picks: Mapping[int, int] | None = None
        self._plain: frozenset[str] = frozenset()

    def run(self) -> None:
        """Everything there is to try."""
        self._end_at_the_fault()
        size = None
        while size != self.size():
            size = self.size()
            self._fewer_events()
            for candidates in (
                simpler.fewer_nodes,
                simpler.fewer_keys,
                simpler.barer,
                simpler.shorter,
                simpler.plainer,
            ):
                self._take(candidates)
        self._plainer_streams()
        self._fewer_picks()

    def size(self) -> dict[str, int]:
        """What is left."""
        return {"events": len(self.plan.events), "nodes": len(self.plan.nodes), "picks": _picks(self._tape())}

    def holds(self, plan: Plan) -> bool:
        """Whether a plan fails in the same way; if so it is the smallest so far."""
        return self._try(plan, self._picks, self._plain)

    def _try(self, plan: Plan, picks: Mapping[int, int] | None, plain: frozenset[str]) -> bool:
        if self.tries >= self._tries_max or now_s() > self._until_s:
            raise _SpentError
        try:
            scenario = self.scenario.of(plan)
        except InvalidPlan:
            return False
        self.tries += 1
        choices = RecordingChoices(PlainerChoices(SeededChoices(self.seed), picks, plain, self._steps_max))
        outcome = live(scenario, plan, choices, Trace())
        same = self._is_the_failure(outcome)
        if same:
            self.plan, self._picks, self._plain = plan, picks, plain
            self.best = replace(outcome, tape=tuple(choices.tape))
        if self._on_progress is not None:
            self._on_progress(Shrinking(self.tries, *self.size().values()))
        return same

    def _is_the_failure(self, outcome: Outcome) -> bool:
        """Whether it is this failure, not another one that a smaller plan has as well."""
        if self.best is None:
            return outcome.invariant == self.invariant
        return outcome.kind == self.best.kind

    def _end_at_the_fault(self) -> None:
        assert self.best is not None, "the failure came again"
        rows = [*self.best.trace]
        at_ms = rows[-1].time_us // 1000 if rows else self.plan.length_ms
        if at_ms < self.plan.length_ms:
            self.holds(simpler.until(self.plan, at_ms))

    def _fewer_events(self) -> None:
        plan = self.plan

        def with_events(events: Sequence[Event]) -> bool:
            return self.holds(replace(plan, events=tuple(events)))

        ddmin(plan.events, with_events)

    def _take(self, candidates: Callable[[Plan], Iterator[Plan]]) -> None:
        """Take candidates until none of a whole round holds."""
        taken = True
        while taken:
            taken = any(self.holds(candidate) for candidate in candidates(self.plan))

    def _plainer_streams(self) -> None:
        streams = dict.fromkeys(draw.stream for draw in self._tape())
        for stream in streams:
            if stream != SCHEDULE and not stream.startswith("ids:"):
                self._try(self.plan, self._picks, self._plain | {stream})

    def _fewer_picks(self) -> None:
        """First come, first served, but for as few steps as possible."""
        if self._try(self.plan, {}, self._plain):
            return
        values = [draw.value for draw in self._tape() if draw.stream == SCHEDULE]
        picks = [(at, value) for at, value in enumerate(values) if value]
        ddmin(picks, lambda kept: self._try(self.plan, dict(kept), self._plain))

    def _tape(self) -> Tape:
        return self.best.tape if self.best is not None else ()


def _picks(tape: Tape) -> int:
    """Steps of the schedule that were not first come, first served."""
    return sum(draw.stream == SCHEDULE and draw.value > 0 for draw in tape)
