"""The command import: JSON Lines into a collection.

Invariant: every line that counts as imported is durable, and when the command stops early it says how many are, and
at which line it stopped.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import click

from holdfast.errors import FileUnreadable, ImportFailed, UsageError

from .files import Target, check_apart, refuse_directory, run, writes_file, writing
from .output import note, print_json, printable, say
from .program import Command, found_problem, wants_json
from .progress import bar, counter

if TYPE_CHECKING:
    from holdfast import Engine

    from .lines import DamagedInputError, Line

REASONS_SHOWN: Final = 10
"""How many lines that were set aside are explained."""


@click.command("import", cls=Command)
@writes_file
@click.argument("collection")
@click.argument("source", metavar="INPUT")
@click.option("--key", "key_field", default="key", show_default=True, metavar="FIELD", help="Field with the key.")
@click.option(
    "--skip-broken",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="ASIDE",
    help="Write broken lines to the file ASIDE and go on; it is replaced if there is one.",
)
def import_(*, target: Target, collection: str, source: str, key_field: str, skip_broken: Path | None) -> None:
    """Put JSON Lines into a collection.

    Each line of INPUT becomes a record of COLLECTION. INPUT is JSON Lines (one object a line, UTF-8), plain or gzip;
    `-` is stdin. The field --key holds the record's key and is not stored as a field; an integer there becomes its
    digits. A record whose key is there already is replaced. Records are committed in parts of at most 10,000.

    A broken line ends the import with its number; the parts committed before it stay, nothing of its own part is
    written, and the message says how many records are in. Import again after mending: the outcome is the same. Of a
    compressed INPUT that is damaged, what can be read is stored.

    \b
    Examples:
      holdfast import edge.db cities cities.jsonl.gz --space plant
      zcat dump.gz | holdfast import edge.db orders - --key id --skip-broken broken.jsonl
    """
    job = _Import(source, collection, key_field)
    with ExitStack() as stack:
        raw, size = _opened(source, stack)
        if skip_broken:
            check_apart(skip_broken, [Path(source), target.path], "--skip-broken")
            job.aside = stack.enter_context(_Aside(skip_broken))
        run(_run(job, target, raw, size))
    _report(job)


@dataclass(slots=True)
class _Import:
    """A running import: what was asked, and how far it is."""

    source: str
    collection: str
    key_field: str
    aside: _Aside | None = None
    number: int = 0
    done: int = 0
    damage: DamagedInputError | None = None

    def rows(self, raw: BinaryIO) -> Iterator[tuple[str, dict[str, Any]]]:
        """The records of the input; broken lines are set aside or end it, and `damage` ends it quietly."""
        from .lines import BrokenLineError, DamagedInputError, lines, plain, record_of

        try:
            for line in lines(plain(raw)):
                self.number = line.number
                try:
                    key, fields = record_of(line, self.key_field)
                    if self.aside is not None:
                        _check(self.collection, key, fields)
                except (BrokenLineError, UsageError) as error:
                    if self.aside is None:
                        raise
                    self.aside.add(line, getattr(error, "what", None) or str(error))
                    continue
                yield key, fields
        except BrokenLineError as error:
            raise self.failed(str(error)) from error
        except DamagedInputError as error:
            self.damage = error  # what was read before it is still to be stored
        except OSError as error:
            raise FileUnreadable(
                f"the input cannot be read: {error.strerror or error}", subject=self.source, remedy="Check the file."
            ) from error

    def cut_short(self, damage: DamagedInputError) -> ImportFailed:
        last = f"line {damage.line:,} is the last that could be read" if damage.line else "no line could be read"
        return ImportFailed(
            f"the compression of the input is damaged ({damage}): {last}; {self.done:,} records are stored",
            subject=self.source,
            remedy="Get the file again and import all of it: what is stored already is replaced by the same.",
        )

    def failed(self, why: str) -> ImportFailed:
        return ImportFailed(
            f"line {self.number:,}: {why}; {self.done:,} records before it are in",
            subject=f"{self.source}:{self.number}",
            remedy="Mend the line and import again, or pass --skip-broken ASIDE.",
        )


class _Aside:
    """The file for broken lines; it is made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: Line, why: str) -> None:
        """Set a line aside."""
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(line.text if line.text.endswith(b"\n") else line.text + b"\n")
        except OSError as error:
            raise FileUnreadable(
                f"broken lines cannot be set aside: {error.strerror}", subject=str(self.path), remedy="Check the path."
            ) from error
        self.count += 1
        if self.count <= REASONS_SHOWN:
            note(printable(f"line {line.number}: {why}"))
        elif self.count == REASONS_SHOWN + 1:
            note("... and more")


async def _run(job: _Import, target: Target, raw: BinaryIO, size: int) -> None:
    if job.source == "-":
        # While it waits for a line the event loop cannot take a Ctrl-C, so Python does.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    async with writing(target) as engine:
        with ExitStack() as stack:
            show = _progress(job, raw, size, stack)
            try:
                await _put_all(job, engine, raw, show)
            except ImportFailed:
                raise  # it says how many records are in
            except BaseException:
                if job.done:
                    note(f"Note: {job.done:,} records are in.")
                raise


async def _put_all(job: _Import, engine: Engine, raw: BinaryIO, show: Callable[[], None]) -> None:
    def committed(done: int) -> None:
        job.done = done
        show()

    collection = engine[job.collection]
    try:
        await collection.put_many(job.rows(raw), on_progress=committed)
    except ImportFailed:
        raise
    except UsageError as error:
        # The engine refuses a record when it takes it from the stream, so the last line read is the one.
        raise job.failed(f"{error.what} ({error.subject})") from error
    if job.damage is not None:
        raise job.cut_short(job.damage) from job.damage


def _progress(job: _Import, raw: BinaryIO, size: int, stack: ExitStack) -> Callable[[], None]:
    if size:
        to_byte = stack.enter_context(bar("importing", size))
        return lambda: to_byte(raw.tell())
    to_text = stack.enter_context(counter())
    return lambda: to_text(f"importing: {job.done:,} records")


def _check(collection: str, key: str, fields: dict[str, Any]) -> None:
    """Raise what the engine would raise for this record."""
    from holdfast.engine.documents import check_key, encode_document

    check_key(key, collection)
    encode_document(fields, f"{collection}/{key}")


def _opened(source: str, stack: ExitStack) -> tuple[BinaryIO, int]:
    """The input as bytes, and its size; 0 if that is unknown."""
    if source == "-":
        return sys.stdin.buffer, 0
    path = Path(source)
    refuse_directory(path)
    try:
        return stack.enter_context(path.open("rb")), path.stat().st_size
    except OSError as error:
        raise FileUnreadable(
            f"the input cannot be read: {error.strerror}", subject=source, remedy="Check the path."
        ) from error


def _report(job: _Import) -> None:
    skipped = job.aside.count if job.aside else 0
    if wants_json():
        print_json({"collection": job.collection, "records": job.done, "skipped": skipped})
    else:
        say(printable(f"imported {job.done:,} records into {job.collection}"))
        if job.aside and skipped:
            say(printable(f"set {skipped:,} broken lines aside in {job.aside.path}"))
    if skipped:
        found_problem()
