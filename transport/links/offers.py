"""What a hub answers who asks for a starter, as a value: where it begins, how long it is, what it is named by.

Knows nothing of what stands in it. Invariant: an answer that is not exactly a starter is none; whoever asked goes by
the feed then, and the session says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

STARTER_TYPE: Final = "application/vnd.holdfast.starter"
"""Content type of a packed starter."""

RAW_HEADER: Final = "Holdfast-Bytes"
"""How many bytes it has unpacked."""

FORMAT_HEADER: Final = "Holdfast-Format"
"""Format of the file that it holds."""

_ETAG: Final = re.compile('"([0-9a-f]{32})"')
_NUMBER: Final = re.compile("[0-9]{1,15}")
_RANGE: Final = re.compile("bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_WHOLE, _LATER, _PART = 200, 202, 206


@dataclass(frozen=True, slots=True)
class Offer:
    """A starter that a hub sends.

    Attributes:
        etag: Digest of the whole, hexadecimal.
        start, size: The first byte that is sent, and how many it has in all.
        raw_bytes: How many it has unpacked.
        format: Format of the file that it holds.
        read: Gives the next bytes; none at the end.
    """

    etag: str
    start: int
    size: int
    raw_bytes: int
    format: int
    read: Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Later:
    """The hub draws one: ask again."""


@runtime_checkable
class Offers(Protocol):
    """A link whose peer may offer starters."""

    def starter(self, etag: str, have: int) -> AbstractAsyncContextManager[Offer | Later | None]:
        """Ask for a starter; None if there is none.

        Args:
            etag: Digest of the one of which a part is here; "" for none.
            have: How many bytes of it.

        Raises:
            LinkError: The hub was not reached, or was cut off.
        """
        ...


def offer_in(
    status: int, kind: str, headers: Mapping[str, str], read: Callable[[], Awaitable[bytes]]
) -> Offer | Later | None:
    """What an answer offers."""
    if status == _LATER:
        return Later()
    etag = _ETAG.fullmatch(headers.get("ETag", ""))
    numbers = [headers.get(name, "") for name in ("Content-Length", RAW_HEADER, FORMAT_HEADER)]
    if (
        status not in {_WHOLE, _PART}
        or kind != STARTER_TYPE
        or etag is None
        or not all(map(_NUMBER.fullmatch, numbers))
    ):
        return None
    length, raw_bytes, version = map(int, numbers)
    start = 0
    if status == _PART:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None or int(found[3]) != int(found[1]) + length or int(found[2]) != int(found[3]) - 1:
            return None
        start = int(found[1])
    return Offer(etag[1], start, start + length, raw_bytes, version, read)
