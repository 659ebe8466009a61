"""The trace of a world: what happened when and where, and a hash that two equal runs share.

Knows nothing of engines. Invariants: memory is bounded unless everything is asked for; the hash covers every row, every
step of the loop and every state digest that was handed in, kept or not; rows hold no addresses and no real time.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

ROWS_KEPT: Final = 2_000
"""Rows that are kept when not all are asked for."""


class Row(NamedTuple):
    """One event."""

    time_us: int
    node: str
    what: str
    detail: str


class Trace:
    """Collects rows.

    Args:
        keep: The last so many rows are kept; None keeps all.
        steps: Whether each step of the loop becomes a row, to find where two runs part. The hash covers steps anyway.

    Attributes:
        count: How many rows there were.
    """

    def __init__(self, keep: int | None = ROWS_KEPT, *, steps: bool = False) -> None:
        self.count = 0
        self.steps = steps
        self._rows: deque[Row] = deque(maxlen=keep)
        self._hash = blake2b(digest_size=16)
        self._sealed = ""

    def add(self, time_us: int, node: str, what: str, detail: str = "") -> None:
        """Add a row."""
        self.count += 1
        row = Row(time_us, node, what, detail)
        self._rows.append(row)
        self._hash.update(json.dumps(row).encode())

    def state(self, time_us: int, node: str, digest: bytes) -> None:
        """Add the digest of a node's state: a schedule alone can be the same while the data differ."""
        self.add(time_us, node, "state", digest.hex())

    def ran(self, numbers: Sequence[int]) -> None:
        """Take in the numbers of the callbacks that the loop ran, in their order."""
        words = array("Q", numbers)
        self._hash.update(b"steps %d " % len(words) + words.tobytes())

    def digest(self) -> str:
        """The hash of everything so far, in hex."""
        return self._sealed or self._hash.hexdigest()

    def __getstate__(self) -> tuple[int, bool, deque[Row], str]:
        # A hash cannot travel to another process; a trace that does is complete.
        return self.count, self.steps, self._rows, self.digest()

    def __setstate__(self, state: tuple[int, bool, deque[Row], str]) -> None:
        self.count, self.steps, self._rows, self._sealed = state

    def without_rows(self) -> Trace:
        """The same count and hash, and nothing to look at: for the many traces that nobody will read."""
        lean = Trace(0, steps=self.steps)
        lean.count, lean._sealed = self.count, self.digest()
        return lean

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def text(self) -> str:
        """The kept rows as aligned columns; the first line says how many are missing."""
        return render(self._rows, missing=self.count - len(self._rows))

    def json_lines(self) -> Iterator[str]:
        """The kept rows as JSON objects, one to a line."""
        for row in self._rows:
            yield json.dumps(row._asdict(), ensure_ascii=False)


def render(rows: Iterable[Row], *, missing: int = 0) -> str:
    """Rows as text: time, node, event and detail in columns."""
    cells = [(clock_text(row.time_us), row.node or "-", row.what, row.detail) for row in rows]
    widths = [max((len(cell[column]) for cell in cells), default=0) for column in range(3)]
    lines = [f"... {missing} earlier rows are not kept"] if missing else []
    for time, node, what, detail in cells:
        line = f"{time:>{widths[0]}}  {node:<{widths[1]}}  {what:<{widths[2]}}  {detail}"
        lines.append(line.rstrip().replace("\n", "\\n"))
    return "\n".join(lines)


def clock_text(time_us: int) -> str:
    """A virtual moment as `1d 02:03:04.000005`."""
    seconds, micros = divmod(time_us, 1_000_000)
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{micros:06}"
    return f"{days}d {clock}" if days else clock


def first_difference(left: Iterable[Row], right: Iterable[Row]) -> tuple[int, Row | None, Row | None] | None:
    """Where two traces part: the position and both rows (None where one has ended); None if they are equal."""
    ours, theirs = list(left), list(right)
    for position in range(max(len(ours), len(theirs))):
        mine = ours[position] if position < len(ours) else None
        other = theirs[position] if position < len(theirs) else None
        if mine != other:
            return position, mine, other
    return None
