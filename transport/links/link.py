"""The port that a session drives: one exchange of frames after another, with one peer.

Knows nothing of sockets or of what the frames say. Invariant: bytes are counted as the network would bill them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol


class Link(Protocol):
    """A way to one peer. It belongs to one event loop and carries one exchange at a time."""

    @property
    def url(self) -> str:
        """The peer's address, without secrets."""
        ...

    @property
    def bytes_sent(self) -> int:
        """Bytes sent so far, envelopes included."""
        ...

    @property
    def bytes_received(self) -> int:
        """Bytes received so far, envelopes included."""
        ...

    @property
    def round_trips(self) -> int:
        """Exchanges begun so far."""
        ...

    def exchange(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Send `frames` as they come and give the bytes of the answer as they come, in chunks of any size.

        Close the generator when you leave it early (`contextlib.aclosing`). The link does not close `frames`. An error
        that `frames` raises ends the exchange and is raised as it is.

        Raises:
            LinkError: the peer was not reached, refused the exchange, or was cut off.
            SessionRefused: the peer does not take this request.
        """
        ...

    async def close(self) -> None:
        """Give up the connection; closing again does nothing."""
        ...
