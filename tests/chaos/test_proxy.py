"""The proxy misbehaves as it is told, and not otherwise."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from .proxy import Proxy, Weather


class Echo(asyncio.Protocol):
    """A server that gives back what it gets."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


@asynccontextmanager
async def echoing():
    """A proxy before such a server, and a client's connections through it."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    async with server, Proxy.before(server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


async def connected(proxy):
    host, port = proxy.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def silent(reader, seconds=0.15):
    """Whether nothing comes for so long."""
    try:
        await asyncio.wait_for(reader.read(1), seconds)
    except TimeoutError:
        return True
    return False


async def test_in_good_weather_every_byte_passes_in_order():
    async with echoing() as proxy:
        reader, writer = await connected(proxy)
        data = bytes(range(256)) * 2_000
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        assert (proxy.bytes_up, proxy.bytes_down, proxy.seen) == (len(data), len(data), 1)


async def test_a_cut_lets_so_many_bytes_pass_and_then_resets():
    async with echoing() as proxy:
        proxy.down = Weather(cut_after=1_000)
        reader, writer = await connected(proxy)
        writer.write(b"x" * 5_000)
        assert await reader.readexactly(1_000)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_hole_swallows_one_way_and_not_the_other():
    async with echoing() as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        proxy.connections[0].up.hole = True
        writer.write(b"b")
        assert await silent(reader)
        assert proxy.bytes_up == proxy.bytes_down == 1


async def test_a_stalled_way_goes_on_when_the_stall_ends():
    async with echoing() as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        proxy.worsen(stalled=True)
        writer.write(b"b")
        writer.write(b"c")
        assert await silent(reader)
        proxy.worsen(stalled=False)
        assert await asyncio.wait_for(reader.readexactly(2), 5) == b"bc"


async def test_the_client_of_a_half_open_connection_hears_nothing():
    async with echoing() as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        proxy.connections[0].leave_half_open()
        writer.write(b"b")
        assert await silent(reader)


async def test_a_narrow_way_passes_everything_slowly():
    async with echoing() as proxy:
        proxy.up = Weather(bytes_per_s=4_000)
        reader, writer = await connected(proxy)
        writer.write(b"x" * 1_000)
        assert await silent(reader, 0.02)
        assert await reader.readexactly(1_000)


async def test_a_closed_proxy_resets_whoever_comes():
    async with echoing() as proxy:
        proxy.open = False
        reader, _ = await connected(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
