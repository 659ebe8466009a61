"""How commands open database files: for reading beside a running application, or for writing, with one owner.

Invariants: a reading command never takes the lock and never creates a file; a writing one creates a file only when it
is told which space the file is to hold; the rules that the file's application declared stay in force.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from holdfast.errors import FileUnreadable

from .output import note

if TYPE_CHECKING:
    from holdfast import Engine

T = TypeVar("T")
Callback = Callable[..., T]

file_argument = click.argument("file", type=click.Path(path_type=Path))


@dataclass(frozen=True, slots=True)
class Target:
    """A file that a command writes to, and what it becomes if it is new.

    Attributes:
        path: The file.
        space: Name of its space; None to take the file as it is.
        label: Human name of the node; "" to leave it.
    """

    path: Path
    space: str | None = None
    label: str = ""

    @property
    def is_new(self) -> bool:
        """Whether there is no database yet."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True


def writes_file(function: Callback[T]) -> Callback[T]:
    """Give a command the argument FILE with `--space` and `--name`, as one `target`."""

    @functools.wraps(function)
    def command(*, file: Path, space: str | None, name: str, **rest: Any) -> T:  # noqa: ANN401 - passed on
        return function(target=Target(file, space, name), **rest)

    with_name = click.option(
        "--name", default="", metavar="LABEL", help="Human name of this node; a new file is named after its path."
    )(command)
    with_space = click.option(
        "--space", metavar="NAME", help="Create FILE for this space if there is none; a file keeps its space for good."
    )(with_name)
    return file_argument(with_space)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work on an event loop of its own."""
    import asyncio

    return asyncio.run(work)


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Engine]:
    """The engine of a file, open for reading only.

    Raises:
        FileUnreadable: There is no file.
    """
    from holdfast import Engine

    _check_exists(path)
    async with Engine.open(path, read_only=True, schemas=None) as engine:
        yield engine


@asynccontextmanager
async def writing(target: Target) -> AsyncIterator[Engine]:
    """The engine of a file, open for writing.

    Raises:
        FileUnreadable: There is no file, and no space is named for a new one.
        FileLocked: Another process writes; the error names it.
    """
    from holdfast import Engine

    if target.space is None and target.is_new:
        raise FileUnreadable(
            "there is no database yet, and no space is named for a new one",
            subject=str(target.path),
            remedy=f"Check the path, or create it: holdfast init {target.path} --space NAME (or pass --space NAME).",
        )
    async with Engine.open(target.path, space=target.space, name=target.label, schemas=None) as engine:
        if engine.renewed:
            note(f"Note: this node goes on under a new identity: {engine.renewed}.")
        yield engine


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise FileUnreadable(
            "there is no such file", subject=str(path), remedy="Check the path; `holdfast init` makes a database."
        )
