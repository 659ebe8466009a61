"""Exchanges of a hub are shared out among tokens."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HubError
from holdfast.transport.hub.seats import Seats


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60), st.integers(1, 9))
def test_whoever_has_no_seat_gets_one_while_there_is_one(moves, limit):
    seats, stacks = Seats(limit), {token: [] for token in "abcde"}
    for token, come in moves:
        taken = sum(map(len, stacks.values()))
        if not come:
            if stacks[token]:
                stacks[token].pop().close()
            continue
        stack = ExitStack()
        try:
            stack.enter_context(seats.taken(token))
        except HubError:
            assert stacks[token] or taken == limit
        else:
            stacks[token].append(stack)
            assert taken < limit
            assert len(stacks[token]) <= (limit + 1) // 2
