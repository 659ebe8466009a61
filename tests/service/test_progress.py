"""Progress is for terminals only."""

from __future__ import annotations

import io
import sys

import pytest

from holdfast.service.progress import bar, counter


class Screen(io.StringIO):
    """stderr that is a terminal, or not."""

    def __init__(self, *, terminal: bool):
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(monkeypatch, terminal):
    screen = Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    with bar("importing", 100) as show:
        for position in (40, 100, 250):
            show(position)
    assert ("importing" in screen.getvalue(), "100%" in screen.getvalue()) == (terminal, terminal)


def test_a_bar_over_nothing_ends():
    with bar("exporting", 0) as show:
        show(0)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_counter_shows_the_last_state_and_leaves_a_clean_line(monkeypatch, terminal):
    screen = Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    with counter() as show:
        show("syncing: 1 sent")
    assert ("syncing: 1 sent" in screen.getvalue()) == terminal
    assert not screen.getvalue() or screen.getvalue().endswith("\r\x1b[K")
