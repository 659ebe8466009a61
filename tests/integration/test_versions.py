"""Old and new handshakes: a node of a later version, which says more in each message, and one of this, over bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import msgpack
import pytest

from holdfast.engine.delta import FeedBatch
from holdfast.engine.replica import Replica
from holdfast.errors import IncompatibleProtocol
from holdfast.transport.frame import FrameReader, encode_frame
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.messages import PROTOCOL_VERSION, Hello
from holdfast.transport.payload import pack
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync
from holdfast.transport.wire import Decoder, encode
from tests.transport.samples import decoded

from ..engine.test_quarantine import STRANGER, cells_of, from_the_future
from ..nodes import assert_equal, meet, opened


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


def strange(batch: FeedBatch) -> FeedBatch:
    """The record of unknown types with flags of operations that nobody knows either."""
    cells = {}
    for at, packed in batch.delta.cells.items():
        body, *stamps = msgpack.unpackb(packed)
        cells[at] = msgpack.packb([body, *(value if place % 4 != 3 else 0xF4 for place, value in enumerate(stamps))])
    return replace(batch, delta=replace(batch.delta, cells=cells))


async def test_what_a_later_version_writes_passes_through_earlier_ones_byte_for_byte(tmp_path):
    """Later node, hub of this version, node of this version, second hub, another later node: and back again."""
    names = ("later", "hub", "between", "other-hub", "last")
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(opened(tmp_path / f"{name}.db", space="s", name=name)) for name in names
        ]

        async def carry(node, hub, *, speaks_later):
            def answer(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
                return respond(Replica(hub), as_later(chunks) if speaks_later else chunks, rights="rw")

            assert (await sync(Replica(node), MemoryLink(answer, url=f"memory://{hub.path}"))).completed

        later_one, hub, between, other_hub, last = nodes
        await Replica(later_one).apply(strange(from_the_future()), STRANGER)
        await carry(later_one, hub, speaks_later=True)
        await carry(between, hub, speaks_later=False)
        await between["t"].update("k", {"mine": 1})
        await carry(between, other_hub, speaks_later=False)
        await carry(last, other_hub, speaks_later=True)
        for node in (between, hub, later_one):
            await carry(node, other_hub, speaks_later=node is later_one)
        await assert_equal(*nodes)
        held = [cells_of(node.path) for node in nodes]
        assert all(cells == held[0] for cells in held)
        ((sibling,),) = [held[-1].cells["tensor"].values()]
        assert (sibling.tag, sibling.value, sibling.base, sibling.stamp.flags) == (77, b"\x00\xffraw", b"base", 0xF4)
        assert (await last["t"].get("k")).fields == {"plain": "readable", "mine": 1}


async def test_a_node_of_another_protocol_is_refused_by_name_and_stops_nobody(tmp_path):
    async with AsyncExitStack() as stack:
        node, other, hub = [
            await stack.enter_async_context(opened(tmp_path / f"{name}.db", space="s", name=name))
            for name in ("node", "other", "hub")
        ]

        async def in_next(frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            async for frame in frames:
                reader = FrameReader()
                reader.feed(frame)
                sent = reader.next()
                items = msgpack.unpackb(sent.payload)
                yield encode_frame(sent.type, pack([PROTOCOL_VERSION + 1, *items[1:]]))

        def answer(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            return respond(Replica(hub), in_next(chunks), rights="rw")

        await node["t"].put("k", {"n": 1})
        with pytest.raises(IncompatibleProtocol) as caught:
            await sync(Replica(node), MemoryLink(answer, url="memory://hub"))
        assert f"version {PROTOCOL_VERSION + 1}" in caught.value.what
        assert f"version {PROTOCOL_VERSION}" in caught.value.what
        await other["t"].put("k2", {"n": 2})
        assert (await meet(other, hub)).completed
        assert (await meet(node, hub)).completed
        await meet(other, hub)
        await assert_equal(node, other, hub)
