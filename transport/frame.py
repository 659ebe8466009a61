"""The frame: the envelope of bytes in which messages travel, the same on every link.

A frame is a fixed header of 20 bytes (big endian) and a body:

    offset  size  field
    0       2     magic "HF"
    2       1     format version
    3       1     message type
    4       1     flags: 1 zstd, 2 more parts follow, 4 reserved for encryption, 8 for signatures
    5       1     priority, a hint to relays; 0 in version 1
    6       2     stream; 0 in version 1
    8       4     raw length: bytes of the payload
    12      4     body length: bytes that follow, compressed or not
    16      4     CRC-32 of the 16 bytes above and the payload

It must not know what the payload of a message says, nor links: bytes come in and go out as values. Invariant: nothing
is stored, allocated or decompressed that the header did not announce within the limits below.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from holdfast.errors import FrameTooLarge, IncompatibleProtocol, MalformedFrame

MAGIC: Final = b"HF"
FORMAT_VERSION: Final = 1

FRAME_RAW_BYTES_MAX: Final = 4 * 1024 * 1024
"""Payload of one frame: an ordinary batch (2 MiB) fits into one, and one frame never holds much memory."""

FRAME_BODY_BYTES_MAX: Final = FRAME_RAW_BYTES_MAX
"""Body of one frame: a body that compression would make longer than its payload travels as it is."""

EXPANSION_MAX: Final = 1000
"""Payload bytes per body byte: real records stay below 500, because every record has a key of its own."""

COMPRESS_BYTES_MIN: Final = 128
"""Payloads below this size travel as they are: compression would win a few bytes at most."""

_PREFIX: Final = struct.Struct(">2sBBBBHII")
_CRC: Final = struct.Struct(">I")

HEADER_BYTES: Final = _PREFIX.size + _CRC.size

_ZSTD: Final = 1
_MORE: Final = 2
_ENCRYPTED: Final = 4
_SIGNED: Final = 8

_REMEDY: Final = "The session ends and the next one resumes; if it happens again, update the peer or check the link."
_UPDATE: Final = "Update the older of the two nodes."


class FrameType(IntEnum):
    """Which message the payload of a frame is, or is a part of."""

    HELLO = 1
    BATCH = 2
    ACK = 3
    NEED_WHOLE = 4
    NEED_VECTOR = 5
    REFUSE = 6
    KEYS = 7
    ABSENT = 8
    COMPARE = 9
    RANGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a frame says about its body; every instance is within the limits.

    Attributes:
        type: The message that the payload belongs to.
        zstd: The body is compressed.
        more: The next frame continues the same message.
        raw_length: Bytes of the payload.
        body_length: Bytes of the body.
        crc: CRC-32 of `prefix` and payload.
        prefix: The header's bytes before the CRC.
    """

    type: FrameType
    zstd: bool
    more: bool
    raw_length: int
    body_length: int
    crc: int
    prefix: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame whose payload has been checked against its header."""

    type: FrameType
    more: bool
    payload: bytes


def encode_frame(type_: FrameType, payload: bytes, *, more: bool = False, level: int = 3) -> bytes:
    """Wrap `payload` (at most `FRAME_RAW_BYTES_MAX` bytes) into a frame, compressed where that pays.

    Args:
        type_: The message that the payload belongs to.
        payload: Its bytes, or the next part of them.
        more: Another part follows.
        level: zstd level: 3 live, 9 for what is kept, 19 for what is cached.
    """
    assert len(payload) <= FRAME_RAW_BYTES_MAX, f"a payload of {len(payload)} bytes does not fit into a frame"
    body = _compress(payload, level) if len(payload) >= COMPRESS_BYTES_MIN else payload
    flags = (_MORE if more else 0) | (_ZSTD if body is not payload else 0)
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, type_, flags, 0, 0, len(payload), len(body))
    return b"".join((prefix, _CRC.pack(_checksum(prefix, payload)), body))


def decode_header(data: bytes) -> FrameHeader:
    """Read the first `HEADER_BYTES` of a frame and check everything that they announce.

    Raises:
        MalformedFrame: they are no header, or one that contradicts itself.
        IncompatibleProtocol: another format version, or a reserved flag or field in use.
        FrameTooLarge: payload, body or their ratio is above its limit.
    """
    if len(data) < HEADER_BYTES:
        raise _malformed(f"a header of {len(data)} bytes")
    prefix = bytes(data[: _PREFIX.size])
    magic, version, kind, flags, _, stream, raw_length, body_length = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise _malformed(f"the magic is {magic!r} and not {MAGIC!r}")
    _check_version(version, flags, stream)
    if kind not in FrameType.__members__.values():
        raise _malformed(f"message type {kind} is unknown")
    zstd = bool(flags & _ZSTD)
    _check_lengths(raw_length, body_length, zstd=zstd)
    return FrameHeader(
        type=FrameType(kind),
        zstd=zstd,
        more=bool(flags & _MORE),
        raw_length=raw_length,
        body_length=body_length,
        crc=_CRC.unpack_from(data, _PREFIX.size)[0],
        prefix=prefix,
    )


def decode_body(header: FrameHeader, body: bytes) -> bytes:
    """Return the payload of the frame that `header` announced.

    Raises:
        MalformedFrame: the body is not what the header announced, or was damaged on its way.
    """
    if len(body) != header.body_length:
        raise _malformed(f"{len(body)} bytes of body, and the header announced {header.body_length}")
    payload = _decompress(header, body) if header.zstd else body
    if _checksum(header.prefix, payload) != header.crc:
        raise _malformed("the checksum is wrong: the frame was damaged on its way")
    return payload


class FrameReader:
    """Cuts a stream of bytes into frames, however the link cut it.

    Feed a chunk, then call `next` until it returns None. Between chunks it keeps at most one unfinished frame. After
    an error it is of no further use: the boundary of the next frame is lost.
    """

    __slots__ = ("_buffer", "_header")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: FrameHeader | None = None

    @property
    def idle(self) -> bool:
        """Whether the bytes so far end with a whole frame."""
        return not self._buffer and self._header is None

    def feed(self, data: bytes) -> None:
        """Take the next chunk of the stream."""
        self._buffer += data

    def ahead(self) -> FrameHeader | None:
        """Return the header of the next whole frame, None where bytes of it are still missing.

        Raises:
            MalformedFrame, IncompatibleProtocol, FrameTooLarge: as `next`.
        """
        if self._header is None:
            if len(self._buffer) < HEADER_BYTES:
                return None
            self._header = decode_header(self._take(HEADER_BYTES))
        return self._header if len(self._buffer) >= self._header.body_length else None

    def next(self) -> Frame | None:
        """Return the next whole frame, None where bytes of it are still missing.

        Raises:
            MalformedFrame: its bytes cannot be decoded.
            IncompatibleProtocol: it is of another format version.
            FrameTooLarge: it announces more than the limits allow; none of its body is kept.
        """
        header = self.ahead()
        if header is None:
            return None
        self._header = None
        return Frame(type=header.type, more=header.more, payload=decode_body(header, self._take(header.body_length)))

    def _take(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            taken = bytes(view[:size])
        del self._buffer[:size]
        return taken


def _check_version(version: int, flags: int, stream: int) -> None:
    if version != FORMAT_VERSION:
        raise _incompatible(f"the frame has format version {version}, this node reads {FORMAT_VERSION}")
    if flags & _ENCRYPTED:
        raise _incompatible("the frame is encrypted, and this version reserves that flag")
    if flags & _SIGNED:
        raise _incompatible("the frame is signed, and this version reserves that flag")
    if flags & ~(_ZSTD | _MORE) or stream:
        raise _incompatible(f"the frame uses flags {flags:#04x} and stream {stream}, which this version reserves")


def _check_lengths(raw_length: int, body_length: int, *, zstd: bool) -> None:
    if raw_length > FRAME_RAW_BYTES_MAX or body_length > FRAME_BODY_BYTES_MAX:
        raise FrameTooLarge(
            f"it announces {raw_length} bytes in a body of {body_length}, and the limit is {FRAME_RAW_BYTES_MAX}",
            subject="frame",
            remedy=_REMEDY,
        )
    if not zstd and raw_length != body_length:
        raise _malformed(f"it announces {raw_length} bytes in an uncompressed body of {body_length}")
    if zstd and raw_length > body_length * EXPANSION_MAX:
        raise FrameTooLarge(
            f"it announces {raw_length} bytes in {body_length}, and the limit is {EXPANSION_MAX} for each",
            subject="frame",
            remedy=_REMEDY,
        )


def _compress(payload: bytes, level: int) -> bytes:
    """Return the compressed payload, or `payload` itself where that would not pay or pass the expansion limit."""
    import zstandard

    # A compressor is not safe to share between threads, and a new one costs 10 us.
    body = zstandard.ZstdCompressor(level=level, write_checksum=False).compress(payload)
    if len(body) >= len(payload) or len(payload) > len(body) * EXPANSION_MAX:
        return payload
    return body


def _decompress(header: FrameHeader, body: bytes) -> bytes:
    import zstandard

    try:
        # The decompressor obeys the size that the body states and ignores every other limit: judge the statement first.
        stated = zstandard.get_frame_parameters(body)
        if stated.content_size != header.raw_length:
            raise _malformed(f"the body states {stated.content_size} bytes, the header {header.raw_length}")
        if stated.dict_id or stated.window_size > FRAME_RAW_BYTES_MAX:
            raise _malformed(f"the body asks for dictionary {stated.dict_id}, window {stated.window_size}")
        return zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise _malformed("the body cannot be decompressed") from exc


def _checksum(prefix: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(prefix))


def _malformed(what: str) -> MalformedFrame:
    return MalformedFrame(what, subject="frame", remedy=_REMEDY)


def _incompatible(what: str) -> IncompatibleProtocol:
    return IncompatibleProtocol(what, subject="frame", remedy=_UPDATE)
