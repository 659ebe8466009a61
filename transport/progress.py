"""What a sync has done so far, and in the end, as values.

Invariant: counts only grow during a sync; a sync that did not complete says why in `blockers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncProgress:
    """Records sent and received so far.

    Attributes:
        sent, received: Records.
        starter_bytes, starter_size: How much of the hub's starter has come, and how much it is; 0 where none comes.
    """

    sent: int
    received: int
    starter_bytes: int = 0
    starter_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did.

    Attributes:
        peer: Human name of the other node.
        sent, received: Records that went out, known to the peer or not (0 where nothing may be written),
            and such as changed something here.
        conflicts: Conflicts that are new here.
        repaired: Records that both held differently though they had taken in the same, and now hold alike.
        bytes_sent, bytes_received: On the link, headers included.
        round_trips: Requests that were answered.
        seconds: From start to end.
        completed: Both sides have all that the other had when it was read.
        blockers: Why not, in words, and what else deserves a look.
        started: Of the records received, how many came with the hub's starter.
    """

    peer: str
    sent: int
    received: int
    conflicts: int
    bytes_sent: int
    bytes_received: int
    round_trips: int
    seconds: float
    completed: bool
    blockers: tuple[str, ...] = ()
    repaired: int = 0
    started: int = 0

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


OnProgress = Callable[[SyncProgress], None]
