"""I7: a version vector claims what stands behind the records, no more and no less.

More (an operation that neither stands here nor is superseded by what does) would be passed over by peers and lost;
less would bring superseded values back, and what is sent without being claimed is a hole to whoever gets it. A record
that came in a session that was not completed is claimed by its extra context; a completed session makes the vector
take in the peer's. What was deleted and let go for good is claimed and stands nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from holdfast.clocks import Actor

from .view import Checker, NodeView, WorldView, gained, judged, listed, names_of, observed, vector_text

_HOLES = "SELECT collection, key, reason FROM hole ORDER BY id"


class Vectors(Checker):
    """Claims are true."""

    name: ClassVar[str] = "I7 the vector says what stands here"

    def __init__(self) -> None:
        self._events = 0

    def step(self, world: WorldView, node: NodeView) -> None:
        """The vector, and what each record claims beyond it."""
        self._too_much(world, node)
        self._too_little(world, node)
        self._sessions(world)
        self._holes(world, node)

    def end(self, world: WorldView) -> None:
        """Every node; and no record claims more than its node."""
        for node in world.nodes:
            self.step(world, node)
            for place in sorted(observed(world, node).image.waiting()):
                if world.history.can_settle(observed(world, node).image.claimed(place)):
                    what = "it still waits for the end of a session, and all sessions have ended"
                    raise self.fail(node, place, what, **_evidence(observed(world, node).image.claimed(place), []))

    def _holes(self, world: WorldView, node: NodeView) -> None:
        """What an honest node sends, it claims; what it does not claim cannot be joined."""
        holes = node.connection.execute(_HOLES).fetchall() if not world.history.doubtful else []
        for collection, key, reason in holes:
            what = f"it could not join what a peer sent, and no peer is a stranger or a copy: {reason}"
            raise self.fail(node, (collection, key), what, reason=reason)

    def _too_much(self, world: WorldView, node: NodeView) -> None:
        seen, model = observed(world, node), world.model
        everything = 0
        for bits in (*seen.known.values(), *world.history.purged.values()):
            everything |= bits
        claimed = model.covered(seen.image.vector) & ~everything & ~world.history.lost
        for operation in model.members(claimed):
            if judged(world, operation.place):
                what = f"the vector claims {operation}, which neither stands here nor is superseded by what does"
                raise self.fail(node, operation.place, what, **_evidence(seen.image.vector, [str(operation)]))
        for place in seen.image.waiting():
            vector = seen.image.claimed(place)
            over = model.covered(vector) & model.of_place.get(place, 0) & ~everything & ~world.history.lost
            if over and judged(world, place):
                what = f"the record claims to have taken in {listed(model.members(over))}, which never came"
                raise self.fail(node, place, what, **_evidence(vector, names_of(model.members(over))))

    def _too_little(self, world: WorldView, node: NodeView) -> None:
        seen, model = observed(world, node), world.model
        whole = model.covered(seen.image.vector)
        for place, bits in sorted(seen.known.items()):
            # Who goes on under a new identity may claim less than before, and is told anew of what was let go.
            rest = bits & ~whole & ~world.history.withdrawn & ~world.history.purged.get(place, 0)
            if not rest or not judged(world, place):
                continue
            rest &= ~model.covered(seen.image.claimed(place))
            missing = [op for op in model.members(rest) if len(model.named(op.name.dot)) == 1]
            if missing:
                what = f"neither the vector nor the record's extra context claims what stands here: {listed(missing)}"
                raise self.fail(node, place, what, **_evidence(seen.image.claimed(place), names_of(missing)))

    def _sessions(self, world: WorldView) -> None:
        since, self._events = self._events, len(world.history.events)
        for node, gain in gained(world, since):
            self._taken(world, node, gain.peer, gain.vector)

    def _taken(self, world: WorldView, node: NodeView, peer: str, vector: Mapping[Actor, int]) -> None:
        model, mine = world.model, observed(world, node).image.vector
        # A session may begin with new names for operations that peers cannot be known to hold.
        short = model.covered(vector) & ~model.covered(mine) & ~world.history.withdrawn & ~world.history.lost
        if short:
            missing = [*model.members(short)]
            what = f"a session with {peer} was completed, and the vector lacks what {peer}'s covered: {listed(missing)}"
            raise self.fail(node, missing[0].place, what, **_evidence(mine, names_of(missing)))


def _evidence(vector: Mapping[Actor, int], operations: list[str]) -> dict[str, object]:
    return {"vector": vector_text(vector), "operations": operations}
