"""Extra contexts: what a record has taken in beyond this node's vector, while a session is under way.

Knows nothing of joins. Invariant (docs/protocol.md, Rules): until the feed is drained, every record that came carries
the sender's vector and what it carried there; afterwards only what that vector does not cover.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.clocks import VersionVector

from .store import Tx

_SET = "UPDATE record SET extra = ? WHERE id = ?"
_SET_CHANGED = "UPDATE record SET extra = ? WHERE lsn = ? AND extra IS NULL"


@dataclass(slots=True)
class Carried:
    """The records that one batch brought.

    Args:
        tx: The open transaction.
        vector: The sender's vector.
        lsn: What changed records have.
    """

    tx: Tx
    vector: VersionVector
    lsn: int
    _same: list[int] = field(default_factory=list)
    _beyond: list[tuple[int, VersionVector]] = field(default_factory=list)

    def note(self, number: int, extra: VersionVector, *, changed: bool) -> None:
        """A record was merged; `extra` is what it carried here and at the sender."""
        if extra:
            self._beyond.append((number, extra))
        elif not changed:
            self._same.append(number)

    def write(self, *, completed: bool) -> None:
        """Store what the records carry, after they were written; `completed`: the vector has been taken in."""
        base = None if completed else self.base()
        connection = self.tx.connection
        if base is not None:
            connection.execute(_SET_CHANGED, (base, self.lsn))
            connection.executemany(_SET, [(base, number) for number in self._same])
        for number, extra in self._beyond:
            whole = extra if completed else extra.join(self.vector)
            covered = self.tx.vector.dominates(whole)
            connection.execute(_SET, (None if covered else self.tx.names.extra(whole), number))

    def base(self) -> int | None:
        """The number of what every record carries until the feed is drained; None if the node's vector covers it."""
        return None if self.tx.vector.dominates(self.vector) else self.tx.names.extra(self.vector)
