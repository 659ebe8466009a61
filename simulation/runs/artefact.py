"""A failure as a file: everything that is needed to see it again, and to read what happened.

Knows no worlds. Invariants: an artefact holds no code of the user, only names; what is written reads back equal; a file
of a newer format, or one that was cut, is refused with its place.
"""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import holdfast
from holdfast.errors import FileUnreadable, HoldfastError, InvalidPlan

from ..kernel.choices import Draw, Tape
from ..kernel.trace import Row, render
from ..plans.arguments import mistake
from ..plans.plan import Plan
from ..world.outcome import Outcome
from .commit import commit
from .scenario import Scenario, read_bytes

FORMAT: Final = 1
KIND: Final = "holdfast-simulation-failure"
AGAIN: Final = "holdfast simulate --replay THIS_FILE"
NEEDS: Final = ("programs", "resolvers", "checks")
ROWS_MAX: Final = 400
"""Rows of the trace that are kept: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One failure.

    Attributes:
        seed: Of the choices.
        invariant: What was broken, or the kind of the fault.
        fault: code, what, subject, remedy and evidence of the error.
        versions: Of Holdfast, Python and SQLite, and the commit if it ran in a checkout.
        digest: Of the trace.
        needs: Names of the user's programs, resolvers and checks.
        plan: As a JSON value.
        trace: The last rows.
        tape: The choices, in order.
        shrunk: How it was made smaller; empty if it was not.
        again: What runs it again, as it can be typed.
    """

    seed: int
    invariant: str
    fault: Mapping[str, Any]
    versions: Mapping[str, str]
    digest: str
    needs: Mapping[str, Sequence[str]]
    plan: Mapping[str, Any]
    trace: tuple[Row, ...]
    tape: Tape = field(repr=False)
    shrunk: Mapping[str, Any] = field(default_factory=dict)
    again: str = AGAIN

    def to_json(self) -> str:
        """As text: one line for each event and row, so that a person can read it; the tape on one line."""
        parts = {
            "kind": KIND,
            "format": FORMAT,
            "again": self.again,
            "seed": self.seed,
            "invariant": self.invariant,
            "fault": dict(self.fault),
            "shrunk": dict(self.shrunk),
            "versions": dict(self.versions),
            "digest": self.digest,
            "needs": {name: list(names) for name, names in self.needs.items()},
        }
        lines = [f"{_text(name)}: {_text(value)}" for name, value in parts.items()]
        lines.append(f'"plan": {_lined(self.plan)}')
        lines.append(f'"trace": {_listed([list(row) for row in self.trace], "  ")}')
        lines.append(f'"tape": {_text(_packed(self.tape))}')
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def text(self) -> str:
        """The last rows as aligned columns."""
        return render(self.trace)

    def write(self, path: str | Path) -> None:
        """Put it into a file."""
        try:
            Path(path).write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            what = f"the artefact cannot be written: {error.strerror or error}"
            raise FileUnreadable(what, subject=str(path), remedy="Check the path and its permissions.") from error


def artefact_of(
    outcome: Outcome, scenario: Scenario, shrunk: Mapping[str, Any] | None = None, *, again: str = ""
) -> Artefact:
    """The artefact of an outcome that failed; `again` runs it again, if it is not a command or a call of ours."""
    assert outcome.fault is not None, "only a failure becomes an artefact"
    needs = {
        "programs": sorted(scenario.programs),
        "resolvers": sorted(scenario.resolvers),
        "checks": [getattr(check, "__name__", type(check).__name__) for check in scenario.checks],
    }
    return Artefact(
        seed=outcome.seed,
        invariant=outcome.invariant,
        fault=_told(outcome.fault),
        versions=versions(),
        digest=outcome.digest,
        needs=needs,
        plan=outcome.plan.to_value(),
        trace=tuple(outcome.trace)[-ROWS_MAX:],
        tape=outcome.tape,
        shrunk=shrunk or {},
        again=again or (call_with([kind for kind, names in needs.items() if names]) if any(needs.values()) else AGAIN),
    )


def call_with(kinds: Iterable[str]) -> str:
    """How a failure that needs the user's functions is run again: no command knows them."""
    return f"in Python: holdfast.simulation.replay(THIS_FILE, {', '.join(f'{kind}=...' for kind in kinds)})"


def plan_in(artefact: Artefact) -> Plan:
    """The plan of an artefact, as far as JSON goes; the caller checks that its names are known."""
    from ..plans.arguments import read_arguments

    plan: Plan = read_arguments(Plan, dict(artefact.plan), "plan")
    return plan


def read_artefact(path: str | Path) -> Artefact:
    """An artefact from its file.

    Raises:
        InvalidPlan: It is none, or of a newer format.
        FileUnreadable: It cannot be read.
    """
    data = read_bytes(path)
    try:
        value = json.loads(data)
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise _no_artefact(path, "it does not say that it is one")
        if value["format"] != FORMAT:
            raise _no_artefact(path, f"it has format {value['format']!r}, this version reads {FORMAT}")
        return Artefact(
            seed=int(value["seed"]),
            invariant=str(value["invariant"]),
            fault=dict(value["fault"]),
            versions=dict(value["versions"]),
            digest=str(value["digest"]),
            needs=_needed(value["needs"]),
            plan=dict(value["plan"]),
            trace=tuple(_row(row) for row in value["trace"]),
            tape=_unpacked(value["tape"]),
            shrunk=dict(value["shrunk"]),
            again=str(value["again"]),
        )
    except InvalidPlan:
        raise
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise _no_artefact(path, f"{type(error).__name__}: {error}") from error


def versions() -> dict[str, str]:
    """What a seed is valid for."""
    found = {
        "holdfast": holdfast.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    return {**found, "commit": known} if (known := commit()) else found


def _needed(value: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    for kind, names in value.items():
        if kind not in NEEDS or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"needs.{kind} is no list of names of programs, resolvers or checks")
    return {kind: list(names) for kind, names in value.items()}


def _row(value: Sequence[Any]) -> Row:
    row = Row(*value)
    if type(row.time_us) is not int or not all(isinstance(text, str) for text in row[1:]):
        raise ValueError("a row of the trace is no whole number and three texts")
    return row


def _told(error: HoldfastError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "what": error.what, "subject": error.subject, "remedy": error.remedy}
    evidence = getattr(error, "evidence", None)
    return {**told, "evidence": json.loads(json.dumps(dict(evidence), default=str))} if evidence else told


def _packed(tape: Tape) -> dict[str, Any]:
    """Streams once, then three numbers for each draw: stream, n, value."""
    numbers = {stream: at for at, stream in enumerate(dict.fromkeys(draw.stream for draw in tape))}
    flat = [number for draw in tape for number in (numbers[draw.stream], draw.n, draw.value)]
    return {"streams": [*numbers], "draws": flat}


def _unpacked(value: Mapping[str, Any]) -> tuple[Draw, ...]:
    streams, flat = value["streams"], value["draws"]
    if len(flat) % 3 or any(type(number) is not int for number in flat):
        raise ValueError("the tape is no list of three whole numbers for each draw")
    return tuple(Draw(streams[flat[at]], flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3))


def _lined(plan: Mapping[str, Any]) -> str:
    parts = []
    for name, value in plan.items():
        lists = isinstance(value, list) and value and isinstance(value[0], dict)
        parts.append(f"  {_text(name)}: {_listed(value, '    ') if lists else _text(value)}")
    return "{\n" + ",\n".join(parts) + "\n}"


def _listed(items: Sequence[object], indent: str) -> str:
    return "[\n" + ",\n".join(indent + _text(item) for item in items) + "\n" + indent[2:] + "]" if items else "[]"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _no_artefact(path: str | Path, why: str) -> InvalidPlan:
    remedy = "Name a file that a failing simulation has written."
    return mistake(f"this is no artefact of a failure: {why}", str(path), remedy)
