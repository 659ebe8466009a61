"""Errors of single system calls on the files of one space: the k-th call fails, once or from there on.

strace is attached to the victim, an edge or the hub, and lets only calls on those files fail; each thread counts its
own. Then the cause goes, and the same process must go on by itself. Knows nothing of what is judged. Invariant: what a
node or the hub refuses meanwhile, it refuses by an error of the tree that stands for the cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .checker import judge, read_file
from .edge import UNUSABLE
from .history import History
from .killing import CHECKPOINT_PAGES, DEEDS, POINTS_MAX, Deed
from .nursery import Nursery
from .processes import Edge, Hub, OrderError

DATA = ("", "-wal", "-journal")
SIDE = ("-witness", "-lock")
EVERYTHING = (*DATA, "-shm", *SIDE)

POINTS = {
    "fdatasync": (EVERYTHING, 1),
    "ftruncate": (EVERYTHING, 1),
    "openat": (EVERYTHING, 1),
    "unlink": (EVERYTHING, 1),
    "mmap": (("-shm",), 1),
    "read": (SIDE, 1),
    "flock": (SIDE, 1),
    "newfstatat": (EVERYTHING, 4),
    "pread64": (DATA, 4),
    "pwrite64": (DATA, 8),
    "pwrite64 beside it": ((*SIDE, "-shm"), 1),
}
"""Which call fails, on which files, and every how many-th of these calls is tried."""

NEEDING_SPACE = ("ftruncate", "openat", "mmap", "pwrite64", "pwrite64 beside it")

BESIDE_READING = ("fdatasync", "ftruncate", "unlink", "flock", "pwrite64", "pwrite64 beside it")
"""Calls that an open node does not need for reading: as long as only these fail, it answers reads."""

CODES = {
    ("edge", "EIO"): {"file-unreadable"},
    ("edge", "ENOSPC"): {"file-unreadable", "disk-full"},
    ("hub", "EIO"): {"hub-error", "link-cut"},
    ("hub", "ENOSPC"): {"hub-error", "link-cut"},
}
"""How the victim's errors reach whoever gave the order. SQLite takes a file that cannot be made for unreadable, and a
hub that has begun to answer can only break off."""

UNREAD = {"damaged-file"}
"""SQLite calls a file damaged whose pages the device does not read, and cannot know better."""

CONSEQUENCES = {"no-such-record"}
"""How a write is refused whose record is not there because an earlier one was refused."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the system: at one call, or at all from there on."""

    error: str
    lasting: bool = False

    def tracer(self, point: str, number: int, base: Path, log: Path) -> list[str]:
        """A tracer that lets it happen at that call on the files of the space at `base`."""
        call, _, _ = point.partition(" ")
        inject = f"inject={call}:error={self.error}:when={number}{'+' if self.lasting else ''}"
        paths = [each for suffix in POINTS[point][0] for each in ("-P", f"{base}{suffix}")]
        return ["strace", "-f", "-o", str(log), "-e", f"trace={call}", "-e", inject, *paths]


@dataclass(slots=True)
class FailingSweep:
    """The points of one deed at one system call.

    Attributes:
        points: How often the error happened; the sweep ends with the first run in which it does not.
        refused: Orders that were refused by name, openings included.
        renewed: New identities that were taken.
        findings: What was wrong after them.
    """

    deed: str
    point: str
    failure: Failure
    hub: Hub
    nursery: Nursery
    directory: Path
    points: int = 0
    acknowledged: int = 0
    refused: int = 0
    renewed: int = 0
    findings: list[str] = field(default_factory=list)

    async def run(self, numbers: Iterable[int] | None = None) -> None:
        """Let it happen at each of these calls, until there are no more."""
        for number in numbers or range(1, POINTS_MAX, POINTS[self.point][1]):
            if not await self._try(number):
                return
            self.points += 1
        if numbers is None:
            raise AssertionError(f"{self.deed} at {self.point} does not end")

    async def _try(self, number: int) -> bool:
        """One point, and what is left after it; tells whether the error happened."""
        name = f"{self.deed}-{self.point}-{number}".replace(" ", "-").replace(":", "")
        place = self.directory / name
        await asyncio.to_thread(place.mkdir)
        history, log = History(place / "history.jsonl"), place / "strace.txt"
        token, file = self.hub.add_space(name)
        edge, other = (Edge(who, place / f"{who}.db", history, name, token, self.nursery) for who in ("edge", "other"))
        deed = DEEDS[self.deed]
        try:
            await deed.prepared(edge, other, self.hub.url)
            base = edge.path if deed.victim == "edge" else file
            await self._fail(name, deed, edge, self.failure.tracer(self.point, number, base, log))
            await self._look(name, [edge, other] if other.running else [edge], file, history)
        finally:
            await edge.kill()
            await other.kill()
        return "(INJECTED)" in await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")

    async def _fail(self, name: str, deed: Deed, edge: Edge, tracer: list[str]) -> None:
        """Let it happen, take the cause away, and see that the same processes go on."""
        env = {"CHAOS_CHECKPOINT_PAGES": str(CHECKPOINT_PAGES)}
        if deed.victim == "edge":
            if await edge.start(self.hub.url, tracer=tracer, env=env):
                await deed.during(edge)
                await self._reads_on(name, edge)
            await edge.untrace()
        else:
            await edge.start(self.hub.url)
            async with self.hub.traced(tracer):
                await deed.during(edge)
        if edge.running:
            await self._goes_on(name, edge)
            await edge.stop()
        code = await edge.ended()
        if code not in (0, UNUSABLE):
            self.findings.append(f"{name}: the edge ended with {code}")

    async def _reads_on(self, name: str, edge: Edge) -> None:
        """While the error lasts, what needs nothing that fails goes on."""
        if not self.failure.lasting or self.point not in BESIDE_READING:
            return
        for order in (edge.order("read", key="a"), edge.order("status")):
            try:
                await order
            except OrderError as error:
                self.findings.append(f"{name}: reading does not need what fails, and still: {error}")

    async def _goes_on(self, name: str, edge: Edge) -> None:
        """The cause is gone: nobody needs to be started again."""
        after = (
            edge.order("put", key="after", value=f"{edge.name}#after"),
            edge.order("sync"),
            edge.order("read", key="a"),
        )
        for order in after:
            try:
                await order
            except OrderError as error:
                self.findings.append(f"{name}: the cause is gone, and still: {error}")

    async def _look(self, name: str, edges: list[Edge], file: Path, history: History) -> None:
        self._learn(name, history)
        if not await edges[0].start(self.hub.url):
            self.findings.append(f"{name}: the file does not open any more")
            return
        for each in (*edges, *edges):
            await each.order("sync")
        files = [await read_file(file, "hub")]
        for each in edges:
            await each.stop()
            files.append(await read_file(each.path, each.name))
        # A witness that could not be read or written is none, and then a new identity is right.
        verdict = judge(history, files, renewals_allowed=[edge.name for edge in edges])
        self.renewed += sum(bool(event.what.get("renewed")) for event in history.events if event.say == "started")
        self.acknowledged += verdict.acknowledged
        self.findings += [f"{name}: {finding}" for finding in verdict.findings]

    def _learn(self, name: str, history: History) -> None:
        """How the orders were refused."""
        allowed = CODES[DEEDS[self.deed].victim, self.failure.error] | (UNREAD if self.point == "pread64" else set())
        for event in history.events:
            if event.say not in ("refused", "unusable"):
                continue
            code = event.what["code"]
            self.refused += code in allowed
            if code not in allowed | CONSEQUENCES:
                self.findings.append(f"{name}: refused as {code}: {event.what['message']}")
