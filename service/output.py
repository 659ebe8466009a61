"""What the command line prints: JSON for programs, tables and lines for people, notes beside them.

Knows nothing of engines. Invariants: results go to stdout and everything else to stderr; what came from elsewhere can
never steer the terminal, because characters that do not print are shown as escapes.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

import click


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json_text(value))


def json_text(value: object) -> str:
    """JSON on one line, in characters that stdout can carry.

    Surrogates (a file name that is not UTF-8) become escapes, which JSON reads back.
    """
    carries_all = (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not carries_all, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: object, *, indent: int | None = None) -> str:
    """A JSON value for people: still JSON, with escapes for what does not print."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def printable(text: str) -> str:
    """Text with escapes for what does not print."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def say(text: str) -> None:
    """Print a line of a result."""
    click.echo(encodable(text))


def note(text: str) -> None:
    """Print a line beside the result, for people."""
    click.echo(encodable(text, sys.stderr), err=True)


def say_more(named: Sequence[tuple[str, str]], changed: int, before: str | None) -> None:
    """Say beside the result of a way back which records it would change first, and what stood before it."""
    if named:
        more = f" and {changed - len(named):,} more" if changed > len(named) else ""
        note(printable(", ".join("/".join(place) for place in named) + more))
    if before:
        note(printable(f"What stood here until now is kept as snapshot {before}."))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines with aligned columns; numbers stand to the right, wide characters count as two."""
    body = [[_cell(value) for value in row] for row in rows]
    numeric = [bool(body) and all(_is_number(row[at]) for row in body) for at in range(len(heads))]
    texts = [list(heads), *([text for text, _ in row] for row in body)]
    widths = [max(_width(line[at]) for line in texts) for at in range(len(heads))]
    return "\n".join(_aligned(line, widths, numeric) for line in texts)


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Lines of "name  value" with the values aligned."""
    found = [(name, _cell(value)[0]) for name, value in pairs]
    width = max(len(name) for name, _ in found)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in found)


def moment(ms: int | None) -> str:
    """Milliseconds since 1970 as a time in UTC; "never" for None."""
    from datetime import UTC, datetime

    if ms is None:
        return "never"
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a peer's clock may be anywhere
        return f"{ms} ms"


def print_error(code: str, message: str, subject: str, remedy: str, as_json: bool) -> None:  # noqa: FBT001 - five facts
    """Print an error to stderr."""
    if as_json:
        error = {"code": code, "message": message, "subject": subject, "remedy": remedy}
        click.echo(json.dumps({"error": error}), err=True)
        return
    where = f" ({subject})" if subject else ""
    head = click.style("Error:", fg="red", bold=True)
    note(f"{head} {printable(message + where)}\n       {printable(remedy)}")


def _cell(value: object) -> tuple[str, object]:
    if value is None:
        return "-", value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}", value
    return printable(str(value)), value


def _is_number(cell: tuple[str, object]) -> bool:
    return isinstance(cell[1], int) or cell[1] is None


def _aligned(line: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = []
    for text, width, right in zip(line, widths, numeric, strict=True):
        gap = " " * (width - _width(text))
        cells.append(gap + text if right else text + gap)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def encodable(text: str, stream: TextIO | None = None) -> str:
    """Text that a stream (stdout by default) can carry, with escapes for what it cannot."""
    encoding = (stream or sys.stdout).encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
