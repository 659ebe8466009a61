"""Claims about the link inside a process."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from holdfast.errors import LinkCut
from holdfast.transport.links import Link, MemoryLink

from .hubs import chunks, collected, kept


async def _echo(frames):
    async for frame in frames:
        yield frame.upper()


async def test_frames_pass_one_by_one_and_are_counted():
    link: Link = MemoryLink(_echo)
    order = []

    async def frames():
        for frame in (b"a", b"bc"):
            order.append(frame)
            yield frame

    await kept(link.exchange(frames()), order)
    assert order == [b"a", b"A", b"bc", b"BC"]
    assert (link.bytes_sent, link.bytes_received, link.round_trips) == (3, 3, 1)


async def test_a_cut_on_the_way_out_is_seen_by_both_sides():
    seen = []

    async def responder(frames):
        try:
            await kept(frames, seen)
        except LinkCut:
            seen.append("cut")
            raise
        yield b"never"

    link = MemoryLink(responder, cut_after=(2, None))
    with pytest.raises(LinkCut):
        await collected(link.exchange(chunks(b"1", b"2", b"3")))
    assert seen == [b"1", b"2", "cut"]


@pytest.mark.parametrize("answers", [0, 1])
async def test_a_responder_that_swallows_the_cut_hides_it_from_nobody(answers: int):
    async def responder(frames):
        with pytest.raises(LinkCut):
            await collected(frames)
        for _ in range(answers):
            yield b"fine"

    got = []
    with pytest.raises(LinkCut):
        await kept(MemoryLink(responder, cut_after=(0, None)).exchange(chunks(b"1")), got)
    assert not got


async def test_a_cut_on_the_way_back_comes_after_so_many_frames_and_closes_the_responder():
    closed = []

    async def responder(frames):
        try:
            async for frame in frames:
                yield frame
        finally:
            closed.append(True)

    link = MemoryLink(responder, cut_after=(None, 1))
    got = []
    with pytest.raises(LinkCut):
        await kept(link.exchange(chunks(b"1", b"2")), got)
    assert (got, closed) == ([b"1"], [True])


async def test_a_cut_link_stays_cut():
    link = MemoryLink(_echo, cut_after=(1, None))
    assert await collected(link.exchange(chunks(b"1"))) == b"1"
    for _ in range(2):
        with pytest.raises(LinkCut):
            await collected(link.exchange(chunks(b"2")))


async def test_a_closed_link_carries_nothing():
    link = MemoryLink(_echo)
    await link.close()
    with pytest.raises(LinkCut):
        await collected(link.exchange(chunks(b"1")))


async def test_leaving_an_exchange_early_closes_the_responder():
    closed = []

    async def responder(frames):
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    async with aclosing(MemoryLink(responder).exchange(chunks())) as answer:
        assert await anext(answer) == b"1"
    assert closed == [True]


async def test_an_error_of_the_frames_is_raised_as_it_is():
    async def frames():
        yield b"1"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await collected(MemoryLink(_echo).exchange(frames()))
