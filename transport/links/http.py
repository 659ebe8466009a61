"""The link to a hub over HTTP: one POST carries the frames of an exchange, and its answer streams back.

Knows nothing of what the frames say. Invariants: neither side of an exchange is ever held in memory as a whole; the
token goes to the hub's own address only, because redirects are not followed; every wait has an end.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
from yarl import URL

from holdfast.errors import FileUnreadable

from .address import FRAMES_TYPE, Hub
from .faults import check_answer, translated
from .meter import Meter
from .offers import Later, Offer, offer_in

CONNECT_S_MAX: Final = 10.0
"""Time for name, connection and TLS handshake together."""

IDLE_S_MAX: Final = 60.0
"""Time without a byte in either direction after which a connection counts as cut."""

KEEPALIVE_S: Final = 8.0
"""How long an idle connection is kept for the next exchange: shorter than hubs keep it (server.KEEPALIVE_S)."""

# Bytes on a metered link: the hub needs none of what clients say about themselves.
_UNSAID: Final = ("Accept", "Accept-Encoding", "User-Agent")


class HttpLink:
    """A link to the space `space` of `hub` (see `Link`).

    Args:
        hub: Where it is, and the token.
        space: Name of the space.
        connect_s: Limit for making a connection, seconds.
        idle_s: Limit for a standstill in both directions, seconds.
    """

    def __init__(self, hub: Hub, space: str, *, connect_s: float = CONNECT_S_MAX, idle_s: float = IDLE_S_MAX) -> None:
        self.url = hub.url
        self.round_trips = 0
        self._hub = hub
        self._target = URL(hub.sync_url(space), encoded=True)
        self._starter = URL(hub.starter_url(space), encoded=True)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
        self._meter = Meter(idle_s)
        self._session: aiohttp.ClientSession | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes given to the sockets of this link so far: TLS, HTTP and frames."""
        return self._meter.sent

    @property
    def bytes_received(self) -> int:
        """Bytes taken from the sockets of this link so far: TLS, HTTP and frames."""
        return self._meter.received

    async def exchange(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Post `frames` as they come and give the answer as it comes (see `Link`).

        Raises:
            InvalidUrl: the hub's address cannot be used.
            Unreachable: no connection; or one whose certificate is not trusted.
            LinkCut: the connection broke off, or stood still for too long.
            Unauthorized: the hub asks for another token.
            NoSuchSpace: the token is good, but not for a space of this name.
            ReadOnlyToken: the token may only read.
            SessionRefused: the hub does not take this request.
            HubError: the hub failed, or what answers is no hub.
            FileUnreadable: the certificates of the hub's `ca_file` cannot be read.
        """
        self.round_trips += 1
        upload = _Upload(frames, self._meter)
        try:
            with translated(self.url):
                answer = await self._post(upload)
                async with answer:
                    async with self._meter.patience():
                        await check_answer(answer, self.url)
                    while chunk := await self._read(answer):
                        yield chunk
        except Exception:
            if upload.error is not None:
                raise upload.error from None
            raise
        # The hub may answer before it has read everything; what failed here still failed.
        if upload.error is not None:
            raise upload.error

    @asynccontextmanager
    async def starter(self, etag: str, have: int) -> AsyncIterator[Offer | Later | None]:
        """Ask for a starter (see `Offers`)."""
        self.round_trips += 1
        headers = self._token()
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": f'"{etag}"'}
        session = self._opened()
        with translated(self.url):
            async with self._meter.patience():
                answer = await session.get(self._starter, headers=headers, allow_redirects=False)
            async with answer:
                yield offer_in(answer.status, answer.content_type, answer.headers, partial(self._read, answer))

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, upload: _Upload) -> aiohttp.ClientResponse:
        headers = {"Content-Type": FRAMES_TYPE, **self._token()}
        session = self._opened()
        async with self._meter.patience():
            return await session.post(self._target, data=upload, headers=headers, allow_redirects=False)

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._hub.token}"} if self._hub.token else {}

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        async with self._meter.patience():
            return await answer.content.readany()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=_trust(self._hub), socket_factory=self._meter.socket, keepalive_timeout=KEEPALIVE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_UNSAID,
                timeout=self._timeout,
                # Frames bound their own expansion; a compressed answer would bypass that bound.
                auto_decompress=False,
            )
        return self._session


class _Upload:
    """The body of a request. Remembers the error that ended it, which the client reports as a broken connection."""

    def __init__(self, frames: AsyncIterator[bytes], meter: Meter) -> None:
        self.error: Exception | None = None
        self._frames = frames
        self._meter = meter

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            with self._meter.own_time():
                return await anext(self._frames)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.error = error
            raise


def _trust(hub: Hub) -> ssl.SSLContext | bool:
    if hub.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=hub.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise FileUnreadable(
            f"its certificates cannot be read: {error}", subject=str(hub.ca_file), remedy="Pass a file in PEM format."
        ) from error
