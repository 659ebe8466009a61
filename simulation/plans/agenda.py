"""Events while a plan is being made: who is disturbed when, and everything in its order.

Knows intervals, not worlds. Invariant: a node is disturbed by one fault at a time, never more nodes than the budget at
once, and `events` are sorted by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from .actions import AnyAction
from .plan import Event


@dataclass(slots=True)
class Agenda:
    """What has been planned so far.

    Args:
        length_ms: Of the plan.
        budget: How many nodes may be disturbed at once.
    """

    length_ms: int
    budget: int
    _events: list[Event] = field(default_factory=list)
    _disturbed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, at_ms: int, node: str | None, action: AnyAction) -> None:
        """Plan an event that disturbs nobody."""
        assert 0 <= at_ms <= self.length_ms, at_ms
        self._events.append(Event(at_ms=at_ms, node=node, action=action))

    def disturb(self, at_ms: int, for_ms: int, actions: Iterable[tuple[str, AnyAction]]) -> bool:
        """Plan faults of some nodes at one time, all or none; False if one has a fault then, or the budget is spent."""
        wanted = list(actions)
        span = (at_ms, at_ms + for_ms)
        if at_ms > self.length_ms or not self._fits([node for node, _ in wanted], span):
            return False
        for node, action in wanted:
            self._disturbed.setdefault(node, []).append(span)
            self.add(at_ms, node, action)
        return True

    def quiet(self, node: str, start_ms: int, end_ms: int) -> bool:
        """Whether no fault of the node touches this time."""
        return not any(start <= end_ms and start_ms <= end for start, end in self._disturbed.get(node, ()))

    @property
    def count(self) -> int:
        """How many events are planned."""
        return len(self._events)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that is planned, by time; what is due at once in the order in which it was planned."""
        return tuple(sorted(self._events, key=attrgetter("at_ms")))

    def _fits(self, nodes: Sequence[str], span: tuple[int, int]) -> bool:
        others = sum(not self.quiet(node, *span) for node in self._disturbed if node not in nodes)
        return len(nodes) + others <= self.budget and all(self.quiet(node, *span) for node in nodes)
