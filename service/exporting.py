"""The command export: a collection as JSON Lines.

Invariant: an output file appears whole or not at all, and importing it gives the same records.
"""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from holdfast.errors import FileUnreadable, InvalidName

from .files import check_apart, check_collection, file_argument, reading, refuse_directory, run
from .output import note, print_json, printable, say
from .program import Command, found_problem, wants_json, was_given
from .progress import bar

STDOUT = "-"

REGISTER = "holdfast-erasures"
"""The engine's own collection of what was erased; only it has records whose fields the user did not choose."""

REGISTER_KEY = "erasure"


@click.command(cls=Command)
@file_argument
@click.argument("collection")
@click.argument("output", default=STDOUT)
@click.option(
    "--key", "key_field", default="key", show_default=True, metavar="FIELD", help="Field that the key goes into."
)
def export(*, file: Path, collection: str, output: str, key_field: str) -> None:
    """Write a collection as JSON Lines.

    Each record of COLLECTION becomes a line of OUTPUT. OUTPUT is replaced when the export is whole; a name that
    ends in .gz is compressed; `-`, the default, is stdout. Records stand in the order of their keys, with the key
    in the field --key; those of holdfast-erasures, which have a field "key" of their own, in "erasure". What is
    exported is what readers see: of concurrent values the one that is shown.

    \b
    Examples:
      holdfast export edge.db cities cities.jsonl.gz
      holdfast export edge.db orders --key id | head
    """
    if output == STDOUT and wants_json():
        raise click.UsageError("--json reports on stdout, where the records go: name an OUTPUT file")
    if output != STDOUT:
        refuse_directory(Path(output))
        check_apart(Path(output), [file], "OUTPUT")
    if collection == REGISTER and not was_given("key_field"):
        key_field = REGISTER_KEY  # its records have a field "key": that of what was erased
    counts = run(_export(file, collection, output, key_field))
    if wants_json():
        print_json({"collection": collection, "records": counts.records, "incomplete": counts.incomplete})
    elif output != STDOUT:
        say(printable(f"exported {counts.records:,} records to {output}"))
    if counts.incomplete:
        note(f"Note: {counts.incomplete:,} records have fields of a type that this version cannot read; those are out.")
        found_problem()


@dataclass(slots=True)
class _Counts:
    """Records that were written, and those among them that lack a field."""

    records: int = 0
    incomplete: int = 0


async def _export(file: Path, collection: str, output: str, key_field: str) -> _Counts:
    from .lines import line_of

    counts = _Counts()
    async with reading(file) as engine:
        total = await engine[collection].count()
        if not total:
            await check_collection(engine, collection)
        with opened_output(output) as stream, bar("exporting", total) as show:
            async for page in engine[collection].pages("ORDER BY key"):
                for document in page:
                    if key_field in document.fields:
                        raise _taken(collection, document.key, key_field)
                    stream.write(line_of(document.key, document.fields, key_field))
                counts.records += len(page)
                counts.incomplete += sum(1 for document in page if document.quarantined)
                show(counts.records)
    return counts


def _taken(collection: str, key: str, key_field: str) -> InvalidName:
    return InvalidName(
        f"the record has a field {key_field!r} of its own, where its key would go",
        subject=f"{collection}/{key}",
        remedy="Name another field for the key: --key FIELD.",
    )


@contextmanager
def opened_output(output: str) -> Iterator[BinaryIO]:
    """What a command writes to: stdout, or a file that is replaced at the end; raises FileUnreadable."""
    if output == STDOUT:
        stream = sys.stdout.buffer
        yield stream
        stream.flush()
        return
    try:
        path = Path(output).resolve()  # what a link leads to is replaced, not the link
        with path.open("wb") if _is_special(path) else _replacing(path) as raw, _packed(path, raw) as file:
            yield file
    except OSError as error:
        raise FileUnreadable(
            f"the output cannot be written: {error.strerror or error}", subject=output, remedy="Check path and space."
        ) from error


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe: something is to be written to it, and no file to take its place."""
    return path.exists() and not path.is_file()


@contextmanager
def _packed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """What is written, compressed if the name says so."""
    if path.suffix != ".gz":
        yield raw
        return
    # Without name and time, so that equal records make equal files.
    with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        yield packed  # type: ignore[misc] # it writes like any binary stream


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end, and goes if the block raises."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as raw:
            yield raw
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
