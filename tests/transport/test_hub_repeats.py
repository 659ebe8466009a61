"""What goes wrong with clients stands in the log of a hub: once, and then as a count."""

from __future__ import annotations

import asyncio
import logging

import pytest

from holdfast.errors import DiskFull, MalformedFrame
from holdfast.transport.hub.repeats import KINDS_MAX, Repeats

from .hubs import Replica, eventually, running_hub

LOGGER = logging.getLogger("holdfast.test")


@pytest.fixture
def logged(caplog):
    """The messages that are logged, one a line."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "holdfast")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("holdfast")]


def _fail(repeats: Repeats, times: int, cause: str = "malformed-frame", address: str = "10.0.0.1") -> None:
    for number in range(times):
        repeats.log(LOGGER, logging.WARNING, cause, address, f"{cause} {address} {number}")


async def test_the_first_of_a_kind_is_logged_at_once_and_the_others_are_counted_at_the_end(logged):
    repeats = Repeats()
    _fail(repeats, 1_001)
    assert logged() == ["malformed-frame 10.0.0.1 0"]
    repeats.close()
    assert logged()[1:] == ["malformed-frame from 10.0.0.1: 1,000 more since"]


async def test_causes_and_addresses_are_told_apart(logged):
    repeats = Repeats()
    for cause in ("malformed-frame", "unauthorized"):
        for address in ("10.0.0.1", "10.0.0.2"):
            _fail(repeats, 3, cause, address)
    assert len(logged()) == 4
    repeats.close()
    assert len([line for line in logged() if line.endswith(": 2 more since")]) == 4


async def test_a_kind_that_goes_on_is_counted_at_intervals_and_one_that_stopped_begins_anew(logged):
    repeats = Repeats(0.02)
    _fail(repeats, 3)
    await eventually(lambda: "malformed-frame from 10.0.0.1: 2 more since" in logged())
    await asyncio.sleep(0.1)
    assert len(logged()) == 2
    _fail(repeats, 1)
    assert logged()[2:] == ["malformed-frame 10.0.0.1 0"]
    repeats.close()


async def test_a_crowd_of_addresses_costs_a_bounded_number_of_lines_and_loses_no_count(logged):
    repeats = Repeats()
    for number in range(KINDS_MAX + 1_000):
        _fail(repeats, 1, address=f"10.1.{number // 256}.{number % 256}")
    assert len(logged()) == KINDS_MAX + 1  # one speaks for all the others
    repeats.close()
    assert logged()[-1] == "malformed-frame from other addresses: 999 more since"


async def test_a_client_that_breaks_the_protocol_again_and_again_fills_no_log(tmp_path, logged):
    async def respond(_replica, chunks, *, rights):
        async for _ in chunks:
            raise MalformedFrame("no magic", subject="frame", remedy="Update the peer.")
        yield b""

    async with running_hub(tmp_path / "hub", respond=respond) as hub:
        for _ in range(20):
            assert b" 400 " in await hub.ask(hub.head("Content-Length: 3"), b"bad")
            assert b" 401 " in await hub.ask(hub.head("Content-Length: 0", secret="hf_" + "A" * 43))
            await hub.ask("POST / HTTP/1.1\nno header\n")
        before = logged()
        assert len(before) == 3
        assert any("broke the protocol: no magic" in line for line in before)
    counts = [line for line in logged() if line.endswith("19 more since")]
    assert [line.split()[0] for line in counts] == ["malformed-frame", "unauthorized", "not-http"]


@pytest.mark.parametrize("halfway", [False, True])
async def test_the_hubs_own_failure_is_counted_once_and_as_nobodys_fault(tmp_path, logged, halfway):
    """A full disk under a thousand clients is one thing that goes wrong, and none of theirs."""

    async def respond(_replica, chunks, *, rights):
        if halfway:
            yield b"x"
        raise DiskFull("no space left", subject="plant.db", remedy="Free space.")
        yield b""

    async def open_engine(name, path):
        if not halfway:
            raise DiskFull("no space left", subject="plant.db", remedy="Free space.")
        return Replica(name, path)

    async with running_hub(tmp_path / "hub", respond=respond, open_engine=open_engine) as hub:
        for number in range(5):
            head = hub.head("Content-Length: 0")
            reader, writer = await asyncio.open_connection(*hub.address, local_addr=(f"127.0.0.{number + 2}", 0))
            writer.write(head.replace("\n", "\r\n").encode() + b"\r\n")
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
        (first,) = logged()
        assert "failed" in first
        assert "no space left" in first
    assert logged()[1:] == ["disk-full from this hub: 4 more since"]
