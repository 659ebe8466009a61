"""One process writes a file: who comes second learns who was first, and a dead holder holds nothing."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal

import pytest

from holdfast.errors import FileLocked, FileUnreadable, ForkedEngine

from ..nodes import opened, python_at, raw

HOLDER = """
import asyncio, sys
from holdfast import Engine

async def main():
    async with Engine.open(sys.argv[1], name="pump-7") as engine:
        await engine["t"].put("k", {"n": 1})
        print("open", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the file open for writing."""
    with python_at(tmp_path / "n.db", HOLDER) as process:
        yield process


async def test_the_second_process_learns_who_was_first(tmp_path, holder):
    with pytest.raises(FileLocked) as caught:
        await opened(tmp_path / "n.db")
    assert str(holder.pid) in str(caught.value)
    assert "pump-7" in str(caught.value)
    assert caught.value.subject == str(tmp_path / "n.db")


async def test_a_reader_opens_beside_the_writer(tmp_path, holder):
    async with opened(tmp_path / "n.db", read_only=True) as reader:
        assert (await reader["t"].get("k")).fields == {"n": 1}


async def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    async with opened(tmp_path / "n.db") as node:
        assert (await node["t"].get("k")).fields == {"n": 1}
        assert node.renewed is None
        assert (await node.verify()).ok


async def test_one_process_cannot_open_a_file_twice_either(tmp_path):
    async with opened(tmp_path / "n.db"):
        with pytest.raises(FileLocked, match=str(os.getpid())):
            await opened(tmp_path / "n.db")
    async with opened(tmp_path / "n.db"):
        pass


async def test_a_lock_file_with_garbage_in_it_says_less_and_works(tmp_path):
    async with opened(tmp_path / "n.db"):
        (tmp_path / "n.db-lock").write_bytes(b"\xff\xfe{")
        with pytest.raises(FileLocked, match="another process"):
            await opened(tmp_path / "n.db")


async def test_an_opening_that_failed_leaves_no_lock(tmp_path):
    (tmp_path / "n.db").write_text("no database " * 100)
    for _ in range(2):
        with pytest.raises(Exception, match="not a database"):
            await opened(tmp_path / "n.db")


async def test_another_programs_transaction_is_an_error_and_not_a_hang(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {"n": 1})
        with raw(tmp_path / "n.db") as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            with pytest.raises(FileLocked, match="Another program"):
                await asyncio.wait_for(node["t"].put("k", {"n": 2}), 5)
            foreign.execute("ROLLBACK")
        await node["t"].put("k", {"n": 3})
        assert (await node.verify()).ok


async def test_a_forked_child_is_refused_and_the_parent_goes_on(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {"n": 1})
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _in_child(node)
            finally:
                os.write(writing, bytes([code]))
                os._exit(0)
        os.close(writing)
        try:
            assert await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 20) == b"\0"
        finally:
            os.kill(child, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, child, 0)
            os.close(reading)
        await node["t"].put("k", {"n": 2})
        with pytest.raises(FileLocked, match=str(os.getpid())):
            await opened(tmp_path / "n.db")
        assert (await node.verify()).ok


def _in_child(node) -> int:
    """0 if the child's reads and writes are refused by name; the loop of the parent is not its own."""
    asyncio.set_event_loop(None)
    asyncio._set_running_loop(None)

    async def use():
        for attempt in (node["t"].get("k"), node["t"].put("k", {"n": 9})):
            try:
                await asyncio.wait_for(attempt, 5)
            except ForkedEngine:
                continue
            return 2
        return 0

    loop = asyncio.new_event_loop()
    return loop.run_until_complete(use())


async def test_a_lock_that_cannot_be_taken_is_named_and_leaves_nothing_open(tmp_path, monkeypatch):
    def failing(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    closed = []
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", failing)
        patch.setattr(os, "close", lambda descriptor, close=os.close: (closed.append(descriptor), close(descriptor)))
        with pytest.raises(FileUnreadable, match="No locks available") as caught:
            await opened(tmp_path / "n.db")
        assert caught.value.subject == str(tmp_path / "n.db-lock")
    assert not (tmp_path / "n.db").exists()
    assert closed
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})


async def test_a_holder_that_cannot_be_read_is_not_named(tmp_path, monkeypatch):
    async with opened(tmp_path / "n.db"):

        def failing(descriptor, size):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "read", failing)
        with pytest.raises(FileLocked, match="another process"):
            await opened(tmp_path / "n.db")
        monkeypatch.undo()
