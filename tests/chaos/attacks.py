"""Clients that mean no good, and what the hub's process costs meanwhile.

Raw HTTP over raw sockets: whatever a client library would not send. Knows nothing of the engine but how a frame begins.
Invariant: each attacker gives up by itself after a bounded time.
"""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import zstandard

from holdfast.transport.frame import FORMAT_VERSION, MAGIC, FrameType
from holdfast.transport.links.address import FRAMES_TYPE

_PREFIX = struct.Struct(">2sBBBBHII")
DEPTH = 100_000
KEYS = 1_000_000


def rss_bytes(pid: int) -> int:
    """What a process holds in memory."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def head(space: str, token: str, *lines: str) -> bytes:
    """The head of a sync request."""
    start = (f"POST /v1/spaces/{space}/sync HTTP/1.1", "Host: hub", f"Content-Type: {FRAMES_TYPE}")
    return "\r\n".join((*start, f"Authorization: Bearer {token}", *lines, "", "")).encode()


def frame(payload: bytes, *, kind: int = FrameType.BATCH, flags: int = 0, raw: int = -1, body: int = -1) -> bytes:
    """A frame that may lie about its lengths; its checksum is that of `payload`."""
    raw, body = (len(payload) if length < 0 else length for length in (raw, body))
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, kind, flags, 0, 0, raw, body)
    return prefix + zlib.crc32(prefix + payload).to_bytes(4, "big") + payload


def bombs() -> dict[str, bytes]:
    """Bodies that would cost much if they were believed."""
    zeros = zstandard.compress(b"\0" * (4 << 20), 19)
    million = b"".join(b"\xa7" + f"{number:07}".encode() + b"\x01" for number in range(KEYS))
    whole = 4 << 20
    return {
        "zstd, 4 MiB out of 150 bytes": frame(zeros, flags=1, raw=4 << 20),
        "zstd that says 1 KiB and is 4 MiB": frame(zeros, flags=1, raw=1024),
        "zstd of gigabytes": frame(zstandard.compress(b"\0" * (64 << 20), 19), flags=1, raw=(1 << 32) - 1),
        "a payload of 4 GiB announced": frame(b"x", raw=(1 << 32) - 1, body=(1 << 32) - 1),
        "100,000 nested lists": frame(b"\x91" * DEPTH, kind=FrameType.HELLO),
        "100,000 nested maps": frame(b"\x81\x01" * DEPTH, kind=FrameType.HELLO),
        "a million keys": b"".join(_parts(b"\x91\xdf\x00\x0f\x42\x40" + million)),
        "a list that announces 2**32": frame(b"\xdd\xff\xff\xff\xff", kind=FrameType.HELLO),
        "an integer of 4 MiB of digits": frame(b"\x91\xdb\x00\x3f\xff\x00" + b"9" * 0x3FFF00, kind=FrameType.HELLO),
        "the same key twice": frame(b"\x91\x82\x01\x01\x01\x02", kind=FrameType.HELLO),
        **{f"a payload of 4 MiB {over:+d} bytes": frame(b"\0" * (whole + over)) for over in (-2, -1, 0, 1, 2)},
    }


def _parts(payload: bytes) -> list[bytes]:
    pieces = [payload[at : at + (4 << 20)] for at in range(0, len(payload), 4 << 20)]
    return [frame(piece, kind=FrameType.HELLO, flags=2 if piece is not pieces[-1] else 0) for piece in pieces]


async def ask(address: tuple[str, int], request: bytes, patience_s: float = 30.0) -> bytes:
    """Send everything; gives the answer until the hub closes."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        with suppress(ConnectionError):
            await writer.drain()
            return await asyncio.wait_for(reader.read(), patience_s)
        return b""
    finally:
        writer.transport.abort()


async def drip(address: tuple[str, int], start: bytes, every_s: float, limit_s: float) -> float:
    """Send `start` and then a byte now and then; gives after how long the hub closed (or the limit)."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return 0.0
    try:
        writer.write(start)
        while loop.time() - begun < limit_s:
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(1 << 16), every_s):
                    break
            writer.write(b"x")
    except OSError:
        pass
    finally:
        writer.transport.abort()
    return loop.time() - begun
