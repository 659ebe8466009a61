"""Columns: a list of integers, texts or byte strings as a few scalars of a payload.

- Integers: one integer where all are equal, else the bytes of the column as 8, 16, 32 or 64-bit two's complement,
  all lowest bytes first, then all second bytes and so on: the high bytes become runs that compress to nothing.
- Steps: the first integer, then the differences as integers: numbers that grow slowly become small.
- Texts: nil and the texts joined by line feeds, or, where one contains a line feed, as byte strings.
- Byte strings: their lengths as integers, then all of them joined.

It must not know which columns a message has. Invariant: the number of rows is known before a column is read, and no
column makes more rows than that; work per row is done by C iterators.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Final

from .payload import INT_MAX, PayloadReader, Scalar

_TYPECODES: Final = {1: "b", 2: "h", 4: "i", 8: "q"}
_SEPARATOR: Final = b"\n"


def pack_integers(values: Sequence[int]) -> int | bytes:
    """Return `values` (each a signed 64-bit integer) as one scalar."""
    if not values:
        return 0
    low, high = min(values), max(values)
    if low == high:
        return low
    # ~low is as wide as low: both bounds fit in `width` bytes with their sign.
    bits = max(high, ~low, key=int.bit_length).bit_length() + 1
    width = next(width for width in _TYPECODES if bits <= 8 * width)
    column = array(_TYPECODES[width], values)
    if sys.byteorder == "big":
        column.byteswap()
    data = column.tobytes()
    return b"".join(data[plane::width] for plane in range(width))


def pack_steps(values: Sequence[int]) -> tuple[int, int | bytes]:
    """Return `values` (each from 0 to 2**63 - 1) as the first of them and the differences between neighbours."""
    if not values:
        return 0, 0
    return values[0], pack_integers(list(map(sub, values[1:], values)))


def pack_blobs(blobs: Sequence[bytes]) -> tuple[int | bytes, bytes]:
    """Return `blobs` as their lengths and their bytes."""
    return pack_integers(list(map(len, blobs))), b"".join(blobs)


def pack_texts(texts: Sequence[str]) -> tuple[Scalar, bytes]:
    """Return `texts` as nil and their lines, or, where one has a line feed, as byte strings."""
    joined = _SEPARATOR.join(map(str.encode, texts))
    # Canonical JSON escapes line feeds, and a line for each text compresses better than lengths, and decodes faster.
    if joined.count(_SEPARATOR) == max(0, len(texts) - 1):
        return None, joined
    return pack_blobs(list(map(str.encode, texts)))


def read_integers(reader: PayloadReader, name: str, count: int, low: int = 0, high: int = INT_MAX) -> list[int]:
    """Read `count` integers from `low` to `high`."""
    return _checked(reader, name, _unpack(reader, name, reader.integer_or_blob(name), count), low, high)


def read_steps(reader: PayloadReader, name: str, count: int, low: int = 0, high: int = INT_MAX) -> list[int]:
    """Read `count` integers from `low` to `high` that `pack_steps` wrote."""
    first = reader.integer(name)
    steps = _unpack(reader, name, reader.integer_or_blob(name), max(0, count - 1))
    if not count:
        return []
    return _checked(reader, name, list(accumulate(chain((first,), steps))), low, high)


def read_blobs(reader: PayloadReader, name: str, count: int, bytes_max: int) -> list[bytes]:
    """Read `count` byte strings of at most `bytes_max` bytes together."""
    lengths = reader.integer_or_blob(name)
    return _cut(reader, name, lengths, reader.blob(name, bytes_max), count)


def read_texts(reader: PayloadReader, name: str, count: int, bytes_max: int, sizes: range | None = None) -> list[str]:
    """Read `count` texts of at most `bytes_max` bytes together, each of as many bytes as `sizes` allows."""
    lengths = reader.integer_or_blob_or_nil(name)
    joined = reader.blob(name, bytes_max)
    parts = _lines(reader, name, joined, count) if lengths is None else _cut(reader, name, lengths, joined, count)
    if sizes is not None and parts and not (min(map(len, parts)) in sizes and max(map(len, parts)) in sizes):
        raise reader.error(name, f"each must have {sizes.start} to {sizes.stop - 1} bytes")
    try:
        return list(map(bytes.decode, parts))
    except UnicodeDecodeError as exc:
        raise reader.error(name, "must be UTF-8") from exc


def _unpack(reader: PayloadReader, name: str, column: int | bytes, count: int) -> list[int]:
    if isinstance(column, int):
        return [column] * count
    width, rest = divmod(len(column), count) if count else (0, 1)
    if rest or width not in _TYPECODES:
        raise reader.error(name, f"{len(column)} bytes are no column of {count} integers")
    data = bytearray(len(column))
    for plane in range(width):
        data[plane::width] = column[plane * count : (plane + 1) * count]
    values = array(_TYPECODES[width], bytes(data))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def _checked(reader: PayloadReader, name: str, values: list[int], low: int, high: int) -> list[int]:
    if values and not (low <= min(values) and max(values) <= high):
        raise reader.error(name, f"each must be from {low} to {high}")
    return values


def _lines(reader: PayloadReader, name: str, joined: bytes, count: int) -> list[bytes]:
    # Counted before it is split: a megabyte of line feeds would become a million objects.
    if joined.count(_SEPARATOR) != max(0, count - 1) or (joined and not count):
        raise reader.error(name, f"must be {count} lines")
    return joined.split(_SEPARATOR) if count else []


def _cut(reader: PayloadReader, name: str, lengths: int | bytes, joined: bytes, count: int) -> list[bytes]:
    sizes = _checked(reader, name, _unpack(reader, name, lengths, count), 0, len(joined))
    ends = list(accumulate(sizes, initial=0))
    if ends[-1] != len(joined):
        raise reader.error(name, f"the lengths add up to {ends[-1]}, and {len(joined)} bytes are there")
    return list(map(joined.__getitem__, map(slice, ends, ends[1:])))
