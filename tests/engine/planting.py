"""Plants a mutant, and tells a broken rule from a broken mutant, which no longer fits the names that it patches.

Knows no mutant and no fleet. Invariant: nothing that fails while a mutant is planted counts as caught if the failure is
the mutant's own: a raw error raised on a line of the mutant, a call that does not fit it, or SQL that does not fit the
tables. Such a mutant ends the run by its name, also where the engine has passed over its error.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import FunctionType, TracebackType
from typing import Any

import pytest

_RAW = (AttributeError, LookupError, NameError, TypeError, ValueError)
"""What code raises that does not fit other code. Others (a full disk, a crash) come through its lines too."""

_SQL = re.compile(r"no such (column|table)|syntax error|number of bindings", re.IGNORECASE)


class BrokenMutantError(Exception):
    """A mutant failed by itself: it must be written anew."""


@dataclass(slots=True)
class Planting:
    """Stands for the patch of a mutant while it is planted.

    Args:
        patch: What the mutant is planted with.
        plant: What plants it, whose file is that of the mutant.

    Attributes:
        own: Errors of the mutant's own.
    """

    patch: pytest.MonkeyPatch
    plant: Callable[..., None]
    own: list[BaseException] = field(default_factory=list)

    def setattr(self, target: object, name: str, value: Any, **options: Any) -> None:
        """As `MonkeyPatch.setattr`; a function that raises by itself is noted."""
        self.patch.setattr(target, name, self._noted(value), **options)

    def look(self, error: BaseException | None) -> None:
        """Note an error and what stands behind it, as far as they are the mutant's own."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            if self._is_own(error) and error not in self.own:
                self.own.append(error)
            error = error.__cause__ or error.__context__

    def _is_own(self, error: BaseException) -> bool:
        if isinstance(error, sqlite3.Error):
            return _SQL.search(str(error)) is not None
        return isinstance(error, _RAW) and _file_of(error.__traceback__) in (__file__, self.plant.__code__.co_filename)

    def _noted(self, value: Any) -> Any:
        if not isinstance(value, FunctionType) or isgeneratorfunction(value) or isasyncgenfunction(value):
            return value

        @wraps(value)
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return value(*arguments, **named)
            except Exception as error:
                self.look(error)
                raise

        @wraps(value)
        async def wait(*arguments: Any, **named: Any) -> Any:
            try:
                return await value(*arguments, **named)
            except Exception as error:
                self.look(error)
                raise

        return wait if iscoroutinefunction(value) else call


@contextmanager
def planted(name: str, plant: Callable[..., None]) -> Iterator[Planting]:
    """While this lasts the mutant is planted.

    Raises:
        BrokenMutantError: It has failed by itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        planting = Planting(patch, plant)
        try:
            plant(planting)
            yield planting
        except Exception as error:
            planting.look(error)
            if not planting.own:
                raise
    if planting.own:
        first = planting.own[0]
        said = f"{type(first).__name__}: {first}"
        raise BrokenMutantError(f"the mutant {name!r} does not fit the code: {said}") from first


def _file_of(traceback: TracebackType | None) -> str:
    """The file of the innermost line that an error came from."""
    file = ""
    while traceback is not None:
        file, traceback = traceback.tb_frame.f_code.co_filename, traceback.tb_next
    return file
