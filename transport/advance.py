"""Whether the exchanges of a sync come to anything: what lasts on either side, not what was sent.

Knows nothing of links or storage. Invariant: whatever a peer claims by turns, a mark that was reached once counts once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.replica import Facts

from .session import Initiator


@dataclass(slots=True)
class Reached:
    """The furthest that a sync has come with one peer.

    Attributes:
        between: Feeds of the two; with others it begins anew, which is no progress by itself.
        checkpoint, acked: How far each has read the other's feed.
        vector: What this node has taken in.
        asked: The fewest records that were still to be sent whole since anything else moved. (That some came is no
            progress: one operation can come in ever new guises.)
    """

    between: tuple[str, str] = ("", "")
    checkpoint: int = 0
    acked: int = 0
    vector: VersionVector = EMPTY
    asked: int = sys.maxsize

    def grow(self, facts: Facts, last: Initiator | None) -> bool:
        """Take in where things stand after an exchange; gives whether that is further than ever before."""
        peer = facts.peer
        between = (facts.feed, peer.feed if peer else "")
        checkpoint = peer.checkpoint if peer else 0
        acked = min(peer.acked_in(facts.feed), facts.head) if peer else 0
        lasting = not self.vector.dominates(facts.vector)
        if between == self.between:
            lasting = lasting or checkpoint > self.checkpoint or acked > self.acked
            checkpoint, acked = max(checkpoint, self.checkpoint), max(acked, self.acked)
        self.between, self.checkpoint, self.acked = between, checkpoint, acked
        self.vector = self.vector.join(facts.vector)
        asked = len(last.next_wants) + len(last.next_owes) if last else sys.maxsize
        fewer, self.asked = asked < self.asked, asked if lasting else min(asked, self.asked)
        return lasting or fewer or last is None or last.renewed


def standstill(session: Initiator) -> str:
    """What keeps an exchange from coming to anything, in words."""
    if session.next_whole_vector:
        return "the peer never knows the vector that it was told"
    if session.next_owes:
        return "the peer asks for the same records again and again"
    if session.next_wants:
        return "the peer leaves out values that it was asked for"
    if not session.pulled:
        return "the peer never says that all is read"
    return "the peer does not acknowledge what it is sent"
