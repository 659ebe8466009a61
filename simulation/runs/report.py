"""What `simulate` gives back: outcomes, totals and the first failure.

Values only. Invariant: outcomes stand in the order of their seeds, and every failure is among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..world.outcome import Outcome
from .results import Result
from .scenario import Scenario
from .totals import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of all seeds.

    Attributes:
        scenario: What was run.
        outcomes: Of the first seeds and of every one that failed; a trace has its rows where something failed, and
            where one seed was asked for.
        results: Of all seeds in figures, with those that a file of results had already.
        totals: Their sums and shares.
        elapsed_s: Real seconds that it took.
    """

    scenario: Scenario
    outcomes: tuple[Outcome, ...]
    results: tuple[Result, ...]
    totals: Totals
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong in any seed."""
        return not self.totals.failed

    @property
    def first_failure(self) -> Outcome | None:
        """The outcome of the first seed that failed in this run; None if all went well."""
        return next((outcome for outcome in self.outcomes if not outcome.ok), None)

    def raise_first(self) -> None:
        """Raise what went wrong first, if anything did."""
        failure = self.first_failure
        if failure is not None and failure.fault is not None:
            raise failure.fault

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values: totals, and what failed."""
        failed = [{"seed": r.seed, "invariant": r.invariant, "error": r.error} for r in self.results if not r.ok]
        return {
            "ok": self.ok,
            "totals": self.totals.as_json(),
            "failures": failed,
            "elapsed_s": round(self.elapsed_s, 2),
        }
