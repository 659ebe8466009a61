"""Claims about code that computes for ever: a program's is stopped and named, any other is left alone."""

from __future__ import annotations

import itertools
import signal

import pytest

from holdfast import ProgramFault
from holdfast.simulation.kernel.fence import fenced
from holdfast.simulation.kernel.patience import patient


def for_ever():
    while True:
        pass


def test_a_program_that_computes_for_ever_is_stopped_and_named():
    with (
        fenced([for_ever]) as fence,
        patient(fence, lambda: 7, every_s=0.02),
        pytest.raises(ProgramFault, match="without a pause") as caught,
    ):
        for_ever()
    assert f"{__file__}:{for_ever.__code__.co_firstlineno + 1}" in caught.value.subject
    assert fence.faults == [caught.value]
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL


@pytest.mark.parametrize("programs", [(), (for_ever,)])
def test_work_that_goes_on_is_left_alone_and_so_is_what_is_no_program(programs):
    looks = itertools.count()
    with fenced(programs) as fence, patient(fence, lambda: next(looks) if programs else 7, every_s=0.005):
        for number in itertools.count():
            if number % 1_000 == 0 and next(looks) > 1_000:
                break
    assert not fence.faults


def test_a_timer_of_somebody_else_is_left_alone(monkeypatch):
    mine = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        with fenced([for_ever]) as fence, patient(fence, lambda: 7, every_s=0.02):
            assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGVTALRM, mine)
