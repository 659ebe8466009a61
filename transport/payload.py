"""The payload of a message: one flat msgpack array of scalars, read position by position.

It must not know which messages exist. Invariant: it never builds a container on the peer's word. An item is nil, a
boolean, an integer, text or bytes; columns are bytes as well (see `columns`). So no input can nest, announce a
million items, or take more memory than its own bytes; items that a later version appends are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgpack

from holdfast.errors import MalformedMessage

INT_MAX: Final = 2**63 - 1
"""Highest integer on the wire: what a signed 64-bit column holds."""

Scalar = bool | int | str | bytes | None

_REMEDY: Final = "The session ends; if the peer repeats it, update the peer."


def pack(items: Iterable[Scalar]) -> bytes:
    """Return the payload that carries `items` in their order."""
    packed: bytes = msgpack.packb(list(items))
    return packed


def malformed(what: str, subject: str) -> MalformedMessage:
    """Return the error for a field that is not what it must be."""
    return MalformedMessage(what, subject=subject, remedy=_REMEDY)


class PayloadReader:
    """Reads the items of one payload in order; each read names its field, for the error that names it.

    Args:
        payload: What `pack` wrote, or what a peer claims it wrote.
        subject: Name of the message, which the errors give with the field.

    Raises:
        MalformedMessage: the payload is not an array; every read raises it too, where its item is missing, of another
            type or outside its range.
    """

    __slots__ = ("_items_left", "_size", "_unpacker", "subject")

    def __init__(self, payload: bytes | bytearray, subject: str) -> None:
        self.subject = subject
        self._size = len(payload)
        # Containers of no items at all: `read_array_header` is not subject to these, any other container is.
        self._unpacker = msgpack.Unpacker(
            max_buffer_size=max(1, self._size), max_array_len=0, max_map_len=0, max_ext_len=0
        )
        self._unpacker.feed(payload)
        try:
            self._items_left = self._unpacker.read_array_header()
        except (ValueError, msgpack.UnpackException) as exc:
            raise malformed("the payload is not an array of fields", subject) from exc

    def integer(self, name: str, low: int = 0, high: int = INT_MAX) -> int:
        """Read an integer from `low` to `high`."""
        item = self._next(name)
        if type(item) is not int or not low <= item <= high:
            raise self.error(name, f"must be an integer from {low} to {high}")
        return item

    def boolean(self, name: str) -> bool:
        """Read a boolean."""
        item = self._next(name)
        if type(item) is not bool:
            raise self.error(name, "must be a boolean")
        return item

    def text(self, name: str, bytes_max: int) -> str:
        """Read text of at most `bytes_max` bytes in UTF-8."""
        item = self._next(name)
        if type(item) is not str or len(item.encode()) > bytes_max:
            raise self.error(name, f"must be text of at most {bytes_max} bytes")
        return item

    def blob(self, name: str, bytes_max: int) -> bytes:
        """Read at most `bytes_max` bytes."""
        item = self._next(name)
        if type(item) is not bytes or len(item) > bytes_max:
            raise self.error(name, f"must be at most {bytes_max} bytes")
        return item

    def fixed(self, name: str, *sizes: int) -> bytes:
        """Read bytes whose number is one of `sizes`."""
        item = self._next(name)
        if type(item) is not bytes or len(item) not in sizes:
            raise self.error(name, f"must be bytes, {' or '.join(map(str, sizes))} of them")
        return item

    def integer_or_blob(self, name: str) -> int | bytes:
        """Read an integer or bytes."""
        item = self._next(name)
        if type(item) is not int and type(item) is not bytes:
            raise self.error(name, "must be an integer or bytes")
        return item

    def integer_or_blob_or_nil(self, name: str) -> int | bytes | None:
        """Read an integer, bytes or nil."""
        item = self._next(name)
        if item is not None and type(item) is not int and type(item) is not bytes:
            raise self.error(name, "must be an integer, bytes or nil")
        return item

    def finish(self) -> None:
        """Check that nothing follows that the array did not announce; items of later versions are skipped unread."""
        if not self._items_left and self._unpacker.tell() != self._size:
            raise malformed("bytes follow behind its last field", self.subject)

    def error(self, name: str, what: str) -> MalformedMessage:
        """Return the error for the field `name`."""
        return malformed(what, f"{self.subject}.{name}")

    def _next(self, name: str) -> object:
        if not self._items_left:
            raise self.error(name, "is missing")
        self._items_left -= 1
        try:
            item: object = self._unpacker.unpack()
        except (ValueError, msgpack.UnpackException) as exc:
            raise self.error(name, "cannot be read") from exc
        return item
