"""Session tickets: how a peer tells a node from a copy of its file.

Pure. A ticket is what the peer gave in the last session, followed by a random mark for each time that new operations
may have left this file since. A copy holds the marks that stood in the file when it was made, and draws its own
afterwards. Invariant: whoever holds a mark that a later ticket on the same base lacks is talking to a copy.
"""

from __future__ import annotations

from typing import Final

TICKET_BYTES: Final = 8
MARK_BYTES: Final = 4
MARKS_MAX: Final = 62
"""Marks that are shown, the oldest half and the newest: a ticket has at most 256 bytes. A long outage adds a mark with
every attempt that has new operations; the peer saw one of the first ones, or has come back and saw one of the last."""

_FIRST: Final = bytes(TICKET_BYTES)
"""Stands for the ticket of a peer that has not given one yet."""


def marked(ticket: bytes, mark: bytes) -> bytes:
    """The ticket after new operations may have left the file."""
    marks = ticket[TICKET_BYTES:] + mark
    half = MARKS_MAX // 2 * MARK_BYTES
    return _base(ticket) + (marks if len(marks) <= 2 * half else marks[:half] + marks[-half:])


def is_from_copy(shown: bytes, last: bytes, pending: bytes) -> bool:
    """Whether a ticket was shown by another file than the one that the responder knows.

    Args:
        shown: The ticket.
        last: The one that was shown before it; empty if none was.
        pending: What was given since; empty if nothing was.
    """
    if not (last or pending):
        return False
    if _base(shown) != _base(last):
        return _base(shown) != pending
    known = last[TICKET_BYTES:][-MARK_BYTES:]
    marks = shown[TICKET_BYTES:]
    return bool(known) and known not in [marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)]


def seen(shown: bytes, last: bytes, pending: bytes) -> tuple[bytes, bytes]:
    """What the responder keeps once a ticket was shown that is not from a copy: the last shown, and what is pending.

    What was given on one ticket is given again when the same ticket is shown again (a request may come twice, and only
    one of the answers arrive). Another ticket shows that what was given before it never arrived.
    """
    return shown, pending if shown == last else b""


def _base(ticket: bytes) -> bytes:
    return ticket[:TICKET_BYTES] or _FIRST
