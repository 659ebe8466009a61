"""A link to a responder in the same process: frames pass as values, and the way can be cut at any of them.

Knows nothing of replicas. Invariant: both sides see a cut at the same frame, as they would see a broken connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from holdfast.errors import LinkCut

Responder = Callable[[AsyncIterator[bytes]], AsyncGenerator[bytes, None]]
"""Reads the chunks of one exchange and yields the frames of the answer."""


class MemoryLink:
    """Exchanges frames with `responder`.

    Args:
        responder: Called once for each exchange.
        url: What to call the peer.
        cut_after: Frames that pass (out, in) over the life of the link before it is cut; None for no limit.
    """

    def __init__(
        self,
        responder: Responder,
        *,
        url: str = "memory://peer",
        cut_after: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self.url = url
        self.bytes_sent = 0
        self.bytes_received = 0
        self.round_trips = 0
        self._responder = responder
        self._left_out, self._left_in = cut_after
        self._cut = False

    async def exchange(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Pass `frames` to the responder one by one, and give what it answers (see `Link`).

        Raises:
            LinkCut: the way was cut, in this exchange or before.
        """
        self._check()
        self.round_trips += 1
        async with aclosing(self._responder(self._carried(frames))) as answer:
            async for frame in answer:
                self._check()
                self._left_in = self._pass(self._left_in)
                self.bytes_received += len(frame)
                yield frame
        # A responder may have taken the cut for the end of the request; the initiator has to learn of it.
        self._check()

    async def close(self) -> None:
        """Cut the way."""
        self._cut = True

    async def _carried(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for frame in frames:
            self._check()
            self._left_out = self._pass(self._left_out)
            self.bytes_sent += len(frame)
            yield frame

    def _pass(self, left: int | None) -> int | None:
        """Let one more frame pass, or cut the way; gives how many may still pass."""
        if left is None:
            return None
        self._cut = left <= 0
        self._check()
        return left - 1

    def _check(self) -> None:
        if self._cut:
            raise LinkCut("the way to the peer was cut", subject=self.url, remedy="Sync again: the session resumes.")
