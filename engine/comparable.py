"""What a session that compares two nodes does with one of them: sums of ranges, differences, and their repair.

Knows nothing of messages. Invariant: every step is one transaction; comparing alone changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.clocks import Actor, VersionVector

from .delta import FeedBatch, FeedId, StretchId
from .node import Node
from .ranges import Differences, Part, Parts, Place, Span
from .storage.mend import mend
from .storage.peers import find_peer, save_peer
from .storage.ranges import compare_parts, is_sound, read_parts
from .storage.store import Tx


class Comparable:
    """A node as a comparison sees it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def ranges(self, spans: Sequence[Span]) -> Parts:
        """What stands in these ranges of keys, of as many of them as fit into one answer."""
        return await self._node.readers.run(read_parts, spans)

    async def compare(self, spans: Sequence[Span], told: Sequence[Sequence[Part]]) -> list[Differences]:
        """How what stands here differs from what a peer told of these ranges."""
        return await self._node.readers.run(compare_parts, spans, told)

    async def compared(self, actor: Actor, feed: FeedId, lsn: int, stretch: StretchId) -> None:
        """All that stood in this peer's feed up to there has been compared and joined: read on behind it."""

        def note(tx: Tx) -> None:
            peer = find_peer(tx.connection, actor)
            if peer.feed == feed and peer.checkpoint < lsn:
                peer.checkpoint, peer.stretch = lsn, stretch
                save_peer(tx, peer)

        await self._node.write(note)

    async def is_sound(self) -> bool:
        """Whether the sum that the file keeps is that of its rows."""
        return await self._node.readers.run(is_sound)

    async def mend(self, vector: VersionVector, batches: Sequence[FeedBatch], alone: Sequence[Place]) -> int:
        """Make one of records that differ though both nodes have taken in the same; gives how many were changed."""
        return await self._node.write(lambda tx: mend(tx, vector, batches, alone))
