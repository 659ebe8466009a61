"""I1: an operation that a node has stood for stays: visible, superseded by one that saw it, or under a new name.

What is promised exactly:

- A node keeps every operation that it has acknowledged or taken in as long as its file lives: through crashes,
  restarts and power cuts (durability full). To keep means that the operation is visible, or that one that is visible
  had seen it, directly or through others; or that it was given a new name, which is kept in its place.
- A file that is rolled back (a restore, a lost disk, a power cut with durability normal) owes only what it then holds.
- What was deleted may be gone for good, with all that its delete had seen, once a node has dropped it as purging
  allows (observed/purged.py): then it is enough that the vector claims it.
- What stood in another node's file comes back with the first completed session with a node that has it.
- What stood in no other file when the only one was lost or rolled back is gone: nothing is promised of it.
- A sibling of a conflict whose value is discarded stands in the ledger of each node that showed it.
- Once all is healed, every operation that any node has stands at every node.
"""

from __future__ import annotations

from typing import ClassVar

from ..observed.image import Place
from ..observed.operation import Known
from .view import Checker, NodeView, WorldView, gained, gone_here, judged, listed, names_of, observed

_LEDGER = (
    "SELECT count(*) FROM ledger l JOIN place r ON r.id = l.record JOIN collection c ON c.id = r.collection"
    " JOIN actor a ON a.id = l.node WHERE c.name = ? AND r.key = ? AND l.field = ? AND a.actor = ? AND l.seq = ?"
)


class Acknowledged(Checker):
    """Nothing that was stored is lost."""

    name: ClassVar[str] = "I1 no stored write is lost"

    def __init__(self) -> None:
        self._events = 0

    def step(self, world: WorldView, node: NodeView) -> None:
        """What the node owes stands behind its records, and what it discarded is in its ledger."""
        seen = observed(world, node)
        self._exist(world)
        for place in sorted(seen.owed):
            self._kept(world, node, place, seen.owed[place], "it has stood here")
        for place, field, name in seen.discarded:
            (count,) = node.connection.execute(_LEDGER, (*place, field, name.actor, name.seq)).fetchone()
            if not count:
                what = f"the sibling {name} of {field} was discarded and is not in the ledger"
                raise self.fail(node, place, what, field=field, sibling=str(name))
        self._sessions(world)

    def end(self, world: WorldView) -> None:
        """Everyone has everything."""
        self._exist(world)
        self._sessions(world)
        for node in world.nodes:
            for other in world.nodes:
                for place, bits in sorted(observed(world, other).known.items()):
                    self._kept(world, node, place, bits, f"it stands at {other.name} after healing")

    def _exist(self, world: WorldView) -> None:
        for node, dot in world.history.phantoms:
            raise self.fail(node, None, f"a caller has the receipt of {dot}, which was never committed", dot=str(dot))

    def _sessions(self, world: WorldView) -> None:
        """Sessions that were completed since the last step: each side has what the other had when they began."""
        since, self._events = self._events, len(world.history.events)
        for node, gain in gained(world, since):
            self._has(world, node, gain.had, gain.peer)

    def _has(self, world: WorldView, node: NodeView, had: Known, peer: str) -> None:
        for place, bits in sorted(had.items()):
            why = f"{peer} had it when a session began that both call complete"
            self._kept(world, node, place, bits & ~world.history.withdrawn, why)

    def _kept(self, world: WorldView, node: NodeView, place: Place, bits: int, why: str) -> None:
        known = observed(world, node).known.get(place, 0)
        if not bits & ~known:
            return
        known |= gone_here(world, node, place, twice=True)
        lost = [
            each for each in world.model.members(bits & ~known) if not known & world.model.renamed.get(each.name, 0)
        ]
        if lost and judged(world, place):
            acknowledged = world.history.acknowledged
            raise self.fail(
                node,
                place,
                f"neither visible nor superseded by what is, though {why}: {listed(lost)}",
                missing=names_of(lost),
                acknowledged=[str(each) for each in lost if world.model.bits([each.name]) & acknowledged],
            )
