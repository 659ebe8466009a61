"""Long runs of small worlds: which worlds, which rows of the fault matrix they count in, and their figures in words.

As a program: ``python -m tests.simulation.long_runs FILE... [--into docs/reliability.md]`` adds up files that
`holdfast simulate --results` and the long runs have written. Invariants: every figure follows from the lines of these
files; a seed counts in the row of each fault that its plan has, failed or not.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from holdfast.simulation import Totals
from holdfast.simulation.runs.results import Result
from holdfast.simulation.runs.scenario import Fleet, Scenario
from holdfast.simulation.runs.totals import totals_of

from ..chaos.results import put_into

MARKS = "<!-- worlds: begin -->", "<!-- worlds: end -->"
SEEDS_EACH = {"days": 5, "years": 2}
"""Seeds of one block, by world; 100 of the others."""

WORLDS: dict[str, dict[str, Any]] = {
    "small": {"nodes": 3, "hours": 0.05, "operations": 25},
    "power": {"nodes": 3, "hours": 0.05, "operations": 25, "faults": ("power_cut", "cut", "crash", "backup")},
    "hour": {"nodes": 3, "hours": 1},
    "days": {"nodes": 20, "hours": 48, "partitions": "heavy"},
    "years": {"nodes": 4, "hours": 8_760, "operations": 400, "faults": ("purge", "cut", "crash", "backup", "clock")},
    "heavy": {"nodes": 6, "hours": 0.2, "operations": 60, "partitions": "heavy"},
}
"""Arguments of `simulate`, by name."""

ROWS = {
    "loss": 1,
    "replay": 1,
    "slow_link": 1,
    "cut": 2,
    "isolate_hub": 2,
    "one_way": 3,
    "flap": 4,
    "crash": 7,
    "all_at_once": 8,
    "power_cut": 9,
    "disk_errors": 10,
    "disk_full": 11,
    "backup": 13,
    "clone": 14,
    "lock": 16,
    "slow_disk": 16,
    "clock": 17,
    "hub_restart": 36,
    "attack": 38,
    "pause": 42,
    "purge": 24,
}
"""The row of the fault matrix that each fault of generated plans belongs to."""

LOST, DIVERGENT, STUCK = ("I1 ", "I9 "), ("I3 ", "I4 all", "I10 "), ("I4 agreement", "simulation-deadlock")
"""How names of broken invariants begin: writes that are gone, nodes that differ, nodes that do not get there."""


def scenario_of(world: str) -> Scenario:
    """What `simulate` runs for these arguments."""
    return Scenario(source=Fleet(**WORLDS[world]))


def faults_of(world: str, seed: int) -> list[str]:
    """Which faults the plan of a seed has."""
    said = scenario_of(world).plan(seed).note.partition(";")[0].removeprefix("faults: ")
    return [name for name in said.split(", ") if name in ROWS]


def by_fault(world: str, results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    """Of each fault: how many seeds had it, and how many of those failed."""
    runs, failed = Counter[str](), Counter[str]()
    for result in results:
        for fault in faults_of(world, result.seed):
            runs[fault] += 1
            failed[fault] += not result.ok
    return {fault: (runs[fault], failed[fault]) for fault in sorted(runs)}


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a file, by world.

    Raises:
        SystemExit: A line is of another world, or of none.
    """
    names, lines = {scenario_of(world).digest: world for world in WORLDS}, defaultdict(list)
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line["scenario"] not in names:
            raise SystemExit(f"{path}: a line is of a world that is not in WORLDS")
        lines[names[line["scenario"]]].append(line)
    return lines


def summary(paths: Iterable[Path]) -> str:
    """The figures of all files, in words."""
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        for world, found in read(path).items():
            lines[world] += found
    results = {world: [_result(line) for line in found] for world, found in lines.items()}
    commits = Counter(line.get("commit") or "unknown" for found in lines.values() for line in found)
    every = [result for found in results.values() for result in found]
    parts = [
        _table(("World", "`simulate(...)`", "Seeds", "Failed"), _worlds(results)),
        _table(("Figure", "All worlds", *results), _figures(every, results)),
        f"Refused, by kind of work and cause: {_counts(totals_of(every).refused)}.",
        f"Broken, by invariant: {_counts(totals_of(every).by_invariant) or 'none'}.",
        *_failures(results),
        f"Commits: {', '.join(f'{commit[:9]} ({count:,} seeds)' for commit, count in sorted(commits.items()))}.",
    ]
    return "\n\n".join(parts)


def _result(line: dict[str, Any]) -> Result:
    return Result(**{each.name: line[each.name] for each in fields(Result)})


def _worlds(results: dict[str, list[Result]]) -> list[tuple[object, ...]]:
    rows = []
    for world, found in results.items():
        arguments = ", ".join(f"{name}={value!r}" for name, value in WORLDS[world].items())
        rows.append((world, f"`{arguments}`", f"{len(found):,}", sum(not result.ok for result in found)))
    return rows


def _figures(every: list[Result], results: dict[str, list[Result]]) -> list[tuple[object, ...]]:
    columns = [dict(_said(found)) for found in (every, *results.values())]
    return [(name, *(column[name] for column in columns)) for name in columns[0]]


def _said(results: list[Result]) -> Iterable[tuple[str, str]]:
    totals: Totals = totals_of(results)
    yield "seeds", f"{totals.seeds:,}"
    yield "seeds that failed", f"{totals.failed:,}"
    for name, kinds in (("lost", LOST), ("divergent", DIVERGENT), ("stuck", STUCK)):
        yield f"seeds that failed as {name}", f"{sum(result.invariant.startswith(kinds) for result in results):,}"
    yield "acknowledged writes", f"{totals.acknowledged:,}"
    yield "of these nowhere in the end", f"{sum(result.figures['unaccounted'] for result in results):,}"
    yield "reads, writes answered offline", f"{_share(totals.reads_offline)}, {_share(totals.writes_offline)}"
    yield "conflicts, settled by a rule", f"{totals.conflicts:,}, {_share(totals.resolved)}"
    yield "virtual seconds to agree, p50, p99", f"{_s(totals.converged_ms_p50)}, {_s(totals.converged_ms_p99)}"
    yield "virtual hours", f"{totals.virtual_s / 3600:,.0f}"
    yield "virtual seconds per CPU second", f"{totals.virtual_s_per_cpu_s:,.0f}"
    yield "seeds per CPU second", f"{totals.seeds_per_cpu_s:.2f}"


def _failures(results: dict[str, list[Result]]) -> Iterable[str]:
    for world, found in results.items():
        failed = [str(result.seed) for result in found if not result.ok]
        if failed:
            more = f" and {len(failed) - 60} more" if len(failed) > 60 else ""
            yield f"Seeds of `{world}` that failed: {', '.join(failed[:60])}{more}."


def _share(share: float | None) -> str:
    return "-" if share is None else f"{int(share * 10_000) / 100:g} %"  # cut, not rounded: 100 % means all


def _s(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:,g}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Print the figures, or put them into a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, metavar="DOCUMENT")
    options = parser.parse_args()
    text = summary(options.files)
    if options.into is None:
        print(text)  # noqa: T201 - a program
    else:
        document = options.into.read_text(encoding="utf-8")
        options.into.write_text(put_into(document, text, MARKS), encoding="utf-8")


if __name__ == "__main__":
    main()
