"""One exchange at the hub: the body of a request in, the responder's frames out, both as streams within limits.

It must not know who asks for what: that is decided before. Invariants: the body is read only as fast as the responder
takes it, and the answer made only as fast as the client takes it; an answer that failed halfway never looks whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final, Protocol, TypeVar

from aiohttp import hdrs, web

from holdfast.errors import FrameTooLarge, HoldfastError, LinkCut, MalformedFrame, ProtocolError, SyncHeld

from ..frame import MAGIC, FrameType
from ..links.address import FRAMES_TYPE
from ..links.meter import bound_unsent
from ..messages import Refuse
from ..wire import encode
from .answers import failure, is_own
from .limits import Limits
from .registry import Rights
from .repeats import OURSELVES, REPEATS

_log = logging.getLogger(__name__)

PIECE_BYTES: Final = 64 * 1024
"""What is written at once: small enough that a slow link takes it within `Limits.idle_s`."""

_AGAIN: Final = "Sync again: the session resumes."

R_contra = TypeVar("R_contra", contravariant=True)
R = TypeVar("R")


class Respond(Protocol[R_contra]):
    """Answers one exchange: reads its chunks, yields the frames of the answer.

    Raises ProtocolError for what no node sends. The hub tells the peer, unless the last frame was a Refuse.
    """

    def __call__(
        self, replica: R_contra, chunks: AsyncIterator[bytes], /, *, rights: Rights
    ) -> AsyncGenerator[bytes, None]:
        """Answer for `replica` with what `rights` allow."""
        ...


async def answer(
    request: web.Request, replica: R, respond: Respond[R], rights: Rights, limits: Limits
) -> web.StreamResponse:
    """Let `respond` answer `request`; gives the response, already sent or still to be sent."""
    response: web.StreamResponse | None = None
    frame = b""
    try:
        async with (
            asyncio.timeout(limits.exchange_s),
            aclosing(respond(replica, Body(request, limits), rights=rights)) as frames,
        ):
            # The status depends on the first frame, and on whether there is one.
            frame = await anext(frames, b"")
            response = await _begin(request, 400 if _is_refusal(frame) else 200)
            await _write(response, frame, limits)
            async for frame in frames:
                await _write(response, frame, limits)
    except ProtocolError as error:
        _complain(request, logging.WARNING, error, "is held" if isinstance(error, SyncHeld) else "broke the protocol")
        return await _refused(response, frame, error)
    except (HoldfastError, ConnectionError, TimeoutError) as error:
        if is_own(error):
            _confess(request, error)
        else:
            _complain(request, logging.INFO, error, "left an exchange unfinished")
        return _broken(request, response, error)
    return response


class Body(AsyncIterator[bytes]):
    """The body of a request in the chunks in which it arrives, within limits.

    Raises:
        LinkCut: the client left, stood still or was too slow.
        MalformedFrame: the body is no HTTP.
        FrameTooLarge: it is too long.
    """

    def __init__(self, request: web.Request, limits: Limits) -> None:
        self._content = request.content
        self._subject = str(request.remote)
        self._limits = limits
        self._taken = 0
        self._waited_s = 0.0

    async def __anext__(self) -> bytes:
        """Wait for the next chunk."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(self._patience_s()):
                chunk = await self._content.readany()
        except TimeoutError as error:
            raise LinkCut("the body came too slowly", subject=self._subject, remedy=_AGAIN) from error
        except ConnectionError as error:
            raise LinkCut("the client left", subject=self._subject, remedy=_AGAIN) from error
        except web.RequestPayloadError as error:
            raise MalformedFrame("the body is not HTTP", subject=self._subject, remedy=_AGAIN) from error
        self._waited_s += loop.time() - start
        if not chunk:
            raise StopAsyncIteration
        self._take(len(chunk))
        return chunk

    def _patience_s(self) -> float:
        """How long the next chunk may take: a client that drips pays with the patience it has earned."""
        earned_s = self._limits.idle_s + self._taken / self._limits.body_bytes_per_s_min
        return min(self._limits.idle_s, earned_s - self._waited_s)

    def _take(self, size: int) -> None:
        self._taken += size
        if self._taken > self._limits.request_bytes_max:
            raise too_long(self._limits)


def too_long(limits: Limits) -> FrameTooLarge:
    """The error for a body above its limit."""
    return FrameTooLarge(
        f"the request is longer than {limits.request_bytes_max} bytes",
        subject="request",
        remedy="Send less in one exchange.",
    )


async def _begin(request: web.Request, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={hdrs.CONTENT_TYPE: FRAMES_TYPE})
    if status != 200:  # noqa: PLR2004 - whoever was refused starts anew at the door
        response.force_close()
    sock = request.get_extra_info("socket")
    if sock is not None:
        bound_unsent(sock)
    await response.prepare(request)
    return response


async def _write(response: web.StreamResponse, frame: bytes, limits: Limits) -> None:
    for start in range(0, len(frame), PIECE_BYTES):
        async with asyncio.timeout(limits.idle_s):
            await response.write(frame[start : start + PIECE_BYTES])


def _is_refusal(frame: bytes) -> bool:
    return frame[:2] == MAGIC and frame[3:4] == bytes([FrameType.REFUSE])


async def _refused(response: web.StreamResponse | None, last: bytes, error: ProtocolError) -> web.StreamResponse:
    """The answer to what no node sends: it ends with a refusal, whether the responder has made one or not."""
    refusal = Refuse(code=error.code, message=error.what, subject=error.subject, remedy=error.remedy)
    body = b"".join(encode(refusal))
    if response is None:
        response = web.Response(status=400, body=body, headers={hdrs.CONTENT_TYPE: FRAMES_TYPE})
    elif not _is_refusal(last):
        with suppress(ConnectionError):
            await response.write(body)
    response.force_close()
    return response


def _complain(request: web.Request, level: int, error: Exception, what: str) -> None:
    cause = error.code if isinstance(error, HoldfastError) else type(error).__name__
    said = str(error) or cause  # some errors of connections are silent
    request.app[REPEATS].log(_log, level, cause, request.remote, f"peer {request.remote} {what}: {said}")


def _confess(request: web.Request, error: HoldfastError) -> None:
    """Say what failed here while a peer was answered."""
    text = f"an exchange with {request.remote} failed: {error}"
    request.app[REPEATS].log(_log, logging.ERROR, error.code, OURSELVES, text)


def _broken(request: web.Request, response: web.StreamResponse | None, error: Exception) -> web.StreamResponse:
    if response is None:
        if isinstance(error, HoldfastError):
            return failure(error)
        return failure(LinkCut("the exchange took too long", subject="exchange", remedy=_AGAIN))
    # Without the end that its encoding promises, nobody takes the answer for a whole one.
    if request.transport is not None:
        request.transport.abort()
    return response
