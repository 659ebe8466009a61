"""How the fleet of one space of a hub is shown: who has what, who is behind, and who does not take part any more.

Invariant: it shows what the hub knows: what was sent and not confirmed yet is neither there nor behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .members import IDENTITY_SHOWN
from .output import moment, printable, table

if TYPE_CHECKING:
    from holdfast import PeerStatus, Status

_HEADS: Final = ("node", "state", "to send", "operations", "last met", "brought all at", "clock", "identity")
_STANDINGS: Final = {
    "left out": "left out",
    "superseded": "goes on under another identity",
    "sealed": "given up",
}


def fleet(name: str, status: Status | None) -> str:
    """One space, as lines; None if no node has come for it."""
    if status is None:
        return printable(f"{name}: no node has come yet")
    latest = sorted(status.peers, key=lambda peer: (not _is_behind(peer), -peer.behind, peer.met_ms))
    taking_part = [peer for peer in latest if peer.standing == "member"]
    others = [peer for peer in latest if peer.standing != "member"]
    lines = [printable(f"{name}: {status.records:,} records, digest {status.digest}; {_counts(taking_part, others)}")]
    if taking_part:
        lines.append(table(_HEADS, [_row(peer, _state(peer)) for peer in taking_part]))
    if others:
        lines += ["", "purges do not wait, or need not wait, for:"]
        lines.append(table(_HEADS, [_row(peer, _STANDINGS[peer.standing]) for peer in others]))
    return "\n".join([*lines, *(f"! {printable(blocker)}" for blocker in status.blockers)])


def _counts(taking_part: list[PeerStatus], others: list[PeerStatus]) -> str:
    behind = sum(1 for peer in taking_part if _is_behind(peer))
    sent = sum(1 for peer in taking_part if peer.behind and peer.offered)
    found = [f"{len(taking_part)} {'node' if len(taking_part) == 1 else 'nodes'}, {behind} behind"]
    if sent:
        found.append(f"{sent} not confirmed yet")
    if others:
        found.append(f"{len(others)} {'identity' if len(others) == 1 else 'identities'} apart")
    return ", ".join(found)


def _is_behind(peer: PeerStatus) -> bool:
    return bool(peer.behind) and not peer.offered


def _state(peer: PeerStatus) -> str:
    if not peer.behind:
        return "has all"
    return "sent, not confirmed yet" if peer.offered else "behind"


def _row(peer: PeerStatus, state: str) -> tuple[object, ...]:
    label, met = peer.label or "-", moment(peer.met_ms) if peer.met_ms else "-"
    drift, actor = f"{peer.drift_ms / 1000:+.1f} s", peer.actor[:IDENTITY_SHOWN]
    return label, state, peer.pending, peer.behind, met, moment(peer.synced_ms), drift, actor
