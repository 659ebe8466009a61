"""Large messages are the work of a thread: the event loop, and with it a hub's other clients, goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from holdfast.errors import FrameTooLarge, MalformedFrame
from holdfast.transport import frame as frames_module
from holdfast.transport import pace
from holdfast.transport.frame import FRAME_RAW_BYTES_MAX, HEADER_BYTES
from holdfast.transport.pace import encoded, next_message
from holdfast.transport.wire import Decoder, encode

from ..nodes import meet, opened
from .samples import SAMPLES, plain_batch


def large_batch(chars=1_000):
    batch = plain_batch(5_000)
    return replace(
        batch, delta=replace(batch.delta, doc=[f'{{"n":{row},"t":"{"x" * chars}"}}' for row in range(5_000)])
    )


async def received(data, cut=65_536):
    decoder, messages = Decoder(), []
    for start, end in pairwise([*range(0, len(data), cut), len(data)]):
        decoder.add(data[start:end])
        while (message := await next_message(decoder)) is not None:
            messages.append(message)
    assert decoder.idle
    return messages


@pytest.fixture
def threads(monkeypatch):
    """Bytes of payload -> the threads in which frames of that size were made and read."""
    seen = []
    make, read = frames_module._compress, frames_module.decode_body

    def compress(payload, level):
        seen.append((len(payload), threading.get_ident()))
        return make(payload, level)

    def decode_body(header, body):
        seen.append((header.raw_length, threading.get_ident()))
        return read(header, body)

    monkeypatch.setattr(frames_module, "_compress", compress)
    monkeypatch.setattr(frames_module, "decode_body", decode_body)
    return seen


async def test_messages_keep_order_and_content_whatever_their_size():
    sent = [*SAMPLES.values(), large_batch(), SAMPLES["ack"], plain_batch(3_000), *SAMPLES.values()]
    data = b"".join([frame for message in sent for frame in await encoded(message)])
    assert data == b"".join(frame for message in sent for frame in encode(message))
    assert await received(data) == sent


async def test_only_small_messages_are_coded_on_the_event_loop(threads):
    for message in (large_batch(), SAMPLES["batch"]):
        assert await received(b"".join(await encoded(message))) == [message]
    here = {size for size, thread in threads if thread == threading.get_ident()}
    elsewhere = {size for size, thread in threads if thread != threading.get_ident()}
    assert here
    assert max(here) <= pace.INLINE_BYTES_MAX
    assert max(elsewhere) == FRAME_RAW_BYTES_MAX


async def test_a_sync_codes_large_batches_beside_the_event_loop(tmp_path, threads):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub, opened(tmp_path / "a.db", space="s") as a:
        await meet(a, hub)
        await a["t"].put_many((f"k{n}", {"n": n, "text": "x" * 300}) for n in range(2_000))
        await meet(a, hub)
        assert await hub["t"].count() == 2_000
        async with opened(tmp_path / "b.db", space="s") as b:
            await meet(b, hub)
            assert await b["t"].count() == 2_000
    large = [thread for size, thread in threads if size > pace.INLINE_BYTES_MAX]
    assert len(large) >= 4  # made and read, there and back
    assert threading.get_ident() not in large


async def test_the_loop_goes_on_while_a_large_message_is_read(monkeypatch):
    data = b"".join(encode(large_batch()))
    turns, going = 0, asyncio.Event()
    step = Decoder.step

    def waits(decoder):
        asyncio.run_coroutine_threadsafe(going.wait(), loop).result(10)  # for ever, if this were the loop
        return step(decoder)

    async def turn():
        nonlocal turns
        turns += 1
        going.set()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Decoder, "step", waits)
    reading = asyncio.create_task(received(data, len(data)))
    await asyncio.sleep(0)
    await turn()
    assert await reading == [large_batch()]
    assert turns == 1


async def test_limits_are_judged_before_any_thread_is_asked(monkeypatch):
    async def refuse(*_):
        raise AssertionError("a thread was asked")

    (whole,) = await encoded(plain_batch(5_000))
    monkeypatch.setattr(pace.asyncio, "to_thread", refuse)
    decoder = Decoder()
    decoder.add(whole[:8] + b"\xff" * 4 + whole[12:HEADER_BYTES])
    with pytest.raises(FrameTooLarge):
        await next_message(decoder)


async def test_damage_in_a_large_message_is_told_like_in_a_small_one():
    (whole,) = await encoded(plain_batch(5_000))
    decoder = Decoder()
    decoder.add(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MalformedFrame):
        await next_message(decoder)


async def test_whoever_is_cancelled_meanwhile_leaves_nothing_behind():
    frames = encode(large_batch())
    for _ in range(3):
        reading = asyncio.create_task(received(b"".join(frames)))
        writing = asyncio.create_task(encoded(large_batch()))
        await asyncio.sleep(0.005)
        for task in (reading, writing):
            task.cancel()
        results = await asyncio.gather(reading, writing, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError | list) for result in results)
    assert await received(b"".join(frames)) == [large_batch()]


async def test_a_chunk_of_many_small_frames_lets_others_run():
    data = b"".join(encode(SAMPLES["ack"]) * 100)
    reading = asyncio.create_task(received(data, len(data)))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(reading.result()) == 100
    assert turns >= 100
