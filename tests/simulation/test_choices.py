"""Choices: independent streams, tapes that fit or fail, and helpers whose 0 is the plainest outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import TapeMismatch
from holdfast.simulation.choices import (
    Draw,
    RecordingChoices,
    SeededChoices,
    TapedChoices,
    between,
    bytes_source,
    chance,
    pick,
)

from .loops import FirstInLine

STREAMS = st.sampled_from(["sched", "net:a>b", "disk:a"])
BOUNDS = st.integers(1, 2**70)


def draws(choices, stream, n=1000, count=50):
    return [choices.draw(stream, n) for _ in range(count)]


@given(st.integers(), st.lists(st.tuples(STREAMS, BOUNDS)))
def test_draws_stay_below_their_bound_and_follow_from_the_seed(seed, asked):
    first, second = SeededChoices(seed), SeededChoices(seed)
    for stream, n in asked:
        value = first.draw(stream, n)
        assert 0 <= value < n
        assert second.draw(stream, n) == value


def test_known_draws_of_a_known_seed():
    # Seeds are written into reports and into the list of mutants: what they mean must not change unnoticed.
    choices = SeededChoices(7)
    assert [choices.draw("sched", 10) for _ in range(8)] == [8, 8, 5, 1, 0, 4, 6, 6]
    assert choices.draw("ids:a", 2**64) == 4681518718909374024


def test_a_draw_more_in_one_stream_shifts_no_other():
    plain, disturbed = SeededChoices(1), SeededChoices(1)
    draws(disturbed, "net:a>b", count=3)
    assert draws(plain, "disk:a") == draws(disturbed, "disk:a")
    assert draws(plain, "sched") != draws(SeededChoices(2), "sched")
    assert draws(plain, "clock:a") != draws(plain, "clock:b")


def test_a_choice_among_one_is_no_choice():
    recording = RecordingChoices(SeededChoices(1))
    assert recording.draw("sched", 1) == 0
    assert recording.tape == []
    assert TapedChoices([]).draw("sched", 1) == 0


@pytest.mark.parametrize("choices", [SeededChoices(1), TapedChoices([]), RecordingChoices(SeededChoices(1))])
def test_one_of_none_cannot_be_drawn(choices):
    with pytest.raises(ValueError, match="'sched': one of 0"):
        choices.draw("sched", 0)


@given(st.integers(), st.lists(st.tuples(STREAMS, BOUNDS)))
def test_a_tape_gives_back_what_was_recorded(seed, asked):
    recording = RecordingChoices(SeededChoices(seed))
    values = [recording.draw(stream, n) for stream, n in asked]
    taped = TapedChoices(recording.tape)
    assert [taped.draw(stream, n) for stream, n in asked] == values
    assert taped.position == len(recording.tape) == sum(n > 1 for _, n in asked)


@pytest.mark.parametrize(
    ("tape", "what"),
    [
        ([], "it ends where one of 5 in stream 'sched' is asked for"),
        ([Draw("net", 5, 1)], "it has 1 of 5 in stream 'net'"),
        ([Draw("sched", 6, 1)], "it has 1 of 6 in stream 'sched'"),
        ([Draw("sched", 5, 5)], "it has 5 of 5 in stream 'sched'"),
        ([Draw("sched", 5, -1)], "it has -1 of 5"),
    ],
)
def test_a_tape_that_does_not_fit_names_the_position(tape, what):
    choices = TapedChoices([Draw("sched", 2, 1), *tape])
    choices.draw("sched", 2)
    with pytest.raises(TapeMismatch, match=what) as raised:
        choices.draw("sched", 5)
    assert raised.value.subject == "choice 1"
    assert choices.position == 1


def test_never_and_always_draw_nothing():
    choices = RecordingChoices(SeededChoices(1))
    assert not chance(choices, "net", 0)
    assert chance(choices, "net", 1000)
    assert choices.tape == []


def test_chances_come_as_often_as_they_say():
    choices = SeededChoices(1)
    assert 200 < sum(chance(choices, "net", 250) for _ in range(1000)) < 300


def test_the_plainest_choice_is_no_fault_the_first_and_the_least():
    plain = FirstInLine()
    assert not chance(plain, "net", 999)
    assert pick(plain, "work", ["first", "second"]) == "first"
    assert between(plain, "net", 3, 9) == 3
    assert bytes_source(plain, "ids:a")(6) == bytes(6)


@given(st.integers(-50, 50), st.integers(0, 100))
def test_between_includes_both_ends(low, span):
    drawn = {between(SeededChoices(seed), "work", low, low + span) for seed in range(40)}
    assert all(low <= value <= low + span for value in drawn)
    assert drawn == {low, low + 1} or span != 1


@given(st.integers(0, 40))
def test_entropy_has_the_asked_length_and_comes_from_its_stream(size):
    recording = RecordingChoices(SeededChoices(1))
    made = bytes_source(recording, "ids:a")(size)
    assert len(made) == size
    assert bytes_source(TapedChoices(recording.tape), "ids:a")(size) == made
    assert size < 8 or made != bytes_source(SeededChoices(1), "ids:b")(size)
