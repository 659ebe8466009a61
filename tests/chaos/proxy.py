"""A TCP proxy that misbehaves on demand: late, narrow, cut, deaf in one direction, reset or half open.

Real sockets, no knowledge of what passes. Each connection has two ways, each with a `Weather` of its own that may be
changed while bytes pass; new connections take a copy of the proxy's. Invariant: without bad weather every byte passes
once and in order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Self

CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


@dataclass(slots=True)
class Weather:
    """What happens to bytes on one way.

    Attributes:
        delay_s: Each piece comes so much later.
        bytes_per_s: No more than so many pass; None for no bound.
        cut_after: The connection is reset once so many bytes have passed; None for never.
        hole: What comes is taken and thrown away, without a word.
        stalled: What comes is not even taken: the sender's buffers fill.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: int | None = None
    hole: bool = False
    stalled: bool = False


@dataclass(slots=True, eq=False)
class Connection:
    """One connection through the proxy: the client's end, the server's end, and the weather of both ways."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    up: Weather
    down: Weather
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})

    def reset(self) -> None:
        """Reset both ends: each sees RST."""
        for end in (self.client, self.server):
            _reset(end)

    def leave_half_open(self) -> None:
        """The server's end goes away; the client is never told, and what it sends is swallowed."""
        self.up.hole = True
        _reset(self.server)


class Proxy:
    """The proxy in front of one server.

    Attributes:
        url: Where clients find it.
        up, down: The weather of new connections, to the server and back.
        open: Whether new connections are taken; otherwise they are reset at once.
        connections: Those that stand; seen: how many there were.
        bytes_up, bytes_down: What passed in all.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.url = ""
        self.up, self.down = Weather(), Weather()
        self.open = True
        self.connections: list[Connection] = []
        self.seen = 0
        self.bytes_up = self.bytes_down = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, target: tuple[str, int]) -> AsyncIterator[Self]:
        """Stand before the server at `target`."""
        proxy, tasks = cls(target), set[asyncio.Task[None]]()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(proxy._connected(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection that stands."""
        for connection in [*self.connections]:
            connection.reset()

    def clear(self) -> None:
        """Good weather for new connections; those that stand are reset, for they may have lost bytes."""
        self.up, self.down, self.open = Weather(), Weather(), True
        self.cut()

    def worsen(self, **weather: object) -> None:
        """Change the weather of both ways, for connections that stand as well."""
        for way in (self.up, self.down, *(way for c in self.connections for way in (c.up, c.down))):
            for name, value in weather.items():
                setattr(way, name, value)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        if not self.open:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        connection = Connection(writer, far_writer, replace(self.up), replace(self.down))
        self.connections.append(connection)
        try:
            await self._carry(connection, reader, far_reader)
        finally:
            self.connections.remove(connection)
            for end in (writer, far_writer):
                end.transport.abort()

    async def _carry(
        self, connection: Connection, reader: asyncio.StreamReader, far_reader: asyncio.StreamReader
    ) -> None:
        ways = [
            asyncio.create_task(self._pass(connection, "up", reader, connection.server)),
            asyncio.create_task(self._pass(connection, "down", far_reader, connection.client)),
        ]
        try:
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # One way that ends is the end of the connection, but through a hole the client does not hear of it either.
            if connection.up.hole or connection.down.hole:
                connection.up.hole = True
                await asyncio.wait(left or ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(
        self, connection: Connection, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        weather = connection.up if way == "up" else connection.down
        with suppress(ConnectionError):
            while data := await self._take(weather, reader):
                await self._wait_out_stall(weather)
                if weather.hole:
                    continue
                if weather.cut_after is not None:
                    data = data[: max(0, weather.cut_after - connection.passed[way])]
                if weather.delay_s:
                    await asyncio.sleep(weather.delay_s)
                writer.write(data)
                await writer.drain()
                connection.passed[way] += len(data)
                self._count(way, len(data))
                if weather.cut_after is not None and connection.passed[way] >= weather.cut_after:
                    await asyncio.sleep(0.02)  # what is on the way arrives before the reset does
                    connection.reset()
                    return

    async def _take(self, weather: Weather, reader: asyncio.StreamReader) -> bytes:
        await self._wait_out_stall(weather)
        if weather.bytes_per_s is None:
            return await reader.read(CHUNK_BYTES)
        piece = max(1, int(weather.bytes_per_s / 20))
        await asyncio.sleep(piece / weather.bytes_per_s)
        return await reader.read(piece)

    async def _wait_out_stall(self, weather: Weather) -> None:
        while weather.stalled:  # noqa: ASYNC110 - the weather is not made to tell
            await asyncio.sleep(0.02)

    def _count(self, way: str, size: int) -> None:
        if way == "up":
            self.bytes_up += size
        else:
            self.bytes_down += size


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
