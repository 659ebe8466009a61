"""Gives a copy of a file whose list of tables is damaged the list of a fresh file.

Knows nothing of rows. A file's tables are made by the same script in the same order, so they begin on the same pages as
those of a fresh file; where they do not (a file that was brought up from an older format), what is read is not what it
must be, and whoever reads finds that out. Invariant: the damaged file is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HEADER_BYTES: Final = 100
"""What stands before the root of the list of tables, on the first page."""

_BRANCH: Final = 5
"""The first byte of a page that only names others."""


def graft(source: Path, fresh: Path, target: Path) -> None:
    """Copy a file, and its log, with the list of tables of a fresh one.

    Raises:
        OSError: The disk fails or is full.
    """
    shutil.copyfile(source, target)
    log = source.with_name(f"{source.name}-wal")
    if log.exists():
        shutil.copyfile(log, target.with_name(f"{target.name}-wal"))
    pages = fresh.read_bytes()
    size = int.from_bytes(pages[16:18], "big")
    first = bytearray(pages[:size])
    first[18:20] = b"\2\2"  # it has a log
    first[28:32] = (target.stat().st_size // size).to_bytes(4, "big")
    first[32:40] = bytes(8)  # nothing is written to it, so no page need be known as free
    with target.open("r+b") as file:
        file.write(first)
        for number in _branches(first):
            file.seek((number - 1) * size)
            file.write(pages[(number - 1) * size : number * size])


def _branches(first: bytes | bytearray) -> Iterator[int]:
    """The other pages of the list of tables; it is never so long that those name further ones."""
    if first[HEADER_BYTES] != _BRANCH:
        return
    cells, head = int.from_bytes(first[HEADER_BYTES + 3 : HEADER_BYTES + 5], "big"), HEADER_BYTES + 12
    for at in range(head, head + 2 * cells, 2):
        place = int.from_bytes(first[at : at + 2], "big")
        yield int.from_bytes(first[place : place + 4], "big")
    yield int.from_bytes(first[HEADER_BYTES + 8 : HEADER_BYTES + 12], "big")
