"""One operation as the harness observed it, and the sets that operations make.

A value; knows no history and asks the engine for nothing. Invariant: it says what its author submitted and had seen,
and nothing that followed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from .image import Name, Place, Value

Known = dict[Place, int]
"""Record -> the set of operations on it, as bits of an integer (numbered by the model)."""


class Kind(IntEnum):
    """What a log row tells of (docs/file-format.md)."""

    PUT = 1
    UPDATE = 2
    DELETE = 3
    DECIDE = 4
    MERGE = 5
    REISSUE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """One operation.

    Attributes:
        node, name, place: Who wrote it, its stamp, which record.
        seen: The operations that stood in the record as its author had read it.
        writes: Field -> value. Of operations that one transaction wrote over again, only what was submitted is known.
        clears: Fields that it removed; None: all that it does not write (a put), but for values of types that are no
            registers, unless `reborn`: its author saw no living record.
        alive, birth, decision: As its stamp and the existence say.
        lsn: Its transaction at the author.
        renames: The operation whose new name this is.
        stale: What had changed since its author read it, though the write was to happen on what it had read; else "".
    """

    node: str
    name: Name
    place: Place
    seen: frozenset[Name]
    writes: Mapping[str, Value] = field(default_factory=dict)
    clears: frozenset[str] | None = frozenset()
    alive: bool = True
    birth: bool = False
    reborn: bool = False
    decision: bool = False
    lsn: int = 0
    renames: Name | None = None
    stale: str = ""

    def governs(self, name: str, *, register: bool) -> bool:
        """Whether it replaces what its author had seen in this field."""
        if name in self.writes:
            return True
        return name in self.clears if self.clears is not None else self.reborn or register

    def __str__(self) -> str:
        what = "delete" if not self.alive else "put" if self.clears is None else "update"
        said = ", ".join(f"{name}={value}" for name, value in sorted(self.writes.items()))
        gone = ", ".join(f"-{name}" for name in sorted(self.clears or ()))
        return f"{self.name} by {self.node}: {what} {said}{' ' if said and gone else ''}{gone}".rstrip(": ")
