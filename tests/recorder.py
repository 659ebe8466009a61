"""What a test measured, kept in the file that `--results` names, and which tests need not run again.

Invariant: results are kept before a test judges them, so a run that found something is in the file as well.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from .chaos.results import Result, append, kept


class Recorder:
    """Keeps the results of one test."""

    def __init__(self, path: Path | None, test: str, case: str) -> None:
        self._path, self._test, self._case = path, test, case
        self.results: list[Result] = []

    def note(self, row: int, how: str, *, runs: int = 1, violations: int = 0, **figures: float) -> None:
        """Keep a result; underscores in the names of figures are spaces."""
        named = {name.replace("_", " "): value for name, value in figures.items()}
        found = Result(
            row=row,
            how=how,
            test=self._test,
            case=self._case,
            commit=commit() if self._path else "",
            runs=runs,
            violations=violations,
            figures=named,
        )
        self.results.append(found)
        if self._path is not None:
            append(self._path, found)


def still_to_run(items: list, path: Path) -> tuple[list, list]:
    """The tests that have no result in the file yet, and the others."""
    done = {result.case for result in kept(path)}
    left = [item for item in items if "recorder" not in item.fixturenames or item.name not in done]
    return left, [item for item in items if item not in left]


@cache
def commit() -> str:
    """The commit that runs, with a mark if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*"]
    said = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return said.stdout.strip()
