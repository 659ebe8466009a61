"""What a power cut leaves of the witness beside a database: it is never synced, so any of its states may be left.

Knows nothing of what a witness says. Invariant: the state in which the machine found the file at its start is certain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .choices import Choices
from .images import WITNESS

KEPT_MAX: Final = 64
"""States that are remembered besides the first."""


class WitnessNotes:
    """The states that a side file has had."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / WITNESS
        self._states: list[bytes | None] = [self._present()]

    def look(self) -> None:
        """Remember the present state."""
        state = self._present()
        if state != self._states[-1]:
            if self._states[-1] is None:
                self._states.append(b"")  # the name got to the disk, the content did not
            self._states.append(state)
            if len(self._states) > KEPT_MAX:
                del self._states[1]

    def go_on(self, folder: Path) -> None:
        """The file stands in another folder, as it was."""
        self._path = folder / WITNESS

    def power_cut(self, target: Path, choices: Choices, stream: str) -> None:
        """Write one of the states into a folder: the last as often as all others together."""
        self.look()
        count = len(self._states)
        at = choices.draw(stream, count) if choices.draw(stream, 2) else count - 1
        state = self._states[at]
        if state is not None:
            (target / WITNESS).write_bytes(state)

    def _present(self) -> bytes | None:
        return self._path.read_bytes() if self._path.exists() else None
