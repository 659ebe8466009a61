"""The side that answers an exchange, as a hub does it: with deadlines, refusals, and answers that break off.

Follows transport/hub/exchange.py over simulated connections. Knows nothing of engines. Invariants: an answer that
failed halfway never looks whole; an error that is none of the tree is reported to the world, and to the caller as a
failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from holdfast.errors import HoldfastError, HubError, LinkCut, ProtocolError
from holdfast.transport.hub.limits import Limits
from holdfast.transport.messages import Refuse
from holdfast.transport.wire import encode

from .connection import Connection

Responder = Callable[[AsyncIterator[bytes], str], AsyncGenerator[bytes, None]]
"""Reads the chunks of one exchange, and who sends them; yields the frames of the answer."""

OnFault = Callable[[BaseException], None]

AGAIN = "Sync again: the session resumes."


class Body(AsyncIterator[bytes]):
    """The request in the chunks in which it arrives, within the hub's limits."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._taken = 0
        self._waited_s = 0.0

    async def __anext__(self) -> bytes:
        """Wait for the next chunk.

        Raises:
            LinkCut: the caller left, stood still or was too slow.
        """
        loop = asyncio.get_running_loop()
        start, subject = loop.time(), self._connection.caller.name
        earned_s = self._limits.idle_s + self._taken / self._limits.body_bytes_per_s_min
        try:
            async with asyncio.timeout(min(self._limits.idle_s, earned_s - self._waited_s)):
                chunk = await self._connection.up.read()
        except TimeoutError as error:
            raise LinkCut("the body came too slowly", subject=subject, remedy=AGAIN) from error
        except ConnectionError as error:
            raise LinkCut("the client left", subject=subject, remedy=AGAIN) from error
        self._waited_s += loop.time() - start
        self._taken += len(chunk)
        if not chunk:
            raise StopAsyncIteration
        return chunk


@dataclass(slots=True)
class Answer:
    """One answer in the making.

    Attributes:
        connection: Where it goes.
        responder: What makes it.
        limits: What a hub grants.
        on_fault: Told of what is no error of the tree.
        begun: A frame of it has been sent.
    """

    connection: Connection
    responder: Responder
    limits: Limits
    on_fault: OnFault
    begun: bool = False

    async def run(self) -> None:
        """Make the answer and send it, to its end or to that of the connection."""
        try:
            await self._run()
        except (ConnectionError, TimeoutError):
            self._abort()
        except HoldfastError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the world must see it, and the caller what a hub says
            self.on_fault(error)
            self._fail(error)

    async def _run(self) -> None:
        body = Body(self.connection, self.limits)
        try:
            async with (
                asyncio.timeout(self.limits.exchange_s),
                aclosing(self.responder(body, self.connection.caller.name)) as frames,
            ):
                async for frame in frames:
                    await self._send(frame)
        except ProtocolError as error:
            if not self.begun:
                await self._refuse(error)
        self.connection.down.finish()

    async def _send(self, frame: bytes) -> None:
        async with asyncio.timeout(self.limits.idle_s):
            await self.connection.down.send(frame)
        self.begun = True

    async def _refuse(self, error: ProtocolError) -> None:
        refusal = Refuse(code=error.code, message=error.what, subject=error.subject, remedy=error.remedy)
        for frame in encode(refusal):
            await self._send(frame)

    def _fail(self, error: Exception) -> None:
        """Say with a status that there is no answer; once a frame has gone out, only a break says so."""
        if self.begun or self.connection.callee.broken:
            self._abort()
        else:
            self.connection.down.finish(_as_status(error, f"sim://{self.connection.callee.name}"))

    def _abort(self) -> None:
        # Without the end that its encoding promises, nobody takes the answer for a whole one.
        self.connection.lose(self.connection.callee, silent=False)


def _as_status(error: Exception, url: str) -> HoldfastError:
    """What the caller makes of the status with which a hub reports this error."""
    if isinstance(error, LinkCut):
        return LinkCut(error.what, subject=url, remedy=AGAIN)
    return HubError(f"the hub failed: {error}", subject=url, remedy="Local work goes on; sync again later.")
