"""What is kept of each seed: a line of JSON, and a file of such lines that campaigns go on with.

Invariants: lines of one file are of one scenario and one version, so that they add up; a line that was cut by a crash
is run again; nothing of a line depends on how many processes there were. The commit of a checkout is said, not judged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import holdfast
from holdfast.errors import FileUnreadable, UsageError

from ..world.outcome import Outcome
from .commit import commit

FORMAT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One seed in figures.

    Attributes:
        seed: Of the choices.
        invariant: What was broken; "" if all held. error: In words.
        digest: Of the trace.
        figures: As `Figures.as_json` gives them.
        reached: Rare states of the engine.
        cpu_s: Processor time that it took.
    """

    seed: int
    invariant: str
    error: str
    digest: str
    figures: dict[str, Any]
    reached: dict[str, int]
    cpu_s: float

    @property
    def ok(self) -> bool:
        """Whether all invariants held."""
        return not self.invariant


def result_of(outcome: Outcome) -> Result:
    """The figures of an outcome."""
    return Result(
        seed=outcome.seed,
        invariant=outcome.invariant,
        error=str(outcome.fault or ""),
        digest=outcome.digest,
        figures=outcome.figures.as_json(),
        reached=dict(outcome.reached),
        cpu_s=round(outcome.cpu_s, 3),
    )


class ResultsFile:
    """A file to which results are appended.

    Args:
        path: Made if it is not there.
        scenario: The digest of what is run; a file of another is refused.

    Raises:
        UsageError: It holds results of something else.
        FileUnreadable: It cannot be read or written.
    """

    def __init__(self, path: str | Path, scenario: str) -> None:
        self.path = Path(path)
        self._of = {"format": FORMAT, "scenario": scenario, "version": holdfast.__version__}
        self._commit = commit()
        self.found: dict[int, Result] = {result.seed: result for result in self._read()}

    def add(self, result: Result) -> None:
        """Append a line, whole or not at all as far as a file system can."""
        line = json.dumps({**self._of, "commit": self._commit, **asdict(result)}, ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self) -> Iterator[Result]:
        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            if text and not text.endswith("\n"):  # the process died while it wrote
                text = text[: text.rfind("\n") + 1]
                os.truncate(self.path, len(text.encode()))
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        for number, line in enumerate(text.splitlines(), 1):
            yield self._parsed(number, line)

    def _parsed(self, number: int, line: str) -> Result:
        try:
            value = json.loads(line)
            theirs = {name: value[name] for name in self._of}
            result = Result(**{each.name: value[each.name] for each in fields(Result)})
        except (ValueError, KeyError, TypeError) as error:
            what = f"line {number} is no result of a simulation"
            raise UsageError(what, subject=str(self.path), remedy="Name another file.") from error
        if theirs != self._of:
            what = f"line {number} is a result of another scenario or version, and those do not add up"
            raise UsageError(what, subject=str(self.path), remedy="Name a new file for this one.")
        return result

    def _unreadable(self, error: OSError | UnicodeDecodeError) -> FileUnreadable:
        what = f"the results cannot be read or written: {getattr(error, 'strerror', None) or error}"
        return FileUnreadable(what, subject=str(self.path), remedy="Check the path and its permissions.")


def missing(seeds: Iterable[int], found: Iterable[int]) -> list[int]:
    """The seeds that are still to be run, each once, in order."""
    known = set(found)
    return [seed for seed in dict.fromkeys(seeds) if seed not in known]
