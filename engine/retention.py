"""How much of its log a node keeps: bounds by age, rows and bytes.

Pure; knows no table. Invariant: a bound that is not given bounds nothing, and what is kept of a collection is always
the newest part of its log.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from holdfast.errors import UsageError

from .arguments import check_limit
from .documents import shown

_MS: Final = timedelta(milliseconds=1)
_AGE_MAX: Final = timedelta(days=365_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much history of a collection this node keeps; a change goes as soon as it is beyond one of the bounds.

    ``Retention()`` keeps everything. What is gone can no longer be looked at or taken back; records, sync and
    conflicts that stand are not touched.

    Args:
        age: Changes that are older go.
        rows: At most so many changes of each collection; the oldest go.
        bytes: At most so many bytes of each collection's log: what the changes replaced, and 48 for each.

    Raises:
        UsageError: A bound is none.
    """

    age: timedelta | None = None
    rows: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        age: object = self.age
        if age is not None and not (isinstance(age, timedelta) and timedelta(0) < age <= _AGE_MAX):
            what, remedy = f"age is {shown(self.age)}", "Pass a timedelta above zero, or leave it out."
            raise UsageError(what, subject="retention", remedy=remedy)
        check_limit(self.rows, "rows")
        check_limit(self.bytes, "bytes")

    @property
    def age_ms(self) -> int | None:
        """The age in milliseconds."""
        return None if self.age is None else self.age // _MS

    @property
    def is_unbounded(self) -> bool:
        """Whether it keeps everything."""
        return self.age is None and self.rows is None and self.bytes is None

    def as_json(self) -> dict[str, Any]:
        """The bounds as plain JSON values; `age_ms` in milliseconds."""
        return {"age_ms": self.age_ms, "rows": self.rows, "bytes": self.bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimReport:
    """What trimming did: rows of the log that went, and rows of which only a stub is left."""

    deleted: int = 0
    stubs: int = 0

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


DEFAULT: Final = Retention(rows=250_000, bytes=64 * 1024 * 1024)
"""For whoever asks for nothing else. No age: the history of what changes rarely stays, however old; it costs little."""


def check_retention(retention: object, subject: str) -> None:
    """Return if it is a retention, or None; raises UsageError."""
    if retention is not None and not isinstance(retention, Retention):
        what, remedy = f"retention is {shown(retention)}", "Pass Retention(...), or leave it out."
        raise UsageError(what, subject=subject, remedy=remedy)


def retention_text(retention: Retention) -> str:
    """The retention as the text that stands in the file."""
    return json.dumps(retention.as_json())


def retention_from(text: str | None) -> Retention | None:
    """The retention that `retention_text` wrote; None for none."""
    if text is None:
        return None
    found = json.loads(text)
    age = found["age_ms"]
    return Retention(age=None if age is None else age * _MS, rows=found["rows"], bytes=found["bytes"])
