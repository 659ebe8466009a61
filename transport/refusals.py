"""Why a session is refused, and how a refusal reads at the other side.

Pure. Invariant: every refusal names what happened and what to do, and arrives as an error of the tree.
"""

from __future__ import annotations

from holdfast.clocks import VersionVector
from holdfast.engine.facts import Facts
from holdfast.engine.tickets import is_from_copy
from holdfast.errors import (
    IncompatibleProtocol,
    MalformedMessage,
    ProtocolError,
    SessionRefused,
    SpaceMismatch,
    SyncHeld,
)

from .handshake import RENEW, space_in_common
from .messages import Hello, Refuse

_KEEP = (
    "Keep this file: what it has not synced stands only here. Sync it with the hub that it belongs to, or give a hub"
    " whose space is still empty the id of the node's (`holdfast hub space set-id`)."
)


def refusal_of(said: Hello, vector: VersionVector | None, facts: Facts) -> Refuse | None:
    """Why this node does not meet the one that said hello (and that vector, if known); None if it does."""
    if said.space_name != facts.space_name or space_in_common(said, vector, facts) is None:
        return Refuse(
            code=SpaceMismatch.code,
            message=f"this is the space {_named(facts.space_name, facts.membership.space)},"
            f" the peer holds {_named(said.space_name, said.space)}",
            subject=said.label,
            remedy=_KEEP,
        )
    if said.actor == facts.actor:
        if _is_itself(said, vector, facts):
            return refusal_to(itself(""))  # who asks knows the address
        return Refuse(code=RENEW, message="both nodes write under one identity: one file is a copy of the other")
    peer = facts.peer
    if peer and knows(said, facts) and is_from_copy(said.ticket, peer.issued, peer.pending):
        return Refuse(code=RENEW, message="the session ticket is not of the file that was met before: one is a copy")
    return None


def _is_itself(said: Hello, vector: VersionVector | None, facts: Facts) -> bool:
    """Whether a hello under this node's identity is its own, or that of a copy that says nothing else.

    A new identity would help nobody then: who speaks with itself goes under that one on both sides.
    """
    if said.feed != facts.feed:
        return False
    return (facts.asking and said.head <= facts.head) or (said.head == facts.head and vector == facts.vector)


def knows(said: Hello, facts: Facts) -> bool:
    """Whether the peer has met this very identity: only then its ticket says anything here."""
    return bool(said.peer_feed) and said.held_of == facts.actor


def rolled_back(said: Hello, vector: VersionVector, facts: Facts) -> bool:
    """Whether more is held here of the peer's identity than it has itself (tripwire)."""
    return facts.held > vector.seq(said.actor)


def other_space(url: str, facts: Facts, said: Hello) -> SpaceMismatch:
    """The peer at this URL holds another space."""
    return SpaceMismatch(
        f"the peer holds the space {_named(said.space_name, said.space)},"
        f" this node {_named(facts.space_name, facts.membership.space)}",
        subject=url,
        remedy=_KEEP,
    )


def itself(url: str) -> SessionRefused:
    """The peer at this URL goes under this node's own identity."""
    return SessionRefused(
        "the peer has this node's own identity: this node speaks with itself, or with a copy of its file",
        subject=url,
        remedy="Check the address. If a copy answers there, write to one of the two and sync again.",
    )


def _named(name: str, space: str) -> str:
    return f"{name!r} with the id {space}" if space else f"{name!r} without an id"


def odd(what: str, subject: str) -> MalformedMessage:
    """The peer sent what no session has at this place."""
    return MalformedMessage(f"the peer sent {what}", subject=subject, remedy="Update the older of the two nodes.")


def refusal_to(error: ProtocolError) -> Refuse:
    """The refusal that says an error at the other side."""
    return Refuse(code=error.code, message=error.what, subject=error.subject, remedy=error.remedy)


def refusal_error(refusal: Refuse, subject: str) -> ProtocolError:
    """The error that a refusal stands for."""
    tellable: tuple[type[ProtocolError], ...] = (SpaceMismatch, IncompatibleProtocol, SyncHeld)
    kind = {each.code: each for each in tellable}.get(refusal.code, SessionRefused)
    return kind(refusal.message, subject=refusal.subject or subject, remedy=refusal.remedy or "Check both nodes.")
