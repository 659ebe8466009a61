"""Who waits where: suspended tasks in words, for the report of a deadlock.

Invariant: a line of the user's program is named before those below it, which are Python's or Holdfast's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

from holdfast.errors import ProgramFault

from .blame import is_internal, module_of, place_of
from .life import SimHandle, SimTask, current_program

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
    return f"{node}{task.get_name()}{_place(task)}"


def program_line_of(task: SimTask[Any]) -> str:
    """The innermost line of a program at which a task waits, as `file:line`; "" if it runs none."""
    lines = [place_of(frame) for frame in _frames(task.get_coro()) if not is_internal(module_of(frame))]
    return lines[-1] if lines else ""


def never_waits(ready: Iterable[SimHandle], what: str) -> ProgramFault | None:
    """The fault of a program that is ready whenever it is asked; None if no line of a program is.

    Args:
        ready: What could run now.
        what: What was noticed.
    """
    for handle in ready:
        program = handle._context.get(current_program)  # noqa: SLF001 - a part of the loop
        line = program_line_of(handle.task) if program and handle.task is not None else ""
        if line:
            remedy = "Wait in each turn with asyncio.sleep and some seconds: time passes when nothing is ready."
            return ProgramFault(f"the program {program} never waits: {what}", subject=line, remedy=remedy)
    return None


def _place(task: SimTask[Any]) -> str:
    """The innermost line of a program, or else of all, as far as Python shows it."""
    line = program_line_of(task)
    if line:
        return f" at {line}"
    frames = [*_frames(task.get_coro())]
    return f" at {PurePath(frames[-1].f_code.co_filename).name}:{frames[-1].f_lineno}" if frames else ""


def _frames(step: object) -> Iterator[FrameType]:
    """The frames of a chain of awaits, the outermost first."""
    while step is not None:
        frame = _first(step, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        step = _first(step, "cr_await", "gi_yieldfrom", "ag_await")


def _first(step: object, *names: str) -> Any:  # noqa: ANN401 - each kind of coroutine has names of its own
    return next((found for name in names if (found := getattr(step, name, None)) is not None), None)
