"""Progress of long work, on stderr and only on a terminal.

Knows nothing of the work. Invariant: without a terminal nothing is printed, so logs and pipes stay clean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_ERASE_LINE = "\r\x1b[K"


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar up to `total`; gives a function that is told how far the work is."""
    with click.progressbar(length=max(total, 1), label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as shown:
        yield lambda position: shown.update(min(position, total) - shown.pos)


@contextmanager
def counter() -> Iterator[Callable[[str], None]]:
    """A line that changes, for work without a known end; gives a function that is told what to show."""
    terminal = sys.stderr.isatty()

    def show(text: str) -> None:
        if terminal:
            click.echo(_ERASE_LINE + text, err=True, nl=False)

    try:
        yield show
    finally:
        show("")
