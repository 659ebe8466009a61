"""JSON Lines as a stream of records: one JSON object a line, UTF-8, plain or gzip.

Knows nothing of databases. Invariants: a line is held alone and never longer than `LINE_BYTES_MAX`; whatever is wrong
with one is said with its number.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecodeError
from typing import BinaryIO, Final

from holdfast.resolvers import JSON, encode, parse

LINE_BYTES_MAX: Final = 8 * 1024 * 1024
"""More than the largest record needs with every character escaped."""

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"


class BrokenLineError(Exception):
    """A line that is no record; its text says why."""


class DamagedInputError(Exception):
    """The compressed data are cut or damaged; its text says how, `line` is the last one that could be read, or 0."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands in the input, with its number from 1; `whole` is false if it was too long to be held."""

    number: int
    text: bytes
    whole: bool = True


def plain(stream: BinaryIO) -> BinaryIO:
    """The stream, decompressed if it begins like gzip."""
    peek = getattr(stream, "peek", None)
    if peek is not None and peek(2)[:2] == _GZIP:
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value] # it reads like any binary stream
    return stream


def lines(stream: BinaryIO) -> Iterator[Line]:
    """The lines of a stream that are not blank.

    Raises:
        DamagedInputError: The compressed data are cut or damaged.
        OSError: The stream cannot be read.
    """
    number = 0
    try:
        while text := stream.readline(LINE_BYTES_MAX):
            whole = len(text) < LINE_BYTES_MAX or text.endswith(b"\n")
            rest = text
            while not rest.endswith(b"\n") and (rest := stream.readline(LINE_BYTES_MAX)):
                pass
            number += 1
            if number == 1:
                text = text.removeprefix(_BOM)
            if text.strip():
                yield Line(number, text, whole)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedInputError(str(error), number) from error


def record_of(line: Line, key_field: str) -> tuple[str, dict[str, JSON]]:
    """The key and the fields of a line; the key's own field is not among them.

    Raises:
        BrokenLineError: It is no JSON object with a key in that field. A key is text; an integer stands for its digits.
    """
    if not line.whole:
        raise BrokenLineError(f"it is longer than {LINE_BYTES_MAX:,} bytes")
    try:
        fields = parse(line.text.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        raise BrokenLineError(f"it is not UTF-8: {error.reason} at byte {error.start + 1}") from error
    except ValueError as error:
        raise BrokenLineError(f"it is not JSON: {_where(error)}") from error
    if not isinstance(fields, dict):
        raise BrokenLineError("it is not a JSON object")
    if key_field not in fields:
        raise BrokenLineError(f"it has no field {key_field!r} for the key")
    key = fields.pop(key_field)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise BrokenLineError(f"its key in {key_field!r} is neither text nor an integer")
    return str(key), fields


def _where(error: ValueError) -> str:
    """What is wrong with a line, and where in it: to the parser it is line 1, which it is not."""
    return f"{error.msg} at column {error.colno}" if isinstance(error, JSONDecodeError) else str(error)


def line_of(key: str, fields: dict[str, JSON], key_field: str) -> bytes:
    """The line of a record, in canonical JSON with the key first; `record_of` reads the same record back."""
    head = encode({key_field: key})[:-1]
    return f"{head}{',' if fields else ''}{encode(fields)[1:]}\n".encode()
