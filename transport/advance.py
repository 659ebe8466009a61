"""Whether the exchanges of a sync come to anything: what lasts on either side, not what was sent.

Knows nothing of links or storage. Invariants: whatever a peer claims by turns, a mark that was reached once counts
once; only what the peer had when it first greeted counts, so that a sync ends however fast somebody makes up more.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from holdfast.clocks import EMPTY, VersionVector
from holdfast.engine.facts import Facts

from .session import Initiator

CHANGES_MAX: Final = 8
"""Feeds in one sync with which it begins anew: more than a node and a hub come to that renew, or a hub with copies."""


@dataclass(slots=True)
class Reached:
    """The furthest that a sync has come with one peer.

    Attributes:
        between: Feeds of the two; with others it begins anew, which is no progress by itself.
        checkpoint, acked: How far each has read the other's feed.
        vector: What this node has taken in.
        aim, head: What the peer had taken in, and where its feed ended, when it first greeted; None before.
        changes: How often the feeds were others than before.
        asked: The fewest records that were still to be sent whole since anything else moved. (That some came is no
            progress: one operation can come in ever new guises.)
    """

    between: tuple[str, str] = ("", "")
    checkpoint: int = 0
    acked: int = 0
    vector: VersionVector = EMPTY
    aim: VersionVector | None = None
    head: int | None = None
    changes: int = 0
    asked: int = sys.maxsize

    def grow(self, facts: Facts, last: Initiator | None) -> bool:
        """Take in where things stand after an exchange; gives whether that is further than ever before."""
        peer = facts.peer
        between = (facts.feed, peer.feed if peer else "")
        anew = between != self.between
        if anew:
            self.between, self.checkpoint, self.acked, self.head = between, 0, 0, None
            self.changes += 1
        further, taken = self._read_further(facts, last), self._taken_more(facts, last)
        lasting = taken or (further and not anew and self.changes <= CHANGES_MAX)
        asked = len(last.next_wants) + len(last.next_owes) if last else sys.maxsize
        fewer, self.asked = asked < self.asked, asked if lasting else min(asked, self.asked)
        return lasting or fewer or last is None or last.renewed

    def _read_further(self, facts: Facts, last: Initiator | None) -> bool:
        """Whether one of them has read more of the other's feed."""
        if facts.peer is None:
            return False
        if self.head is None and last is not None and last.peer is not None:
            self.head = last.peer.head
        checkpoint = facts.peer.checkpoint if self.head is None else min(facts.peer.checkpoint, self.head)
        acked = min(facts.peer.acked_in(facts.feed), facts.head)
        further = checkpoint > self.checkpoint or acked > self.acked
        self.checkpoint, self.acked = max(checkpoint, self.checkpoint), max(acked, self.acked)
        return further

    def _taken_more(self, facts: Facts, last: Initiator | None) -> bool:
        """Whether this node has taken in more of what the peer had."""
        if self.aim is None and last is not None and last.peer is not None:
            self.aim = last.peer_vector
        aim = self.aim or EMPTY
        taken = any(min(facts.vector.seq(actor), seq) > self.vector.seq(actor) for actor, seq in aim.items())
        self.vector = self.vector.join(facts.vector)
        return taken


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
