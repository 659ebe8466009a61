"""How commands open database files: for reading beside a running application, or for writing, with one owner.

Invariants: a reading command never takes the lock and never creates a file; a writing one creates a file only when it
is told which space the file is to hold; the rules that the file's application declared stay in force.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from holdfast.errors import FileUnreadable, NoSuchCollection, ProtocolError, Unauthorized

from .output import note

if TYPE_CHECKING:
    from holdfast import Engine, Retention

T = TypeVar("T")
Callback = Callable[..., T]

_BESIDE: Final = ("-wal", "-shm", "-lock", "-witness")
"""Ends of the names of the files that stand beside a database."""

_HEADER_BYTES: Final = 100
"""What each SQLite file begins with."""

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
        """Whether there is no database yet: no file, an empty one, or one in which no database was ever begun."""
        try:
            with self.path.open("rb") as file:
                header = file.read(_HEADER_BYTES)
            log = self.path.with_name(f"{self.path.name}-wal")
            return _holds_nothing(header) and not (log.exists() and log.stat().st_size)
        except FileNotFoundError:
            return True
        except OSError:  # the engine says what is wrong with it
            return False


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
async def writing(target: Target, retention: Retention | None = None) -> AsyncIterator[Engine]:
    """The engine of a file, open for writing; with another retention from now on, if one is given.

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
    async with Engine.open(
        target.path, space=target.space, name=target.label, schemas=None, retention=retention
    ) as engine:
        if engine.renewed:
            note(f"Note: this node goes on under a new identity: {engine.renewed}.")
        yield engine


@asynccontextmanager
async def first_contact(target: Target) -> AsyncIterator[Engine]:
    """As `writing`; but a file that this call made goes again if the hub refuses it and it holds nothing.

    It would be bound to a space that is none, or to the name of one that was misspelt.
    """
    was_new, blank = target.is_new, False
    try:
        async with writing(target) as engine:
            try:
                yield engine
            except (ProtocolError, Unauthorized):
                status = await engine.status()
                blank = was_new and not status.operations and not status.vector and not status.records
                raise
    finally:
        if blank:
            for end in ("", *_BESIDE):
                target.path.with_name(target.path.name + end).unlink(missing_ok=True)


async def check_collection(engine: Engine, name: str) -> None:
    """Return if the file has records of this collection, deleted ones included, or declares it.

    For commands that found nothing: in the library a collection that nobody has written yet is an empty one.

    Raises:
        NoSuchCollection: It does not: a slip of the pen.
    """
    found = (await engine.status()).collections.keys() | engine.schemas.keys()
    if name not in found:
        have = ", ".join(sorted(found)) or "none yet"
        raise NoSuchCollection(
            "the file has no collection of this name", subject=name, remedy=f"Its collections: {have}."
        )


def check_apart(output: Path, others: Iterable[Path], name: str) -> None:
    """Return if writing to `output`, the argument `name`, destroys none of the other files.

    Raises:
        click.BadParameter: It is one of them, or a file that SQLite or Holdfast keeps beside one.
    """
    for other in others:
        spared = {other.resolve(), *(other.resolve().with_name(other.resolve().name + end) for end in _BESIDE)}
        if output.resolve() in spared or _same(output, other):
            raise click.BadParameter(f"it would write over {other}, or over what stands beside it", param_hint=name)


def refuse_directory(path: Path) -> None:
    """Raise FileUnreadable if the path is a directory where a file is wanted."""
    if path.is_dir():
        raise FileUnreadable("this is a directory, not a file", subject=str(path), remedy="Name a file.")


def refuse_unwritable(path: Path) -> None:
    """Raise FileUnreadable if nothing can be written there, before work is done for it."""
    refuse_directory(path)
    folder = path.parent
    if not folder.is_dir():
        raise FileUnreadable("there is no such folder", subject=str(folder), remedy="Make it, or name another.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise FileUnreadable("it may not be written", subject=str(path), remedy="Check its permissions.")


def _holds_nothing(header: bytes) -> bool:
    """Whether a file with this header has no table: SQLite writes one page before the first one is made."""
    pages, application = int.from_bytes(header[28:32], "big"), header[68:72]
    return not header or (header[:16] == b"SQLite format 3\0" and pages <= 1 and not any(application))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise FileUnreadable(
            "there is no such file", subject=str(path), remedy="Check the path; `holdfast init` makes a database."
        )
