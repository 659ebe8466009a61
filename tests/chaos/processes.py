"""The hub and the edges as processes, as their supervisor sees them.

Knows nothing of what is judged. Invariants: everything that an edge says goes into the history before anybody hears of
it; no process outlives the block that started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from holdfast.transport.hub.registry import HubRegistry

from .history import History
from .nursery import Born, Nursery

START_S_MAX = 60
STOP_S_MAX = 40
LINE_BYTES_MAX = 16 * 1024 * 1024
PROGRAM = Path(__file__).with_name("edge.py")


class OrderError(Exception):
    """An edge refused an order (with the code of the error), or was gone before it answered (code "gone")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Hub:
    """A hub: its directory, its process while it runs, always on the same port."""

    def __init__(self, directory: Path, *, prefix: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        self.registry = HubRegistry.init(directory)
        self.log = directory / "log.txt"
        self.prefix = tuple(prefix)
        self.host = host
        self.port = _free_port()
        self.starts = 0
        self._process: Process | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The number of its process (of what runs it, if there is a prefix)."""
        assert self._process, "it runs"
        return self._process.pid

    def add_space(self, name: str) -> tuple[str, Path]:
        """A new space: the secret of a token for it, and its file."""
        space = self.registry.add_space(name)
        return self.registry.add_token(name, "rw")[1], space.path

    async def start(self, prefix: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> None:
        """Start the process as its users do; return when it listens (or has ended)."""
        outside = [] if self.host.startswith("127.") else ["--insecure"]
        command = [sys.executable, "-m", "holdfast", "hub", "run", str(self.registry.directory), "--json", *outside]
        place = ["--host", self.host, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(self.prefix if prefix is None else prefix),
                *command,
                *place,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self.starts += 1
        assert self._process.stdout, "it was asked for"
        await asyncio.wait_for(self._process.stdout.readline(), START_S_MAX)

    async def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            await _killed(self._process)

    def signal(self, number: int) -> None:
        """Send a signal to its process."""
        assert self._process, "it runs"
        self._process.send_signal(number)

    @asynccontextmanager
    async def traced(self, tracer: Sequence[str]) -> AsyncIterator[None]:
        """A tracer is attached to the process until the end of the block."""
        attached = await _attached(self.pid, tracer)
        try:
            yield
        finally:
            await _detached(attached)

    async def stop(self) -> int:
        """Let it end in good order; gives its exit code."""
        assert self._process, "it runs"
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it was killed, and nobody has waited for it yet
                os.killpg(self._process.pid, signal.SIGTERM)  # a tracer around it takes no notice
        return await _ended(self._process)


@asynccontextmanager
async def running_hub(directory: Path, **options: Any) -> AsyncIterator[Hub]:
    """A hub that runs until the end of the block."""
    hub = Hub(directory, **options)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.kill()


class Edge:
    """An edge: its file, its process while it runs, and the history that it writes."""

    def __init__(
        self, name: str, path: Path, history: History, space: str, token: str, nursery: Nursery | None = None
    ) -> None:
        self.name = name
        self.nursery = nursery
        self.path = path
        self.history = history
        self.space = space
        self.token = token
        self.starts = self.acknowledged = 0
        self.running = False
        self._process: Process | Born | None = None
        self._tracer: Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    @property
    def pid(self) -> int:
        """The number of its process (of what runs it, if there is a prefix)."""
        assert self._process, "it runs"
        return self._process.pid

    async def start(
        self, url: str, *, tracer: Sequence[str] = (), prefix: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> bool:
        """Start the process for a hub at `url`; tells whether it came so far as to open its file.

        Args:
            url: Of the hub, or of a proxy.
            tracer: A command that is attached to the process (its number is added) before it opens its file.
            prefix: A command that runs it.
            env: Added to its environment.
        """
        env = {"CHAOS_HOLD": "1", **(env or {})} if tracer else env
        self._process = await self._begun(url, prefix, {**os.environ, "HOLDFAST_TOKEN": self.token, **(env or {})})
        self.starts += 1
        self.running = True
        if tracer:
            await self._attach(self._process, tracer)
        started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen(self._process, started))
        return await asyncio.wait_for(started, START_S_MAX)

    def order(self, do: str, **arguments: Any) -> asyncio.Future[Any]:
        """Give an order; the future is its answer, or OrderError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # not every answer is waited for
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it was asked for"
        if not self.running:
            answer.set_exception(OrderError("gone", f"{self.name} does not run"))
            return answer
        number = next(self._numbers)
        self._waiting[number] = answer
        self._process.stdin.write(json.dumps({"id": number, "do": do, "with": arguments}).encode() + b"\n")
        return answer

    def signal(self, number: int) -> None:
        """Send a signal to its process."""
        assert self._process, "it was started"
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it without a warning; whatever it had said before it died counts."""
        if self._process is not None:
            await _killed(self._process)
            await self.ended()

    async def stop(self) -> int:
        """Let it close its file and end; gives its exit code."""
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.close()
        code = await _ended(self._process)
        await self.ended()
        return code

    async def untrace(self) -> None:
        """Take the tracer away; the process goes on without it."""
        if self._tracer is not None:
            await _detached(self._tracer)
            self._tracer = None

    async def ended(self) -> int:
        """Wait until it has ended by itself; gives its exit code."""
        assert self._process is not None, "it was started"
        assert self._listener is not None, "it was started"
        await self._listener
        if self._tracer is not None:
            await self._tracer.communicate()
            self._tracer = None
        return await self._process.wait()

    async def _begun(self, url: str, prefix: Sequence[str], env: Mapping[str, str]) -> Process | Born:
        arguments = [str(self.path), self.space, url]
        if self.nursery is not None:
            assert not prefix, "the nursery starts nothing else"
            return await self.nursery.bear(arguments, env, LINE_BYTES_MAX)
        return await asyncio.create_subprocess_exec(
            *(*prefix, sys.executable, str(PROGRAM), *arguments),
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES_MAX,
            env=env,
            start_new_session=True,
        )

    async def _attach(self, process: Process | Born, tracer: Sequence[str]) -> None:
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        await asyncio.wait_for(process.stdout.readline(), START_S_MAX)  # it holds
        self._tracer = await _attached(process.pid, tracer)
        process.stdin.write(b"go on\n")

    async def _listen(self, process: Process | Born, started: asyncio.Future[bool]) -> None:
        assert process.stdout, "it was asked for"
        with suppress(asyncio.IncompleteReadError):
            # A line without its end is a report that was never completed.
            while True:
                self._hear(json.loads(await process.stdout.readuntil(b"\n")), started)
        self.running = False
        self.history.record(self.name, "ended")
        if not started.done():
            started.set_result(False)
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(OrderError("gone", f"{self.name} has ended"))

    def _hear(self, line: dict[str, Any], started: asyncio.Future[bool]) -> None:
        say, number = line.pop("say"), line.pop("id", 0)
        if say != "done" or line.get("answer") is not None:
            self.history.record(self.name, say, **line)
        match say:
            case "started":
                started.set_result(True)
            case "acknowledged":
                self.acknowledged += len(line["writes"])
            case "done":
                self._waiting.pop(number).set_result(line["answer"])
            case "refused":
                self._waiting.pop(number).set_exception(OrderError(line["code"], line["message"]))


async def _attached(pid: int, tracer: Sequence[str]) -> Process:
    """A tracer that has begun to trace a process."""
    process = await asyncio.create_subprocess_exec(*tracer, "-p", str(pid), stdin=DEVNULL, stderr=PIPE)
    assert process.stderr is not None, "it was asked for"
    await asyncio.wait_for(process.stderr.readline(), START_S_MAX)
    return process


async def _detached(tracer: Process) -> None:
    """Let a tracer end; what it has traced goes on."""
    with suppress(ProcessLookupError):  # what it traced has ended, and it too
        tracer.send_signal(signal.SIGINT)
    await tracer.communicate()


async def _killed(process: Process | Born) -> None:
    """Kill a process and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _ended(process: Process | Born) -> int:
    try:
        return await asyncio.wait_for(process.wait(), STOP_S_MAX)
    except TimeoutError:
        await _killed(process)
        return process.returncode or 0


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
