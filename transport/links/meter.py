"""Counts the bytes that really pass over the sockets of a link: TLS, HTTP and frames.

The only module that subclasses sockets. Knows nothing of HTTP. Invariant: a byte is counted when the operating system
took or gave it, so retries and handshakes count as well. An event loop that goes around Python's sockets (uvloop)
leaves the counts at zero.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Protocol

UNSENT_BYTES_MAX: Final = 32 * 1024
"""What the operating system keeps that it could not send yet: less than a slow link sends in the idle time."""


_NOTSENT_LOWAT: Final[int] = getattr(socket, "TCP_NOTSENT_LOWAT", 0x201)  # Darwin's number, which Python may not name


class SocketOptions(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""
        ...


def bound_unsent(sock: SocketOptions) -> None:
    """Let the operating system take no more than it can soon send, where it can be told.

    A buffer of megabytes hides for minutes whether anything moves on a slow link.
    """
    # A connection that was just lost refuses; whoever uses it next learns why.
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES_MAX)


class Meter:
    """What passed over the sockets that `socket` made, and whether anything still does."""

    __slots__ = ("_deadline", "_idle_s", "_own_time", "received", "sent")

    def __init__(self, idle_s: float) -> None:
        self.sent = 0
        self.received = 0
        self._idle_s = idle_s
        self._deadline: asyncio.Timeout | None = None
        self._own_time = False

    def socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket for an address as `getaddrinfo` gives it."""
        family, kind, protocol = address[:3]
        counting = CountingSocket(family, kind, protocol)
        counting.meter = self
        bound_unsent(counting)
        return counting

    def count(self, *, sent: int = 0, received: int = 0) -> None:
        """Take note of bytes that passed: whoever waits goes on waiting."""
        self.sent += sent
        self.received += received
        self._renew()

    @contextmanager
    def own_time(self) -> Iterator[None]:
        """Let time pass that is not the peer's: this node is busy with what it will send."""
        self._own_time = True
        self._renew()
        try:
            yield
        finally:
            self._own_time = False
            self._renew()

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Raise TimeoutError inside once nothing has moved for the idle time, in either direction.

        A request that is still being sent is alive while its peer says nothing, hence not just a time for reading.
        """
        async with asyncio.timeout(self._idle_s) as deadline:
            self._deadline = deadline
            self._renew()
            try:
                yield
            finally:
                self._deadline = None

    def _renew(self) -> None:
        # One that has expired cannot be moved any more, and bytes may still pass until its task hears of it.
        if self._deadline is not None and not self._deadline.expired():
            now = asyncio.get_running_loop().time()
            self._deadline.reschedule(None if self._own_time else now + self._idle_s)


class CountingSocket(socket.socket):
    """A socket that reports to its meter; these four methods are those that event loops call.

    What they take and give is what `socket.socket` says.
    """

    __slots__ = ("meter",)
    meter: Meter

    def send(self, *args: Any) -> int:  # noqa: ANN401
        """Send and count."""
        size = super().send(*args)
        self.meter.count(sent=size)
        return size

    def sendmsg(self, *args: Any) -> int:  # noqa: ANN401
        """Send several buffers and count."""
        size = super().sendmsg(*args)
        self.meter.count(sent=size)
        return size

    def recv(self, *args: Any) -> bytes:  # noqa: ANN401
        """Receive and count."""
        data = super().recv(*args)
        self.meter.count(received=len(data))
        return data

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401
        """Receive into a buffer and count."""
        size = super().recv_into(*args)
        self.meter.count(received=size)
        return size
