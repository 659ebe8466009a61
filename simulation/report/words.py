"""What a report says in words and figures: the verdict, what is behind it, and the first thing that went wrong.

Knows outcomes, no markup. Invariant: a share of nothing is said to be none, never 0 % or 100 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.errors import HoldfastError, Violation

from ..kernel.trace import Row
from ..runs.availability import availability_of
from ..runs.results import Result
from ..runs.totals import Totals
from ..world.answers import OFFLINE
from ..world.outcome import Outcome

NONE: Final = "-"
EVIDENCE_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is, how much, and of what."""

    name: str
    value: str
    of: str


def verdict(results: Sequence[Result]) -> tuple[str, str]:
    """The headline, and "good", "bad" or "none"."""
    failed = sum(not result.ok for result in results)
    if not results:
        return "Nothing was run", "none"
    if failed == len(results) == 1:
        return f"Seed {results[0].seed} failed: {results[0].invariant}", "bad"
    if failed:
        return f"{failed:,} of {_seeds(len(results))} failed", "bad"
    return (f"Seed {results[0].seed} holds" if len(results) == 1 else f"All {_seeds(len(results))} hold"), "good"


def figures_of(totals: Totals, results: Sequence[Result]) -> list[Figure]:
    """The figures over all seeds."""
    agreed = sum(result.figures["converged_ms"] is not None for result in results)
    lost = sum(result.figures["unaccounted"] for result in results)
    p50, p99 = totals.converged_ms_p50, totals.converged_ms_p99
    return [
        Figure("Seeds that hold", _share(totals.seeds - totals.failed, totals.seeds), f"of {_seeds(totals.seeds)}"),
        _offline("Reads answered offline", "read", totals),
        _offline("Writes answered offline", "write", totals),
        Figure("Accuracy", _percent(totals.accuracy), f"{lost:,} of {totals.acknowledged:,} acknowledged writes lost"),
        Figure("Conflicts resolved", _percent(totals.resolved), f"of {totals.conflicts:,}; others wait for a person"),
        Figure(
            "Time to converge, p50 and p99",
            NONE if p50 is None or p99 is None else f"{lasted(p50)}, {lasted(p99)}",
            f"after healing, in {_seeds(agreed)}",
        ),
        Figure(
            "Bytes over the network",
            bytes_text(totals.bytes) if totals.bytes else NONE,
            f"{bytes_text(totals.bytes // totals.operations)} an operation" if totals.operations else "no operations",
        ),
        Figure("Simulated time", lasted(totals.virtual_s * 1000), f"{totals.operations:,} operations"),
    ]


def shown_first(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The outcome to draw: the first that failed, or else the one in which most happened between nodes."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return failed[0]
    return max(outcomes, key=lambda each: (each.figures.conflicts, each.figures.operations), default=None)


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first thing that went wrong.

    Attributes:
        title: Which invariant, at which seed.
        what: What is there, and what was expected; subject: where; remedy: what to do.
        operations: Those that are involved.
        more: The rest of the evidence.
        place: (collection, key) if it is about a record; node: if it is about one.
        kind: What it is: a divergence, or a failure of the user's code or of the simulation.
    """

    title: str
    what: str
    subject: str
    remedy: str
    operations: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    place: str = ""
    node: str = ""
    kind: str = "First divergence"

    def concerns(self, row: Row) -> bool:
        """Whether a row speaks of the record, or of the node if it is about no record."""
        if self.place:
            collection, _, key = self.place.partition("/")
            return (
                f"{self.place} " in f"{row.detail} "
                or f"{self.place}." in row.detail
                or (f"collection={collection}," in row.detail and f"key={key}," in f"{row.detail},")
            )
        return bool(self.node) and row.node == self.node


def divergence_of(outcome: Outcome) -> Divergence | None:
    """What went wrong, in words; None if nothing did."""
    fault = outcome.fault
    if fault is None:
        return None
    evidence = dict(fault.evidence) if isinstance(fault, Violation) else {}
    operations = tuple(map(str, evidence.pop("operations", ())))
    place, node = evidence.pop("place", None), evidence.pop("node", "")
    return Divergence(
        title=f"Seed {outcome.seed}: {_kind(outcome.invariant, fault)}",
        what=_without(fault.what, operations),
        subject=fault.subject,
        remedy=fault.remedy,
        operations=operations,
        more=tuple((name, _evidence(value)) for name, value in evidence.items() if value not in (None, "", [], {})),
        place="/".join(place) if place else "",
        node=str(node),
        kind="First divergence" if isinstance(fault, Violation) else "What went wrong",
    )


def _kind(invariant: str, fault: HoldfastError) -> str:
    if isinstance(fault, Violation):
        return f"violates “{invariant}”" if invariant else "a violation"
    return {
        "program-fault": "your own code failed, the engine had no part in it",
        "simulation-deadlock": "nothing is left to happen, and something is still waited for",
        "tape-mismatch": "the recorded schedule does not fit what the engine does now",
    }.get(fault.code, fault.code)


def _without(what: str, operations: Sequence[str]) -> str:
    """The sentence without the operations, which stand below it."""
    for operation in operations[:1]:
        head, found, _ = what.partition(f", of {operation}")
        if found:
            return head
    return what


def _evidence(value: Any) -> str:  # noqa: ANN401 - any JSON value
    said = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return said if len(said) <= EVIDENCE_CHARS else f"{said[: EVIDENCE_CHARS - 1]}…"


def _offline(name: str, kind: str, totals: Totals) -> Figure:
    found = [each for each in availability_of(totals.answers) if (each.under, each.kind) == (OFFLINE, kind)]
    answered, asked = sum(each.answered for each in found), sum(each.asked for each in found)
    return Figure(name, _share(answered, asked), f"{answered:,} of {asked:,} with no hub in reach")


def _share(part: int, whole: int) -> str:
    return percent(part, whole) if whole else NONE


def _percent(share: float | None) -> str:
    return NONE if share is None else percent(share, 1)


def percent(part: float, whole: int) -> str:
    """A share; 100 % only if it is all, 0 % only if it is nothing."""
    tenths = round(1000 * part / whole)
    tenths = min(tenths, 999) if part < whole else tenths
    tenths = max(tenths, 1) if part else tenths
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def lasted(ms: float) -> str:
    """A duration as people say it."""
    for below, unit, size in ((1_000, "ms", 1), (120_000, "s", 1_000), (7_200_000, "min", 60_000)):
        if ms < below:
            return f"{ms / size:.3g} {unit}"
    hours = ms / 3_600_000
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"  # noqa: PLR2004 - three digits are enough


def bytes_text(size: int) -> str:
    """A size as people say it."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:  # noqa: PLR2004 - that is what the units mean
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:,.3g} GiB"


def _seeds(count: int) -> str:
    return f"{count:,} seed" if count == 1 else f"{count:,} seeds"
