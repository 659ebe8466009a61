"""Gives a starter to a client over HTTP: whole, or from any byte on.

Knows nothing of what stands in it. Invariants: an answer names the digest of the whole, so who goes on with another one
learns of it before the first byte; it is read only as fast as the client takes it, and one that failed halfway never
looks whole. Bytes that are not what the digest says are told of: the client finds that too, and goes by the feed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final

from aiohttp import hdrs, web

from ..links.meter import bound_unsent
from ..links.offers import FORMAT_HEADER, RAW_HEADER, STARTER_TYPE
from .limits import Limits
from .starters import DIGEST_BYTES, Kept

PIECE_BYTES: Final = 64 * 1024
"""What is written at once: small enough that a slow link takes it within `Limits.idle_s`."""

_FROM: Final = re.compile(r"bytes=([0-9]{1,15})-")


def wanted_etag(request: web.Request) -> str:
    """The digest of the starter that the client has a part of; "" if it has none."""
    return request.headers.get(hdrs.IF_RANGE, "").strip('"')


async def give(
    request: web.Request, kept: Kept, limits: Limits, damaged: Callable[[Kept], Awaitable[None]]
) -> web.StreamResponse:
    """Send a starter, from where the client stands if it is the one that it has a part of.

    `damaged` is told if it was read whole and is not what its digest says.
    """
    start = _start(request, kept)
    headers = {
        hdrs.CONTENT_TYPE: STARTER_TYPE,
        hdrs.ETAG: f'"{kept.etag}"',
        hdrs.CONTENT_LENGTH: str(kept.size - start),
        RAW_HEADER: str(kept.raw_bytes),
        FORMAT_HEADER: str(kept.format),
    }
    if start:
        headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{kept.size - 1}/{kept.size}"
    response = web.StreamResponse(status=206 if start else 200, headers=headers)
    sock = request.get_extra_info("socket")
    if sock is not None:
        bound_unsent(sock)
    try:
        async with asyncio.timeout(limits.exchange_s):
            await response.prepare(request)
            digest = await _send(response, kept, start, limits)
        if start == 0 and digest != kept.etag:
            await damaged(kept)
    except (ConnectionError, TimeoutError):  # the client left, or takes nothing; it comes back for the rest
        if request.transport is not None:
            request.transport.abort()
    return response


async def _send(response: web.StreamResponse, kept: Kept, start: int, limits: Limits) -> str:
    """Send its bytes from there on; gives their digest."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    file = await asyncio.to_thread(kept.path.open, "rb")
    try:
        file.seek(start)
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            digest.update(piece)
            async with asyncio.timeout(limits.idle_s):
                await response.write(piece)
    finally:
        file.close()
    return digest.hexdigest()


def _start(request: web.Request, kept: Kept) -> int:
    found = _FROM.fullmatch(request.headers.get(hdrs.RANGE, ""))
    if found is None or wanted_etag(request) != kept.etag:
        return 0
    start = int(found[1])
    return start if start < kept.size else 0
