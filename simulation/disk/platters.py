"""The files of a machine that may lose power: what each holds for certain, and what was done to it since.

Knows nothing of SQLite's driver; the file system in `crash_vfs.py` reports to it. Invariants: a change is certain after
a sync of its file, a name after a sync of its folder; when the power is off nothing is read or written any more.
Not modelled: renames (SQLite makes none), writes that land elsewhere, and disks that lie about a sync.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .choices import Choices
from .conditions import Failure
from .torn import Change, after_power_cut


@dataclass(slots=True)
class PlatterFile:
    """One file.

    Attributes:
        changes: Since its last sync.
        named: Whether its name is certain to be in the folder.
        gone: What an unlinked file of this name held, while the unlinking is not certain.
    """

    changes: list[Change] = field(default_factory=list)
    named: bool = True
    gone: bytes | None = None


class Platters:
    """The disk of one machine."""

    def __init__(self) -> None:
        self.powered = True
        self.abandoned = False
        self.failure: Failure | None = None
        self.operations = 0
        self._left: int | None = None
        self._files: dict[str, PlatterFile] = {}

    def cut_after(self, operations: int) -> None:
        """Let the power fail during the operation (write, sync, truncation, unlinking) after so many more."""
        self._left = operations

    def count(self) -> bool:
        """Count an operation; whether the power fails during it."""
        self.operations += 1
        if self._left is None:
            return False
        self._left -= 1
        if self._left < 0:
            self.powered = False
        return not self.powered

    def file(self, path: str) -> PlatterFile:
        """The file of this path."""
        return self._files.setdefault(path, PlatterFile())

    def created(self, path: str) -> None:
        """A file was made; its name is not certain yet."""
        self.file(path).named = False

    def unlinked(self, path: str, content: bytes) -> None:
        """A file was unlinked; that is not certain yet."""
        old = self._files.pop(path, None) or PlatterFile()
        if old.named:
            self._files[path] = PlatterFile(old.changes, named=True, gone=content)

    def folder_synced(self) -> None:
        """All names are certain."""
        for file in self._files.values():
            file.named = True
            if file.gone is not None:
                file.gone = None
                file.changes = []

    def take_over(self, other: Platters, source: Path, target: Path) -> None:
        """`target` is a copy of the file `source` of `other`, made by nobody: what was uncertain there is so here."""
        if str(source) in other._files:
            self._files[str(target)] = other._files[str(source)]

    def image(self, source: Path, target: Path, choices: Choices, stream: str) -> None:
        """Write what the file `source` is after a power cut to `target`, if it is there at all."""
        file = self._files.get(str(source), PlatterFile())
        if source.exists():
            if not file.named and choices.draw(stream, 2):
                return
            target.write_bytes(after_power_cut(source.read_bytes(), file.changes, choices, stream))
        elif file.gone is not None and choices.draw(stream, 2):
            target.write_bytes(after_power_cut(file.gone, file.changes, choices, stream))
