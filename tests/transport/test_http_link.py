"""Claims about the link over HTTP: against a real hub, and against whatever else may answer in its place."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from holdfast.errors import (
    FileUnreadable,
    HubError,
    LinkCut,
    MalformedFrame,
    NoSuchSpace,
    ReadOnlyToken,
    SessionRefused,
    Unauthorized,
    Unreachable,
)
from holdfast.transport.frame import FrameReader, FrameType
from holdfast.transport.hub.server import tls_context
from holdfast.transport.links import Hub, Link
from holdfast.transport.links.http import HttpLink

from .hubs import SMALL, Proxy, TestHub, chunks, collected, eventually, kept, running_hub

PLENTY = replace(SMALL, idle_s=10, authenticate_s=10, request_bytes_max=10**9)
SECRET = "hf_" + "S" * 43


@asynccontextmanager
async def linked(url: str, token: str = "", *, space: str = "plant", ca_file=None, **options):
    link = HttpLink(Hub(url, token, ca_file=ca_file), space, **options)
    try:
        yield link
    finally:
        await link.close()


async def _exchanged(url: str, token: str = "", *parts: bytes, **options) -> bytes:
    async with linked(url, token, **options) as link:
        return await collected(link.exchange(chunks(*parts)))


@pytest_asyncio.fixture
async def hub(tmp_path: Path):
    async with running_hub(tmp_path / "hub") as running:
        yield running


@asynccontextmanager
async def answering(reply: bytes | None, *, heard: list[bytes] | None = None, hold: bool = False):
    """A server that answers every connection with `reply`, whatever it says; None for never."""

    async def serve(reader, writer):
        data = await reader.read(65536)
        if heard is not None:
            heard.append(data)
        if reply is not None:
            writer.write(reply)
        try:
            await writer.drain()
            if reply is None or hold:
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _reply(status: str, body: bytes, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def _envelope(message: str) -> bytes:
    return json.dumps({"status": "error", "data": {}, "message": message}).encode()


HTML = "Content-Type: text/html"
JSON = "Content-Type: application/json; charset=utf-8"
FRAMES = "Content-Type: application/vnd.holdfast.frames"


# --------------------------------------------------------------------------------------------------------- exchanges


async def test_frames_go_and_come_as_they_are_made(hub: TestHub):
    """Neither side waits for the other's end: each frame is answered before the next is made."""
    order = []

    async def frames():
        for number in range(3):
            order.append(f"sent {number}")
            yield b"%d" % number
            await eventually(lambda: isinstance(order[-1], bytes))

    async with linked(hub.url, hub.secret) as link:
        typed: Link = link
        await kept(typed.exchange(frames()), order)
    assert order == ["sent 0", b"0", "sent 1", b"1", "sent 2", b"2"]


async def test_an_answer_is_not_made_faster_than_it_is_taken(tmp_path: Path):
    made = []

    async def respond(replica, chunks, *, rights):
        for number in range(200):
            made.append(number)
            yield bytes(1_000_000)

    async with (
        running_hub(tmp_path / "hub", respond=respond, limits=PLENTY) as hub,
        linked(hub.url, hub.secret) as link,
        aclosing(link.exchange(chunks())) as answer,
    ):
        await anext(answer)
        await asyncio.sleep(0.3)
        assert len(made) < 40


async def test_a_request_is_not_made_faster_than_it_is_taken(tmp_path: Path):
    made, go = [], asyncio.Event()

    async def respond(replica, chunks, *, rights):
        await go.wait()
        yield b"%d" % sum([len(chunk) async for chunk in chunks])

    async def frames():
        for number in range(100):
            made.append(number)
            yield bytes(1_000_000)

    async with running_hub(tmp_path / "hub", respond=respond, limits=PLENTY) as hub:
        exchanged = asyncio.create_task(_collect(hub, frames()))
        await asyncio.sleep(0.3)
        assert 0 < len(made) < 40
        go.set()
        assert await exchanged == b"100000000"


async def _collect(hub: TestHub, frames, **options) -> bytes:
    async with linked(hub.url, hub.secret, **options) as link:
        return await collected(link.exchange(frames))


async def test_exchanges_follow_each_other_on_one_connection(hub: TestHub):
    connections = []

    class Counting(Proxy):
        async def _serve(self, reader, writer):
            connections.append(writer)
            await super()._serve(reader, writer)

    async with Counting(hub.address).running() as url, linked(url, hub.secret) as link:
        for number in range(3):
            assert await collected(link.exchange(chunks(b"%d" % number))) == b"%d" % number
        assert link.round_trips == 3
    assert len(connections) == 1


async def test_leaving_an_exchange_early_leaves_a_link_that_works(hub: TestHub):
    async def endless():
        while True:
            yield bytes(1000)
            await asyncio.sleep(0)

    async with linked(hub.url, hub.secret) as link:
        async with aclosing(link.exchange(endless())) as answer:
            await anext(answer)
        assert await collected(link.exchange(chunks(b"again"))) == b"again"


async def test_a_closed_link_may_be_closed_again(hub: TestHub):
    link = HttpLink(Hub(hub.url, hub.secret), "plant")
    assert await collected(link.exchange(chunks(b"x"))) == b"x"
    await link.close()
    await link.close()


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("disk"), TimeoutError()])
async def test_an_error_of_the_frames_is_raised_as_it_is(hub: TestHub, error: Exception):
    async def frames():
        yield b"1"
        raise error

    with pytest.raises(type(error)) as caught:
        await _collect(hub, frames())
    assert caught.value is error
    assert await hub.echoes()


async def test_a_refusal_in_frames_is_for_the_session_to_read(tmp_path: Path):
    async def respond(replica, chunks, *, rights):
        raise MalformedFrame("no magic", subject="frame", remedy="Update.")
        yield b""

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        reader = FrameReader()
        reader.feed(await _exchanged(hub.url, hub.secret, b"garbage"))
    assert reader.next().type is FrameType.REFUSE


# ------------------------------------------------------------------------------------------------------------- bytes


async def test_bytes_are_those_that_pass_over_the_socket(hub: TestHub):
    proxy = Proxy(hub.address)
    async with proxy.running() as url, linked(url, hub.secret) as link:
        for size in (1, 100_000):
            await collected(link.exchange(chunks(bytes(size), b"x")))
            assert (link.bytes_sent, link.bytes_received) == (proxy.up, proxy.down)
    assert proxy.up > 100_000


async def test_bytes_include_tls(secured):
    hub, ca_file = secured
    proxy = Proxy(hub.address)
    async with proxy.running() as url, linked(url.replace("http:", "https:"), hub.secret, ca_file=ca_file) as link:
        assert await collected(link.exchange(chunks(b"hello"))) == b"hello"
        assert (link.bytes_sent, link.bytes_received) == (proxy.up, proxy.down)
        assert link.bytes_sent + link.bytes_received > 1500


async def test_the_envelope_of_an_exchange_is_small(hub: TestHub):
    request, answer = bytes(200), bytes(200)
    async with linked(hub.url, hub.secret) as link:
        assert await collected(link.exchange(chunks(request))) == answer
        overhead = link.bytes_sent + link.bytes_received - len(request) - len(answer)
    assert overhead < 350, f"{overhead} bytes"


# ------------------------------------------------------------------------------------------------------- who answers


async def test_a_wrong_a_missing_and_a_revoked_token_are_unauthorized(hub: TestHub):
    for token in ("", SECRET):
        with pytest.raises(Unauthorized):
            await _exchanged(hub.url, token, b"x")
    async with linked(hub.url, hub.secret) as link:
        assert await collected(link.exchange(chunks(b"x"))) == b"x"
        hub.registry.revoke(hub.token_id)
        with pytest.raises(Unauthorized):
            await collected(link.exchange(chunks(b"x")))


async def test_an_unauthorized_client_learns_it_while_it_still_sends(hub: TestHub):
    async def endless():
        while True:
            yield bytes(100_000)

    async with asyncio.timeout(5), linked(hub.url, SECRET) as link:
        with pytest.raises(Unauthorized):
            await collected(link.exchange(endless()))


async def test_a_token_for_another_space_says_so(hub: TestHub):
    for space in ("other", "no such space", "../../v1/health"):
        with pytest.raises(NoSuchSpace):
            await _exchanged(hub.url, hub.secret, space=space)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (_reply("200 OK", b"<html>Welcome to the hotel", HTML), HubError, "captive portal"),
        (_reply("200 OK", _envelope(""), JSON), HubError, "captive portal"),
        (_reply("204 No Content", b""), HubError, "captive portal"),
        (_reply("302 Found", b"", "Location: http://127.0.0.1:9/"), HubError, "captive portal"),
        (_reply("404 Not Found", b"<html>", HTML), HubError, "captive portal"),
        (_reply("401 Unauthorized", b"<html>", HTML), HubError, "captive portal"),
        (_reply("404 Not Found", b"[" * 10_000, JSON), HubError, "captive portal"),
        (_reply("401 Unauthorized", b'{"message": 5}', JSON), HubError, "captive portal"),
        (_reply("511 Network Authentication Required", b"<html>", HTML), HubError, "511"),
        (_reply("502 Bad Gateway", b"<html>", HTML), HubError, "502: Bad Gateway"),
        (_reply("503 Service Unavailable", _envelope("busy"), JSON), HubError, "503: busy"),
        (_reply("500 Internal Server Error", _envelope("a\nb" + "x" * 1000), JSON), HubError, "a bxx"),
        (_reply("401 Unauthorized", _envelope("no"), JSON), Unauthorized, "holdfast hub token add"),
        (_reply("403 Forbidden", _envelope("no"), JSON), ReadOnlyToken, "rw"),
        (_reply("404 Not Found", _envelope("no"), JSON), NoSuchSpace, None),
        (_reply("408 Request Timeout", _envelope("too slow"), JSON), LinkCut, "too slow"),
        (_reply("413 Content Too Large", _envelope("too long"), JSON), SessionRefused, "413: too long"),
        (_reply("418 I'm a teapot", _envelope("tea"), JSON), SessionRefused, "418: tea"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", HubError, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", HubError, "not HTTP"),
        (b"", LinkCut, None),
        (b"HTTP/1.1 200 OK\r\nContent-", LinkCut, None),
        (_reply("200 OK", b"x", FRAMES)[:-1], LinkCut, None),
        (f"HTTP/1.1 200 OK\r\n{FRAMES}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".encode(), LinkCut, None),
        (f"HTTP/1.1 200 OK\r\n{FRAMES}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab".encode(), HubError, "not HTTP"),
    ],
)
async def test_every_other_answer_is_an_error_of_the_tree(reply: bytes, error: type[Exception], words: str | None):
    async with answering(reply) as url:
        with pytest.raises(error) as caught:
            await _exchanged(url, SECRET, b"x")
    assert not words or words in str(caught.value)
    assert url in str(caught.value)
    assert str(caught.value).isprintable()
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 600


async def test_a_redirect_is_not_followed(hub: TestHub):
    """The token would go where the redirect says."""
    target = _reply("307 Temporary Redirect", b"", f"Location: {hub.url}/v1/spaces/plant/sync")
    async with answering(target) as url:
        with pytest.raises(HubError):
            await _exchanged(url, hub.secret, b"x")
    assert not hub.replicas


async def test_a_compressed_answer_is_not_expanded():
    bomb = gzip.compress(bytes(10_000_000))
    async with answering(_reply("200 OK", bomb, FRAMES, "Content-Encoding: gzip")) as url:
        assert await _exchanged(url, SECRET, b"x") == bomb


async def test_an_endless_error_is_not_read_to_its_end():
    reply = f"HTTP/1.1 500 Oh\r\n{JSON}\r\nContent-Length: 9999999999\r\n\r\n".encode() + bytes(100_000)
    async with asyncio.timeout(2), answering(reply, hold=True) as url:
        with pytest.raises(HubError):
            await _exchanged(url, SECRET, b"x")


async def test_the_request_says_no_more_than_needed():
    heard = []
    async with answering(b"", heard=heard) as url:
        with pytest.raises(LinkCut):
            await _exchanged(url, SECRET, b"x")
    head = heard[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST /v1/spaces/plant/sync HTTP/1.1"
    assert {line.partition(":")[0] for line in head[1:]} == {
        "Host", "Authorization", "Content-Type", "Transfer-Encoding"
    }  # fmt: skip


# -------------------------------------------------------------------------------------------------- the way between


async def test_a_refused_port_is_unreachable(unused_tcp_port: int):
    with pytest.raises(Unreachable) as refused:
        await _exchanged(f"http://127.0.0.1:{unused_tcp_port}", SECRET)
    assert refused.value.what == "no connection: Connection refused"


async def test_a_host_that_does_not_exist_is_unreachable():
    with pytest.raises(Unreachable) as unknown:
        await _exchanged("https://hub.invalid", SECRET)
    assert "ssl" not in unknown.value.what


async def test_a_handshake_that_is_never_answered_is_unreachable():
    async with answering(None) as url:
        with pytest.raises(Unreachable):
            await _exchanged(url.replace("http:", "https:"), SECRET, connect_s=0.2)


async def test_a_hub_that_falls_silent_is_cut_off():
    async with answering(None) as url:
        with pytest.raises(LinkCut, match="nothing passed"):
            await _exchanged(url, SECRET, b"x", idle_s=0.2)
    half = f"HTTP/1.1 200 OK\r\n{FRAMES}\r\nContent-Length: 9\r\n\r\nhalf".encode()
    async with answering(half, hold=True) as url, linked(url, SECRET, idle_s=0.2) as link:
        answer = link.exchange(chunks())
        assert await anext(answer) == b"half"
        with pytest.raises(LinkCut, match="nothing passed"):
            await anext(answer)


async def test_a_hub_that_takes_nothing_is_cut_off():
    """The request alone would be waited for without end: the peer's windows are full."""
    done = asyncio.Event()

    async def serve(reader, writer):
        await done.wait()
        writer.transport.abort()

    async def endless():
        while True:
            yield bytes(1_000_000)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1000)
    async with server, linked(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle_s=0.3) as link:
        with pytest.raises(LinkCut, match="nothing passed"):
            await collected(link.exchange(endless()))
        done.set()
        await asyncio.sleep(0.01)


async def test_a_long_request_is_not_silence(tmp_path: Path):
    async def respond(replica, chunks, *, rights):
        yield b"%d" % sum([len(chunk) async for chunk in chunks])

    async def frames(pause_s: float):
        for _ in range(10):
            await asyncio.sleep(pause_s)
            yield bytes(1000)

    async with running_hub(tmp_path / "hub", respond=respond, limits=PLENTY) as hub:
        assert await _collect(hub, frames(0.05), idle_s=0.2) == b"10000"
        # Nor is it when this node needs long to make a frame.
        assert await _collect(hub, frames(0.1), idle_s=0.05) == b"10000"


async def test_a_frame_that_takes_long_to_send_is_not_silence():
    async def serve(reader, writer):
        taken = 0
        while taken < 3_000_000:
            taken += len(await reader.read(100_000))
            await asyncio.sleep(0.04)
        writer.write(_reply("200 OK", b"taken", FRAMES))
        await writer.drain()
        writer.close()

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    server = await asyncio.start_server(serve, sock=listener)
    async with server, linked(f"http://127.0.0.1:{listener.getsockname()[1]}", idle_s=1) as link:
        start = asyncio.get_running_loop().time()
        assert await collected(link.exchange(chunks(bytes(3_000_000)))) == b"taken"
        assert asyncio.get_running_loop().time() - start > 1.2


@pytest.mark.parametrize("cut", [0, 1, 100, 250, 400, 1000, 1500])
async def test_a_cut_in_the_request_is_a_cut(hub: TestHub, cut: int):
    async with Proxy(hub.address, cut_up=cut).running() as url:
        with pytest.raises(LinkCut):
            await _exchanged(url, hub.secret, *[bytes(300)] * 5)
    assert await hub.echoes()


@pytest.mark.parametrize("cut", [0, 1, 50, 100, 300, 1000, 1500])
async def test_a_cut_in_the_answer_is_a_cut(hub: TestHub, cut: int):
    got = []
    async with Proxy(hub.address, cut_down=cut).running() as url, linked(url, hub.secret) as link:
        with pytest.raises(LinkCut):
            await kept(link.exchange(chunks(*[bytes(300)] * 5)), got)
        assert link.bytes_received == cut
    # What came before the cut is not withheld.
    assert sum(map(len, got)) >= min(1500, cut - 300)
    assert await hub.echoes()


# --------------------------------------------------------------------------------------------------------------- TLS


@pytest_asyncio.fixture
async def secured(tmp_path: Path):
    """A hub with a certificate for 127.0.0.1, and the file of the authority that issued it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with running_hub(tmp_path / "secured", tls=tls, limits=PLENTY) as running:
        yield running, tmp_path / "ca.pem"


async def test_a_certificate_of_the_named_authority_is_trusted(secured):
    hub, ca_file = secured
    assert hub.url.startswith("https://")
    assert await _exchanged(hub.url, hub.secret, b"hello", ca_file=ca_file) == b"hello"


async def test_a_certificate_of_anyone_else_is_not_trusted(secured, tmp_path: Path):
    hub, ca_file = secured
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    for trusted in (None, tmp_path / "stranger.pem"):
        with pytest.raises(Unreachable, match="ca_file="):
            await _exchanged(hub.url, hub.secret, b"hello", ca_file=trusted)
    with pytest.raises(Unreachable, match="certificate"):
        await _exchanged(hub.url.replace("127.0.0.1", "localhost"), hub.secret, b"hello", ca_file=ca_file)
    assert not hub.replicas


async def test_a_missing_file_of_certificates_is_an_error(hub: TestHub, tmp_path: Path):
    (tmp_path / "empty.pem").write_text("nothing")
    for file in ("missing.pem", "empty.pem"):
        with pytest.raises(FileUnreadable, match=file):
            await _exchanged(hub.url, hub.secret, ca_file=tmp_path / file)


async def test_the_wrong_scheme_is_an_error(hub: TestHub, secured):
    with pytest.raises(Unreachable, match="https"):
        await _exchanged(hub.url.replace("http:", "https:"), hub.secret)
    with pytest.raises((LinkCut, HubError)):
        await _exchanged(secured[0].url.replace("https:", "http:"), SECRET)
