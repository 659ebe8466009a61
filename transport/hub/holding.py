"""What a hub holds back: what one node sends may change only a share of a collection until its operator has looked.

Knows nothing of HTTP. Invariants: what is held leaves nothing behind and stands in the registry; the node is told so
and keeps what it has; nothing is held of a node that was approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from holdfast.clocks import Actor
from holdfast.engine.guard import Guard, Watch, living_in
from holdfast.engine.storage.peers import find_peer
from holdfast.engine.storage.store import Tx
from holdfast.errors import SyncHeld

from .registry import HubRegistry

WINDOW_MS: Final = 3600 * 1000
"""What a node changes within this time is counted together: a session is many requests, and it may come in parts."""


@dataclass(slots=True)
class Holding:
    """The sentry of one space of a hub; the registry holds what it has held and what was approved.

    Attributes:
        space: Its name.
        guard: How much one node may change within `WINDOW_MS`.
    """

    registry: HubRegistry
    space: str
    guard: Guard
    _begun_ms: int = 0
    _living: dict[str, int] = field(default_factory=dict)
    _watches: dict[Actor, Watch] = field(default_factory=dict)

    @contextmanager
    def over(self, tx: Tx, peer: Actor) -> Iterator[None]:
        """Look at what the block stores of a node in this transaction.

        Raises:
            SyncHeld: It is too much and was not approved; the transaction must be undone.
        """
        try:
            with self._watch(tx, peer).over(tx, peer):
                yield
        except SyncHeld as held:
            if self.registry.is_approved(self.space, peer):
                return
            label = find_peer(tx.connection, peer).label
            self.registry.hold(self.space, peer, label, f"{held.subject}: {held.what}")
            remedy = "Nothing is lost: it stays at the node. Ask who runs the hub to look at it and to approve it."
            raise SyncHeld(f"the hub holds it: {held.what}", subject=held.subject, remedy=remedy) from held

    def _watch(self, tx: Tx, peer: Actor) -> Watch:
        if not 0 <= tx.now_ms - self._begun_ms < WINDOW_MS:
            self._begun_ms, self._living, self._watches = tx.now_ms, living_in(tx.connection), {}
        return self._watches.setdefault(peer, Watch(self.guard, self._living))
