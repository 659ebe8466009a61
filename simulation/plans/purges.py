"""Who decides in a generated plan, what it purges, and who is away meanwhile and comes back.

Draws from a stream of its own, when all else is drawn. Invariant: what is planned here is within the atlas, and shifts
nothing that other parts of the plan draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .actions import Cut, Delete, Expire, HandOver, Purge, Restore, Seize
from .agenda import Agenda
from .dice import Dice
from .plan import CollectionPlan, NodePlan

_EVERY_MS: Final = (1_000, 30_000, 300_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purges:
    """Draws purges, members that are left out, and changes of who decides.

    Attributes:
        dice: Where from.
        hubs, edges: Names.
        collections, keys: Where records are deleted.
    """

    dice: Dice
    hubs: tuple[str, ...]
    edges: tuple[str, ...]
    collections: Sequence[CollectionPlan]
    keys: int

    def fill(self, agenda: Agenda, fleet: tuple[NodePlan, ...], *, cuts: bool) -> tuple[NodePlan, ...]:
        """Plan all of it, `cuts` if links may be cut; gives the nodes, each with how long it waits for others."""
        self._events(agenda, cuts=cuts)
        return self._patience(fleet, agenda.length_ms)

    def _patience(self, fleet: tuple[NodePlan, ...], length_ms: int) -> tuple[NodePlan, ...]:
        every_ms = self.dice.pick((*_EVERY_MS, max(1, length_ms // 50)))
        silent_ms = self.dice.span(max(1, length_ms // 20), length_ms) if self.dice.chance(300) else None
        return tuple(replace(node, purge_every_ms=every_ms, silent_after_ms=silent_ms) for node in fleet)

    def _events(self, agenda: Agenda, *, cuts: bool) -> None:
        decides = self.hubs[0] if self.dice.chance(850) else self.dice.pick((*self.hubs, *self.edges))
        agenda.add(self.dice.between(0, agenda.length_ms // 5), decides, Seize())
        for _ in range(self.dice.between(3, 10)):
            agenda.add(self._moment(agenda), self._anybody(), self._delete())
        for _ in range(self.dice.between(2, 5)):
            agenda.add(self._moment(agenda), self.dice.pick((decides, self._anybody())), Purge())
        for _ in range(self.dice.between(1, 2)):
            self._absence(agenda, decides, cuts=cuts)
        if self.dice.chance(300):
            self._succession(agenda, decides)

    def _absence(self, agenda: Agenda, decides: str, *, cuts: bool) -> None:
        """An edge is cut off, left out, and comes back: mostly behind a purge."""
        away = self.dice.pick(self.edges)
        for_ms = self.dice.between(agenda.length_ms // 8, agenda.length_ms // 2)
        at_ms = self.dice.between(agenda.length_ms // 8, agenda.length_ms - for_ms // 2)
        if cuts:
            agenda.add(at_ms, None, Cut(group=(away,), for_ms=for_ms))
        out_ms = min(agenda.length_ms, at_ms + self.dice.between(1, for_ms // 4))
        back_ms = min(agenda.length_ms, at_ms + for_ms)
        agenda.add(out_ms, decides, Expire(member=away))
        for _ in range(self.dice.between(1, 3)):
            agenda.add(self.dice.between(out_ms, back_ms), self._anybody(), self._delete())
            agenda.add(self.dice.between(out_ms, back_ms), decides, Purge())
        if self.dice.chance(200):
            agenda.add(self.dice.between(out_ms, agenda.length_ms), decides, Restore(member=away))

    def _succession(self, agenda: Agenda, decides: str) -> None:
        """Somebody else decides from some moment on: it was told to, or takes it."""
        heir = self.dice.pick([name for name in (*self.hubs, *self.edges) if name != decides])
        at_ms = self._moment(agenda)
        if self.dice.chance(500):
            agenda.add(at_ms, decides, HandOver(member=heir))
        else:
            agenda.add(at_ms, heir, Seize())
        for _ in range(2):
            agenda.add(self.dice.between(at_ms, agenda.length_ms), heir, Purge())

    def _delete(self) -> Delete:
        return Delete(collection=self.dice.pick(self.collections).name, key=f"k{self.dice.between(0, self.keys - 1)}")

    def _anybody(self) -> str:
        return self.dice.pick((*self.hubs, *self.edges))

    def _moment(self, agenda: Agenda) -> int:
        return self.dice.between(0, agenda.length_ms)
