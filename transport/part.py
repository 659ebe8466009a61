"""A starter that is coming: what has come so far, in a file that says of which one it is the beginning.

Knows nothing of links. Invariants: behind the head stands a prefix of the packed starter that the head names, unless
the disk has lost some of it, which its digest shows once it is whole; unpacking never writes more than was announced.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from holdfast.errors import DamagedFile

HEAD_BYTES: Final = 256
"""The head is one JSON object, filled with spaces to this size."""

WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024
"""What unpacking may look back at: memory."""

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Of which starter a part is: digest and size of the whole, and its size unpacked."""

    etag: str
    size: int
    raw_bytes: int


def head_of(path: Path) -> tuple[Head | None, int]:
    """What a part is of, and how many bytes of it are here; None and 0 if there is none that can be gone on with."""
    try:
        with path.open("rb") as file:
            head = Head(**json.loads(file.read(HEAD_BYTES)))
        have = path.stat().st_size - HEAD_BYTES
    except (OSError, ValueError, TypeError):
        return None, 0
    return (head, have) if 0 <= have <= head.size else (None, 0)


def open_part(path: Path, head: Head, have: int) -> BinaryIO:
    """The file to write the rest to, behind `have` bytes; raises OSError."""
    if not have:
        path.write_bytes(json.dumps(asdict(head)).encode().ljust(HEAD_BYTES))
    file = path.open("r+b")
    file.truncate(HEAD_BYTES + have)
    file.seek(0, 2)
    return file


def unpack(path: Path, head: Head, target: Path) -> None:
    """Unpack a whole part to a new file.

    Raises:
        DamagedFile: What has come is not what was sent.
        OSError: It cannot be read, or the target not written.
    """
    _check_digest(path, head)
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    written = 0
    with path.open("rb") as source, target.open("wb") as file:
        source.seek(HEAD_BYTES)
        try:
            with reader.stream_reader(source, read_size=_PIECE) as stream:
                while written <= head.raw_bytes and (raw := stream.read(_PIECE)):
                    written += len(raw)
                    file.write(raw)
        except zstandard.ZstdError as error:
            raise _damaged(path, f"it cannot be unpacked: {error}") from error
    if written != head.raw_bytes:
        raise _damaged(path, "it has another size than the hub has said")


def _check_digest(path: Path, head: Head) -> None:
    digest = blake2b(digest_size=len(head.etag) // 2)
    with path.open("rb") as source:
        source.seek(HEAD_BYTES)
        while piece := source.read(_PIECE):
            digest.update(piece)
    if digest.hexdigest() != head.etag:
        raise _damaged(path, "what has come is not what the hub holds")


def _damaged(path: Path, what: str) -> DamagedFile:
    return DamagedFile(what, subject=str(path), remedy="Sync again: it begins anew.")
