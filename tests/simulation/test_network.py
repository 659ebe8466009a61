"""Claims about the simulated network: bytes and errors first, then real engines over every condition."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest

from holdfast.errors import DamagedFile, HubError, LinkCut, LinkError, MalformedFrame, Unreachable
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.network.conditions import Quality, Way, magnitude
from holdfast.simulation.network.link import Deadlines
from holdfast.transport.hub.limits import Limits
from holdfast.transport.links import http
from holdfast.transport.links.link import Link
from holdfast.transport.messages import Refuse
from holdfast.transport.wire import Decoder

from ..transport.hubs import chunks, collected, kept
from ..transport.samples import decoded
from .virtual import run

SEEDS = range(6)


async def echo(body, _):
    """Answers when it has read everything."""
    whole = await collected(body)
    yield whole.upper()


async def asleep(body, _):
    """Answers the first byte, and the rest a minute and a half later."""
    whole = await collected(body)
    yield whole[:1]
    await asyncio.sleep(90)
    yield whole[1:]


def now() -> float:
    return asyncio.get_running_loop().time()


async def settled(seconds: float = 4000) -> None:
    """Let every deadline pass."""
    await asyncio.sleep(seconds)


# ----------------------------------------------------------------------------------------------- bytes on good ways


def test_an_exchange_passes_whole_and_is_counted(tmp_path):
    async def test(lab):
        lab.network.register("hub", echo)
        link: Link = lab.network.link("a", "hub")
        assert await collected(link.exchange(chunks(b"ab", b"c"))) == b"ABC"
        assert (link.url, link.round_trips) == ("http://hub", 1)
        assert link.bytes_sent > 3 < link.bytes_received
        traffic = lab.traffic("a", "hub")
        assert (traffic.exchanges, traffic.bytes_to, traffic.bytes_from, dict(traffic.cuts)) == (1, 3, 3, {})
        assert lab.happened("exchange")

    run(tmp_path, test)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_never_reordered_and_may_be_cut_into_any_chunks(tmp_path, seed):
    sent = [bytes([n % 251]) * (n * 37 % 40_000) for n in range(1, 60)]
    sizes = []

    async def counting(body, _):
        got = b""
        async for chunk in body:
            sizes.append(len(chunk))
            got += chunk
        assert got == b"".join(sent)
        yield got

    async def test(lab):
        lab.network.register("hub", counting)
        lab.network.quality("a", "hub", latency_ms=(1, 3_000))
        assert await collected(lab.network.link("a", "hub").exchange(chunks(*sent))) == b"".join(sent)

    run(tmp_path, test, seed)
    assert set(sizes) - {len(part) % 16_384 for part in sent} - {16_384}, "no frame arrived in parts"


def test_bandwidth_is_shared_by_all_connections_of_a_way(tmp_path):
    async def test(lab):
        lab.network.register("hub", echo)
        lab.network.quality("a", "hub", bytes_per_s=1_000, latency_ms=(1, 1))
        start = now()
        links = [lab.network.link("a", "hub") for _ in range(3)]
        await asyncio.gather(*(collected(link.exchange(chunks(b"x" * 4_000))) for link in links))
        assert 12 < now() - start < 13

    run(tmp_path, test)


def test_a_sender_waits_for_a_reader_that_does_not_read(tmp_path):
    taken = []

    async def frames():
        for n in range(100):
            taken.append(n)
            yield bytes(16_384)

    async def lazy(body, _):
        await anext(body)
        await asyncio.sleep(30)
        taken.append("now")
        yield await collected(body)

    async def test(lab):
        lab.network.register("hub", lazy)
        got = await collected(lab.network.link("a", "hub").exchange(frames()))
        assert len(got) == 99 * 16_384
        assert taken.index("now") < 10

    run(tmp_path, test)


def test_deadlines_are_those_of_the_http_link():
    assert Deadlines() == Deadlines(
        connect_s=http.CONNECT_S_MAX, idle_s=http.IDLE_S_MAX, keepalive_s=http.KEEPALIVE_S, hub=Limits()
    )


# -------------------------------------------------------------------------------------------- what a caller is told


def test_who_does_not_listen_is_unreachable_at_once(tmp_path):
    async def test(lab):
        lab.network.register("hub", None)
        with pytest.raises(Unreachable):
            await collected(lab.network.link("a", "hub").exchange(chunks(b"x")))
        assert now() < 1

    run(tmp_path, test)


def test_a_cut_way_is_unreachable_after_the_time_for_a_connection(tmp_path):
    async def test(lab):
        lab.network.register("hub", echo)
        lab.network.quality("a", "hub", near_per_mille=0)
        for direction in ("to", "from", "both"):
            lab.network.cut("a", "hub", direction)
            start = now()
            with pytest.raises(Unreachable):
                await collected(lab.network.link("a", "hub").exchange(chunks(b"x")))
            assert now() - start == pytest.approx(http.CONNECT_S_MAX)
            assert lab.network.is_cut("a", "hub")
            lab.network.heal("a", "hub")
            assert not lab.network.is_cut("a", "hub")
        assert lab.traffic("a", "hub").exchanges == 0
        assert lab.traffic("a", "hub").cuts["unreachable"] == 3

    run(tmp_path, test)


@pytest.mark.parametrize(("direction", "arrives"), [("to", False), ("from", True)])
def test_over_a_way_that_is_cut_on_one_side_requests_vanish_or_answers_do(tmp_path, direction, arrives):
    got = []

    async def noting(body, _):
        await kept(body, got)
        yield b"answer"

    async def test(lab):
        lab.network.register("hub", noting)
        lab.network.quality("a", "hub", near_per_mille=1_000)
        lab.network.cut("a", "hub", direction)
        with pytest.raises(LinkCut, match="too long"):
            await collected(lab.network.link("a", "hub").exchange(chunks(b"request")))
        assert now() == pytest.approx(http.IDLE_S_MAX, abs=1)
        assert bool(got) == arrives

    run(tmp_path, test)


def test_what_was_under_way_waits_for_a_short_cut_to_be_healed(tmp_path):
    outcomes = set()

    async def test(lab):
        lab.network.register("hub", asleep)
        link = lab.network.link("a", "hub")
        lab.network._deadlines = Deadlines(idle_s=300)
        task = asyncio.ensure_future(collected(lab.network.link("a", "hub").exchange(chunks(b"xyz"))))
        await asyncio.sleep(10)
        lab.network.cut("a", "hub")
        await asyncio.sleep(100)
        lab.network.heal("a", "hub")
        with suppress(LinkCut):
            assert await task == b"XYZ".lower()
        outcomes.add((type(task.exception()).__name__, bool(lab.happened("forgotten"))))
        await link.close()

    for seed in range(30):
        run(tmp_path, test, seed)
    # It goes on; or the connection was forgotten on the way; or one end, which may be the caller, knew at once.
    assert {("NoneType", False), ("LinkCut", True), ("LinkCut", False)} == outcomes


@pytest.mark.parametrize("limit", [0, 1, 17, 30_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_connection_breaks_at_any_byte_and_both_sides_have_a_prefix(tmp_path, limit, seed):
    request, received, errors = bytes(range(256)) * 200, bytearray(), []

    async def noting(body, _):
        try:
            async for chunk in body:
                received.extend(chunk)
        except LinkCut as error:
            errors.append(error)
            raise
        yield request

    async def test(lab):
        lab.network.register("hub", noting)
        lab.network.quality("a", "hub", loss_per_mille=1_000, reset_after_bytes=(limit, limit))
        got = []
        with pytest.raises(LinkCut):
            await kept(lab.network.link("a", "hub").exchange(chunks(request)), got)
        await settled()
        answer = b"".join(got)
        assert request.startswith(bytes(received))
        assert request.startswith(answer)
        # One of the streams broke at the very byte; an answer breaks only when the request is whole.
        assert (len(received) == limit and errors) or (received == request and len(answer) <= limit)
        assert lab.traffic("a", "hub").cuts["loss"] == 1
        assert not lab.network._open

    run(tmp_path, test, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_corrupted_exchange_has_one_bit_that_arrives_as_the_other(tmp_path, seed):
    request, heard = bytes(range(200)), []

    async def said_back(body, _):
        whole = await collected(body)
        heard.append(whole)
        yield whole

    async def test(lab):
        lab.network.register("hub", said_back)
        lab.network.quality("a", "hub", corrupt_per_mille=1_000)
        flipped = []
        for _ in range(30):
            answer = await collected(lab.network.link("a", "hub").exchange(chunks(request)))
            assert len(answer) == len(heard[-1]) == len(request)
            ways = _bits(heard[-1]) ^ _bits(request), _bits(answer) ^ _bits(heard[-1])
            flipped.append(tuple(way.bit_count() for way in ways))
        assert {*flipped} <= {(1, 0), (0, 1), (0, 0)}  # (0, 0): its turn would have come behind the end
        assert lab.traffic("a", "hub").cuts["corrupted"] == sum(map(sum, flipped)) > 0

    run(tmp_path, test, seed)


def _bits(data: bytes) -> int:
    return int.from_bytes(data, "big")


def test_a_responder_learns_of_a_caller_that_left_or_waits_for_its_own_deadline(tmp_path):
    ends = []

    async def endless(body, _):
        await anext(body)
        start = now()
        try:
            for _ in range(10_000):
                yield bytes(16_384)
        finally:
            ends.append(now() - start)

    async def test(lab):
        lab.network.register("hub", endless)
        async with aclosing(lab.network.link("a", "hub").exchange(chunks(b"x"))) as answer:
            await anext(answer)
        await settled()
        assert not lab.network._open

    for seed in range(20):
        run(tmp_path, test, seed)
    assert len(ends) == 20
    assert min(ends) < 1
    assert max(ends) >= 60, "no connection was left half open"


def test_half_open_exchanges_of_a_pair_overlap(tmp_path):
    under_way, most = [], []

    async def slow(body, _):
        under_way.append(1)
        most.append(len(under_way))
        try:
            await collected(body)
            yield b"answer"
        finally:
            under_way.pop()

    async def test(lab):
        lab.network.register("hub", slow)
        lab.network.quality("a", "hub", loss_per_mille=1_000, silent_per_mille=1_000, reset_after_bytes=(1, 1))
        lab.network._deadlines = Deadlines(idle_s=5)
        for _ in range(5):
            with pytest.raises(LinkCut):
                await collected(lab.network.link("a", "hub").exchange(chunks(b"abc")))
        await settled()

    for seed in SEEDS:
        run(tmp_path, test, seed)
    assert max(most) > 1
    assert not under_way


@pytest.mark.parametrize("who", ["a", "hub"])
def test_a_crash_breaks_what_is_under_way_at_once_or_in_silence(tmp_path, who):
    waits = set()

    async def test(lab):
        lab.network.register("hub", asleep)
        lab.network.register("a", echo)
        task = asyncio.ensure_future(collected(lab.network.link("a", "hub").exchange(chunks(b"xyz"))))
        await asyncio.sleep(10)
        lab.network.crash(who)
        if who == "a":
            task.cancel()
        else:
            asyncio.get_running_loop().end("hub")
        start = now()
        with suppress(LinkCut, asyncio.CancelledError):
            await task
            raise AssertionError("an answer out of nothing")
        waits.add(round(now() - start, -1))
        with pytest.raises(Unreachable):
            await collected(lab.network.link("b", who).exchange(chunks(b"")))
        await settled()
        assert not lab.network._open
        lab.network.register(who, echo)
        assert await collected(lab.network.link("b", who).exchange(chunks(b"up"))) == b"UP"

    for seed in range(8):
        run(tmp_path, test, seed)
    assert waits == ({0} if who == "a" else {0, 50})


def test_a_crash_while_the_answer_is_awaited_shows_as_a_cut_and_never_as_unreachable(tmp_path):
    """`Unreachable` says that nothing was delivered: the marks of tickets are withdrawn then."""
    delivered = []

    async def noting(body, _):
        delivered.append(await collected(body))
        await asyncio.sleep(1_000)
        yield b""

    async def test(lab):
        lab.network.register("hub", noting)
        task = asyncio.ensure_future(collected(lab.network.link("a", "hub").exchange(chunks(b"x"))))
        await asyncio.sleep(5)
        lab.network.crash("hub")
        asyncio.get_running_loop().end("hub")
        with pytest.raises(LinkCut):
            await task

    for seed in range(4):
        run(tmp_path, test, seed)
    assert delivered == [b"x"] * 4


def test_an_error_of_the_frames_is_raised_as_it_is_and_cuts_the_request(tmp_path):
    seen = []

    async def frames():
        yield b"1"
        await asyncio.sleep(1)
        raise ZeroDivisionError

    async def noting(body, _):
        try:
            await kept(body, seen)
        except LinkCut:
            seen.append("cut")
            raise
        yield b"never"

    async def test(lab):
        lab.network.register("hub", noting)
        with pytest.raises(ZeroDivisionError):
            await collected(lab.network.link("a", "hub").exchange(frames()))
        await settled()

    run(tmp_path, test)
    assert seen == [b"1", "cut"]


def test_what_a_responder_raises_reaches_the_caller_as_a_hub_says_it(tmp_path):
    def raising(error, first=()):
        async def answer(body, _):
            await collected(body)
            for frame in first:
                yield frame
            raise error

        return answer

    async def test(lab):
        failed = DamagedFile("broken", subject="hub.db", remedy="Restore it.")
        lab.network.register("hub", raising(failed))
        with pytest.raises(HubError, match="broken"):
            await collected(lab.network.link("a", "hub").exchange(chunks(b"x")))
        lab.network.register("hub", raising(failed, [b"y"]))
        got = []
        with pytest.raises(LinkCut):
            await kept(lab.network.link("a", "hub").exchange(chunks(b"x")), got)
        assert got in ([], [b"y"])
        lab.network.register("hub", raising(MalformedFrame("odd", subject="frame", remedy="None.")))
        answer = await collected(lab.network.link("a", "hub").exchange(chunks(b"x")))
        (refusal,) = decoded(Decoder(), answer)
        assert isinstance(refusal, Refuse)
        assert refusal.code == "malformed-frame"
        lab.network.register("hub", raising(KeyError("bug")))
        with pytest.raises(HubError, match="bug"):
            await collected(lab.network.link("a", "hub").exchange(chunks(b"x")))
        (fault,) = lab.network.faults
        assert isinstance(fault, KeyError)
        assert lab.happened("fault")
        lab.network.faults.clear()

    run(tmp_path, test)


def test_requests_are_delivered_once_more_and_their_answers_to_nobody(tmp_path):
    got = []

    async def noting(body, caller):
        got.append((caller, await collected(body)))
        yield b"answer" * 30_000

    async def test(lab):
        lab.network.register("hub", noting)
        assert not lab.network.replay("a", "hub")
        link = lab.network.link("a", "hub")
        lab.network.quality("a", "hub", duplicate_per_mille=1_000)
        await collected(link.exchange(chunks(b"one")))
        lab.network.quality("a", "hub")
        await collected(link.exchange(chunks(b"two")))
        await settled(10)
        assert sorted(got) == [("", b"one"), ("a", b"one"), ("a", b"two")]
        assert [request.body for request in lab.network.requests("a", "hub")] == [b"one", b"two"]
        lab.network.quality("a", "hub", replay_per_mille=1_000)
        await collected(link.exchange(chunks(b"three")))
        assert lab.network.replay("a", "hub")
        await settled(10)
        assert {body for caller, body in got[-2:] if not caller} <= {b"one", b"two", b"three"}
        assert len(got) == 6
        assert lab.traffic("a", "hub").repeated == 3
        assert not lab.network._open
        lab.network.register("hub", None)
        assert not lab.network.replay("a", "hub")

    run(tmp_path, test)


def test_a_request_that_was_cut_is_delivered_again_as_it_was_cut(tmp_path):
    got = []

    async def noting(body, caller):
        with suppress(LinkCut):
            got.append(caller)
            await kept(body, got)
            got.append("whole")
        yield b""

    async def test(lab):
        lab.network.register("hub", noting)
        lab.network.quality("a", "hub", loss_per_mille=1_000, silent_per_mille=0, reset_after_bytes=(5, 5))
        while not lab.network.requests("a", "hub") or lab.network.requests("a", "hub")[-1].complete:
            with suppress(LinkCut):
                await collected(lab.network.link("a", "hub").exchange(chunks(b"0123456789")))
        await settled()
        got.clear()
        lab.network._repeats._kept["a", "hub"] = [lab.network.requests("a", "hub")[-1]]
        lab.network.replay("a", "hub")
        await settled(10)
        assert (got[0], b"".join(got[1:])) == ("", b"01234")

    run(tmp_path, test)


def test_the_same_seed_gives_the_same_events(tmp_path):
    async def test(lab):
        lab.network.register("hub", echo)
        lab.network.quality("a", "hub", loss_per_mille=300, duplicate_per_mille=300, replay_per_mille=300)
        for _ in range(30):
            with suppress(LinkError):
                await collected(lab.network.link("a", "hub").exchange(chunks(b"abc" * 1_000)))
        return lab.events

    first, second, other = (run(tmp_path, test, seed) for seed in (7, 7, 8))
    assert first == second != other


def test_drawn_sizes_meet_every_order_of_magnitude():
    choices = SeededChoices(1)
    drawn = [magnitude(choices, "x", (10, 100_000)) for _ in range(400)]
    assert min(drawn) >= 10
    assert max(drawn) <= 100_000
    assert all(sum(low <= size < 10 * low for size in drawn) > 20 for low in (10, 100, 1_000, 10_000))
    assert magnitude(choices, "x", (5, 5)) == 5
    assert Way("a", "b").quality == Quality()
