"""I13: `status()` tells the truth: every number is what the file holds, counted here again by other means."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from holdfast.engine.status import Status

from ..observed.history import Renewed, RolledBack, Synced
from ..observed.image import EQUIVOCAL, REGISTER, Image, vector_of
from .view import Checker, NodeView, WorldView, observed

_PEERS = "SELECT p.actor, p.acked_feed, p.acked, c.vector FROM peer p LEFT JOIN context c ON c.id = p.vector"
_LIVES_UNDECIDED = 2
"""Lives that a node has had, at least, if it decided under another one."""

_BLOCKING_DRIFT_MS = 60_000


class StatusTruth(Checker):
    """What an operator reads is so."""

    name: ClassVar[str] = "I13 status tells the truth"

    def step(self, world: WorldView, node: NodeView) -> None:
        """Every figure of a status that was asked for."""
        if node.status is None:
            return
        seen = observed(world, node)
        for name, said, counted in self._figures(node.connection, node.status, seen.image):
            if said != counted:
                what = f"status says {name} = {said!r}, the file holds {counted!r}"
                raise self.fail(node, None, what, figure=name, said=repr(said), counted=repr(counted))
        self._sessions(world, node, node.status)
        self._blockers(node, node.status, seen.image)

    def end(self, world: WorldView) -> None:
        """Every node."""
        for node in world.nodes:
            self.step(world, node)

    def _figures(
        self, connection: sqlite3.Connection, said: Status, image: Image
    ) -> Iterator[tuple[str, object, object]]:
        live = Counter(place[0] for place, held in image.records.items() if held.live)
        collections = {place[0] for place in image.records}
        yield "actor", said.actor, image.actor
        yield "operations", said.operations, image.seq
        yield "lsn", said.lsn, image.lsn
        yield "records", said.records, live.total()
        yield "deleted", said.deleted, len(image.records) - live.total()
        yield "collections", said.collections, {name: live[name] for name in collections}
        yield "vector", said.vector, image.vector
        yield "digest", int(said.digest, 16), sum(held.digest for held in image.records.values()) % (1 << 62)
        yield "whole", said.whole, not image.waiting()
        conflicts = Counter(state for (state,) in connection.execute("SELECT state FROM conflict"))
        yield "conflicts", said.conflicts, dict(conflicts)
        yield "quarantined", said.quarantined, sum(1 for held in image.records.values() if _is_unreadable(held))
        yield "holes", said.holes, len(connection.execute("SELECT id FROM hole").fetchall())
        lives = {actor for (actor,) in connection.execute("SELECT actor FROM actor") if actor[:16] == image.actor[:16]}
        yield "incarnations", said.incarnations, len(lives)
        pending = {peer.actor: peer.pending for peer in said.peers}
        yield "pending", pending, dict(_pending(connection, image))

    def _sessions(self, world: WorldView, node: NodeView, said: Status) -> None:
        synced = {peer.actor: peer.synced_ms for peer in said.peers}
        met: set[str] = set()
        renewed = 0
        for event in world.history.events:
            match event:
                case RolledBack(node=name) if name == node.name:
                    met.clear()
                    renewed = 0
                case Synced(node=name, pulled=True) if name == node.name:
                    met.add(event.peers_actor)
                case Renewed(node=name) if name == node.name:
                    renewed += 1
                case _:
                    pass
        for actor in sorted(met):
            if synced.get(actor) is None:
                what = f"a session with {actor} was completed and status knows of none"
                raise self.fail(node, None, what, peers=sorted(synced))
        if said.incarnations <= renewed:
            what = f"it began {renewed} new identities, and status speaks of {said.incarnations} lives"
            raise self.fail(node, None, what)

    def _blockers(self, node: NodeView, said: Status, image: Image) -> None:
        twice = any(_holds(held, EQUIVOCAL) for held in image.records.values())
        drifts = any(abs(peer.drift_ms) > _BLOCKING_DRIFT_MS for peer in said.peers)
        blocked = bool(said.holes) or not said.whole or drifts or twice
        undecided = [blocker for blocker in said.blockers if blocker.startswith("nobody decides")]
        if undecided and said.incarnations < _LIVES_UNDECIDED:
            raise self.fail(node, None, "status says that it gave up the identity that decides, and it had only one")
        if blocked != bool(set(said.blockers) - set(undecided)):
            what = f"status names the blockers {list(said.blockers)}, and holes={said.holes}, whole={said.whole}"
            raise self.fail(node, None, what)


def _holds(held: Any, tag: int) -> bool:  # noqa: ANN401 - a record of the image
    return any(value.tag == tag for cell in held.cells.values() for value in cell.values())


def _is_unreadable(held: Any) -> bool:  # noqa: ANN401 - a record of the image
    return any(value.tag not in (REGISTER, EQUIVOCAL) for cell in held.cells.values() for value in cell.values())


def _pending(connection: sqlite3.Connection, image: Image) -> Iterator[tuple[str, int]]:
    """Records behind what each peer has stored that its vector, as last said, does not cover, or that have returned."""
    for actor, feed, acked, encoded in connection.execute(_PEERS).fetchall():
        vector = vector_of(encoded) if encoded is not None else {}
        behind = acked if feed == image.feed else 0
        yield (
            actor,
            sum(
                held.lsn > behind
                and (held.returned or any(vector.get(name.actor, 0) < name.seq for name in held.names))
                for held in image.records.values()
            ),
        )
