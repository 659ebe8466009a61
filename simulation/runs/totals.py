"""Many seeds in one table of figures.

Knows results, no worlds. Invariant: totals of two sets of results are those of both together, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from ..world.answers import OFFLINE
from .availability import availability_of
from .results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Figures over all seeds; a share is None if there was nothing to have a share of.

    Attributes:
        seeds, failed: How many ran, and in how many something went wrong; by_invariant: what.
        answers: Local reads and writes by what they met (`availability_of` reads it).
        reads_offline, writes_offline: Share of reads and writes that were answered while the node reached no hub.
        accuracy: Share of acknowledged writes that were accounted for.
        resolved: Share of conflicts that nobody has to look at.
        converged_ms_p50, converged_ms_p99: From healing to agreement.
        stall_ms_max: The longest that a read or a write waited, in virtual milliseconds.
        acknowledged, operations, conflicts, bytes, steps: Sums.
        syncs, refused: Outcomes of syncs; what was refused, by kind of work and cause.
        reached: Rare states of the engine, and how often.
        virtual_s, cpu_s: Virtual seconds that passed, and processor seconds that it took.
    """

    seeds: int
    failed: int
    by_invariant: dict[str, int]
    answers: dict[str, int]
    reads_offline: float | None
    writes_offline: float | None
    accuracy: float | None
    resolved: float | None
    converged_ms_p50: int | None
    converged_ms_p99: int | None
    stall_ms_max: int
    acknowledged: int
    operations: int
    conflicts: int
    bytes: int
    steps: int
    syncs: dict[str, int]
    refused: dict[str, int]
    reached: dict[str, int]
    virtual_s: float
    cpu_s: float

    @property
    def virtual_s_per_cpu_s(self) -> float:
        """Speed: virtual seconds for each processor second."""
        return self.virtual_s / self.cpu_s if self.cpu_s else 0.0

    @property
    def seeds_per_cpu_s(self) -> float:
        """Speed: seeds for each processor second."""
        return self.seeds / self.cpu_s if self.cpu_s else 0.0

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        speed = {"virtual_s_per_cpu_s": self.virtual_s_per_cpu_s, "seeds_per_cpu_s": self.seeds_per_cpu_s}
        return {**asdict(self), **{name: round(value, 2) for name, value in speed.items()}}


def totals_of(results: Iterable[Result]) -> Totals:
    """Add results up."""
    kept = [*results]
    figures = [result.figures for result in kept]
    converged = sorted(each["converged_ms"] for each in figures if each["converged_ms"] is not None)
    answers = _counted(each["answers"] for each in figures)
    acknowledged, conflicts = _sum(figures, "acknowledged"), _sum(figures, "conflicts")
    return Totals(
        seeds=len(kept),
        failed=sum(not result.ok for result in kept),
        by_invariant=_counted({result.invariant: 1} for result in kept if not result.ok),
        answers=answers,
        reads_offline=_offline(answers, "read"),
        writes_offline=_offline(answers, "write"),
        accuracy=_share(acknowledged - _sum(figures, "unaccounted"), acknowledged),
        resolved=_share(_sum(figures, "conflicts_settled"), conflicts),
        converged_ms_p50=_percentile(converged, 50),
        converged_ms_p99=_percentile(converged, 99),
        stall_ms_max=max((each["stall_ms_max"] for each in figures), default=0),
        acknowledged=acknowledged,
        operations=_sum(figures, "operations"),
        conflicts=conflicts,
        bytes=_sum(figures, "bytes"),
        steps=_sum(figures, "steps"),
        syncs=_counted(each["syncs"] for each in figures),
        refused=_counted(each["refused"] for each in figures),
        reached=_counted(result.reached for result in kept),
        virtual_s=_sum(figures, "virtual_ms") / 1000,
        cpu_s=round(sum(result.cpu_s for result in kept), 3),
    )


def _sum(figures: Iterable[dict[str, Any]], name: str) -> int:
    return sum(each[name] for each in figures)


def _counted(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _offline(answers: dict[str, int], kind: str) -> float | None:
    return next((each.share for each in availability_of(answers) if (each.under, each.kind) == (OFFLINE, kind)), None)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percentile(ordered: list[int], percent: int) -> int | None:
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None
