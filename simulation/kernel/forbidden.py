"""What a program must not take from Python inside a simulation, and what stands in its place there.

Nothing here is installed anywhere; `fence` does that. Invariant: a stand-in behaves as the original in everything but
the calls that would bring real time, chance, threads, processes or sockets into a world.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any, Final

Report = Callable[[str, str, FrameType | None, str], Exception]
"""Gives the fault for a call: its name, the remedy, the frame that called, and where the function was taken from."""

_CLOCK: Final = "Read the clock of the loop, asyncio.get_running_loop().time(), or keep time out of it."
_SLEEP: Final = "Use asyncio.sleep, which takes virtual time."
_CHANCE: Final = "Use a random.Random with a seed of your own."
_IDS: Final = "Make ids of the node's name and a counter."
_PROCESS: Final = "A simulated program lives in one thread of one process: leave it out."

_RANDOM: Final = (
    "betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits getstate lognormvariate "
    "normalvariate paretovariate randbytes randint random randrange sample seed setstate shuffle triangular uniform "
    "vonmisesvariate weibullvariate"
)
_CLOCKS: Final = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns"
)
_PROCESSES: Final = (
    "abort execl execle execlp execlpe execv execve execvp execvpe fork forkpty kill killpg popen posix_spawn "
    "posix_spawnp spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe startfile system wait waitpid"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Why a call is refused.

    Attributes:
        remedy: What to do instead.
        allowed_from: With so many arguments or more it takes nothing from the world; 0: never.
    """

    remedy: str
    allowed_from: int = 0

    def allows(self, arguments: int) -> bool:
        """Whether a call with this many arguments is harmless."""
        return 0 < self.allowed_from <= arguments


def _rules(*parts: tuple[str, Rule]) -> dict[str, Rule]:
    return {name: rule for names, rule in parts for name in names.split()}


FUNCTIONS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "time": _rules(
        (_CLOCKS, Rule(_CLOCK)),
        ("localtime gmtime ctime asctime", Rule(_CLOCK, allowed_from=1)),
        ("strftime", Rule(_CLOCK, allowed_from=2)),
        ("sleep", Rule(_SLEEP)),
    ),
    "random": _rules((_RANDOM, Rule(_CHANCE)), ("SystemRandom", Rule(_CHANCE))),
    "secrets": _rules(
        ("SystemRandom choice randbelow randbits token_bytes token_hex token_urlsafe", Rule(_CHANCE)),
    ),
    "uuid": _rules(("getnode uuid1 uuid4 uuid6 uuid7 uuid8", Rule(_IDS))),
    "os": _rules(("getrandom urandom", Rule(_CHANCE)), ("times", Rule(_CLOCK)), (_PROCESSES, Rule(_PROCESS))),
    "signal": _rules(
        ("alarm pause pthread_kill raise_signal setitimer signal sigtimedwait sigwait sigwaitinfo", Rule(_PROCESS))
    ),
    "_thread": _rules(("start_joinable_thread start_new start_new_thread", Rule(_PROCESS))),
}
"""Functions by module: refused when a program's own line calls them."""

CLASSES: Final[Mapping[tuple[str, str], tuple[Mapping[str, Rule], Rule | None]]] = {
    ("datetime", "datetime"): (_rules(("now today utcnow", Rule(_CLOCK))), None),
    ("datetime", "date"): (_rules(("today", Rule(_CLOCK))), None),
    ("random", "Random"): ({}, Rule(_CHANCE, allowed_from=1)),
}
"""Classes by module and name: the class methods that are refused, and how many arguments an instance needs."""

ACTIONS: Final[Mapping[tuple[str, str, str], str]] = {
    ("threading", "Thread", "start"): "Use asyncio.to_thread, which runs in line.",
    ("threading", "Event", "wait"): "Wait with asyncio: in one thread nobody else can end this.",
    ("subprocess", "Popen", "__init__"): _PROCESS,
    ("multiprocessing.process", "BaseProcess", "start"): _PROCESS,
    ("socket", "socket", "__init__"): "Nodes meet over the links of the simulation only.",
}
"""Methods of Python's library that act on the world: refused on behalf of a program, however deep it calls them."""


class GuardedModule(ModuleType):
    """A module as a program sees it: the same, with stand-ins for what is forbidden."""

    def __init__(self, module: ModuleType, report: Report) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__["_guarded"] = (module, report)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has there
        module, report = self.__dict__["_guarded"]
        value = getattr(module, name)
        taken = sys._getframe(1)  # noqa: SLF001 - the line of the program, for functions that it hands on
        return stand_in(module.__name__, name, value, report, f"{taken.f_code.co_filename}:{taken.f_lineno}")

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["_guarded"][0], name, value)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_guarded"][0])


def stand_in(module: str, name: str, value: Any, report: Report, taken: str = "") -> Any:  # noqa: ANN401
    """What a program gets for a module's value: the value itself unless it is forbidden."""
    if (rule := FUNCTIONS.get(module, {}).get(name)) is not None:
        return guarded(f"{module}.{name}", value, rule, report, taken)
    if (entry := CLASSES.get((module, name))) is not None:
        return _guarded_class(f"{module}.{name}", value, *entry, report)
    return value


def guarded(title: str, original: Callable[..., Any], rule: Rule, report: Report, taken: str = "") -> Any:  # noqa: ANN401
    """A function that refuses, except for calls that need nothing of the world."""

    def refuse(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        if rule.allows(len(args) + len(named)):
            return original(*args, **named)
        raise report(f"{title}()", rule.remedy, sys._getframe(1), taken)  # noqa: SLF001

    refuse.__name__ = refuse.__qualname__ = title
    return refuse


def _guarded_class(title: str, real: type, methods: Mapping[str, Rule], making: Rule | None, report: Report) -> type:
    """A class that makes instances of the real one, and counts them as its own."""

    class Standing(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    def make(cls: type, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        if cls is not standing:  # a class of the program's own, made from this one
            return real.__new__(cls, *args, **named)
        if making is not None and not making.allows(len(args) + len(named)):
            raise report(f"{title}()", making.remedy, sys._getframe(1), "")  # noqa: SLF001
        return real(*args, **named)

    body = {
        name: staticmethod(guarded(f"{title}.{name}", getattr(real, name), rule, report))
        for name, rule in methods.items()
    }
    standing = Standing(real.__name__, (real,), {**body, "__new__": make, "__module__": real.__module__})
    return standing
