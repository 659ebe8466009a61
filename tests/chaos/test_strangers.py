"""What is no hub, what is no member, what must not be said: portals, mutated frames, revoked tokens, secrets."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast.transport.links.address import FRAMES_TYPE

from .attacks import ask, frame, head, rss_bytes
from .checker import read_file
from .fleet import SPACE, fleet, quietly
from .processes import OrderError

GOLDEN = Path(__file__).parents[1] / "transport" / "golden"
FRAMES_EACH = 2_000

PORTALS = {
    "302 to a sign-in page": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/login\r\nContent-Length: 0\r\n\r\n",
    "307 to another host": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n",
    "200 with a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n<html/>",
    "200 with nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "200 with a page that says it is frames": (
        b"HTTP/1.1 200 OK\r\nContent-Type: " + FRAMES_TYPE.encode() + b"\r\nContent-Length: 7\r\n\r\n<html/>"
    ),
    "511": b"HTTP/1.1 511 Network Authentication Required\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "TLS where there should be none": b"\x15\x03\x01\x00\x02\x02\x46",
    "the connection is closed": b"",
}


@asynccontextmanager
async def portal(answer, seen):
    """A server that answers everything with these bytes, and keeps what it was sent."""

    async def serve(reader, writer):
        seen.append(await reader.read(65_536))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def test_a_portal_is_never_taken_for_a_hub(tmp_path, recorder):
    """The way to the hub ends in a portal for a while; nothing of the queue is lost, no token goes where it points."""
    elsewhere, refusals = [], {}
    async with fleet(tmp_path / "fleet", ["n0"]) as found, portal(b"", elsewhere) as other:
        edge, proxy = found.edges["n0"], found.proxies["n0"]
        home, truths = proxy.target, []
        for name, answer in PORTALS.items():
            await edge.order("put", key=f"k{len(refusals)}", value=f"n0#{name}")
            to = f"http://{other[0]}:{other[1]}/v1/spaces/{SPACE}/sync".encode()
            async with portal(answer.replace(b"{other}", to), []) as address:
                proxy.target = address
                proxy.cut()
                with pytest.raises(OrderError) as caught:
                    await edge.order("sync")
                refusals[name] = caught.value.code
            status = await edge.order("status")
            truths.append(any(peer["synced_ms"] for peer in status["peers"]))
        proxy.target = home
        await found.heal()
        verdict = await found.judged()
    online = sum(code not in {"hub-error", "link-cut", "unreachable", "malformed-frame"} for code in refusals.values())
    figures = {"false_online": online + sum(truths), "tokens_that_went_elsewhere": len(elsewhere)}
    recorder.note(
        35,
        "a server in the hub's place answers as portals do",
        runs=len(PORTALS),
        violations=len(verdict.findings) + sum(figures.values()),
        **figures,
    )
    assert not any(figures.values()), refusals
    assert not verdict.findings, found.report(verdict)


def mutated(rng, samples):
    """A valid message, or several, with something wrong; sometimes with a good checksum."""
    data = bytearray(b"".join(rng.choices(samples, k=rng.randint(1, 3))))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.randint(1, 40)]
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 40))
            case _:
                data[at:at] = data[: rng.randint(0, len(data))]
    if rng.random() < 0.5:
        data = bytearray(frame(bytes(data[18:])[: 1 << 16], kind=rng.randint(0, 9), flags=rng.choice((0, 0, 2))))
    return bytes(data)


@pytest.mark.soak
async def test_mutated_frames_harm_no_hub(tmp_path, recorder, soak_seed):
    rng, samples = random.Random(soak_seed), [file.read_bytes() for file in sorted(GOLDEN.glob("*.frame"))]
    assert samples
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        await quietly(*(found.edges["n0"].order("put", key=f"k{n}", value=f"n0#{n}") for n in range(20)))
        await found.heal()
        token, pid, served = found.edges["n0"].token, found.hub.pid, 0
        before = rss_bytes(pid)
        for _ in range(FRAMES_EACH):
            body = mutated(rng, samples)
            request = head(SPACE, token, f"Content-Length: {len(body)}", "Connection: close") + body
            reply = await ask(found.hub.address, request)
            assert reply[:9] == b"HTTP/1.1 ", reply[:200]
            assert reply[9:10] == b"4" or reply[9:12] == b"200", reply[:200]  # never a failure of the hub's own
            served += reply[9:12] == b"200"
        more_mb = (rss_bytes(pid) - before) / 1e6
        await quietly(*(found.edges["n1"].order("put", key=f"k{n}", value=f"n1#{n}") for n in range(5)))
        await found.heal()
        verdict = await found.judged()
    figures = {"that_the_hub_answered_with_frames": served, "max_MB_more_of_RSS": more_mb}
    how = "mutated frames to a hub, with a good token"
    recorder.note(30, how, runs=FRAMES_EACH, violations=len(verdict.findings), **figures)
    assert not verdict.findings, found.report(verdict)
    assert more_mb < 64


async def test_a_token_that_is_revoked_or_may_only_read_brings_nothing_in(tmp_path, recorder):
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, reader, registry = found.edges["n0"], found.edges["n1"], found.hub.registry
        await quietly(
            *(
                each.order("put", key=f"{each.name}{n}", value=f"{each.name}#{n}")
                for n in range(5)
                for each in (edge, reader)
            )
        )
        await found.heal()
        await reader.stop()
        reader.token = registry.add_token(SPACE, "r")[1]
        await found.start("n1")
        (own, *_) = [token for token in registry.tokens(SPACE) if token.rights == "rw"]
        registry.revoke(own.id)
        for n in range(5):
            await edge.order("put", key=f"after{n}", value=f"n0#after{n}")
            await reader.order("put", key=f"read{n}", value=f"n1#read{n}")
        with pytest.raises(OrderError) as caught:
            await edge.order("sync")
        report = await reader.order("sync")
        await found.hub.stop()
        held = await read_file(found.file, "hub")
    leaks = [key for key in held.values if key.startswith(("after", "read"))]
    how = "a token revoked by another process while its node runs; a token that may only read"
    recorder.note(40, how, runs=2, violations=len(leaks), leaks=len(leaks))
    assert caught.value.code == "unauthorized"
    assert not report["completed"]
    assert "the token may only read" in " ".join(report["blockers"])
    assert not leaks


async def test_no_secret_stands_in_any_output_or_file(tmp_path, recorder, capfd):
    """Two good tokens and a wrong one, through successes and every refusal that is at hand."""
    async with fleet(tmp_path / "fleet", ["n0", "n1"]) as found:
        edge, other = found.edges["n0"], found.edges["n1"]
        await quietly(*(edge.order("put", key=f"k{n}", value=f"n0#{n}") for n in range(5)))
        await found.heal()
        await other.stop()
        other.token, good = "hf_" + "Z" * 43, other.token
        await found.start("n1")
        said = await asyncio.gather(other.order("sync"), return_exceptions=True)
        await found.hub.kill()
        said += await asyncio.gather(edge.order("sync"), return_exceptions=True)
        await found.hub.start()
        status = await ask(found.hub.address, head("elsewhere", good, "Content-Length: 0", "Connection: close"))
        found.proxies["n0"].down.hole = True
        found.proxies["n0"].cut()
        said += await asyncio.gather(edge.order("sync", patience_s=1.0), return_exceptions=True)
        await edge.kill()
        await other.stop()
        await found.hub.stop()
    streams = capfd.readouterr()
    texts = {"answers": status, "errors": repr(said).encode(), "streams": f"{streams.out}{streams.err}".encode()}
    files = [file for file in (tmp_path / "fleet").rglob("*") if file.is_file()]
    texts |= {str(file): await asyncio.to_thread(file.read_bytes) for file in files}
    secrets = [edge.token, good, other.token]
    hits = [name for name, text in texts.items() for secret in secrets if secret.encode() in text]
    recorder.note(41, "canary tokens, looked for in all output and files", violations=len(hits), hits=len(hits))
    assert len(files) > 5
    assert not hits
