"""Where the suspended code of crashed nodes rests: a crash runs no `finally`, not even when memory is reclaimed.

A suspended coroutine that is dropped is finalised: Python throws GeneratorExit into it, so that its `finally` blocks
and context managers run, and warns of what was never awaited. A power failure does none of that. So what a crashed node
had under way is kept here until the world ends, and is then dropped with the mark that the garbage collector puts on
objects whose finaliser has run, because it calls no finaliser twice.

The mark is one bit in the header that CPython gives an object. It is set only where the interpreter is known to have
that header and `gc.is_finalized` confirms the bit; elsewhere the dead are kept for as long as the process lives.
Invariant: nothing here runs code of the dead, ever.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import sysconfig
import types
from collections.abc import AsyncGenerator
from functools import cache
from itertools import count
from typing import Any, Final

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_FINALIZED: Final = 1
"""The bit of the second header word, `_PyGC_PREV_MASK_FINALIZED`: the same since Python 3.9."""

_unburied: list[list[object]] = []
"""The dead of worlds that have ended on an interpreter whose objects cannot be marked."""


COLLECT_WORLDS: Final = 16
"""Worlds after which everything is collected: what was frozen does not count towards Python's own collections."""

_worlds = count(1)


def freeze() -> None:
    """Take what is there now out of the collections to come, which are about the world that begins."""
    if next(_worlds) % COLLECT_WORLDS == 0:
        gc.collect()
    gc.freeze()


class Graveyard:
    """The dead of one world."""

    def __init__(self) -> None:
        self._dead: list[object] = []

    def __len__(self) -> int:
        return len(self._dead)

    def keep(self, dead: object) -> None:
        """Keep something as it is until the end of the world."""
        self._dead.append(dead)

    def bury(self) -> None:
        """Reclaim the memory of all that is kept, and of everything suspended that only they hold."""
        dead, self._dead = self._dead, []
        if not dead:
            return
        if not _can_mark():
            _unburied.append(dead)
            return
        for suspended in _suspended():
            _mark(suspended)
        dead.clear()
        gc.collect()


def _suspended() -> list[object]:
    """What has a finaliser that would run code or warn, as far as it came to be after the last `gc.freeze`.

    This may hold generators of living code that are merely between two steps. The mark does them no harm: they end by
    running out or by being closed, and only what is dropped half-way is not closed any more.
    """
    kinds = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType, asyncio.Future, *_awaitables())
    # By type and not by isinstance, which asks objects for their class and so may run their code.
    return [found for found in gc.get_objects() if issubclass(type(found), kinds)]


@cache
def _awaitables() -> tuple[type, ...]:
    """The types of what drives async generators; from Python 3.13 on they warn when nobody awaited them."""

    async def nothing() -> AsyncGenerator[None, None]:
        yield

    drivers: list[Any] = [nothing().asend(None), nothing().aclose()]
    for driver in drivers:
        driver.close()
    return tuple(type(driver) for driver in drivers)


def _mark(target: object) -> None:
    """Have the garbage collector believe that the finaliser of an object has run."""
    if gc.is_tracked(target):
        _header(target).value |= _FINALIZED


def _header(target: object) -> ctypes.c_size_t:
    """The second word of the header that stands before an object that is tracked."""
    return ctypes.c_size_t.from_address(id(target) - _WORD)


_returned: list[object] = []


class _Revenant:
    """An object that lives on after its finaliser has run."""

    def __del__(self) -> None:
        _returned.append(self)


@cache
def _can_mark() -> bool:
    """Whether objects have the header that is expected, by what the garbage collector itself says of two of them."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    _Revenant()
    known, fresh = _returned.pop(), _Revenant()
    as_expected = (
        gc.is_finalized(known)
        and not gc.is_finalized(fresh)
        and _header(known).value & _FINALIZED
        and not _header(fresh).value & _FINALIZED
    )
    if as_expected:
        _mark(fresh)
    return gc.is_finalized(fresh)
