"""Kill points: the k-th call of one system call kills the process, until it gets through.

strace injects the signal before the call is carried out, so each point stands between two effects on disk
or wire. Every point has a space and files of its own on one hub; the hub is the victim in some deeds. Knows nothing of
what is judged. Invariant: the victim is started again without strace before anything is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .checker import judge, read_file
from .fleet import quietly
from .history import History
from .nursery import Nursery
from .processes import Edge, Hub

CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "sendto")
POINTS_MAX = 1_000
"""More than any deed has: a sweep that does not get through is a mistake of the harness."""

CHECKPOINT_PAGES = 8


def tracer(call: str, number: int, log: Path) -> list[str]:
    """A tracer that kills at that call (strace miscounts with --seccomp-bpf)."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    return ["strace", "-f", "-o", str(log), "-e", f"trace={call}", "-e", inject]


async def write_some(edge: Edge) -> None:
    """Every kind of write."""
    await quietly(
        edge.order("put", key="a", value=f"{edge.name}#1"),
        edge.order("update", key="a", value=f"{edge.name}#2"),
        edge.order("transact", keys=["b", "c", "d"], values=[f"{edge.name}#{number}" for number in (3, 4, 5)]),
        edge.order("delete", key="b"),
        edge.order("read", key="a"),
    )


async def write_much(edge: Edge) -> None:
    """Enough for some checkpoints of a small log."""
    await quietly(
        *(edge.order("put", key=f"k{number % 5}", value=f"{edge.name}#{number}", pad=9_000) for number in range(14))
    )


async def meet(edge: Edge) -> None:
    """A sync, in which what the edge has is acknowledged and what the hub has is applied."""
    await quietly(edge.order("sync", patience_s=20.0))


@dataclass(frozen=True, slots=True)
class Deed:
    """What is interrupted.

    Attributes:
        victim: "edge" or "hub".
        during: What the edge does while its process, or the hub's, waits for its end.
        own, others: What it, or the other edge, has done in peace before.
    """

    victim: str
    during: Callable[[Edge], Awaitable[None]]
    own: Callable[[Edge], Awaitable[None]] | None = None
    others: Callable[[Edge], Awaitable[None]] | None = None

    async def prepared(self, edge: Edge, other: Edge, url: str) -> None:
        """Do in peace what comes before; the other edge goes on running if it had a part in it."""
        if self.others is not None:
            await other.start(url)
            await self.others(other)
            await other.order("sync")
        if self.own is not None:
            await edge.start(url)
            await self.own(edge)
            await edge.stop()


DEEDS = {
    "put": Deed("edge", write_some),
    "checkpoint": Deed("edge", write_much),
    "apply": Deed("edge", meet, others=write_some),
    "acknowledge": Deed("edge", meet, own=write_some),
    "both ways": Deed("edge", meet, own=write_some, others=write_some),
    "hub: apply": Deed("hub", meet, own=write_some),
    "hub: answer": Deed("hub", meet, others=write_some),
}


@dataclass(slots=True)
class Sweep:
    """The points of one deed at one system call.

    Attributes:
        points: How often the victim was killed; the sweep ends with the first run in which it is not.
        findings: What was wrong after them.
    """

    deed: str
    call: str
    hub: Hub
    nursery: Nursery
    directory: Path
    points: int = 0
    acknowledged: int = 0
    findings: list[str] = field(default_factory=list)

    async def run(self, numbers: Iterable[int] = range(1, POINTS_MAX)) -> None:
        """Kill it at each of these calls until there are no more."""
        for number in numbers:
            if not await self._point(number):
                return
            self.points += 1
        if isinstance(numbers, range) and numbers.stop == POINTS_MAX:
            raise AssertionError(f"{self.deed} at {self.call} does not end")

    async def _point(self, number: int) -> bool:
        """One point, and what is left after it; tells whether it was killed."""
        name = f"{self.deed}-{self.call}-{number}".replace(" ", "-").replace(":", "")
        place = self.directory / name
        await asyncio.to_thread(place.mkdir)
        history = History(place / "history.jsonl")
        token, file = self.hub.add_space(name)
        edge, other = (Edge(who, place / f"{who}.db", history, name, token, self.nursery) for who in ("edge", "other"))
        deed = DEEDS[self.deed]
        try:
            await deed.prepared(edge, other, self.hub.url)
            log = place / "strace.txt"
            await self._interrupt(deed, edge, tracer(self.call, number, log))
            await self._look(name, edge, other, file, history)
        finally:
            await edge.kill()
            await other.kill()
        return "killed by SIGKILL" in await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")

    async def _interrupt(self, deed: Deed, edge: Edge, tracing: list[str]) -> None:
        env = {"CHAOS_CHECKPOINT_PAGES": str(CHECKPOINT_PAGES)}
        if deed.victim == "edge":
            if await edge.start(self.hub.url, tracer=tracing, env=env):
                await deed.during(edge)
            await edge.stop()
            return
        if deed.others is not None:  # it has the file open, and opening it belongs to the deed
            await self.hub.stop()
            await self.hub.start()
        async with self.hub.traced(tracing):
            await edge.start(self.hub.url)
            await deed.during(edge)
            await self.hub.stop()
        await self.hub.start()
        await edge.stop()

    async def _look(self, name: str, edge: Edge, other: Edge, file: Path, history: History) -> None:
        edges = [edge, other] if other.running else [edge]
        if not await edge.start(self.hub.url):
            self.findings.append(f"{name}: the file does not open any more")
            return
        for each in (*edges, *edges):
            await each.order("sync")
        files = [await read_file(file, "hub")]
        for each in edges:
            await each.stop()
            files.append(await read_file(each.path, each.name))
        verdict = judge(history, files)
        self.acknowledged += verdict.acknowledged
        self.findings += [f"{name}: {finding}" for finding in verdict.findings]
