"""I6: operations of one transaction are there together or not at all, and happen on what their author had read.

At the author always, as long as it goes on under the identity that wrote it (behind a restore its own operations come
back like those of others); elsewhere whenever the node is whole: no record carries an extra context, so no session was
cut in the middle. A transaction of which a part is lost (its author's file was rolled back after a session was cut)
stays in parts for ever, and so does one of which a part has another name now.
"""

from __future__ import annotations

from typing import ClassVar

from .view import Checker, NodeView, WorldView, gone_here, listed, names_of, observed


class Atomicity(Checker):
    """Transactions are whole."""

    name: ClassVar[str] = "I6 transactions are whole"

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}
        self._placed = 0

    def step(self, world: WorldView, node: NodeView) -> None:
        """Every transaction that was seen anywhere."""
        seen, history = observed(world, node), world.history
        for operation in seen.wrote:
            if operation.stale:
                what = f"{operation} was to happen on what its author had read; {operation.stale}"
                raise self.fail(node, operation.place, what, operation=str(operation))
        self._one_place(world)
        everything = 0
        for bits in seen.known.values():
            everything |= bits
        for place in history.purged:
            everything |= gone_here(world, node, place)
        looked = (everything, len(history.transactions))
        whole = not seen.image.waiting()
        if self._seen.get(node.name) == looked and not whole:
            return
        self._seen[node.name] = looked
        excused = history.lost | history.withdrawn
        for author, together in history.transactions:
            present = together & everything
            if present in (0, together) or together & excused:
                continue
            there, missing = [*world.model.members(present)], [*world.model.members(together & ~present)]
            if not whole and (author != node.name or there[0].name.actor != seen.image.actor):
                continue
            first = missing[0]
            raise self.fail(
                node,
                first.place,
                f"of one transaction of {author} here is {listed(there)}, and not {listed(missing)}",
                present=names_of(there),
                missing=names_of(missing),
            )

    def _one_place(self, world: WorldView) -> None:
        """What was written together stands at one place of its author's feed: no batch ends between."""
        new, self._placed = world.history.transactions[self._placed :], len(world.history.transactions)
        for author, together in new:
            members = [*world.model.members(together)]
            if len({operation.lsn for operation in members}) > 1:
                what = f"one transaction stands at several places of the feed: {listed(members)}"
                raise self.fail(author, members[0].place, what, operations=names_of(members))

    def end(self, world: WorldView) -> None:
        """Every node."""
        self._seen.clear()
        for node in world.nodes:
            self.step(world, node)
