"""Who waits where: suspended tasks in words, for the report of a deadlock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Final

from .life import SimTask

SHOWN_MAX: Final = 8
"""Tasks that are named; the others are counted."""


def describe(tasks: Sequence[SimTask[Any]]) -> str:
    """Each task with its node and the innermost line where it waits."""
    shown = [_line(task) for task in tasks[:SHOWN_MAX]]
    if len(tasks) > SHOWN_MAX:
        shown.append(f"and {len(tasks) - SHOWN_MAX} more")
    return ", ".join(shown) or "no task"


def _line(task: SimTask[Any]) -> str:
    node = f"{task.life.node}: " if task.life else ""
    return f"{node}{task.get_name()}{_place(task.get_coro())}"


def _place(step: object) -> str:
    """The innermost frame of a chain of awaits, as far as Python shows it."""
    place = ""
    while step is not None:
        frame = _first(step, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            place = f" at {PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
        step = _first(step, "cr_await", "gi_yieldfrom", "ag_await")
    return place


def _first(step: object, *names: str) -> Any:  # noqa: ANN401 - each kind of coroutine has names of its own
    return next((found for name in names if (found := getattr(step, name, None)) is not None), None)
