"""Session tickets: a node is told from a copy of its file, whatever was lost on the way, and never mistaken for one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.tickets import MARK_BYTES, MARKS_MAX, TICKET_BYTES, is_from_copy, marked

GIVEN, NEXT = b"g" * TICKET_BYTES, b"n" * TICKET_BYTES


def mark(n: int) -> bytes:
    return n.to_bytes(MARK_BYTES, "big")


def test_whoever_was_never_met_is_no_copy():
    assert not is_from_copy(b"", b"", b"")
    assert not is_from_copy(marked(b"", mark(1)), b"", b"")


def test_the_ticket_that_was_given_is_good_with_any_marks():
    assert not is_from_copy(NEXT, GIVEN, NEXT)
    assert not is_from_copy(marked(NEXT, mark(1)), marked(GIVEN, mark(9)), NEXT)


def test_a_lost_acknowledgement_is_no_sign_of_a_copy():
    shown = marked(GIVEN, mark(1))
    assert not is_from_copy(shown, shown, NEXT)
    assert not is_from_copy(marked(shown, mark(2)), shown, NEXT)


def test_a_copy_from_before_the_mark_is_found():
    shown = marked(GIVEN, mark(1))
    assert is_from_copy(GIVEN, shown, NEXT)
    assert is_from_copy(marked(GIVEN, mark(2)), shown, NEXT)


def test_a_copy_from_before_the_first_ticket_is_found():
    shown = marked(b"", mark(1))
    assert is_from_copy(marked(b"", mark(2)), shown, NEXT)
    assert is_from_copy(b"", shown, b"")


def test_an_old_ticket_is_a_copys():
    assert is_from_copy(b"o" * TICKET_BYTES, GIVEN, NEXT)
    assert is_from_copy(marked(b"o" * TICKET_BYTES, mark(1)), marked(GIVEN, mark(1)), NEXT)


def test_a_ticket_stays_short():
    ticket = GIVEN
    for n in range(100):
        ticket = marked(ticket, mark(n))
    assert len(ticket) == TICKET_BYTES + MARKS_MAX * MARK_BYTES


@given(st.lists(st.sampled_from(["write", "lost request", "lost answer", "session"]), max_size=MARKS_MAX))
def test_the_owner_is_never_taken_for_a_copy_and_a_copy_always_is(events):
    """One owner, one peer, sessions that fail in every way; a copy of each moment shows its own marks at the end."""
    ticket, last, pending, count, copies = marked(b"", mark(0)), b"", b"", 1, []
    for event in events:
        copies.append((ticket, last, pending))
        if event == "write":
            ticket = marked(ticket, mark(count))
            count += 1
        elif event != "lost request":
            assert not is_from_copy(ticket, last, pending)
            last, pending = ticket, count.to_bytes(TICKET_BYTES, "big")
            count += 1
            ticket = pending if event == "session" else ticket
    assert not is_from_copy(ticket, last, pending)
    for copy, then, given_then in copies:
        if (then, given_then) != (last, pending) and marked(copy, b"copy")[:-MARK_BYTES] != last:
            moved = last[:TICKET_BYTES] != copy[:TICKET_BYTES] or not copy.startswith(last)
            assert is_from_copy(marked(copy, b"copy"), last, pending) == (moved and copy[:TICKET_BYTES] != pending)


def test_a_long_outage_is_no_sign_of_a_copy():
    """The peer saw the first mark, then nothing for five hundred attempts with new operations each."""
    seen = ticket = marked(GIVEN, mark(0))
    for n in range(1, 500):
        ticket = marked(ticket, mark(n))
    assert not is_from_copy(ticket, seen, NEXT)
    assert not is_from_copy(marked(ticket, mark(500)), ticket, NEXT)
