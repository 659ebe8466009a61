"""Old and new handshakes: a node of a later version, which says more in each message, and one of this, over bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import msgpack
import pytest

from holdfast.engine.replica import Replica
from holdfast.transport.frame import FrameReader, encode_frame
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.messages import Hello
from holdfast.transport.payload import pack
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync
from holdfast.transport.wire import Decoder, encode
from tests.transport.samples import decoded

from ..nodes import assert_equal, opened


def later(frame: bytes) -> bytes:
    """The frame as a later version of this protocol would send it: features nobody knows here, and more items."""
    (message,) = decoded(Decoder(), frame)
    if isinstance(message, Hello):
        (frame,) = encode(replace(message, features=("bases", "live/2")))
    reader = FrameReader()
    reader.feed(frame)
    sent = reader.next()
    return encode_frame(sent.type, pack([*msgpack.unpackb(sent.payload), b"later", 7, None]))


async def as_later(frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for frame in frames:
        yield later(frame)


@pytest.mark.parametrize("newer", ["who asks", "who answers", "both"])
async def test_nodes_of_two_versions_agree(tmp_path, newer):
    async with AsyncExitStack() as stack:
        node, hub = [
            await stack.enter_async_context(opened(tmp_path / f"{name}.db", space="s", name=name))
            for name in ("node", "hub")
        ]

        def answer(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            asked = as_later(chunks) if newer != "who answers" else chunks
            said = respond(Replica(hub), asked, rights="rw")
            return as_later(said) if newer != "who asks" else said

        for turn in range(3):
            for side in (node, hub):
                await side["t"].put(f"{side.label}{turn}", {"n": turn})
                await side["t"].update(f"{side.label}0", {"by": side.label})
                await side["t"].put("both", {"by": side.label, "n": turn})
            report = await sync(Replica(node), MemoryLink(answer, url="memory://hub"))
            assert (report.completed, report.blockers) == (True, ())
            await assert_equal(node, hub)
        assert await node["t"].count() == 7
