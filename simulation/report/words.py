"""What a report says in words and figures: the verdict, what is behind it, and the first thing that went wrong.

Knows outcomes, no markup. Invariant: a share of nothing is said to be none, never 0 % or 100 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from holdfast.errors import HoldfastError, Violation

from ..kernel.trace import Row
from ..world.outcome import Figures, Outcome

NONE: Final = "–"


class Ran(Protocol):
    """A seed that was run, as far as tables and totals need it."""

    @property
    def seed(self) -> int:
        """Which."""
        ...

    @property
    def ok(self) -> bool:
        """Whether all invariants held."""
        ...

    @property
    def invariant(self) -> str:
        """Which one was broken."""
        ...

    @property
    def what(self) -> str:
        """What went wrong."""
        ...

    @property
    def figures(self) -> Figures:
        """What was counted."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is, how much, and of what."""

    name: str
    value: str
    of: str


def verdict(ran: Sequence[Ran]) -> tuple[str, str]:
    """The headline, and "good", "bad" or "none"."""
    failed = sum(not each.ok for each in ran)
    if not ran:
        return "Nothing was run", "none"
    if failed == len(ran) == 1:
        return f"Seed {ran[0].seed} failed: {ran[0].invariant}", "bad"
    if failed:
        return f"{failed:,} of {_seeds(len(ran))} failed", "bad"
    return f"{'Seed ' + str(ran[0].seed) + ' holds' if len(ran) == 1 else f'All {_seeds(len(ran))} hold'}", "good"


def figures_of(ran: Sequence[Ran]) -> list[Figure]:
    """The figures over all seeds."""
    all_figures = [each.figures for each in ran]
    converged = sorted(each.converged_ms for each in all_figures if each.converged_ms is not None)
    p50, p99 = percentile(converged, 50), percentile(converged, 99)
    virtual_ms = sum(each.virtual_ms for each in all_figures)
    size = sum(each.bytes for each in all_figures)
    operations = sum(each.operations for each in all_figures)
    return [
        _offline("Reads answered offline", "read", all_figures),
        _offline("Writes answered offline", "write", all_figures),
        _share(
            "Records as they must be",
            sum(each.records_right for each in all_figures),
            sum(each.records_judged for each in all_figures),
            "after healing, at every node",
        ),
        _share(
            "Conflicts settled by rules",
            sum(each.conflicts_settled for each in all_figures),
            sum(each.conflicts for each in all_figures),
            "the others wait for a person",
        ),
        Figure(
            "Time to agree after healing",
            f"{lasted(p50)} · {lasted(p99)}" if converged else NONE,
            f"p50 · p99 of {_seeds(len(converged))}" if converged else "no seed came so far",
        ),
        Figure(
            "Bytes over the network",
            bytes_text(size) if size else NONE,
            f"{bytes_text(size // operations)} an operation" if operations else "no operations",
        ),
        Figure("Simulated time", lasted(virtual_ms) if ran else NONE, _seeds(len(ran))),
    ]


def refusals_of(ran: Iterable[Ran]) -> Counter[str]:
    """Work that was refused, by kind and cause."""
    total: Counter[str] = Counter()
    for each in ran:
        total.update(each.figures.refused)
    return total


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
    """

    title: str
    what: str
    subject: str
    remedy: str
    operations: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    place: str = ""
    node: str = ""

    def concerns(self, row: Row) -> bool:
        """Whether a row speaks of the record, or of the node if it is about no record."""
        if self.place:
            collection, _, key = self.place.partition("/")
            return f"{self.place} " in f"{row.detail} " or (
                f"collection={collection}," in row.detail and f"key={key}," in f"{row.detail},"
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
    return said if len(said) <= 2_000 else f"{said[:1_999]}…"


def _offline(name: str, kind: str, all_figures: Iterable[Figures]) -> Figure:
    answered = asked = 0
    for figures in all_figures:
        answered += figures.offline[kind]
        asked += figures.offline_asked[kind]
    return _share(name, answered, asked, "no hub could be reached")


def _share(name: str, part: int, whole: int, note: str) -> Figure:
    if not whole:
        return Figure(name, NONE, "none came up")
    return Figure(name, percent(part, whole), f"{part:,} of {whole:,}; {note}")


def percent(part: int, whole: int) -> str:
    """A share; 100 % only if it is all, 0 % only if it is nothing."""
    tenths = round(1000 * part / whole)
    tenths = min(tenths, 999) if part < whole else tenths
    tenths = max(tenths, 1) if part else tenths
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def percentile(ordered: Sequence[int], share: int) -> int:
    """The value that so many per cent do not exceed; 0 of nothing."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0


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
