"""From a trace to what is drawn: a lane for each node over virtual time, with spans, marks and sessions.

Knows rows (`world/chronicle.py` says which there are) and the plan; draws nothing. Invariant: the result is plain JSON
and bounded, however long the run was: what is rare is kept whole, and what is frequent is thinned evenly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..kernel.trace import Row
from ..plans import actions as plan
from ..plans.plan import Plan

MARKS_MAX: Final = 3_000
"""Marks of one kind that are drawn; a report stays below a few megabytes and moves smoothly."""

TEXT_CHARS_MAX: Final = 200

MARKS: Final = {
    "wrote": "write",
    "decided": "decision",
    "conflict": "conflict",
    "settled": "settled",
    "FAULT": "fault",
    "attack": "attack",
    "clock_jump": "clock",
    "clock_skew": "clock",
    "clock_granularity": "clock",
    "backup": "life",
    "clone": "life",
}
"""Rows that become marks, and the kind of mark."""

CLOSED: Final = "closed"
"""Why a process is down that the world has ended in good order, to open its file anew."""

SILENT: Final = frozenset({"state", "net exchange"})
"""Digests of states, and the beginnings of sessions, which have a row of their own when they end."""

_SESSION: Final = re.compile(r"(\S+) (\d+) ms: (.*)", re.DOTALL)
_CONFLICT_OPEN: Final = re.compile(r" open, by ")

Json = dict[str, Any]


@dataclass(slots=True)
class Lanes:
    """What is drawn of one run, collected row by row.

    Attributes:
        names: The nodes, top to bottom.
        spans: (lane, kind, from, to, text): down, paused, disk and clock faults; milliseconds.
        cuts: (lane, lane of the peer, from, to, text): nothing passes between the two.
        marks: (time, lane, kind, text).
        sessions: (lane, lane of the peer, from, to, 1 if it was completed, text).
    """

    plan: Plan
    names: list[str] = field(default_factory=list)
    hubs: set[str] = field(default_factory=set)
    spans: list[tuple[int, str, float, float, str]] = field(default_factory=list)
    cuts: list[tuple[int, int, float, float, str]] = field(default_factory=list)
    marks: dict[str, list[tuple[float, int, str, str]]] = field(default_factory=dict)
    sessions: list[tuple[int, int, float, float, int, str]] = field(default_factory=list)
    born: list[float] = field(default_factory=list)
    begin_ms: float | None = None
    heal_ms: float | None = None
    agreed_ms: float | None = None
    end_ms: float = 0
    _down: dict[str, tuple[float, str]] = field(default_factory=dict)
    _paused: dict[str, float] = field(default_factory=dict)
    _blocked: dict[tuple[str, str], float] = field(default_factory=dict)

    def as_json(self) -> Json:
        """All of it, thinned."""
        kept = {kind: thinned(marks) for kind, marks in self.marks.items()}
        sessions = thinned(self.sessions)
        total = sum(map(len, self.marks.values())) + len(self.sessions)
        shown = sum(map(len, kept.values())) + len(sessions)
        return {
            "names": self.names,
            "roles": [self.role(name) for name in self.names],
            "born": self.born,
            "begin": self.begin_ms or 0,
            "end": self.end_ms,
            "heal": self.heal_ms,
            "agreed": self.agreed_ms,
            "spans": thinned(self.spans),
            "cuts": thinned(self.cuts),
            "marks": sorted(mark for marks in kept.values() for mark in marks),
            "sessions": sessions,
            "thinned": total - shown,
        }

    def take(self, row: Row, *, lost: bool = False) -> None:
        """The next row; `lost`: earlier ones were not kept."""
        now = row.time_us / 1000
        self.end_ms = max(self.end_ms, now)
        if self.begin_ms is None:
            self.begin_ms = now if lost else 0
        match row.what:
            case "healing":
                self.heal_ms = now
            case "agreed":
                self.agreed_ms = now
            case "up":
                self.lane(row.node)
                self._close(self._down, row.node, "down", now)
            case "down":
                self._close_pause(row.node, now)
                self._down.setdefault(row.node, (now, row.detail))
            case "paused":
                self._paused.setdefault(row.node, now)
            case "resumed":
                self._close_pause(row.node, now)
            case "net cut" | "net heal":
                self._way(row, now)
            case "synced" | "sync failed":
                self._session(row, now)
            case _:
                self._mark(row, now)

    def finish(self) -> None:
        """The run is over: what is still open ends here."""
        for node in [*self._down]:
            self._close(self._down, node, "down", self.end_ms)
        for node in [*self._paused]:
            self._close_pause(node, self.end_ms)
        for pair in [*self._blocked]:
            self._open_way(pair, self.end_ms)
        self._plan_spans()

    def lane(self, node: str) -> int:
        """The lane of a node; clones get theirs when they first appear."""
        if node not in self.names:
            self.names.append(node)
            self.born.append(self.end_ms)
        return self.names.index(node)

    def role(self, node: str) -> str:
        """What a node is: "hub", "edge", or "adversary" if the plan knows none of that name."""
        if node in self.hubs:
            return "hub"
        clones = {event.action.as_node for event in self.plan.events if isinstance(event.action, plan.Clone)}
        return "edge" if node in clones | {known.name for known in self.plan.nodes} else "adversary"

    def _close(self, opened: dict[str, tuple[float, str]], node: str, kind: str, now: float) -> None:
        if node in opened:
            since, text = opened.pop(node)
            self.spans.append((self.lane(node), kind, since, now, text))

    def _close_pause(self, node: str, now: float) -> None:
        if node in self._paused:
            self.spans.append((self.lane(node), "paused", self._paused.pop(node), now, "the process was stopped"))

    def _way(self, row: Row, now: float) -> None:
        """A way was cut or healed; "to" and "from" are directions as the first node sees them."""
        peer, _, direction = row.detail.partition(" ")
        both = {"to": [(row.node, peer)], "from": [(peer, row.node)]}
        for pair in both.get(direction, [(row.node, peer), (peer, row.node)]):
            if row.what == "net cut":
                self._blocked.setdefault(pair, now)
            else:
                self._open_way(pair, now)

    def _open_way(self, pair: tuple[str, str], now: float) -> None:
        since = self._blocked.pop(pair, None)
        # Only hubs are called: a cut between two edges cuts off nobody.
        if since is None or since == now or not self.hubs & {*pair}:
            return
        source, target = pair
        lower, upper = (source, target) if target in self.hubs else (target, source)
        way, back = f"from {source} to {target}", f"from {target} to {source}"
        cut = (self.lane(lower), self.lane(upper), since, now)
        if (*cut, f"nothing passes {back}") in self.cuts[-1:]:
            self.cuts[-1] = (*cut, f"nothing passes between {lower} and {upper}")
        else:
            self.cuts.append((*cut, f"nothing passes {way}"))

    def _session(self, row: Row, now: float) -> None:
        found = _SESSION.fullmatch(row.detail)
        if found is None:
            return
        peer, took, said = found.groups()
        done = int(row.what == "synced" and ";" not in said)
        began = max(0, now - int(took))
        self.sessions.append((self.lane(row.node), self.lane(peer), began, now, done, said[:TEXT_CHARS_MAX]))

    def _mark(self, row: Row, now: float) -> None:
        kind = MARKS.get(row.what)
        if kind is None:
            return
        if kind == "conflict" and not _CONFLICT_OPEN.search(row.detail):
            kind = "settled"
        text = f"{row.what.replace('_', ' ')}: {row.detail}".removeprefix("FAULT: ")
        lane = self.lane(row.node) if row.node else -1
        self.marks.setdefault(kind, []).append((now, lane, kind, text[:TEXT_CHARS_MAX]))

    def _plan_spans(self) -> None:
        """Faults of disks and clocks: the plan says when they begin, and all of the disk's end when healing begins."""
        last = self.heal_ms if self.heal_ms is not None else self.end_ms
        for event in self.plan.events:
            kind = _fault_of(event.action)
            if kind is None or event.node not in self.names or event.at_ms > last:
                continue
            for_ms = getattr(event.action, "for_ms", None)
            ends = last if for_ms is None else min(last, event.at_ms + for_ms)
            name = event.action.name.replace("_", " ")
            self.spans.append((self.lane(event.node), kind, event.at_ms, ends, name))


def lanes_of(drawn: Plan, rows: Iterable[Row], *, lost: bool = False) -> Lanes:
    """What is drawn of a run; `lost`: its first rows were not kept."""
    lanes = Lanes(drawn)
    for node in drawn.nodes:
        lanes.lane(node.name)
    lanes.hubs = {node.name for node in drawn.hubs}
    for row in rows:
        lanes.take(row, lost=lost)
    lanes.finish()
    return lanes


def thinned(items: Sequence[Any], most: int = MARKS_MAX) -> list[Any]:
    """Evenly chosen items, the first and the last among them; all if they are few."""
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / (most - 1)
    return [items[round(at * step)] for at in range(most)]


def _fault_of(action: object) -> str | None:
    if isinstance(action, plan.ClockFreeze):
        return "clock"
    if isinstance(action, plan.Storage) and not isinstance(action, plan.SpaceReturns):
        return "disk"
    return None


def around(rows: Sequence[Row], at: int, count: int) -> Iterator[Row]:
    """The rows before and behind a position, without those that say nothing to people."""
    told = [(position, row) for position, row in enumerate(rows) if row.what not in SILENT]
    before = [row for position, row in told if position <= at][-count:]
    after = [row for position, row in told if position > at][: count // 4]
    yield from (*before, *after)
