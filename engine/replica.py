"""A node as a session sees it: facts for the handshake, its feed, and what happens to what a peer sends.

Knows nothing of messages or bytes. Invariant: every step is one transaction, so a session may be cut between any two.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace

from holdfast.clocks import EMPTY, Actor, SpaceId, VersionVector
from holdfast.errors import SessionRefused

from .comparable import Comparable
from .delta import FeedBatch, FeedId, StretchId
from .facts import Facts, read_facts
from .forgetting import Forgetting
from .guard import Sentry
from .membership import Membership
from .node import Node
from .reached import reached
from .schema import policies_fingerprint, schemas_fingerprint
from .storage.apply import Applied, apply_batch
from .storage.birth import begin_incarnation
from .storage.erasing import follow_erasures
from .storage.feed import read_batch, read_keys
from .storage.members import fix, unite
from .storage.peers import (
    Peer,
    count_as_shared,
    find_peer,
    maybe_elsewhere,
    read_anew,
    save_peer,
    shared_of,
    stored_elsewhere,
    unmark_tickets,
)
from .storage.reissue import present_name, reissue
from .storage.roster import Step
from .storage.store import Tx
from .storage.stretches import gave
from .storage.write import Receipt
from .tickets import MARK_BYTES, TICKET_BYTES, is_from_copy, marked, seen

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What `Replica.share` noted.

    Attributes:
        before: How far operations counted as shared until then.
        mark: The mark it drew.
        handshakes: How many the node had begun until then.
    """

    before: int
    mark: bytes
    handshakes: int


class Replica(Comparable):
    """What sessions do with a node."""

    def __init__(self, node: Node, sentry: Sentry | None = None) -> None:
        super().__init__(node)
        self._sentry = sentry
        self.forgetting = Forgetting(node, sentry)

    async def facts(self, *, actor: Actor | None = None, url: str | None = None) -> Facts:
        """This node's side of a handshake with an identity, or with whoever was last met at a URL."""
        self._node.handshakes += 1
        return self._declaring(await self._node.readers.run(read_facts, actor, url, self._node.seams.time.now_ms()))

    async def introduce(self, actor: Actor, feed: FeedId, lsn: int, stretch: StretchId) -> tuple[Facts, bool]:
        """This node's side of a handshake with an identity, and `gave` of what that says it has read, at once."""
        self._node.handshakes += 1
        now_ms = self._node.seams.time.now_ms()

        def both(connection: sqlite3.Connection) -> tuple[Facts, bool]:
            known = gave(connection, feed, lsn, stretch)
            return read_facts(connection, actor, None, now_ms), known

        facts, known = await self._node.readers.run(both)
        return self._declaring(facts), known

    def _declaring(self, facts: Facts) -> Facts:
        schemas = tuple(self._node.schemas.values())
        asking = any(session.locked() for session in self._node.sessions.values())
        return replace(facts, asking=asking, schema=schemas_fingerprint(schemas), policy=policies_fingerprint(schemas))

    async def gave(self, feed: FeedId, lsn: int, stretch: StretchId) -> bool:
        """Whether a peer that has read a feed so far can have it from this file; True of any but the present feed."""
        return await self._node.readers.run(gave, feed, lsn, stretch)

    async def read(self, start: int, held: VersionVector) -> FeedBatch:
        """The next batch of this node's feed (see `read_batch`); what it holds counts as shared, durably."""
        size = self._node.seams.batch_bytes
        batch = await self._node.readers.run(read_batch, start=start, held=held, bytes_target=size)
        await self.share()
        return batch

    async def read_whole(self, places: Sequence[tuple[str, str]]) -> FeedBatch:
        """These records whole, as a batch that moves nothing; what it holds counts as shared, durably."""
        batch = await self._node.readers.run(read_keys, places)
        await self.share()
        return batch

    async def apply(self, batch: FeedBatch, actor: Actor, *, follows: bool = True, heard: int | None = None) -> Applied:
        """Apply a batch of that identity's feed, durably; `follows`, `heard`: see `apply_batch`.

        Raises:
            SyncHeld: The sentry of this replica holds it; nothing of it was stored.
        """

        def apply(tx: Tx) -> tuple[Applied, bool]:
            before = tx.lsn
            with nullcontext() if self._sentry is None else self._sentry.over(tx, actor):
                applied = apply_batch(tx, batch, find_peer(tx.connection, actor), follows=follows, heard=heard)
            return applied, follow_erasures(tx, batch.delta, before)

        # A batch without records only notes how far this node has read: a full disk must not stop what it sends.
        applied, erased = await (self._node.write(apply) if len(batch.delta) else self._node.go_on(apply))
        if erased and self._node.upkeep is not None:
            self._node.upkeep.erased()
        if applied.completed:
            await self.forgetting.after_session()
        return applied

    async def meet(self, peer: Peer, head: int) -> None:
        """Remember what a handshake said of a peer whose feed ends at `head`.

        The checkpoint into its feed is kept as it is, unless the peer has forgotten what it once said.
        """

        def meet(tx: Tx) -> Step:
            _meet(tx, peer, head)
            return self.forgetting.step_due(tx)

        done = await self._node.go_on(meet)
        self.forgetting.report(done)
        if done.raised:  # perhaps nothing is ever taken in behind it: peers that only read purge nothing else
            await self.forgetting.drop()

    async def acknowledged(
        self,
        actor: Actor,
        feed: FeedId,
        checkpoint: int,
        stretch: StretchId,
        ticket: bytes,
        *,
        told: VersionVector,
        taken: bool,
    ) -> None:
        """The peer has stored this node's feed up to a checkpoint, durably.

        Args:
            actor: The peer.
            feed: The feed, of this node.
            checkpoint: How far.
            stretch: The stretch of the feed in which that lies: of another file's it says nothing here.
            ticket: What the peer wants to be shown next time; b"" for the same as before.
            told: The vector that it was told with the end of the feed; empty if that was not reached.
            taken: Whether its own vector covers `told` now.
        """

        def note(tx: Tx) -> None:
            peer = find_peer(tx.connection, actor)
            if feed == tx.feed and gave(tx.connection, feed, checkpoint, stretch):
                peer.acked, peer.acked_feed = max(peer.acked_in(feed), min(checkpoint, tx.lsn)), feed
                peer.told = told or peer.told
                peer.vector = peer.vector.join(told) if taken else peer.vector
            if ticket:
                peer.ticket = ticket
            save_peer(tx, peer)

        await self._node.go_on(note)

    async def has_reached(self, receipt: Receipt, url: str) -> bool:
        """Whether the peer that was last met at this URL said, when it was, that it has stored a write durably."""
        facts = await self.facts(url=url)
        if facts.peer is None:
            return False
        dot = await self._node.readers.run(present_name, receipt)
        # Not its checkpoint: a peer may have read a record that it could not join.
        return facts.peer.vector.covers(dot)

    async def issue_ticket(self, actor: Actor, shown: bytes) -> bytes:
        """A ticket that the peer is to show in the next session.

        A session that shows the same ticket as another one is that one come late or again, or its file came back
        without having heard the answer; it gets the same answer, or one of the two would pass for a copy.

        Args:
            actor: The peer.
            shown: The ticket that it has shown in this one. If it has shown another since, its process was ended and
                came back while this session went on; a ticket of this one would never arrive: b"" is given.
        """

        def issue(tx: Tx) -> bytes:
            peer = find_peer(tx.connection, actor)
            if peer.issued != shown:
                reached("session: a ticket that would arrive late")
                return b""
            if not peer.pending or shown.startswith(peer.pending):
                peer.pending = tx.store.seams.entropy(TICKET_BYTES)
                save_peer(tx, peer)
            return peer.pending

        return await self._node.go_on(issue)

    def session(self, url: str) -> AbstractAsyncContextManager[None]:
        """One session with whoever is at a URL at a time: hellos that overtake each other look like those of copies."""
        return self._node.sessions[url]

    async def share(self) -> Shared | None:
        """Note, durably, that own operations may leave the node from now on, and mark the tickets with it.

        Returns:
            What was noted, for `withdraw`; None if everything had been noted before.
        """
        before, seq = await self._node.readers.run(shared_of)
        if before >= seq:
            return None
        mark, handshakes = self._node.seams.entropy(MARK_BYTES), self._node.handshakes

        await self._node.go_on(lambda tx: count_as_shared(tx, mark))
        return Shared(before, mark, handshakes)

    async def withdraw(self, shared: Shared) -> None:
        """Take back what `share` noted: the peer was not reached, so nothing has left the node and nobody saw the mark.

        Unless another session has begun meanwhile: its peer may have seen the mark, and would take a ticket without
        it for that of a copy.
        """
        if self._node.handshakes > shared.handshakes + 1:  # one is that of the session which reached nobody
            return
        reached("session: marks of a peer that was not reached")

        def take_back(tx: Tx) -> None:
            tx.shared = min(tx.shared, shared.before)
            unmark_tickets(tx, shared.mark)

        await self._node.go_on(take_back)

    async def read_anew(self, actor: Actor) -> None:
        """Go on from the start of this peer's feed."""
        await self._node.go_on(lambda tx: read_anew(tx, actor))

    async def fix_space(self, space: SpaceId) -> None:
        """Give a file that holds nothing the id of a space that stands elsewhere (see `members.fix`)."""
        await self._node.go_on(lambda tx: fix(tx, space, str(self._node.path)))

    async def unite(self, theirs: Membership, *, they_hold: bool) -> None:
        """Become a member of the space of a node that was met (see `members.unite`)."""
        await self._node.go_on(lambda tx: unite(tx, theirs, they_hold=they_hold))

    async def renew(self, reason: str, *, of: Actor | None = None, peer: Actor | None = None) -> None:
        """A peer's sign says that this file is a copy: go on under a new identity.

        Operations that this peer is not known to have stored keep their values under new names: the other copy may have
        used the old ones. All others come back from peers.

        Args:
            reason: What the sign was.
            of: The identity that it spoke of: if another session has put an end to that, nothing is left to do.
            peer: Who gave the sign; None if that is not known: then what any peer has stored keeps its name.
        """

        def begin(tx: Tx) -> bool:
            if of is not None and of != tx.actor:
                return False
            old, known, stored = tx.own, stored_elsewhere(tx, peer), maybe_elsewhere(tx, peer)
            begin_incarnation(tx, self._node.label)
            reissue(tx, old, known, stored)
            return True

        if await self._node.go_on(begin):
            reached("identity: a peer's sign shows a copy")
            self._node.renewed = reason
            _log.warning("new incarnation of %s: %s", self._node.path, reason)


def _meet(tx: Tx, said: Peer, head: int) -> None:
    """Keep checkpoints and tickets that this node holds; take the rest from what the peer said."""
    peer = find_peer(tx.connection, said.actor)
    if said.feed != peer.feed:
        peer.feed, peer.vector = said.feed, said.vector
        peer.read_anew()
    elif said.url and (head < peer.checkpoint or not said.vector.dominates(peer.vector)):
        # It is an old state of itself, and gives the same places in its feed to other records. (Of those that come
        # here the ticket tells, and an old hello that comes again says nothing.)
        peer.read_anew()
        peer.acked, peer.told = 0, EMPTY
    peer.label, peer.url, peer.drift_ms = said.label, said.url or peer.url, said.drift_ms
    if said.url:
        tx.connection.execute("UPDATE peer SET url = NULL WHERE url = ? AND actor <> ?", (said.url, said.actor))
    peer.vector = said.vector  # not joined: a peer that was rolled back must not be told less than it lacks
    if said.acked_feed == tx.feed:  # else another session has begun a new incarnation here
        peer.acked_feed, peer.acked = said.acked_feed, said.acked
        if said.issued:
            _see_ticket(peer, said.issued)
    if said.told:
        peer.told = said.told
    if said.url and not peer.ticket:
        # From the first session on: two copies that meet this peer for the first time are told apart as well.
        peer.ticket = marked(b"", tx.store.seams.entropy(MARK_BYTES))
    save_peer(tx, peer)
    tx.names.number(said.actor, said.label)


def _see_ticket(peer: Peer, shown: bytes) -> None:
    """Judged once more, in the transaction that keeps it: another session may have shown a ticket since."""
    if is_from_copy(shown, peer.issued, peer.pending):
        raise SessionRefused(
            "another session of this identity has come in between", subject=peer.label, remedy="Sync again."
        )
    peer.issued, peer.pending = seen(shown, peer.issued, peer.pending)
