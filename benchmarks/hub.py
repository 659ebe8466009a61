"""A hub in a process of its own, started as its users start it, with one space for every test bed.

The directory is prepared in this process through the registry, as `hub init`, `hub space add` and `hub token add` do;
`hub run` then serves it. It must not know scenarios.
Invariant: the process has ended, and its files are whole, when the block that started it is left.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from holdfast import Hub
from holdfast.transport.hub.registry import HubRegistry

START_S_MAX = 20
STOP_S_MAX = 15  # a hub lets running exchanges end for 10 s


@dataclass(frozen=True, slots=True)
class Space:
    """A space of the hub, and the hub as a node that may write to the space names it."""

    name: str
    hub: Hub

    def through(self, url: str) -> Hub:
        """The same hub by way of a meter."""
        return replace(self.hub, url=url)


class HubProcess:
    """A running hub: where it listens, and its process."""

    def __init__(self, registry: HubRegistry, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self._registry = registry
        self._numbers = count(1)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def add_space(self) -> Space:
        """Adds an empty space and a token that may write to it."""
        space = self._registry.add_space(f"space-{next(self._numbers)}")
        _, secret = self._registry.add_token(space.name, "rw")
        return Space(space.name, Hub(self.url, token=secret))

    def file(self, space: Space) -> Path:
        """The file of a space, to be opened while no hub serves it."""
        (found,) = [each.path for each in self._registry.spaces() if each.name == space.name]
        return found


@asynccontextmanager
async def hub_process(directory: Path) -> AsyncIterator[HubProcess]:
    """Starts a hub on a free port of loopback and stops it at the end."""
    registry = HubRegistry.init(directory / "hub")
    command = [sys.executable, "-m", "holdfast", "hub", "run", str(registry.directory), "--port", "0"]
    log = directory / "hub.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=stderr)
    try:
        yield HubProcess(registry, await _announced(process, log), process.pid)
    finally:
        await _stop(process)


async def _announced(process: Process, log: Path) -> str:
    """The URL that the hub prints once it listens."""
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), START_S_MAX)
    urls = [word for word in line.decode().split() if word.startswith("http")]
    if not urls:
        raise _silent(log)
    return urls[0]


def _silent(log: Path) -> RuntimeError:
    return RuntimeError(f"the hub did not start: {log.read_text(encoding='utf-8')}")


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
