"""Copies, restores and clones, when a rule of identity is broken."""

from __future__ import annotations

from dataclasses import replace

from holdfast.engine import opening, replica
from holdfast.engine.storage import apply, birth, peers, reissue
from holdfast.engine.storage.arrival import Arrival
from holdfast.engine.witness import SideFile
from holdfast.transport import answering, refusals, session

from .mutants import Patch, mutant


@mutant("the witness is not asked", "Identity; B1", "backups")
def _(patch: Patch) -> None:
    patch.setattr(opening, "doubt", lambda testimony, actor, seq, place: None)


@mutant("the witness is told of births alone", "Identity; B1", "backups")
def _(patch: Patch) -> None:
    original = SideFile.note

    def note(self, actor, seq) -> None:
        if not seq:
            original(self, actor, seq)

    patch.setattr(SideFile, "note", note)


@mutant("a peer that holds more of this identity is no sign", "Identity; B1", "clones")
def _(patch: Patch) -> None:
    for side in (session, answering):
        patch.setattr(side, "used_twice", lambda said, facts, *, gave: None)
    patch.setattr(answering, "rolled_back", lambda said, vector, facts: False)


@mutant("session tickets are not looked at", "Identity; B1", "clones")
def _(patch: Patch) -> None:
    patch.setattr(refusals, "is_from_copy", lambda shown, last, pending: False)
    patch.setattr(replica, "is_from_copy", lambda shown, last, pending: False)


@mutant("operations that leave the node leave no mark on its tickets", "Identity; B1", "copies")
def _(patch: Patch) -> None:
    patch.setattr(peers, "mark_tickets", lambda tx, mark: None)


@mutant("operations are sent before they count as shared", "Identity", "copies")
def _(patch: Patch) -> None:
    async def share(self) -> None:
        return None

    patch.setattr(replica.Replica, "share", share)


@mutant("a copy that was found keeps the names of its operations", "Identity; B2", "clones")
def _(patch: Patch) -> None:
    patch.setattr(replica, "reissue", lambda tx, old, known, stored: 0)


@mutant("a copy that was found gives new names to all but one record", "Identity; B2", "clones")
def _(patch: Patch) -> None:
    original = reissue._written_by
    patch.setattr(reissue, "_written_by", lambda tx, old, known: original(tx, old, known)[1:])


@mutant("what comes back under names that were used twice keeps them", "Identity; B2", "rewound")
def _(patch: Patch) -> None:
    patch.setattr(apply, "rename_returned", lambda tx, numbers, lsn: 0)


@mutant("what was read here and not acknowledged yet counts as read by nobody", "Identity; B1; B2", "rewound")
def _(patch: Patch) -> None:
    patch.setattr(replica, "maybe_elsewhere", lambda tx, giver: peers.stored_elsewhere(tx))


@mutant("behind new names the vector still claims the old ones", "Identity; B2", "clones")
def _(patch: Patch) -> None:
    patch.setattr(reissue, "withdraw", lambda tx, old, known: None)


@mutant("a hub that was put back is believed", "Identity; B1", "resets")
def _(patch: Patch) -> None:
    patch.setattr(answering, "forgotten", lambda said, vector, facts: None)
    patch.setattr(session, "regressed", lambda known, said, vector: False)


@mutant("a new incarnation goes on in the old feed", "Identity", "backups")
def _(patch: Patch) -> None:
    def begin(tx, label):
        feed = tx.feed
        actor = birth.begin_incarnation(tx, label)
        tx.connection.execute("UPDATE node SET feed = ?", (feed,))
        tx.restart(tx.own, actor, feed)
        return actor

    for module in (opening, replica):
        patch.setattr(module, "begin_incarnation", begin)


@mutant("a new incarnation goes on under the old name", "Identity; B1; B2", "backups")
def _(patch: Patch) -> None:
    for module in (opening, replica):
        patch.setattr(module, "begin_incarnation", lambda tx, label: tx.actor)


@mutant("a batch that was read for another identity is applied", "Identity", "resets")
def _(patch: Patch) -> None:
    original = answering.Responder._batch

    def batch(self, message):
        said, self.peer = self.peer, replace(self.peer, held_of=self.facts.actor)
        try:
            return original(self, message)
        finally:
            self.peer = said

    patch.setattr(answering.Responder, "_batch", batch)


@mutant("an operation of this identity that it never wrote is taken in", "Identity; B1; B43", "attacks")
def _(patch: Patch) -> None:
    patch.setattr(apply._Merge, "_check_own", lambda self, theirs: None)
    _everything_is_sent(patch)


@mutant("an operation beyond its batch's vector is joined", "Sessions 4; B43", "attacks")
def _(patch: Patch) -> None:
    patch.setattr(Arrival, "check_dots", lambda self, record: None)
    _everything_is_sent(patch)


def _everything_is_sent(patch: Patch) -> None:
    """The fast ways trust the batch as well."""
    patch.setattr(apply._Merge, "_sent", lambda self: [2**62 for _ in self.batch.delta.actors])
