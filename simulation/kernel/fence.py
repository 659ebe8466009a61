"""The fence around a user's programs and resolvers: what would bring the real world in is reported, with the line.

Stand-ins are put into the global names of the user's own modules and given to their imports, so that no other code ever
sees them; threads, processes and sockets are watched where Python starts them, and only what was called on behalf of a
program is refused. Invariants: code of the engine and of Python's library is never stopped; afterwards everything is as
it was. What hides from it: functions that the user's code has put away before (default arguments, attributes), and
clocks that other packages read.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from holdfast.errors import ProgramFault

from .blame import is_internal, module_of, place_of
from .forbidden import ACTIONS, CLASSES, FUNCTIONS, GuardedModule, stand_in

Names = dict[str, Any]


@dataclass(slots=True)
class Fence:
    """What was refused.

    Attributes:
        known: The identities of the global names that belong to programs.
        faults: Each fault, also those that somebody caught: an engine treats what a resolver raises as the resolver's.
    """

    known: frozenset[int]
    faults: list[ProgramFault] = field(default_factory=list)

    def report(self, call: str, remedy: str, frame: FrameType | None, taken: str) -> ProgramFault:
        """Note a call that is refused and give its fault, to be raised."""
        return self.note(f"a simulated program called {call}", remedy, frame, taken)

    def note(self, what: str, remedy: str, frame: FrameType | None, taken: str = "") -> ProgramFault:
        """Note a fault and give it, to be raised."""
        blamed = self.program_of(frame)
        place = place_of(blamed) if blamed else taken or "a simulated program"
        fault = ProgramFault(what, subject=place, remedy=remedy)
        self.faults.append(fault)
        return fault

    def program_of(self, frame: FrameType | None) -> FrameType | None:
        """The program's frame on whose behalf this one runs; None if the engine stands between, or no program."""
        while frame is not None:
            if id(frame.f_globals) in self.known:
                return frame
            if module_of(frame).partition(".")[0] == "holdfast":
                return None
            frame = frame.f_back
        return None


@contextmanager
def fenced(programs: Iterable[object]) -> Iterator[Fence]:
    """Refuse the real world to the modules of these programs, until the end of the block.

    Args:
        programs: Functions, methods, resolvers (objects or classes) and modules. With each come the modules of the
            same package, or of the same folder if it has no package.
    """
    spaces = _namespaces(programs)
    fence = Fence(frozenset(id(names) for names in spaces))
    with ExitStack() as undo:
        for names in spaces:
            undo.callback(_put_back, names, _replace(names, fence))
        undo.callback(setattr, builtins, "__import__", builtins.__import__)
        builtins.__import__ = _importing(builtins.__import__, fence)
        for (module, owner, method), remedy in ACTIONS.items():
            if module in sys.modules:
                _watch(getattr(sys.modules[module], owner), method, f"{module}.{owner}", remedy, fence, undo)
        yield fence


def _namespaces(programs: Iterable[object]) -> list[Names]:
    """The global names of the programs' modules and of those that belong with them."""
    found: dict[int, Names] = {}
    for program in programs:
        names = _globals_of(program)
        module = str(names.get("__name__", ""))
        if not names or (is_internal(module) and module != "__main__"):
            continue
        found[id(names)] = names
        for other in list(sys.modules.values()):
            if _belongs(other, module, names.get("__file__")):
                found[id(other.__dict__)] = other.__dict__
    return list(found.values())


def _globals_of(program: Any) -> Names:  # noqa: ANN401
    if isinstance(program, functools.partial):
        return _globals_of(program.func)
    if isinstance(program, ModuleType):
        return program.__dict__
    program = getattr(program, "__func__", program)
    if hasattr(program, "__globals__"):
        names: Names = program.__globals__
        return names
    module = sys.modules.get(getattr(program, "__module__", None) or type(program).__module__)
    return module.__dict__ if module is not None else {}


def _belongs(other: object, module: str, file: str | None) -> bool:
    if not isinstance(other, ModuleType) or is_internal(other.__name__):
        return False
    top = module.partition(".")[0]
    if "." in module:
        return other.__name__.partition(".")[0] == top
    folder = Path(file).parent if file else None
    beside = getattr(other, "__file__", None)
    return bool(folder and beside and Path(beside).parent == folder)


def _replace(names: Names, fence: Fence) -> list[tuple[str, object, object]]:
    """Put stand-ins for what is forbidden among these names; gives (name, stand-in, original)."""
    originals = _originals()
    replaced: list[tuple[str, object, object]] = []
    for name, value in list(names.items()):
        put: object = value
        if isinstance(value, ModuleType):
            put = _guarded_module(value, fence)
        elif (place := originals.get(id(value))) is not None:
            put = stand_in(*place, value, fence.report)
        if put is not value:
            names[name] = put
            replaced.append((name, put, value))
    return replaced


def _put_back(names: Names, replaced: list[tuple[str, object, object]]) -> None:
    for name, put, original in replaced:
        if names.get(name) is put:  # else the program has given the name to something else
            names[name] = original


def _originals() -> dict[int, tuple[str, str]]:
    """The forbidden functions and classes that are loaded, by their identity."""
    places = [(module, name) for module, rules in FUNCTIONS.items() for name in rules]
    return {
        id(getattr(sys.modules[module], name)): (module, name)
        for module, name in [*places, *CLASSES]
        if module in sys.modules and hasattr(sys.modules[module], name)
    }


def _guarded_module(module: ModuleType, fence: Fence) -> ModuleType:
    if module.__name__ in FUNCTIONS or any(module.__name__ == of for of, _ in CLASSES):
        return module if isinstance(module, GuardedModule) else GuardedModule(module, fence.report)
    return module


def _importing(original: Callable[..., Any], fence: Fence) -> Callable[..., Any]:
    """Python's import, which gives guarded modules to imports inside the functions of programs."""

    def load(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        module = original(*args, **named)
        importer = sys._getframe(1).f_globals  # noqa: SLF001 - an argument may leave it out
        return _guarded_module(module, fence) if id(importer) in fence.known else module

    return load


def _watch(owner: type, method: str, title: str, remedy: str, fence: Fence, undo: ExitStack) -> None:
    """Refuse a method of Python's library when a program calls it, directly or through others."""
    original = getattr(owner, method)
    own = method in vars(owner)

    @functools.wraps(original)
    def act(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        frame = fence.program_of(sys._getframe(1))  # noqa: SLF001
        if frame is not None:
            raise fence.report(f"{title}.{method}()".replace(".__init__", ""), remedy, frame, "")
        return original(*args, **named)

    setattr(owner, method, act)
    undo.callback(setattr, owner, method, original) if own else undo.callback(delattr, owner, method)
