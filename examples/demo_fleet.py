"""The processes of the demonstration as the parent sees them: the hub, and the devices behind their wires.

Knows nothing of the story. Invariants: every acknowledgement goes into the journal before anybody hears of it; no
process outlives the block that started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo_journal import Journal
from demo_lines import Line
from demo_network import Wire

SPACE = "fleet"
START_S_MAX = 30
STOP_S_MAX = 20
LINE_BYTES_MAX = 16 * 1024 * 1024
PROGRAM = Path(__file__).with_name("demo_hub.py")


class EdgeError(Exception):
    """A device did not do what it was told: it refused (with an error's code), or its process is gone."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class HubProcess:
    """A hub that runs: where it listens, what opens it, and the file of its space."""

    directory: Path
    token: str
    file: Path
    address: tuple[str, int] = ("", 0)


@asynccontextmanager
async def running_hub(directory: Path) -> AsyncIterator[HubProcess]:
    """Make a hub with one space, and run it as its users do, with the command line."""
    await _holdfast("hub", "init", str(directory))
    space = await _holdfast("hub", "space", "add", str(directory), SPACE)
    token = await _holdfast("hub", "token", "add", str(directory), SPACE, "--label", "the fleet")
    hub = HubProcess(directory, token["token"], Path(space["file"]))
    with (directory / "log.txt").open("wb") as log:
        command = (sys.executable, str(PROGRAM), "hub", "run", str(directory), "--port", "0", "--json")
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=log)
        try:
            assert process.stdout, "it was asked for"
            line = await asyncio.wait_for(process.stdout.readline(), START_S_MAX)
            url = urlsplit(json.loads(line)["url"])
            hub.address = (url.hostname or "", url.port or 0)
            yield hub
        finally:
            await _stop(process)


async def _holdfast(*arguments: str) -> Line:
    """Run a command of Holdfast and give its JSON."""
    command = (sys.executable, "-m", "holdfast", *arguments, "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise EdgeError(f"holdfast {' '.join(arguments)} ended with {process.returncode}")
    answer: Line = json.loads(out)
    return answer


@dataclass(slots=True)
class Edge:
    """A device: its process, its wire, its file.

    Attributes:
        actor: The identity that its writes are named by.
        renewed: Why it took a new identity at its start; None if it did not.
        sent: Records that its running sync has given to the wire so far.
        acknowledged: How many writes it has acknowledged.
    """

    name: str
    path: Path
    wire: Wire
    journal: Journal
    actor: str = ""
    renewed: str | None = None
    sent: int = 0
    acknowledged: int = 0
    _process: Process | None = None
    _listener: asyncio.Task[None] | None = None
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _waiting: dict[int, tuple[dict[str, object], asyncio.Future[Any]]] = field(default_factory=dict)

    async def start(self, token: str, collection: str, asked: list[str]) -> None:
        """Start the process; return when it has opened its file."""
        program = Path(__file__).with_name("demo_edge.py")
        arguments = (str(self.path), SPACE, self.wire.url, collection, *asked)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES_MAX,
            env={**os.environ, "HOLDFAST_TOKEN": token},
        )
        assert self._process.stdout, "it was asked for"
        line = await asyncio.wait_for(self._process.stdout.readline(), START_S_MAX)
        if not line:
            raise EdgeError(f"{self.name} did not start")
        hello = json.loads(line)["hello"]
        self.actor, self.renewed = hello["actor"], hello["renewed"]
        self._listener = asyncio.create_task(self._listen(self._process.stdout))

    def order(self, do: str, **arguments: object) -> asyncio.Future[Any]:
        """Give an order; the future is its answer."""
        assert self._process is not None, "the device runs"
        assert self._process.stdin is not None, "it was asked for"
        if self._listener is None or self._listener.done():
            raise EdgeError(f"{self.name} is gone")
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (arguments, answer)
        self._process.stdin.write(json.dumps({"id": number, "do": do, "with": arguments}).encode() + b"\n")
        return answer

    async def kill(self) -> int:
        """Kill the process without a warning (SIGKILL); gives its exit code."""
        assert self._process is not None, "the device runs"
        assert self._listener is not None, "the device runs"
        self._process.kill()
        # Whatever it had said before it died is in the pipe, and counts.
        await self._listener
        return await self._process.wait()

    async def stop(self) -> None:
        """Let the device close its file and end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await _stop(self._process, asked=True)
        if self._listener is not None:
            await self._listener

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError):
            # A line without its end is a report that was never completed.
            while True:
                self._hear(json.loads(await lines.readuntil(b"\n")))
        left = [(arguments, answer) for arguments, answer in self._waiting.values() if not answer.done()]
        self._waiting.clear()
        self.journal.leave_unanswered({(str(a["collection"]), str(a["key"])) for a, _ in left if "key" in a})
        for _, answer in left:
            answer.set_exception(EdgeError(f"{self.name} is gone"))

    def _hear(self, line: Line) -> None:
        match line:
            case {"acknowledged": write}:
                self.journal.acknowledge(self.name, write)
                self.acknowledged += 1
            case {"progress": progress}:
                self.sent = progress["sent"]
            case {"id": number, "answer": answer}:
                self._waiting.pop(number)[1].set_result(answer)
            case {"id": number, "error": error}:
                self._waiting.pop(number)[1].set_exception(EdgeError(error["message"], error["code"]))


async def _stop(process: Process, *, asked: bool = False) -> None:
    if process.returncode is None and not asked:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
