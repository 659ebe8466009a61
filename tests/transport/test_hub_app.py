"""Claims about what a hub answers, made with raw bytes on real sockets: clients are not always ours."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from holdfast.errors import DiskFull, FileUnreadable, HubError, InvalidUrl, MalformedFrame
from holdfast.transport.frame import FrameReader, FrameType
from holdfast.transport.hub.app import DOOR, make_app
from holdfast.transport.hub.registry import HubRegistry
from holdfast.transport.hub.server import listening, tls_context
from holdfast.transport.messages import Refuse
from holdfast.transport.wire import encode
from tests.sources import ROOT

from .hubs import SMALL, Replica, TestHub, echo, eventually, running_hub


@pytest_asyncio.fixture
async def hub(tmp_path: Path):
    async with running_hub(tmp_path / "hub") as running:
        yield running


def _status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def _body(reply: bytes) -> bytes:
    return reply.partition(b"\r\n\r\n")[2]


async def test_health_tells_versions_and_the_number_of_spaces_to_anyone(hub: TestHub):
    reply = await hub.ask("GET /v1/health HTTP/1.1\nHost: hub\n")
    assert _status(reply) == 200
    data = {"version": "1.2.3", "protocol": 4, "spaces": 2}
    assert json.loads(_body(reply)) == {"status": "ok", "data": data, "message": ""}
    assert b"plant" not in reply


async def test_a_good_token_is_served_with_its_rights_by_one_engine(hub: TestHub):
    assert await hub.echoes(b"one")
    assert await hub.echoes(b"two")
    reply = await hub.ask(hub.head("Content-Length: 5", "Connection: close", secret=hub.reader), b"three")
    assert b"three" in reply
    (replica,) = hub.replicas
    assert (replica.name, replica.path) == ("plant", hub.registry.spaces()[1].path)
    assert replica.requests == [b"one", b"two", b"three"]
    assert replica.rights == ["rw", "rw", "r"]


async def test_answers_say_no_more_than_needed(hub: TestHub):
    reply = await hub.ask(hub.head("Content-Length: 1", "Connection: close"), b"x")
    names = {line.partition(b":")[0].lower() for line in reply.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
    assert names == {b"content-type", b"transfer-encoding", b"connection"}


# ----------------------------------------------------------------------------------------------------- who is let in


@pytest.mark.parametrize("space", ["plant", "other", "nowhere", "%2e%2e", "a%0ab"])
@pytest.mark.parametrize("header", ["X: y", "Authorization: Bearer hf_" + "A" * 43, "Authorization: Basic eDp5"])
async def test_without_a_good_token_every_space_looks_the_same(hub: TestHub, space: str, header: str):
    start = f"POST /v1/spaces/{space}/sync HTTP/1.1\nHost: hub\nContent-Length: 0\n"
    reply = await hub.ask(f"{start}{header}\n")
    assert _status(reply) == 401
    assert b"WWW-Authenticate: Bearer" in reply
    assert json.loads(_body(reply))["data"]["code"] == "unauthorized"
    assert reply == await hub.ask("POST /v1/spaces/plant/sync HTTP/1.1\nHost: hub\nContent-Length: 0\n")
    assert not hub.replicas


async def test_a_token_of_another_space_learns_nothing_about_this_one(hub: TestHub):
    answers = {await hub.ask(hub.head("Content-Length: 0", space=name, secret=hub.other)) for name in ("plant", "none")}
    (answer,) = answers
    assert _status(answer) == 404
    assert not hub.replicas


async def test_a_token_in_the_address_is_no_token(hub: TestHub):
    start = f"POST /v1/spaces/plant/sync?token={hub.secret}&access_token={hub.secret} HTTP/1.1"
    assert _status(await hub.ask(f"{start}\nHost: hub\nContent-Length: 0\n")) == 401


async def test_a_token_that_another_process_revokes_is_refused_from_the_next_request_on(hub: TestHub):
    assert await hub.echoes()
    script = (
        "import sys; from pathlib import Path; from holdfast.transport.hub.registry import HubRegistry\n"
        "HubRegistry(Path(sys.argv[1])).revoke(sys.argv[2])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, hub.registry.directory, hub.token_id)
    assert await process.wait() == 0
    assert _status(await hub.ask(hub.head("Content-Length: 0"))) == 401


@pytest.mark.parametrize("length", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
async def test_a_body_is_not_waited_for_before_the_token_is_checked(hub: TestHub, length: str):
    async with hub.connected(f"POST /v1/spaces/plant/sync HTTP/1.1\nHost: hub\n{length}\n") as (reader, _):
        line = await asyncio.wait_for(reader.readline(), 1)
    assert line.startswith(b"HTTP/1.1 401 ")


async def test_what_is_too_long_is_refused_before_it_is_sent(hub: TestHub):
    reply = await hub.ask(hub.head(f"Content-Length: {SMALL.request_bytes_max + 1}"))
    assert _status(reply) == 413
    assert not hub.replicas


async def test_a_body_of_another_type_is_refused(hub: TestHub):
    head = hub.head("Content-Length: 2").replace("application/vnd.holdfast.frames", "text/html")
    assert _status(await hub.ask(head, b"hi")) == 415


# ------------------------------------------------------------------------------------------------------- hostile bytes


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 5000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"z" * 500,
        b"GET\r\n\r\n",
        b"\r\n" * 3000,
        b"POST / HTTP/1.1\r\nno header " + b"x" * 5000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_disturbs_nobody_and_fills_no_log(hub: TestHub, garbage: bytes, caplog):
    async with hub.connected(None, garbage) as (reader, _):
        reply = await asyncio.wait_for(reader.read(), 5)
    assert not reply or _status(reply) == 400
    assert len(caplog.text) < 1000
    assert await hub.echoes()


@pytest.mark.parametrize("body", [b"zz\r\nhello\r\n", b"-1\r\n\r\n", b"5;" + b"endless" * 20_000, b"5\r\nhello!!\r\n"])
async def test_a_body_that_is_not_http_is_refused_and_disturbs_nobody(hub: TestHub, body: bytes, caplog):
    reply = await hub.ask(hub.head("Transfer-Encoding: chunked"), body)
    assert _status(reply) in {400, 408}
    assert len(caplog.text) < 1000
    assert await hub.echoes()


async def test_a_protocol_error_is_answered_with_a_refusal_and_the_connection_closed(tmp_path: Path):
    async def respond(replica, chunks, *, rights):
        async for chunk in chunks:
            if chunk == b"garbage":
                raise MalformedFrame("no magic", subject="frame", remedy="Update the peer.")
            yield chunk

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        reply = await hub.ask(hub.head("Content-Length: 7"), b"garbage")
        assert _status(reply) == 400
        assert b"Connection: close" in reply
        reader = FrameReader()
        reader.feed(_body(reply))
        assert reader.next().type is FrameType.REFUSE
        assert await hub.echoes()


async def test_a_refusal_that_the_responder_makes_itself_has_the_same_status(tmp_path: Path):
    refusal = b"".join(encode(Refuse(code="space-mismatch", message="another space")))

    async def respond(replica, chunks, *, rights):
        yield refusal
        raise MalformedFrame("no magic", subject="frame", remedy="Update the peer.")

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        reply = await hub.ask(hub.head("Content-Length: 7"), b"garbage")
    assert _status(reply) == 400
    assert refusal in reply
    assert reply.endswith(b"\r\n0\r\n\r\n")


async def test_a_compressed_body_is_not_expanded(hub: TestHub):
    import gzip

    bomb = gzip.compress(bytes(10_000_000))
    reply = await hub.ask(hub.head(f"Content-Length: {len(bomb)}", "Content-Encoding: gzip", "Connection: close"), bomb)
    assert _status(reply) == 200
    assert hub.replicas[0].requests == [bomb]


async def test_a_body_that_grows_too_long_is_cut_off(hub: TestHub):
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    reply = await hub.ask(hub.head("Transfer-Encoding: chunked"), chunk * 20)
    assert b"frame-too-large" in reply[-200:]
    assert len(hub.replicas[0].requests[0]) <= SMALL.request_bytes_max
    assert await hub.echoes()


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody(tmp_path: Path):
    ended = []

    async def respond(replica, chunks, *, rights):
        try:
            async for chunk in chunks:
                yield chunk
        except Exception as error:
            ended.append(error.code)
            raise

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        async with hub.connected(hub.head("Content-Length: 100"), b"half") as (reader, _):
            while await reader.readline() != b"half\r\n":
                pass
        await eventually(lambda: ended)
        assert ended == ["link-cut"]
        assert await hub.echoes()


# ------------------------------------------------------------------------------------------------------- slow clients


async def _drip(writer, drop: bytes) -> float:
    """Send `drop` again and again; gives the seconds until the hub has enough."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(ConnectionError):  # noqa: PT012 - which drop is one too many is not known
        while loop.time() - start < 5:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)
    return loop.time() - start


async def test_a_client_that_never_ends_its_headers_is_dropped(hub: TestHub):
    async with hub.connected(None, b"POST /v1/spaces/plant/sync HTTP/1.1\r\n") as (_, writer):
        assert SMALL.authenticate_s <= await _drip(writer, b"X: y\r\n") < 4
    assert await hub.echoes()


async def test_a_body_that_stands_still_is_dropped(hub: TestHub):
    reply = await hub.ask(hub.head("Content-Length: 100"), timeout_s=3)
    assert _status(reply) == 408
    assert await hub.echoes()


async def test_a_body_that_drips_is_dropped(hub: TestHub):
    async with hub.connected(hub.head("Content-Length: 1000")) as (_, writer):
        # Each drop comes in time, and 20 bytes a second are too few all the same.
        assert SMALL.idle_s <= await _drip(writer, b"x") < 5
    assert await hub.echoes()


async def test_a_client_that_does_not_read_is_dropped(tmp_path: Path):
    closed = asyncio.Event()

    async def respond(replica, chunks, *, rights):
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            closed.set()

    async with running_hub(tmp_path / "hub", respond=respond) as hub, hub.connected(hub.head("Content-Length: 0")):
        await asyncio.wait_for(closed.wait(), 5)


async def test_an_exchange_that_never_ends_is_ended(tmp_path: Path):
    async def respond(replica, chunks, *, rights):
        yield b"x"
        await asyncio.sleep(60)

    async with running_hub(tmp_path / "hub", respond=respond, limits=replace(SMALL, exchange_s=0.2)) as hub:
        reply = await hub.ask(hub.head("Content-Length: 0"))
    assert not reply.endswith(b"0\r\n\r\n")


async def test_too_many_connections_without_a_token_push_out_the_oldest(tmp_path: Path):
    patient = replace(SMALL, authenticate_s=60, waiting_max=3)
    async with running_hub(tmp_path / "hub", limits=patient) as hub, AsyncExitStack() as stack:
        first, *_, last = [(await stack.enter_async_context(hub.connected()))[0] for _ in range(4)]
        with suppress(ConnectionError):
            assert await asyncio.wait_for(first.read(), 2) == b""
        assert not last.at_eof()
        assert await hub.echoes()


async def test_a_connection_with_a_token_may_stay(tmp_path: Path):
    app = make_app(HubRegistry.init(tmp_path), None, echo, version="", limits=SMALL)
    door, connection = app[DOOR], Replica("", tmp_path)
    connection.transport = None
    type(connection).__hash__ = object.__hash__
    door.watch(lambda: connection)()
    assert len(door) == 1
    door.admit(connection)
    assert len(door) == 0


async def test_a_busy_hub_asks_to_come_again(tmp_path: Path):
    go = asyncio.Event()

    async def respond(replica, chunks, *, rights):
        yield b"x"
        await go.wait()

    async with running_hub(tmp_path / "hub", respond=respond, limits=replace(SMALL, exchanges_max=1)) as hub:
        first = asyncio.create_task(hub.ask(hub.head("Content-Length: 0", "Connection: close")))
        await eventually(lambda: hub.replicas)
        reply = await hub.ask(hub.head("Content-Length: 0"))
        assert _status(reply) == 503
        assert b"Retry-After: " in reply
        go.set()
        assert _status(await first) == 200


async def test_a_member_with_a_good_token_leaves_room_for_others(tmp_path: Path):
    """Bodies that never end, all with one token: those of other tokens are served at once."""
    limits = replace(SMALL, exchanges_max=8, idle_s=30)
    async with running_hub(tmp_path / "hub", limits=limits) as hub, AsyncExitStack() as stack:
        for number in range(4):
            await stack.enter_async_context(hub.connected(hub.head("Content-Length: 100"), b"x"))
            await eventually(lambda number=number: sum(len(each.requests) for each in hub.replicas) == number + 1)
        reply = await hub.ask(hub.head("Content-Length: 0"))
        assert _status(reply) == 503
        assert b"too many exchanges of this token" in reply
        reply = await hub.ask(hub.head("Content-Length: 1", "Connection: close", space="other", secret=hub.other), b"x")
        assert _status(reply) == 200


# ------------------------------------------------------------------------------------------------------------ engines


async def test_clients_that_come_together_share_one_engine_and_it_is_closed_in_the_end(tmp_path: Path):
    opened = []

    async def open_engine(name, path):
        opened.append(Replica(name, path))
        await asyncio.sleep(0.1)
        return opened[-1]

    async with running_hub(tmp_path / "hub", open_engine=open_engine) as hub:
        assert all(await asyncio.gather(*(hub.echoes(b"%d" % number) for number in range(5))))
        assert len(opened) == 1
        assert not opened[0].closed
    assert opened[0].closed


async def test_a_space_that_cannot_be_opened_is_tried_again_and_no_trouble_to_others(tmp_path: Path):
    full = [True]

    async def open_engine(name, path):
        if name == "plant" and full[0]:
            raise DiskFull("no space left", subject=str(path), remedy="Free some.")
        return Replica(name, path)

    async with running_hub(tmp_path / "hub", open_engine=open_engine) as hub:
        reply = await hub.ask(hub.head("Content-Length: 0"))
        assert _status(reply) == 503
        assert json.loads(_body(reply))["data"]["code"] == "disk-full"
        assert str(tmp_path).encode() not in reply
        other = hub.head("Content-Length: 2", "Connection: close", space="other", secret=hub.other)
        assert b"hi" in await hub.ask(other, b"hi")
        full[0] = False
        assert await hub.echoes()


async def test_an_engine_that_cannot_be_closed_does_not_keep_others_open(tmp_path: Path, caplog):
    replicas = []

    class Stuck(Replica):
        async def close(self):
            if self.name == "plant":
                raise RuntimeError
            await super().close()

    async def open_engine(name, path):
        replicas.append(Stuck(name, path))
        return replicas[-1]

    async with running_hub(tmp_path / "hub", open_engine=open_engine) as hub:
        assert await hub.echoes()
        await hub.ask(hub.head("Content-Length: 0", "Connection: close", space="other", secret=hub.other))
    assert {replica.name: replica.closed for replica in replicas} == {"plant": False, "other": True}
    assert "plant could not be closed" in caplog.text


@pytest.mark.parametrize("error", [ZeroDivisionError(), DiskFull("full", subject="x", remedy="Free some.")])
async def test_an_answer_that_fails_halfway_does_not_look_whole(tmp_path: Path, error: Exception):
    async def respond(replica, chunks, *, rights):
        yield b"half"
        await asyncio.sleep(0.05)
        raise error

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        reply = b""
        async with hub.connected(hub.head("Content-Length: 0")) as (reader, _):
            with suppress(ConnectionError):
                while data := await asyncio.wait_for(reader.read(1000), 5):
                    reply += data
        assert b"half" in reply
        assert not reply.endswith(b"0\r\n\r\n")


async def test_a_bug_in_the_responder_is_a_500(tmp_path: Path):
    async def respond(replica, chunks, *, rights):
        raise ZeroDivisionError
        yield b""

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        assert _status(await hub.ask(hub.head("Content-Length: 0"))) == 500


async def test_no_secret_is_logged(hub: TestHub, caplog):
    caplog.set_level(0)
    caplog.set_level(0, "holdfast")  # another test may have made the program quiet
    await hub.echoes()
    await hub.ask(hub.head("Content-Length: 0", space="none"))
    await hub.ask(hub.head("Content-Length: 0", secret="hf_" + "A" * 43))
    assert caplog.records
    assert hub.secret not in caplog.text
    assert "A" * 43 not in caplog.text


# ------------------------------------------------------------------------------------------------- listening and ending


async def test_plain_http_outside_this_machine_needs_consent(tmp_path: Path):
    app = make_app(HubRegistry.init(tmp_path), None, echo, version="")
    with pytest.raises(InvalidUrl, match="--insecure"):
        async with listening(app, "0.0.0.0", 0):
            pass
    async with listening(app, "0.0.0.0", 0, insecure=True) as url:
        assert url.startswith("http://0.0.0.0:")


async def test_a_port_in_use_is_an_error(hub: TestHub, tmp_path: Path):
    app = make_app(HubRegistry.init(tmp_path / "second"), None, echo, version="")
    with pytest.raises(HubError, match="cannot listen"):
        async with listening(app, *hub.address):
            pass


def test_a_certificate_that_does_not_fit_its_key_is_an_error(tmp_path: Path):
    authority = trustme.CA()
    one, two = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    one.private_key_pem.write_to_path(tmp_path / "key")
    two.private_key_pem.write_to_path(tmp_path / "other")
    assert isinstance(tls_context(tmp_path / "cert", tmp_path / "key"), ssl.SSLContext)
    for key in ("other", "missing", "cert"):
        with pytest.raises(FileUnreadable):
            tls_context(tmp_path / "cert", tmp_path / key)


async def _program(directory: Path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.transport.hubs", directory,
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    return process, url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_runs_end_and_exits_well(tmp_path: Path, number: int):
    registry = HubRegistry.init(tmp_path)
    registry.add_space("plant")
    token, secret = registry.add_token("plant", "rw")
    process, url = await _program(tmp_path)
    hub = TestHub(url, registry, [], secret, "", token, "")
    async with hub.connected() as (idle, _), hub.connected(hub.head("Content-Length: 5"), b"hello") as (reader, _):
        reply = b""
        while not reply.endswith(b"1\r\nh\r\n"):
            reply += await asyncio.wait_for(reader.read(1), 5)
        process.send_signal(number)
        # Nobody new is let in, who is idle is sent away, and who is served is served to the end.
        assert await asyncio.wait_for(idle.read(), 5) == b""
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*hub.address)
        reply += await asyncio.wait_for(reader.read(), 5)
    assert reply.endswith(b"4\r\nello\r\n0\r\n\r\n")
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, out, err) == (0, b"stopped\n", b"")
