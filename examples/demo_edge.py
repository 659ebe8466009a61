"""An edge device: a process of its own with a database file of its own. The application that uses Holdfast.

This is the file to read first, because everything that an application does with the library stands here: open, write,
read, sync, and settle conflicts. The device takes orders from the demonstration on stdin and answers on stdout, a JSON
object a line each way; `Orders` is that plumbing. It knows nothing of the other devices.
Invariant: a write is reported only after the call that made it has returned, so what is reported is durable.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from demo_lines import Line, read_records
from holdfast import (
    AskOnDelete,
    Delete,
    Engine,
    HoldfastError,
    Hub,
    Manual,
    OpenConflict,
    Receipt,
    Schema,
    SyncProgress,
    Take,
    Value,
)

LOAD_RECORDS = 1_000
"""Records in one transaction of a load: a commit costs the same for one as for a thousand."""


class Device:
    """What the device can do. Each method is one page of a tutorial."""

    def __init__(self, engine: Engine, hub: Hub) -> None:
        self.engine = engine
        self.hub = hub

    async def load(self, file: str, collection: str) -> Line:
        """Put a whole file into a collection, many records per transaction."""
        records = read_records(Path(file))
        count = 0
        while part := list(islice(records, LOAD_RECORDS)):
            async with self.engine.transaction() as tx:
                for key, fields in part:
                    tx.put(collection, key, fields)
            # Behind the block everything in it is durable, and each write has its receipt.
            for receipt, (_, fields) in zip(tx.receipts, part, strict=True):
                acknowledge("put", receipt, fields)
            count += len(part)
        return {"records": count}

    async def put(self, collection: str, key: str, fields: Line) -> Line:
        """Write a whole record."""
        receipt = await self.engine[collection].put(key, fields)
        return acknowledge("put", receipt, fields)

    async def update(self, collection: str, key: str, fields: Line) -> Line:
        """Write some fields of a record; the others stay."""
        receipt = await self.engine[collection].update(key, fields)
        return acknowledge("update", receipt, fields)

    async def delete(self, collection: str, key: str) -> Line:
        """Delete a record."""
        receipt = await self.engine[collection].delete(key)
        return acknowledge("delete", receipt, {})

    async def sync(self) -> Line:
        """Meet the hub. Without a network this raises a LinkError, and nothing else has changed."""
        report = await self.engine.sync(self.hub, on_progress=tell_progress)
        return report.as_json()

    async def conflicts(self) -> list[Line]:
        """What two devices wrote without knowing of each other: still open, or settled by a rule of the schema."""
        found = [item for state in ("open", "settled") for item in await self.engine.conflicts(state, limit=100_000)]
        return [described(item) for item in found]

    async def resolve(self, conflict: str, take: int | None = None, value: str = "", note: str = "") -> Line:
        """Decide a conflict: take a side, or write a value of one's own. Only what was shown is superseded."""
        item = await self.engine.conflict(conflict)
        decision = Value(value) if take is None else Take(take)
        receipt = await item.resolve(decision, note=note, author="the demonstration")
        return self._decided(item, receipt, value if take is None else item.conflict.siblings[take].value, take)

    async def drop(self, conflict: str, note: str = "") -> Line:
        """Decide that a record which one device deleted and another changed is to be gone."""
        item = await self.engine.conflict(conflict)
        receipt = await item.resolve(Delete(), note=note, author="the demonstration")
        return acknowledge("delete", receipt, {}, decides=item.id)

    async def deliver(self, collection: str, key: str, fields: Line) -> Line:
        """Write, and return when the write is on the hub's disk too."""
        receipt = await self.engine[collection].put(key, fields)
        answer = acknowledge("put", receipt, fields)
        await self.engine.reached(receipt, self.hub)
        return answer

    async def status(self) -> Line:
        """What the device says about itself; two devices with equal vectors must have equal digests."""
        return (await self.engine.status()).as_json()

    def _decided(self, item: OpenConflict, receipt: Receipt, value: object, take: int | None) -> Line:
        """Report a decision as the write that it is."""
        if item.conflict.field is not None:
            return acknowledge("update", receipt, {item.conflict.field: value}, decides=item.id)
        gone = take is not None and item.conflict.siblings[take].deleted
        return acknowledge("delete" if gone else "update", receipt, {}, decides=item.id)


def described(item: OpenConflict) -> Line:
    """A conflict as JSON: where it stands and which values stand against each other."""
    conflict = item.conflict
    return {
        "id": item.id,
        "collection": conflict.collection,
        "key": conflict.key,
        "field": conflict.field,
        "kind": conflict.kind.value,
        "state": item.state,
        "rule": item.rule,
        "siblings": [
            {"actor": sibling.dot.actor, "deleted": sibling.deleted, "value": sibling.value}
            for sibling in conflict.siblings
        ],
    }


def acknowledge(op: str, receipt: Receipt, fields: Line, *, decides: str | None = None) -> Line:
    """Report a write that returned. From here on losing it is a fault."""
    write = {
        "op": op,
        "collection": receipt.collection,
        "key": receipt.key,
        "actor": receipt.dot.actor,
        "seq": receipt.dot.seq,
        "clock": receipt.clock,
        "fields": fields,
        "decides": decides,
    }
    say({"acknowledged": write})
    return write


def tell_progress(progress: SyncProgress) -> None:
    """Report how far a sync has come."""
    say({"progress": {"sent": progress.sent, "received": progress.received}})


def say(line: Line) -> None:
    """Send one line to the demonstration."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Orders:
    """Takes orders from stdin and carries them out in their order; a sync runs beside the others."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until stdin ends."""
        async for order in _lines():
            if order["do"] == "sync":
                # Reading and writing never wait for the network, however long it takes.
                task = asyncio.create_task(self._carry_out(order))
                self.running.add(task)
                task.add_done_callback(self.running.discard)
            else:
                await self._carry_out(order)
        await asyncio.gather(*self.running)

    async def _carry_out(self, order: Line) -> None:
        number, name, arguments = order["id"], order["do"], order["with"]
        try:
            answer: Any = await getattr(self.device, name)(**arguments)
        except HoldfastError as error:
            # Every error of the library says what happened, to what, and what to do about it.
            say({"id": number, "error": {"code": error.code, "message": str(error)}})
        else:
            say({"id": number, "answer": answer})


async def _lines() -> AsyncIterator[Line]:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main(path: str, space: str, url: str, collection: str, asked: Iterable[str]) -> None:
    """Open the file and serve until the demonstration closes stdin (or kills the process)."""
    # Other fields need no declaration: the last writer wins there, and every loser is listed.
    schema = Schema(name=collection, fields={field: Manual() for field in asked}, on_delete=AskOnDelete())
    hub = Hub(url, token=os.environ["HOLDFAST_TOKEN"])
    async with Engine.open(path, space=space, name=Path(path).stem, schemas=[schema]) as engine:
        say({"hello": {"actor": await engine.actor(), "renewed": engine.renewed}})
        await Orders(Device(engine, hub)).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
