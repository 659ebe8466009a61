"""Hubs and networks for the tests of links and hub: real servers on real sockets, with replicas that know nothing.

Run as a program (`python -m tests.transport.hubs DIRECTORY`) it is such a hub in a process of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.transport.hub.app import make_app
from holdfast.transport.hub.limits import Limits
from holdfast.transport.hub.registry import HubRegistry
from holdfast.transport.hub.server import listening, serve
from holdfast.transport.links.address import FRAMES_TYPE

SMALL = Limits(authenticate_s=1.5, waiting_max=8, request_bytes_max=1_000_000, idle_s=0.6, drain_s=3)


@dataclass
class Replica:
    """Stands for an engine: remembers what it was opened for and what it was asked."""

    name: str
    path: Path
    closed: bool = False
    requests: list[bytes] = field(default_factory=list)
    rights: list[str] = field(default_factory=list)

    async def close(self):
        self.closed = True


async def echo(replica, chunks, *, rights):
    """Answers with what it gets, as it gets it."""
    replica.rights.append(rights)
    replica.requests.append(b"")
    async for chunk in chunks:
        replica.requests[-1] += chunk
        yield chunk


@dataclass
class TestHub:
    """A running hub with the spaces "plant" and "other", and a token for each right in "plant"."""

    __test__ = False

    url: str
    registry: HubRegistry
    replicas: list[Replica]
    secret: str
    reader: str
    token_id: str
    other: str

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.partition("//")[2].rpartition(":")
        return host, int(port)

    @asynccontextmanager
    async def connected(self, head: str | None = None, body: bytes = b""):
        """A raw connection, on which a head and a body are sent."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write((b"" if head is None else head.replace("\n", "\r\n").encode() + b"\r\n") + body)
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, head: str, body: bytes = b"", *, timeout_s: float = 5) -> bytes:
        """Send raw bytes on a new connection; gives everything that comes until the hub closes it."""
        async with self.connected(head, body) as (reader, _):
            return await asyncio.wait_for(reader.read(), timeout_s)

    def head(self, *lines: str, space: str = "plant", secret: str | None = None) -> str:
        """The head of a sync request with a good token."""
        start = (f"POST /v1/spaces/{space}/sync HTTP/1.1", "Host: hub", f"Content-Type: {FRAMES_TYPE}")
        return "\n".join((*start, f"Authorization: Bearer {secret or self.secret}", *lines, ""))

    async def echoes(self, body: bytes = b"hello") -> bool:
        """Whether an ordinary client is served."""
        length = f"Content-Length: {len(body)}"
        reply = await self.ask(self.head(length, "Connection: close"), body)
        return reply.startswith(b"HTTP/1.1 200 ") and body in reply


@asynccontextmanager
async def running_hub(directory: Path, *, respond=echo, open_engine=None, limits=SMALL, tls=None):
    """A hub that listens on a free port of this machine."""
    registry = HubRegistry.init(directory)
    registry.add_space("plant")
    registry.add_space("other")
    token_id, secret = registry.add_token("plant", "rw", "pump-7")
    _, reader = registry.add_token("plant", "r")
    _, other = registry.add_token("other", "rw")
    replicas = []

    async def opened(name, path):
        replicas.append(Replica(name, path))
        return replicas[-1]

    app = make_app(registry, open_engine or opened, respond, version="1.2.3", limits=limits)
    async with listening(app, "127.0.0.1", 0, tls=tls) as url:
        yield TestHub(url, registry, replicas, secret, reader, token_id, other)


async def eventually(condition, *, within_s: float = 2.0) -> None:
    """Return once `condition()` holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is not made to tell
            await asyncio.sleep(0.01)


async def kept(answer: AsyncIterator[bytes], into: list) -> None:
    """Put what an exchange gives into a list that outlives its failure."""
    async for chunk in answer:
        into.append(chunk)  # noqa: PERF401 - a comprehension would be lost with the error


class Proxy:
    """A TCP proxy that counts what passes, and cuts the way after so many bytes to the server or to the client."""

    def __init__(self, target: tuple[str, int], *, cut_up: int | None = None, cut_down: int | None = None):
        self.up = self.down = 0
        self._target = target
        self._cut_up, self._cut_down = cut_up, cut_down

    async def _serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        up = asyncio.create_task(self._pump(reader, far_writer, "up"))
        down = asyncio.create_task(self._pump(far_reader, writer, "down"))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        for end in (writer, far_writer):
            end.transport.abort()

    async def _pump(self, reader, writer, way):
        limit = self._cut_up if way == "up" else self._cut_down
        while data := await reader.read(65536):
            passed = getattr(self, way)
            if limit is not None and passed + len(data) > limit:
                writer.write(data[: limit - passed])
                await writer.drain()
                # What is on the way arrives before the cut does.
                await asyncio.sleep(0.05)
                return
            setattr(self, way, passed + len(data))
            writer.write(data)
            await writer.drain()

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """An asynchronous iterator over `parts`."""
    for part in parts:
        yield part


async def collected(answer: AsyncIterator[bytes]) -> bytes:
    """Everything that an exchange gives."""
    return b"".join([chunk async for chunk in answer])


async def _slow_echo(replica, chunks, *, rights):
    """Answers the first byte at once and the rest a second later, so that a stop can come between."""
    async for chunk in chunks:
        yield chunk[:1]
        await asyncio.sleep(1)
        yield chunk[1:]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _main(directory: Path) -> None:
    async def opened(name, path):
        return Replica(name, path)

    await serve(directory, port=0, open_engine=opened, respond=_slow_echo, version="1.2.3", ready=_say)
    _say("stopped")


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
