"""Reads JSON Lines files: one JSON object a line, plain or gzip, each with its key in the field `key`.

Knows nothing of Holdfast. Invariant: a line that is no record is reported with file and line number.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class BrokenLineError(Exception):
    """A line of a file is not what it should be."""


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the objects of a file; empty lines are skipped."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except ValueError as error:
                raise BrokenLineError(f"{path}:{number}: {error}") from error
            if not isinstance(line, dict) or "key" not in line:
                raise BrokenLineError(f'{path}:{number}: not an object with a field "key"')
            line["key"] = str(line["key"])
            yield line


def read_records(path: Path) -> Iterator[tuple[str, Line]]:
    """Yield the records of a data file: key, and the other fields."""
    for line in read_lines(path):
        yield line.pop("key"), line


def read_edits(path: Path) -> Iterator[Line]:
    """Yield the lines of a file of edits: op, key, and the fields that are written."""
    for line in read_lines(path):
        if line.get("op") not in ("put", "update", "delete"):
            raise BrokenLineError(f"{path}: the edit of {line['key']} has no op: put, update or delete")
        yield line
