"""The printed page: numbered chapters with their durations, lines, and aligned tables.

Knows nothing of what is told. Invariants: nothing is coloured unless a terminal shows it; any text can be printed,
whatever the terminal's encoding.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

WIDTH = 100
CELL_CHARS_MAX = 36


class Page:
    """Prints the story, or nothing if it is silent."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._numbers = count(1)
        self._bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        for stream in (sys.stdout, sys.stderr):
            # A terminal without UTF-8 shows escapes instead of ending the program.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    @contextmanager
    def chapter(self, title: str, text: str = "") -> Iterator[None]:
        """A numbered section; its duration stands at its end."""
        head = f"{next(self._numbers)}. {title}"
        self.say(f"\n\x1b[1m{head}\x1b[0m" if self._bold else f"\n{head}")
        for line in textwrap.wrap(text, WIDTH - 3):
            self.say(f"   {line}")
        started = time.perf_counter()
        yield
        self.say(f"   ... {time.perf_counter() - started:.1f} s")

    def say(self, line: str) -> None:
        """Print a line."""
        if not self._silent:
            print(line, flush=True)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print aligned columns; numbers stand to the right."""
        texts = [list(heads), *([_text(value) for value in row] for row in rows)]
        widths = [max(_width(line[at]) for line in texts) for at in range(len(heads))]
        right = [all(isinstance(row[at], int) for row in rows) for at in range(len(heads))]
        for line in texts:
            cells = [_pad(*cell) for cell in zip(line, widths, right, strict=True)]
            self.say(f"     {'  '.join(cells)}".rstrip())


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = "".join(char if char.isprintable() else " " for char in str(value))
    if len(text) > CELL_CHARS_MAX:
        text = f"{text[: CELL_CHARS_MAX // 2]}...{text[-CELL_CHARS_MAX // 3 :]}"
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _pad(text: str, width: int, right: bool) -> str:  # noqa: FBT001 - three facts about a cell
    gap = " " * (width - _width(text))
    return gap + text if right else text + gap


def _width(text: str) -> int:
    """Columns on a terminal: letters of East Asian scripts take two, combining marks none."""
    wide = (2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text if not unicodedata.combining(char))
    return sum(wide)
