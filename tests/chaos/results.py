"""Results of runs: appended to a file, one JSON object a line, and added up to the table of docs/reliability.md.

As a program: ``python -m tests.chaos.results FILE [--into docs/reliability.md]`` prints the table, or puts it between
the marks of a document. Knows nothing of how a fault is injected. Invariant: lines are only ever appended, so runs that
were interrupted go on and results of several machines can be put together with `cat`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

BEGIN, END = "<!-- fault matrix: begin -->", "<!-- fault matrix: end -->"

ROWS = {
    1: "loss, duplication, delay, reordering",
    2: "symmetric partition",
    3: "asymmetric partition",
    4: "flapping links",
    5: "long partition",
    6: "kill -9 at every system call of put, apply, acknowledge, checkpoint",
    7: "kill -9 at random during sync",
    8: "crash of all nodes at once, disks of different age",
    9: "power cut",
    10: "I/O errors at each call",
    11: "full disk",
    12: "flipped bits, zeroed pages",
    13: "files deleted, stale, put back",
    14: "copies of a file, both alive",
    15: "second process on one file",
    16: "lock held by another tool; long reader",
    17: "clock jumps",
    18: "poisoned timestamps from a peer",
    19: "many operations in one tick of the clock",
    20: "a batch that fails at some operation",
    21: "reply lost after the commit",
    22: "all orders of delivery of small cases",
    23: "create, delete and create again at once",
    24: "a peer offline beyond what was purged or trimmed",
    25: "many identities",
    26: "bad resolvers",
    27: "schemas of different versions",
    28: "frames and features of a later protocol",
    29: "an operation that cannot be applied",
    30: "random and mutated frames",
    31: "bombs",
    32: "slow-loris",
    33: "reader that never reads",
    34: "half-open TCP, black hole",
    35: "captive portal",
    36: "hub restart with many clients",
    37: "large first sync in little memory",
    38: "malicious member",
    39: "hub that was put back or lies",
    40: "revoked token, read-only member",
    41: "secrets in output",
    42: "pauses",
    43: "no descriptors left",
    44: "upgrade and downgrade of a file",
    45: "long runs with everything on",
}
"""Rows of the fault matrix; the numbers are those of the matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run, or several of one kind.

    Attributes:
        row: Of the fault matrix.
        how: How the fault was injected.
        test: Which test it was; case: with which parameters (its name in pytest); commit: of which state of the code.
        runs, violations: How many runs, and in how many findings stood against the engine.
        figures: What was measured; a name that begins with "max " keeps the largest, others add up.
    """

    row: int
    how: str
    test: str
    case: str = ""
    commit: str = ""
    runs: int = 1
    violations: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


def append(path: Path, result: Result) -> None:
    """Add a result to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def kept(path: Path) -> list[Result]:
    """The results in a file; none if there is no file."""
    if not path.exists():
        return []
    return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def added(results: Iterable[Result]) -> list[Result]:
    """One result for each row, injection and test, in the order of the rows."""
    groups: dict[tuple[int, str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result.row, result.how, result.test].append(result)
    return [_sum(groups[key]) for key in sorted(groups)]


def _sum(results: list[Result]) -> Result:
    figures: dict[str, float] = {}
    for result in results:
        for name, value in result.figures.items():
            seen = figures.get(name, 0)
            figures[name] = max(seen, value) if name.startswith("max ") else seen + value
    first = results[0]
    return Result(
        row=first.row,
        how=first.how,
        test=first.test,
        runs=sum(result.runs for result in results),
        violations=sum(result.violations for result in results),
        figures=figures,
    )


def table(results: Iterable[Result]) -> str:
    """The table of the documents, and the rows that nothing stands for."""
    lines = ["| Row | Fault | Injected by | Runs | Violations | Figures | Command |", "|---|---|---|---|---|---|---|"]
    results = [*results]
    sums = added(results)
    for result in sums:
        figures = ", ".join(f"{_number(value)} {name}" for name, value in result.figures.items())
        command = f'`pytest -m "" -k {result.test}`'
        cells = (result.row, ROWS[result.row], result.how, result.runs, result.violations, figures, command)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    missing = [f"{row} ({name})" for row, name in ROWS.items() if row not in {result.row for result in sums}]
    if missing:
        lines += ["", f"No run yet: {', '.join(missing)}."]
    lines += [
        "",
        f"Commits: {commits(results)}.",
    ]
    return "\n".join(lines)


def commits(results: Iterable[Result]) -> str:
    """Which states of the code ran, and how many runs each had."""
    counts: Counter[str] = Counter()
    for result in results:
        counts[result.commit or "unknown"] += result.runs
    return ", ".join(f"{commit} ({count:,} runs)" for commit, count in sorted(counts.items()))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def put_into(document: str, text: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The document with the text between its marks."""
    begin, end = marks
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"the document has no marks {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", document)


def main() -> None:
    """Print the table, or put it into a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, metavar="DOCUMENT")
    options = parser.parse_args()
    text = table(result for path in options.results for result in kept(path))
    if options.into is None:
        print(text)  # noqa: T201 - a program
    else:
        document = options.into.read_text(encoding="utf-8")
        options.into.write_text(put_into(document, text), encoding="utf-8")


if __name__ == "__main__":
    main()
