"""An edge as a process of its own: takes orders on stdin, a JSON object a line, and reports on stdout.

Run as a program: ``python edge.py FILE SPACE URL``, with HOLDFAST_TOKEN for the hub. Before each write it says what it
is about to write and which state of the record it has read; the write is refused if that state has changed meanwhile,
so that its causal past is known from outside, dot by dot. Invariant: an acknowledgement is printed only after the
engine has acknowledged; what was printed can be read by the parent however this process ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from holdfast import Engine, HoldfastError, Hub, Receipt, Seams
from holdfast.engine.documents import split
from holdfast.engine.packing import unpack
from holdfast.engine.storage import connection as storage_connection
from holdfast.engine.storage.reading import all_actors
from holdfast.engine.versions import Version, version_of
from holdfast.errors import UsageError

COLLECTION = "t"
UNUSABLE = 3
"""Exit code of an edge whose file cannot be opened or closed."""

TICK_S = 0.01


def say(kind: str, **what: Any) -> None:
    """One report, at once."""
    sys.stdout.write(json.dumps({"say": kind, **what}) + "\n")
    sys.stdout.flush()


class NotNowError(UsageError):
    """The causal past of this write could not be told apart while a sync runs."""


class JumpingClock:
    """The machine's wall clock, off by the milliseconds that stand in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000 + int(self.file.read_text(encoding="ascii") or 0)


class Pulse:
    """How long the event loop did not turn, at worst."""

    def __init__(self) -> None:
        self.stall_s = 0.0

    async def beat(self) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(TICK_S)
            self.stall_s = max(self.stall_s, loop.time() - before - TICK_S)


class Edge:
    """What an edge can be told to do; each method is an order."""

    def __init__(self, engine: Engine, hub: Hub, pulse: Pulse) -> None:
        self.engine = engine
        self.hub = hub
        self.pulse = pulse
        self.syncing = 0

    async def put(self, key: str, value: str, pad: int = 0) -> None:
        """Write a whole record."""
        version = await self._about_to(["put"], [key], [value])
        fields = {"v": value, **({"pad": "x" * pad} if pad else {})}
        self._acknowledge([await self.engine[COLLECTION].put(key, fields, if_version=version)])

    async def update(self, key: str, value: str) -> None:
        """Write the one field that counts; the record need not exist."""
        version = await self._about_to(["update"], [key], [value])
        receipt = await self.engine[COLLECTION].update(key, {"v": value}, upsert=True, if_version=version)
        self._acknowledge([receipt])

    async def delete(self, key: str) -> None:
        """Delete a record, if it exists."""
        version = await self._about_to(["delete"], [key], [None])
        self._acknowledge([await self.engine[COLLECTION].delete(key, if_version=version)])

    async def transact(self, keys: list[str], values: list[str]) -> None:
        """Put several records, all or none."""
        transaction = self.engine.transaction()
        async with transaction as tx:
            for key in keys:
                await tx.get(COLLECTION, key)
            await self._about_to(["put"] * len(keys), keys, values)
            for key, value in zip(keys, values, strict=True):
                tx.put(COLLECTION, key, {"v": value})
        self._acknowledge(transaction.receipts)

    async def bulk(self, prefix: str, count: int, pad: int) -> int:
        """Put many records that nobody looks at one by one; their content is drawn, so that it hardly compresses."""
        rows = ((f"{prefix}{n}", {"v": f"{prefix}#{n}", "pad": os.urandom(pad // 2).hex()}) for n in range(count))
        return (await self.engine[COLLECTION].put_many(rows)).records

    async def read(self, key: str) -> None:
        """Read a record, with its version."""
        frontier = await self._frontier(key)
        say("read", key=key, frontier=frontier)

    async def sync(self, patience_s: float = 30.0) -> dict[str, Any]:
        """Meet the hub, for so long at most."""
        self.syncing += 1
        try:
            async with asyncio.timeout(patience_s):
                return (await self.engine.sync(self.hub)).as_json()
        finally:
            self.syncing -= 1

    async def status(self) -> dict[str, Any]:
        """What the node says of itself, and how long its loop stood still at worst since it was asked before."""
        stall_s, self.pulse.stall_s = self.pulse.stall_s, 0.0
        return {**(await self.engine.status()).as_json(), "renewed": self.engine.renewed, "stall_s": stall_s}

    async def verify(self) -> list[str]:
        """What contradicts itself in the file."""
        return list((await self.engine.verify()).problems)

    async def _about_to(self, ops: list[str], keys: list[str], values: list[str | None]) -> Version:
        """Say what will be written over which state; gives the version that the (first) record has for readers."""
        frontiers = [await self._frontier(key) for key in keys]
        found = await self.engine[COLLECTION].get_many(keys)
        if self.syncing and any(frontier and key not in found for key, frontier in zip(keys, frontiers, strict=True)):
            # All dead states have one version for readers, so this write could not be tied to the one just read.
            raise NotNowError("a dead record is not written while a sync runs", subject=keys[0], remedy="Later.")
        say("trying", ops=ops, keys=keys, values=values, frontiers=frontiers)
        return found[keys[0]].version if keys[0] in found else Version("")

    async def _frontier(self, key: str) -> list[str]:
        token: Version = await self.engine.readers.run(_frontier, key)
        return token.split(",") if token else []

    def _acknowledge(self, receipts: list[Receipt]) -> None:
        writes = [{"dot": f"{r.dot.actor}.{r.dot.seq}", "clock": r.clock} for r in receipts]
        say("acknowledged", writes=writes)


def _frontier(connection: sqlite3.Connection, key: str) -> Version:
    """The version of a record, dead ones included."""
    row = connection.execute(
        "SELECT a.actor, r.seq, r.cells, r.doc FROM record r JOIN collection c ON c.id = r.collection"
        " LEFT JOIN actor a ON a.id = r.node WHERE c.name = ? AND r.key = ?",
        (COLLECTION, key),
    ).fetchone()
    if row is None:
        return Version("")
    actor, seq, cells, doc = row
    if actor is not None:
        return Version(f"{actor}.{seq}")
    return version_of(unpack(split(doc), cells, all_actors(connection)).frontier)


async def carry_out(edge: Edge, order: dict[str, Any]) -> None:
    """Do what an order says and report how it ended."""
    number, name, arguments = order["id"], order["do"], order["with"]
    try:
        answer = await getattr(edge, name)(**arguments)
    except HoldfastError as error:
        say("refused", id=number, order=name, code=error.code, message=str(error))
    except TimeoutError:
        say("refused", id=number, order=name, code="patience", message="it took longer than the order allowed")
    else:
        say("done", id=number, answer=answer)


async def orders() -> AsyncIterator[dict[str, Any]]:
    """The orders, as they come."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main(path: str, space: str, url: str) -> None:
    """Serve until stdin ends; a sync runs beside the other orders, which run one after the other."""
    if pages := os.environ.get("CHAOS_CHECKPOINT_PAGES"):
        storage_connection.CHECKPOINT_PAGES = int(pages)  # many checkpoints: some kills fall into one
    hub = Hub(url, token=os.environ.get("HOLDFAST_TOKEN", ""), insecure=True)
    if os.environ.get("CHAOS_HOLD"):
        # Whoever wants to look at this process from its first deed on needs the time to attach to it.
        importlib.import_module("holdfast.transport.links.http")
        say("holding")
        sys.stdin.buffer.raw.readline()
    clock = os.environ.get("CHAOS_CLOCK")
    seams = Seams(time=JumpingClock(Path(clock))) if clock else None
    async with Engine.open(path, space=space, seams=seams) as engine, asyncio.TaskGroup() as tasks:
        pulse = Pulse()
        beating = tasks.create_task(pulse.beat())
        status = await engine.status()
        say("started", actor=status.actor, seq=status.operations, renewed=engine.renewed)
        edge = Edge(engine, hub, pulse)
        async for order in orders():
            if order["do"] == "sync":
                tasks.create_task(carry_out(edge, order))
            else:
                await carry_out(edge, order)
        beating.cancel()


def run(arguments: Sequence[str]) -> int:
    """Serve; errors of the tree that come from opening or closing the file are told by their codes."""
    code = 0
    try:
        asyncio.run(main(*arguments))
    except* HoldfastError as group:
        for error in group.exceptions:
            say("unusable", code=getattr(error, "code", type(error).__name__), message=str(error))
        code = UNUSABLE
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:4]))
