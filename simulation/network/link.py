"""The side that calls: a link over the simulated network, which fails as the HTTP link does.

Follows transport/links/http.py, with the same meter and the same deadlines. Knows nothing of frames. Invariants: every
wait has an end in virtual time; `Unreachable` means that nothing was delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from holdfast.errors import LinkCut
from holdfast.transport.hub.limits import Limits
from holdfast.transport.links.meter import Meter

from .connection import Connection

REQUEST_HEAD_BYTES: Final = 240
ANSWER_HEAD_BYTES: Final = 160
"""What HTTP says around the frames; counted, and not sent."""

RESUME: Final = "Sync again: the session resumes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the two sides wait, in virtual seconds.

    Attributes:
        connect_s: For a connection.
        idle_s: For a byte in either direction, at the caller.
        keepalive_s: How long the caller keeps a connection for its next exchange.
        hub: What the other side grants.
    """

    connect_s: float = 10.0
    idle_s: float = 60.0
    keepalive_s: float = 8.0
    hub: Limits = field(default_factory=Limits)


class Exchanges(Protocol):
    """What a link needs of the network."""

    async def connect(self, caller: str, callee: str) -> Connection:
        """A new connection.

        Raises:
            Unreachable: there is none; nothing was delivered.
        """
        ...

    def begin(self, caller: str, callee: str) -> Connection:
        """An exchange on a connection that stands, or is believed to."""
        ...

    def leave(self, connection: Connection) -> None:
        """The caller is done with it, early or not."""
        ...

    def life(self, name: str) -> int:
        """Which start of its process a node is at."""
        ...


class SimLink:
    """A link from the node `caller` to the node `callee` (see `Link`)."""

    def __init__(self, network: Exchanges, caller: str, callee: str, deadlines: Deadlines) -> None:
        self.url = f"sim://{callee}"
        self.round_trips = 0
        self._network = network
        self._caller, self._callee = caller, callee
        self._deadlines = deadlines
        self._meter = Meter(deadlines.idle_s)
        self._kept: tuple[float, int] | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes sent so far, with what HTTP adds."""
        return self._meter.sent

    @property
    def bytes_received(self) -> int:
        """Bytes received so far, with what HTTP adds."""
        return self._meter.received

    async def exchange(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Send `frames` as they come and give the answer as it comes (see `Link`).

        Raises:
            Unreachable: no connection; nothing was delivered.
            LinkCut: the connection broke off, or stood still for too long.
            HubError: the other node failed.
        """
        self.round_trips += 1
        connection = await self._connection()
        upload = _Upload(frames, connection, self._meter)
        sending = asyncio.create_task(upload.run(), name="sim-upload")
        try:
            while chunk := await self._read(connection):
                yield chunk
            self._keep()
        except Exception as error:
            if upload.error is not None:
                raise upload.error from None
            if isinstance(error, ConnectionError | TimeoutError):
                raise self._cut(error) from error
            raise
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            self._network.leave(connection)

    async def close(self) -> None:
        """Give up the connection; closing again does nothing."""
        self._kept = None

    async def _connection(self) -> Connection:
        kept, self._kept = self._kept, None
        now = asyncio.get_running_loop().time()
        self._meter.count(sent=REQUEST_HEAD_BYTES)
        if kept and now <= kept[0] and kept[1] == self._network.life(self._callee):
            return self._network.begin(self._caller, self._callee)
        return await self._network.connect(self._caller, self._callee)

    def _keep(self) -> None:
        until = asyncio.get_running_loop().time() + self._deadlines.keepalive_s
        self._kept = until, self._network.life(self._callee)

    async def _read(self, connection: Connection) -> bytes:
        first = not connection.down.passed
        async with self._meter.patience():
            chunk = await connection.down.read()
        self._meter.count(received=len(chunk) + (ANSWER_HEAD_BYTES if first else 0))
        return chunk

    def _cut(self, error: Exception) -> LinkCut:
        what = (
            "nothing passed for too long" if isinstance(error, TimeoutError) else f"the connection broke off: {error}"
        )
        return LinkCut(what, subject=self.url, remedy=RESUME)


class _Upload:
    """Sends a request; remembers what its frames raised, which ends the exchange."""

    def __init__(self, frames: AsyncIterator[bytes], connection: Connection, meter: Meter) -> None:
        self.error: Exception | None = None
        self._frames = frames
        self._connection = connection
        self._meter = meter

    async def run(self) -> None:
        up = self._connection.up
        try:
            while (frame := await self._next()) is not None:
                await up.send(frame)
                self._meter.count(sent=len(frame))
            if self.error is None:
                up.finish()
        except ConnectionError:
            return  # whoever reads the answer learns of it, behind what was answered before

    async def _next(self) -> bytes | None:
        try:
            with self._meter.own_time():
                return await anext(self._frames, None)
        except Exception as error:  # noqa: BLE001 - raised by the link, to whom it belongs
            self.error = error
            self._connection.break_off(self._connection.caller, self._connection.callee)
            return None
