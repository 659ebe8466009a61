"""The network of a generated plan: partitions, outages of one direction, bad links, flapping, and nodes long offline.

Knows names of nodes, no work. Invariant: every condition ends by itself, so leaving any event out leaves a plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .actions import Cut, Direction, Flap, Quality
from .agenda import Agenda
from .dice import Dice

Partitions: TypeAlias = Literal["none", "light", "medium", "heavy"]

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """How bad it is: conditions for each node, the longest as a share of the plan, and how many are long offline."""

    per_node: int
    longest_per_mille: int
    offline_per_mille: int


LEVELS: Final[dict[Partitions, _Level]] = {
    "none": _Level(per_node=0, longest_per_mille=0, offline_per_mille=0),
    "light": _Level(per_node=1, longest_per_mille=50, offline_per_mille=0),
    "medium": _Level(per_node=2, longest_per_mille=150, offline_per_mille=100),
    "heavy": _Level(per_node=4, longest_per_mille=400, offline_per_mille=400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Draws conditions of links.

    Attributes:
        hubs, edges: Names.
        kinds: Which faults of the network are on.
    """

    dice: Dice
    hubs: tuple[str, ...]
    edges: tuple[str, ...]
    kinds: tuple[str, ...]
    level: _Level

    def fill(self, agenda: Agenda) -> None:
        """Plan the conditions."""
        if not self.kinds or not self.level.per_node:
            return
        for _ in range(self.dice.between(1, self.level.per_node * len(self.edges))):
            longest_ms = agenda.length_ms * self.level.longest_per_mille // 1_000
            for_ms = self.dice.span(100, longest_ms)
            at_ms = self.dice.between(0, agenda.length_ms)
            agenda.add(at_ms, None, self._condition(self.dice.pick(self.kinds), for_ms))
        if "cut" in self.kinds:
            for edge in self.dice.some(self.edges, self.level.offline_per_mille):
                self._long_offline(agenda, edge)

    def _long_offline(self, agenda: Agenda, edge: str) -> None:
        at_ms = self.dice.between(0, agenda.length_ms // 4)
        for_ms = self.dice.between(agenda.length_ms // 2, agenda.length_ms)
        agenda.add(at_ms, None, Cut(group=(edge,), for_ms=max(1, for_ms)))

    def _condition(self, kind: str, for_ms: int) -> Cut | Flap | Quality:
        group, peers = self._sides()
        match kind:
            case "cut":
                return Cut(group=group, peers=peers, for_ms=for_ms)
            case "one_way":
                direction: Direction = "to" if self.dice.chance(500) else "from"
                return Cut(group=group, peers=peers, direction=direction, for_ms=for_ms)
            case "isolate_hub":
                return Cut(group=(self.dice.pick(self.hubs),), for_ms=for_ms)
            case "flap":
                down_ms, up_ms = self.dice.span(100, 20_000), self.dice.span(100, 20_000)
                return Flap(group=group, peers=peers, down_ms=down_ms, up_ms=up_ms, for_ms=for_ms)
            case _:
                return self._quality(kind, group, peers, for_ms)

    def _quality(self, kind: str, group: tuple[str, ...], peers: tuple[str, ...], for_ms: int) -> Quality:
        if kind == "loss":
            return Quality(group=group, peers=peers, loss_per_mille=self.dice.between(1, 300), for_ms=for_ms)
        if kind == "breaks":  # for longer, and in the middle of what small sessions say as well
            loss, most = self.dice.between(100, 600), self.dice.pick((500, 1_500, 5_000))
            length_ms = for_ms + self.dice.between(MINUTE_MS, 5 * MINUTE_MS)
            return Quality(group=group, peers=peers, loss_per_mille=loss, reset_after_bytes_max=most, for_ms=length_ms)
        if kind == "midway":  # behind the hello: what came of a session stays, and the rest is missing
            loss, least = self.dice.between(200, 700), self.dice.pick((250, 400, 600, 1_000))
            length_ms = for_ms + self.dice.between(MINUTE_MS, 5 * MINUTE_MS)
            return Quality(
                group=group,
                peers=peers,
                loss_per_mille=loss,
                reset_after_bytes_min=least,
                reset_after_bytes_max=least * 3,
                for_ms=length_ms,
            )
        if kind == "corruption":
            share, length_ms = self.dice.between(10, 500), for_ms + self.dice.between(MINUTE_MS, 5 * MINUTE_MS)
            return Quality(group=group, peers=peers, corrupt_per_mille=share, for_ms=length_ms)
        if kind == "replay":
            again, old = self.dice.between(0, 300), self.dice.between(1, 500)
            return Quality(group=group, peers=peers, duplicate_per_mille=again, replay_per_mille=old, for_ms=for_ms)
        least_ms = self.dice.span(1, 2_000)
        return Quality(
            group=group,
            peers=peers,
            latency_ms_min=least_ms,
            latency_ms_max=least_ms * self.dice.between(1, 10),
            bytes_per_s=self.dice.pick((0, 1_000, 20_000, 1_000_000)),
            for_ms=for_ms,
        )

    def _sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """One edge or some, and one hub or all."""
        group = self.dice.some(self.edges) if self.dice.chance(300) else ()
        return group or (self.dice.pick(self.edges),), (self.dice.pick(self.hubs),)
