"""The user's programs on the nodes of a world: run, ended, and blamed for what is theirs.

Knows no plan. Invariants: what a program raises, or lets through, is reported as the program's with its line, and what
the engine raises beyond its errors as the engine's; no program runs when the nodes are judged.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast.errors import HoldfastError, ProgramFault, SimulationFault

from ..kernel.blame import origin_of, program_line
from ..kernel.life import PROGRAM, SimTask, current_program, current_work
from ..kernel.waiting import program_line_of
from .engine import SimEngine

Program = Callable[[SimEngine], Awaitable[None]]

ENDING_S: Final = 600
"""Virtual seconds that a program has to end after it was cancelled."""


async def run_program(name: str, program: Program, engine: SimEngine, running: dict[asyncio.Task[None], str]) -> None:
    """Run a program to its end; raises ProgramFault for whatever it raises."""
    task = asyncio.current_task()
    assert task is not None, "programs run in tasks"
    running[task] = name
    program_before, work_before = current_program.set(name), current_work.set(PROGRAM)
    try:
        await _begun(name, program, engine)
    except (SimulationFault, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        fault = of_program(f"the program {name}", error)
        if fault is None:
            raise
        raise fault from error
    finally:
        current_program.reset(program_before)
        current_work.reset(work_before)
        running.pop(task, None)


def _begun(name: str, program: Program, engine: SimEngine) -> Awaitable[None]:
    """What the program gives to be awaited; a function that is not asynchronous gives nothing of the kind."""
    begun = program(engine)
    if not inspect.isawaitable(begun):
        what = f"the program {name} is not asynchronous: it gave {type(begun).__name__}, which cannot be awaited"
        raise ProgramFault(what, subject=defined_at(program), remedy=f"Write it as async def {name}(engine).")
    return begun


async def end_programs(running: dict[asyncio.Task[None], str], fail: Callable[[HoldfastError], None]) -> None:
    """Cancel what runs, and wait until it has ended; what a crash has ended is gone."""
    for task in [*running]:
        if isinstance(task, SimTask) and task.life is not None and not task.life.alive:
            running.pop(task)
    tasks, names = [*running], [*running.values()]
    for task in tasks:
        task.cancel()
    loop = asyncio.get_running_loop()
    until = loop.time() + ENDING_S
    while any(task in running and not task.done() for task in tasks):
        if loop.time() > until:
            deaf, name = next((task, name) for task, name in zip(tasks, names, strict=True) if not task.done())
            line = program_line_of(deaf) if isinstance(deaf, SimTask) else ""
            what = f"the program {name} goes on after it was cancelled"
            remedy = "Let asyncio.CancelledError through: when healing begins, programs end."
            fail(ProgramFault(what, subject=line or name, remedy=remedy))
        await asyncio.sleep(1)


def of_program(who: str, error: BaseException) -> ProgramFault | None:
    """The fault of a program for an error that came out of it; None if the engine is to blame."""
    while isinstance(error, BaseExceptionGroup):  # of a TaskGroup: the first one says most
        error = error.exceptions[0]
    if isinstance(error, ProgramFault):
        return error
    whose, place = origin_of(error)
    line = program_line(error)
    if not line or (whose == "holdfast" and not isinstance(error, HoldfastError)):
        return None
    if isinstance(error, HoldfastError):
        what = f"{who} did not catch {type(error).__name__}: {error.what}"
        remedy = f"Catch it where it can happen, as the application must: {error.remedy}"
        fault = ProgramFault(what, subject=line, remedy=remedy)
    else:
        what = f"{who} raised {type(error).__name__}: {error}"
        fault = ProgramFault(what, subject=place, remedy="Mend the program; the engine had no part in it.")
    fault.__cause__ = error
    return fault


def defined_at(function: Any) -> str:  # noqa: ANN401 - whatever can be called
    """Where a function or an object of a user is defined, as `file:line`."""
    function = getattr(function, "func", function)
    for found in (function, getattr(function, "resolve", None), vars(type(function)).get("__call__")):
        code = getattr(found, "__code__", None)
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return type(function).__qualname__
