"""What each node went through, in numbers: the timeline as a table, for those who do not see it.

Knows lanes, no markup. Invariant: counts are of everything that was drawn from, not of what was thinned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .lanes import CLOSED, Lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNumbers:
    """One node.

    Attributes:
        name, role: Which: "hub", "edge" or "adversary".
        writes: Operations of its own; conflicts: that it found, open or settled.
        syncs, cut_off: Sessions that it began and ended, and those that were cut off or incomplete.
        downs, down_ms, paused_ms: How often and how long its process was down or stopped.
        cut_ms: How long some way to a hub was cut, added up over hubs and directions.
    """

    name: str
    role: str
    writes: int
    conflicts: int
    syncs: int
    cut_off: int
    downs: int
    down_ms: float
    paused_ms: float
    cut_ms: float


def nodes_of(lanes: Lanes) -> Iterator[NodeNumbers]:
    """Each node, in the order of the lanes."""
    for lane, name in enumerate(lanes.names):
        marks = {kind: sum(mark[1] == lane for mark in found) for kind, found in lanes.marks.items()}
        done = [session[4] for session in lanes.sessions if session[0] == lane]
        spans = [(kind, to - since) for at, kind, since, to, why in lanes.spans if at == lane and why != CLOSED]
        yield NodeNumbers(
            name=name,
            role=lanes.role(name),
            writes=marks.get("write", 0) + marks.get("decision", 0),
            conflicts=marks.get("conflict", 0) + marks.get("settled", 0),
            syncs=sum(done),
            cut_off=len(done) - sum(done),
            downs=sum(kind == "down" for kind, _ in spans),
            down_ms=sum(lasted for kind, lasted in spans if kind == "down"),
            paused_ms=sum(lasted for kind, lasted in spans if kind == "paused"),
            cut_ms=sum(to - since for at, _, since, to, _ in lanes.cuts if at == lane),
        )
