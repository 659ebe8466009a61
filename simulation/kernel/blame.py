"""Whose line it was: the place in a user's code that asked for something a simulation does not give.

Reads frames and nothing else. Invariant: what belongs to Python's own library or to Holdfast is never blamed while a
frame of somebody else is on the stack.
"""

from __future__ import annotations

import sys
from types import FrameType

from holdfast.errors import ProgramFault


def is_internal(module: str) -> bool:
    """Whether a module is part of Python's library or of Holdfast."""
    top = module.partition(".")[0]
    return top == "holdfast" or top in sys.stdlib_module_names


def module_of(frame: FrameType) -> str:
    """The module whose code a frame runs."""
    return str(frame.f_globals.get("__name__", ""))


def place_of(frame: FrameType) -> str:
    """Where a frame stands, as `file:line`."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def outside(frame: FrameType | None) -> FrameType | None:
    """The innermost frame, from this one on, that is neither Python's library nor Holdfast."""
    while frame is not None and is_internal(module_of(frame)):
        frame = frame.f_back
    return frame


def origin_of(error: BaseException) -> tuple[str, str]:
    """Whose code raised an error, and where: ("holdfast" or "program", `file:line`); ("", "") if nobody's line shows.

    Python's library is passed over: whoever called it with what made it raise is meant.
    """
    traceback, found = error.__traceback__, ("", "")
    while traceback is not None:
        frame = traceback.tb_frame
        module = module_of(frame)
        if module.partition(".")[0] == "holdfast":
            found = ("holdfast", f"{frame.f_code.co_filename}:{traceback.tb_lineno}")
        elif not is_internal(module) or module == "__main__":
            found = ("program", f"{frame.f_code.co_filename}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return found


def program_line(error: BaseException) -> str:
    """The innermost line of a program that an error came through, as `file:line`; "" if there is none."""
    traceback, found = error.__traceback__, ""
    while traceback is not None:
        frame = traceback.tb_frame
        if not is_internal(module_of(frame)) or module_of(frame) == "__main__":
            found = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def site_of(error: BaseException) -> str:
    """Where an error was raised, as function and line in it; "" if it never was."""
    traceback, found = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found = f"{code.co_qualname}+{traceback.tb_lineno - code.co_firstlineno}"
        traceback = traceback.tb_next
    return found


def program_fault(what: str, remedy: str, frame: FrameType | None = None) -> ProgramFault:
    """The fault of the caller: of this frame, or of the innermost that is neither Python's library nor Holdfast."""
    blamed = frame or outside(sys._getframe(1))  # noqa: SLF001 - the only way to a frame without a traceback
    return ProgramFault(what, subject=place_of(blamed) if blamed else "a simulated program", remedy=remedy)
