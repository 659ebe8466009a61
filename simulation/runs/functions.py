"""What a user's functions must be before anything runs: callable with what they are given, and of the right kind.

Calls none of them. Invariant: what is refused here would fail in every world; the error names the function's line.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..plans.arguments import mistake
from ..world.programs import defined_at

NAME_CHARS_MAX: Final = 128


def check_programs(programs: object) -> None:
    """Programs: names, and asynchronous functions of an engine; raises InvalidPlan."""
    if not isinstance(programs, Mapping):
        remedy = 'Pass a dict of names and functions, such as {"field_app": field_app}.'
        raise mistake(f"programs are a dict, not {type(programs).__name__}", "programs", remedy)
    for name, program in programs.items():
        if not (isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX and name.isprintable()):
            raise mistake(f"{name!r} is no name of a program", "programs", "Use 1 to 128 printable characters.")
        as_it_should = f"Write it as async def {name}(engine)."
        _check_callable(program, f"the program {name}", "one argument, the engine", as_it_should)
        if inspect.isasyncgenfunction(program) or inspect.isgeneratorfunction(program):
            raise mistake(
                f"the program {name} is a generator", defined_at(program), f"{as_it_should} It must not yield."
            )


def check_checks(checks: Iterable[object]) -> None:
    """Checks: functions of the world as it is in the end; raises InvalidPlan."""
    for check in checks:
        name = getattr(check, "__name__", type(check).__name__)
        as_it_should = f"Write it as def {name}(world)."
        _check_callable(check, f"the check {name}", "one argument, the world", as_it_should)
        if inspect.iscoroutinefunction(check):
            raise mistake(
                f"the check {name} is asynchronous", defined_at(check), f"{as_it_should} Nothing moves any more."
            )


def check_resolvers(resolvers: Mapping[str, Any]) -> None:
    """Resolvers: objects with a name, a version and a method; raises InvalidPlan."""
    for name, resolver in resolvers.items():
        if isinstance(resolver, type):
            raise mistake(f"the resolver {name} is a class", defined_at(resolver), f"Pass an object: {name}().")
        lacking = [part for part in ("name", "version", "resolve") if not hasattr(resolver, part)]
        if lacking:
            what = f"the resolver {name} has no {' and no '.join(lacking)}"
            raise mistake(what, defined_at(resolver), "Give it a name, a version and resolve(conflict).")


def _check_callable(function: object, who: str, takes: str, remedy: str) -> None:
    if not callable(function):
        raise mistake(f"{who} is {type(function).__name__}, which cannot be called", who, remedy)
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise mistake(f"{who} must take {takes}: {error}", defined_at(function), remedy) from error
    except ValueError:
        return  # some built-in functions do not say what they take
