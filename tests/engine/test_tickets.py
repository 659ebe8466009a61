"""Session tickets: a node is told from a copy of its file, whatever was lost on the way, and never mistaken for one."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.tickets import MARK_BYTES, MARKS_MAX, TICKET_BYTES, is_from_copy, marked, seen

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


# ---------------------------------------------------------------------------------- everything that may come in between


class World(NamedTuple):
    """One owner, one responder, and every request that was ever made: each may come again, late, or in part.

    `shown` is that of the session that is open (None: none is), `given` what was answered to requests like it since.
    `waiting`: requests that were heard and may still be answered.
    """

    ticket: bytes = marked(b"", mark(0))
    shown: bytes | None = None
    given: frozenset[bytes] = frozenset()
    last: bytes = b""
    pending: bytes = b""
    requests: frozenset[bytes] = frozenset()
    waiting: frozenset[bytes] = frozenset()
    count: int = 1


def futures(world: World) -> list[World]:
    """What may happen next; the owner has one session with a responder at a time."""
    found = [world._replace(ticket=marked(world.ticket, mark(world.count)), count=world.count + 1)]
    if world.shown is None:
        found.append(world._replace(shown=world.ticket, given=frozenset(), requests=world.requests | {world.ticket}))
    else:
        found.append(world._replace(shown=None))  # cut, or its process was killed
        found += [world._replace(shown=None, ticket=given) for given in world.given]
    for shown in world.requests:
        if is_from_copy(shown, world.last, world.pending):
            assert shown != world.shown, world
            continue
        last, pending = seen(shown, world.last, world.pending)
        found.append(world._replace(last=last, pending=pending, waiting=world.waiting | {shown}))
    for shown in world.waiting & {world.last}:  # others are given nothing
        pending = world.pending or world.count.to_bytes(TICKET_BYTES, "big")
        given = world.given | ({pending} if shown == world.shown else set())
        found.append(world._replace(pending=pending, given=given, count=world.count + (not world.pending)))
    return found


def test_the_owner_is_never_taken_for_a_copy_whatever_is_lost_repeated_late_or_killed():
    """Every interleaving of 13 events: no request of an open session is refused, nor one that could be opened."""
    worlds = {World()}
    for _ in range(13):
        worlds = {world for before in worlds for world in futures(before)}
        assert not any(is_from_copy(world.ticket, world.last, world.pending) for world in worlds)
    assert len(worlds) > 10_000


class Files(NamedTuple):
    """An owner and a copy of its file: the ticket of each, and whether operations of each have left it since."""

    tickets: tuple[bytes, bytes]
    last: bytes
    pending: bytes
    left: tuple[bool, bool] = (False, False)
    found: bool = False
    count: int = 1


def sessions(files: Files) -> list[Files]:
    """Each of the two writes, or has a session whose acknowledgement arrives or is lost."""
    results = []
    for n, ticket in enumerate(files.tickets):
        wrote = marked(ticket, files.count.to_bytes(MARK_BYTES, "big"))
        for shown, left in ((ticket, files.left[n]), (wrote, True)):
            count = files.count + 1
            if is_from_copy(shown, files.last, files.pending):
                results.append(files._replace(found=True))
                continue
            last, pending = seen(shown, files.last, files.pending)
            pending = pending or count.to_bytes(TICKET_BYTES, "big")
            for kept in (shown, pending):
                pair = (kept, files.tickets[1]) if n == 0 else (files.tickets[0], kept)
                both = (left, files.left[1]) if n == 0 else (files.left[0], left)
                results.append(Files(pair, last, pending, both, count=count + 1))
    return results


@pytest.mark.parametrize(
    ("ticket", "last", "pending"),
    [(b"", b"", b""), (GIVEN, b"", GIVEN), (GIVEN, GIVEN, b""), (GIVEN, GIVEN, NEXT), (GIVEN, mark(7) * 2, GIVEN)],
)
def test_two_files_that_have_both_sent_operations_are_always_told_apart(ticket, last, pending):
    """Whatever ticket was given twice: before the second file's operations are taken, one of the two is found."""
    worlds = {Files((ticket, ticket), last, pending)}
    for _ in range(5):
        worlds = {world for before in worlds for world in sessions(before) if not world.found}
        assert not any(all(world.left) for world in worlds)
    assert len(worlds) > 100
