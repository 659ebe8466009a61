"""A meter between a node and a hub: passes TCP on and counts what went each way.

It counts what the sockets carried, headers and all, so a figure in bytes does not rest on the product's own counters.
It must not know what the bytes mean. It runs in the loop of the parent process, while the nodes are processes of
their own, and only in passes whose duration nobody reads.
Invariant: a byte is counted when it was read from its sender, before it is passed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

CHUNK_BYTES = 65_536


@dataclass(slots=True)
class Meter:
    """What went through so far; `url` is where the node connects instead of the hub.

    Attributes:
        bytes_up: From nodes to the hub.
        bytes_down: From the hub to nodes.
        round_trips: How often a node spoke after silence or after the hub had spoken.
    """

    url: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    round_trips: int = 0
    hub_spoke_last: bool = True

    @property
    def total(self) -> int:
        """Bytes in both directions."""
        return self.bytes_up + self.bytes_down

    def up(self, count: int) -> None:
        """A node sent bytes."""
        self.bytes_up += count
        self.round_trips += self.hub_spoke_last
        self.hub_spoke_last = False

    def down(self, count: int) -> None:
        """The hub sent bytes."""
        self.bytes_down += count
        self.hub_spoke_last = True


@asynccontextmanager
async def metered(address: tuple[str, int]) -> AsyncIterator[Meter]:
    """Listens on a free port of loopback and connects every caller with `address`, host and port."""
    meter = Meter()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection(*address)
        await asyncio.gather(_pump(meter.up, reader, hub_writer), _pump(meter.down, hub_reader, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        meter.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield meter


async def _pump(count: Callable[[int], None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes one direction on until its sender hangs up, which hangs up on the receiver too."""
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            count(len(chunk))
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        return  # the other side is gone, and what it did not take was not exchanged
    finally:
        writer.close()
