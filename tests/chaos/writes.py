"""The writes of a history as a graph: which write had seen which, by what was said before it was made.

Knows nothing of the engine's files. Invariant: a write's parents are the dots that its record's state had when it was
written (the write would have been refused otherwise), so causality here needs no vector and no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .history import Dot, Event, History, dot_of

WRITING = {"put", "update", "delete", "transact"}
UNKNOWN = {"file-unreadable"}
"""Refusals after which a write may be there all the same: its commit was written and could not be made certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of one record.

    Attributes:
        node, op, key, value: Who wrote what where; the value is None for a delete.
        parents: The record's frontier as its author read it.
        dot, clock: As acknowledged; of a write in doubt the dot that it has if it happened, and no clock.
        group: Number of its transaction in the history.
        doubtful: Whether its process was killed before it acknowledged.
    """

    node: str
    op: str
    key: str
    value: str | None
    parents: frozenset[Dot]
    dot: Dot
    clock: int | None = None
    group: int = 0
    doubtful: bool = False


@dataclass(slots=True)
class Writes:
    """All writes that are known to have happened, and those that may have.

    Attributes:
        happened: By dot.
        doubtful: Written by processes that were killed before they said more, by dot.
        faults: What is wrong with the order of the numbers, in words.
    """

    happened: dict[Dot, Write] = field(default_factory=dict)
    doubtful: dict[Dot, Write] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _pasts: dict[Dot, frozenset[Dot]] = field(default_factory=dict)

    @classmethod
    def of(cls, history: History) -> Writes:
        """Read a history."""
        writes = cls()
        for node in history.nodes:
            reading = _Reading(node)
            for write in reading.read(history.of(node)):
                writes._add(write)
            writes.faults += reading.faults
        for dot in writes.happened.keys() & writes.doubtful.keys():
            del writes.doubtful[dot]  # the number was given to another write, so that one never happened
        return writes

    def settle_doubt(self, vector: dict[str, int]) -> None:
        """Let those doubtful writes count that a vector covers, whole transactions only."""
        groups: dict[tuple[str, int], set[bool]] = defaultdict(set)
        for dot, write in self.doubtful.items():
            there = vector.get(dot[0], 0) >= dot[1]
            groups[write.node, write.group].add(there)
            if there:
                self.happened[dot] = write
        torn = [f"{node}: a transaction was torn by a kill" for (node, _), seen in groups.items() if len(seen) > 1]
        self.faults += torn
        self._pasts.clear()

    def past(self, dot: Dot) -> frozenset[Dot]:
        """All writes that the author of this one had seen of its record, the write itself included."""
        stack = [dot]
        while stack:
            top = stack[-1]
            parents = self.happened[top].parents & self.happened.keys() if top in self.happened else frozenset()
            missing = [parent for parent in parents if parent not in self._pasts]
            if missing:
                stack += missing
                continue
            self._pasts[top] = frozenset({top}.union(*(self._pasts[parent] for parent in parents)))
            stack.pop()
        return self._pasts[dot]

    def covers(self, frontier: Iterable[Dot], dot: Dot) -> bool:
        """Whether a state with this frontier has seen a write."""
        return any(dot in self.past(each) for each in frontier)

    def unseen(self, among: Iterable[Write]) -> list[Write]:
        """The writes that no other of them had seen."""
        writes = list(among)
        seen = {dot for write in writes for dot in self.past(write.dot) if dot != write.dot}
        return [write for write in writes if write.dot not in seen]

    def by_key(self) -> dict[str, list[Write]]:
        """The writes of each record."""
        found: dict[str, list[Write]] = defaultdict(list)
        for write in self.happened.values():
            found[write.key].append(write)
        return found

    def _add(self, write: Write) -> None:
        into = self.doubtful if write.doubtful else self.happened
        if write.dot in self.happened and not write.doubtful:
            self.faults.append(f"{write.node}: the dot {write.dot} was given twice")
        into[write.dot] = write


class _Reading:
    """Reads what one node said, in order."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.faults: list[str] = []
        self._trying: list[Write] = []
        self._doubt: list[Write] = []
        self._last: Dot = ("", 0)
        self._group = 0

    def read(self, events: Iterable[Event]) -> Iterator[Write]:
        """Its writes, acknowledged or in doubt; what was refused for good is left out."""
        for event in events:
            match event.say:
                case "started":
                    yield from self._start(event.what["actor"], event.what["seq"])
                case "trying":
                    self._group += 1
                    self._trying = [*_tried(event, self._last, self._group)]
                case "acknowledged":
                    for write, told in zip(self._trying, event.what["writes"], strict=True):
                        self._last = dot_of(told["dot"])
                        yield replace(write, dot=self._last, clock=told["clock"], doubtful=False)
                    self._trying = []
                case "refused" if event.what["order"] in WRITING:
                    if event.what["code"] in UNKNOWN:
                        yield from self._trying
                    self._trying = []
                case "ended":
                    self._doubt, self._trying = self._trying, []
        yield from self._doubt

    def _start(self, actor: str, seq: int) -> Iterator[Write]:
        """What was in doubt happened as far as the file counts."""
        if actor == self._last[0] and seq < self._last[1]:
            self.faults.append(f"{self.node}: it had acknowledged {self._last[1]} writes and starts with {seq}")
        happened = [write for write in self._doubt if write.dot <= (actor, seq) and write.dot[0] == actor]
        if 0 < len(happened) < len(self._doubt):
            self.faults.append(f"{self.node}: a transaction was torn by a kill")
        yield from happened
        self._doubt, self._last = [], (actor, seq)


def _tried(event: Event, last: Dot, group: int) -> Iterator[Write]:
    what = zip(event.what["ops"], event.what["keys"], event.what["values"], event.what["frontiers"], strict=True)
    for offset, (op, key, value, frontier) in enumerate(what, start=1):
        yield Write(
            node=event.node,
            op=op,
            key=key,
            value=value,
            parents=frozenset(map(dot_of, frontier)),
            dot=(last[0], last[1] + offset),
            group=group,
            doubtful=True,
        )
