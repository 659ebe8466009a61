"""The network of the demonstration: one wire per device, a TCP proxy that can be cut, and that can stall.

Knows nothing of what passes. Invariant: while a wire is cut not one byte passes, and no connection survives a cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

CHUNK_BYTES = 64 * 1024


class Wire:
    """The way from one device to the hub.

    Attributes:
        url: Where the device finds the hub.
        passed, held: Bytes for the hub that passed since the last `mend`, and that a stall has held back.
        stalled: Set once the wire has stalled.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.url = ""
        self.passed = self.held = 0
        self.stalled = asyncio.Event()
        self._target = target
        self._open = True
        self._left: int | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def between(cls, target: tuple[str, int]) -> AsyncIterator[Self]:
        """Lay a wire to the hub at `target`."""
        wire = cls(target)
        server = await asyncio.start_server(wire._connected, "127.0.0.1", 0)
        wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield wire
        finally:
            wire.cut()
            server.close()

    def cut(self) -> None:
        """Cut the wire: connections break off, new ones too."""
        self._open = False
        for writer in self._connections:
            writer.transport.abort()

    def mend(self) -> None:
        """Let everything pass again."""
        self._open = True
        self._left = None
        self.passed = self.held = 0
        self.stalled.clear()

    def stall_after(self, count: int) -> None:
        """Let `count` more bytes pass to the hub, and then nothing, without a word to either side."""
        self.passed = self.held = 0
        self._left = count

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            if self._open:
                await self._carry(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection(*self._target)
        self._connections.add(hub_writer)
        ways = [
            asyncio.create_task(self._pass_up(reader, hub_writer)),
            asyncio.create_task(self._pass_down(hub_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(hub_writer)
            hub_writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A device that is killed resets its connections.
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                passing = data if self._left is None else data[: self._left]
                self.passed += len(passing)
                writer.write(passing)
                await writer.drain()
                if self._left is not None:
                    self._left -= len(passing)
                    self.held += len(data) - len(passing)
                    if self.held:
                        self.stalled.set()

    async def _pass_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
