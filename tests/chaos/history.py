"""The recorded history: what every process said, in the order in which the supervisor heard it, and how each ended.

Kept by the supervisor, not by the library under test. Invariant: a line is in the file before anything else happens
with it, so a history that was kept can be judged again at any time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Dot = tuple[str, int]


def dot_of(text: str) -> Dot:
    """A dot as the edges write it: ``actor.seq``."""
    actor, _, seq = text.rpartition(".")
    return actor, int(seq)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a node said ("started", "trying", "acknowledged", ...) or that was done to it ("ended")."""

    node: str
    say: str
    what: dict[str, Any]


@dataclass(slots=True)
class History:
    """All events of a run."""

    path: Path
    events: list[Event] = field(default_factory=list)

    def record(self, node: str, say: str, **what: Any) -> None:
        """Keep an event."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"node": node, "say": say, **what}, ensure_ascii=False) + "\n")
        self.events.append(Event(node, say, what))

    @classmethod
    def kept(cls, path: Path) -> History:
        """A history that was kept."""
        history = cls(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            what = json.loads(line)
            history.events.append(Event(what.pop("node"), what.pop("say"), what))
        return history

    def of(self, node: str) -> Iterator[Event]:
        """What one node said and suffered."""
        return (event for event in self.events if event.node == node)

    @property
    def nodes(self) -> list[str]:
        """Who is in it."""
        return list(dict.fromkeys(event.node for event in self.events))

    def counts(self) -> Counter[str]:
        """How many events of each kind; acknowledged counts writes."""
        counts: Counter[str] = Counter()
        for event in self.events:
            counts[event.say] += len(event.what["writes"]) if event.say == "acknowledged" else 1
        return counts
