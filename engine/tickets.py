"""Session tickets: how a peer tells a node from a copy of its file.

Pure. A ticket is what the peer gave in the last session, followed by a random mark for each time that new operations
may have left this file since. A copy holds the marks that stood in the file when it was made, and draws its own
afterwards. Invariant: whoever holds a mark that a later ticket on the same base lacks is talking to a copy.
"""

from __future__ import annotations

from typing import Final

TICKET_BYTES: Final = 8
MARK_BYTES: Final = 4
MARKS_MAX: Final = 16
"""Marks that are shown: sessions that failed in a row, each with new operations. To forget one costs an incarnation."""

_FIRST: Final = bytes(TICKET_BYTES)
"""Stands for the ticket of a peer that has not given one yet."""


def marked(ticket: bytes, mark: bytes) -> bytes:
    """The ticket after new operations may have left the file."""
    return _base(ticket) + (ticket[TICKET_BYTES:] + mark)[-MARKS_MAX * MARK_BYTES :]


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


def _base(ticket: bytes) -> bytes:
    return ticket[:TICKET_BYTES] or _FIRST
