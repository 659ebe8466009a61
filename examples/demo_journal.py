"""The journal: every write that a device acknowledged, as the parent process received it.

It is kept by the parent and not by the library under test. Invariant: a line is in the file before anything else
happens with the acknowledgement, so that a kept directory can be audited again at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

Place = tuple[str, str]
"""Collection and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One acknowledged write.

    Attributes:
        edge, index: Which device, and its how-manieth acknowledgement.
        round: Rounds end when all devices have met and hold the same; so a write has seen all earlier rounds.
        op: "put" (whole record), "update" (some fields) or "delete".
        collection, key, fields: What was written where.
        actor, seq: The dot of the receipt, its name for ever.
        clock: Its hybrid timestamp, which ranks concurrent writes.
        decides: The conflict that it decides, if it does.
    """

    edge: str
    index: int
    round: int
    op: str
    collection: str
    key: str
    fields: dict[str, Any]
    actor: str
    seq: int
    clock: int
    decides: str | None = None

    @property
    def place(self) -> Place:
        """The record that was written."""
        return self.collection, self.key

    @property
    def dot(self) -> tuple[str, int]:
        """The name of the write."""
        return self.actor, self.seq

    def has_seen(self, other: Entry) -> bool:
        """Whether the author of this write knew of the other: causality by the parent's own knowledge."""
        if self.round != other.round:
            return self.round > other.round
        return self.edge == other.edge and self.index > other.index


@dataclass(slots=True)
class Journal:
    """All entries, and the writes that were under way when a device was killed.

    Attributes:
        entries: In the order of their arrival.
        unanswered: Records for which a killed device had an order and gave no answer: there or not, both are right.
        round: The current round.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    unanswered: set[Place] = field(default_factory=set)
    round: int = 1
    _counts: dict[str, int] = field(default_factory=dict)

    def acknowledge(self, edge: str, write: dict[str, Any]) -> None:
        """Keep an acknowledgement."""
        self._counts[edge] = index = self._counts.get(edge, 0) + 1
        entry = Entry(edge=edge, index=index, round=self.round, **write)
        self._append([{"acknowledged": asdict(entry)}])
        self.entries.append(entry)

    def leave_unanswered(self, places: Iterable[Place]) -> None:
        """Note the writes that a killed device was busy with."""
        places = set(places)
        self._append({"unanswered": place} for place in sorted(places))
        self.unanswered |= places

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a journal that was kept."""
        journal = cls(path)
        with path.open(encoding="utf-8") as file:
            for line in map(json.loads, file):
                if "acknowledged" in line:
                    journal.entries.append(Entry(**line["acknowledged"]))
                else:
                    collection, key = line["unanswered"]
                    journal.unanswered.add((collection, key))
        return journal

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
