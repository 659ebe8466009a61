"""The command line as tests use it: in this process where that is enough, in processes of its own where it is not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from holdfast import Engine, Schema
from holdfast.engine.replica import Replica
from holdfast.service.cli import main
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

HOLDER = """
import asyncio, sys
from holdfast import Engine
async def hold():
    async with Engine.open(sys.argv[1], name="pump") as engine:
        await engine["tasks"].put("held", {"n": 1})
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(hold())
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error that stands on stderr as JSON."""
        return json.loads(self.err.splitlines()[-1])["error"]


def holdfast(*words: object, stdin: bytes | str | None = None, env: dict[str, str] | None = None) -> Outcome:
    """Run a command in this process; an exception that is no exit fails the test."""
    done = CliRunner().invoke(main, [str(word) for word in words], input=stdin, env=env, catch_exceptions=False)
    return Outcome(done.exit_code, done.stdout, done.stderr)


def ok(*words: object, stdin: bytes | str | None = None, env: dict[str, str] | None = None) -> Outcome:
    """Run a command that must succeed."""
    done = holdfast(*words, stdin=stdin, env=env)
    assert done.code == 0, done
    return done


def command(*words: object) -> list[str]:
    """The words that start the real command."""
    return [sys.executable, "-m", "holdfast", *map(str, words)]


def started(*words: object, **options: Any) -> subprocess.Popen[bytes]:
    """The real command in a process of its own, with pipes on all ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*words), **pipes | options)


@contextmanager
def writer_process(path: Path):
    """Another process that holds the file open for writing."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.stdin.close()
        assert process.wait(20) == 0


@contextmanager
def hub_process(directory: Path, *options: object, stop: signal.Signals = signal.SIGTERM):
    """A hub process; gives its address and stops it."""
    with started("hub", "run", directory, "--port", 0, *options, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.stdout.readline().decode().split()[-1]
        finally:
            process.send_signal(stop)
        assert process.wait(20) == 0


def make_conflict(folder: Path, *schemas: Schema) -> Path:
    """A file with one conflict: tasks/t1 title, "A" against "B"; the application declares `schemas`."""

    async def make():
        a = Engine.open(folder / "a.db", space="plant", schemas=schemas)
        b = Engine.open(folder / "b.db", space="plant", schemas=schemas)
        async with a as left, b as right:
            await left["tasks"].put("t1", {"title": "x", "site": "north"})
            await _meet(left, right)
            await left["tasks"].update("t1", {"title": "A"})
            await asyncio.sleep(0.005)  # within one millisecond chance would say which is the later one
            await right["tasks"].update("t1", {"title": "B"})
            await _meet(left, right)

    asyncio.run(make())
    return folder / "a.db"


async def _meet(left: Engine, right: Engine) -> None:
    link = MemoryLink(lambda chunks: respond(Replica(right), chunks, rights="rw"))
    assert (await sync(Replica(left), link)).completed


def environment(**more: str) -> dict[str, str]:
    """This process's environment, and more."""
    return os.environ | more
