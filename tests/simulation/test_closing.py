"""Claims about interrupts while a world ends: the world is closed whole, and then the interrupt is heard."""

from __future__ import annotations

import signal
import threading

import pytest

from holdfast.simulation.kernel import graveyard
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.closing import undisturbed
from holdfast.simulation.runs.lived import live
from holdfast.simulation.runs.scenario import Fleet, Scenario


def live_through(seeds):
    scenario = Scenario(source=Fleet(nodes=3, hours=0.05))
    for seed in seeds:
        live(scenario, scenario.plan(seed), SeededChoices(seed))


def test_a_world_that_is_interrupted_while_it_buries_its_dead_buries_them(monkeypatch):
    """Python finalised them otherwise, and printed a traceback for each."""
    found, marked = [], []
    suspended, mark = graveyard._suspended, graveyard._mark

    def interrupted():
        found[:] = map(id, suspended())
        signal.raise_signal(signal.SIGINT)
        return suspended()

    monkeypatch.setattr(graveyard, "_suspended", interrupted)
    monkeypatch.setattr(graveyard, "_mark", lambda each: (marked.append(id(each)), mark(each)))
    with pytest.raises(KeyboardInterrupt):
        live_through(range(20))  # until one has dead
    assert found
    assert set(found) <= set(marked)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_heard_once_and_by_whoever_was_to_hear_it():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert not heard
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_have_no_signals_to_keep_back():
    before, seen = signal.getsignal(signal.SIGINT), []

    def close():
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert seen == [before]
