"""Brings copies of a kept file up to date in processes that are killed at one statement after the other.

Run as a program (`python -m tests.engine.upgrading KEPT FOLDER EVERY`): each copy is opened in a fork of its own that
ends by SIGKILL before its n-th statement (every so many-th), then opened again in another, which must find all as it
was. Prints at how many statements that was tried, and how often the migration had begun and was not yet done. Ends with
1 at the first that fails.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from holdfast import Engine
from holdfast.engine.storage import connection as connections
from holdfast.engine.storage.migrations import FORMAT

WANTED = {"t1": {"site": "north", "title": "B"}, "t2": {"n": 1}, "t3": {"n": 3}}

STATEMENTS_MAX = 2_000


def forked(work: Callable[[], None]) -> int:
    """Do the work in a fork of this process; gives how that ended, as `os.waitstatus_to_exitcode`."""
    child = os.fork()
    if not child:
        try:
            work()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:  # noqa: BLE001 - the parent learns of it by the exit code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(number: int) -> None:
    """From now on the writer's connection ends this process before its `number`-th statement."""
    left = [number]

    def trace(_statement: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    prepare = connections.prepare_writer

    def prepared(connection: sqlite3.Connection, durability: connections.Durability) -> None:
        prepare(connection, durability)
        connection.set_trace_callback(trace)

    connections.prepare_writer = prepared


async def open_once(path: Path) -> None:
    """What an application does first."""
    async with Engine.open(path):
        pass


async def check(path: Path, was: int) -> None:
    """All is as it was, in the present format; the file of before stands beside it."""
    async with Engine.open(path) as engine:
        assert {doc.key: doc.fields for doc in await engine["tasks"].query()} == WANTED
        assert (await engine.verify()).problems == ()
        (before,) = await engine.snapshots.list()
        assert before.records == len(WANTED)
        await engine["tasks"].put("t4", {"n": 4})
    assert format_of(path) == FORMAT
    assert format_of(before.path) == was


def format_of(path: Path) -> int:
    """The format that stands in the file."""
    connection = sqlite3.connect(path)
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(found)


def main(kept: Path, folder: Path, every: int) -> int:
    """Kill one process for every so many-th statement."""
    data = gzip.decompress(kept.read_bytes())
    halfway = 0
    for number in range(1, STATEMENTS_MAX, every):
        path = folder / str(number) / "a.db"
        path.parent.mkdir()
        path.write_bytes(data)
        was = format_of(path)

        def opening(path: Path = path, number: int = number) -> None:
            killed_at(number)
            asyncio.run(open_once(path))

        ended = forked(opening)
        halfway += ended == -signal.SIGKILL and was < format_of(path) < FORMAT
        if ended == 0:
            sys.stdout.write(f"{number - 1} {halfway}\n")
            return 0
        checked = forked(lambda path=path, was=was: asyncio.run(check(path, was)))
        if ended != -signal.SIGKILL or checked:
            sys.stderr.write(f"statement {number}: opening ended with {ended}, the next one with {checked}\n")
            return 1
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
