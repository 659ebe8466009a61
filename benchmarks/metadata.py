"""METADATA: bytes in the file beside the payload, per record, in six states of a file.

The payload of a record is its key and its document as compact JSON, each counted once. Everything else in the file is
metadata: clocks, digests, indexes, the log, headers of rows, free space of pages. What is measured is a compact copy
(`VACUUM INTO`): what a file keeps free, it uses again. The pages that every table of an empty file has stand in `rest`,
but not in the sum (`bytes`).

`churned` is a year: each week somebody comes, writes, updates, deletes, meets the hub and is never heard of again; the
hub leaves out who is silent and purges, until most records are others. Invariant: time is its own.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from holdfast import Engine, Purge, Retention, Seams
from holdfast.engine.node import Opened
from holdfast.engine.replica import Replica
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from .records import Fields, Pairs, extras, generate
from .replica import COLLECTION
from .scenario import Aim, Plan, Result, progress

TITLE = "metadata: bytes in the file beside keys and documents, per record"
STATES = ("bulk", "single", "merged", "updated", "purged", "churned")
AIMS = {f"{state}_bytes": Aim(bound=40) for state in STATES}
RECORDS, CHURNED = 10_000, 2_000
WEEKS, MEMBERS = 52, 1
WRITES = 20
"""Records that a member makes; it updates and deletes as many."""

KEPT = 1_000
"""Changes that the log keeps."""

TOGETHER = 100
WEEK_MS = 7 * 24 * 3_600_000
SILENT_S = 4 * WEEK_MS // 1_000

PARTS = {"record": "records", "record_key": "key_index", "record_feed": "feed_index", "log": "log", "log_record": "log"}
"""What a table or an index counts as; any other is `rest`."""


@dataclass(slots=True)
class Calendar:
    """The wall clock of all nodes."""

    ms: int = 1_750_000_000_000

    def now_ms(self) -> int:
        """Each look is a millisecond later."""
        self.ms += 1
        return self.ms


@dataclass(slots=True)
class Files:
    """Files of one space, and what they were found to hold."""

    directory: Path
    rng: Random
    figures: dict[str, float] = field(default_factory=dict)
    empty: int = 0
    calendar: Calendar = field(default_factory=Calendar)

    def opened(self, name: str) -> Opened[Engine]:
        """Open a file."""
        purge = Purge(every_s=0, silent_after_s=SILENT_S)
        seams = Seams(time=self.calendar)
        path, kept = self.directory / f"{name}.db", Retention(rows=KEPT)
        return Engine.open(path, space="metadata", durability="normal", retention=kept, purge=purge, seams=seams)

    def measure(self, name: str, state: str) -> None:
        """Measure a file that is closed, as this state."""
        progress(state)
        copy = self.directory / f"{state}.compact"
        with closing(sqlite3.connect(self.directory / f"{name}.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        with closing(sqlite3.connect(copy)) as connection:
            connection.create_function("octets", 1, lambda text: len(text.encode()), deterministic=True)
            parts: Counter[str] = Counter()
            for table, size in connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
                parts[PARTS.get(table, "rest")] += size
            count, dead, payload = connection.execute(
                "SELECT sum(live), sum(NOT live), sum(octets(key) + octets(doc)) FROM record"
            ).fetchone()
        if not count:
            self.empty = parts.total()
            self.figures["empty_file_bytes"] = self.empty
            return
        assert not dead or state == "churned", dead  # whose last members have not come back
        parts["records"] -= payload
        self.figures[f"{state}_bytes"] = (parts.total() - self.empty) / count
        self.figures |= {f"{state}_{part}": parts[part] / count for part in dict.fromkeys((*PARTS.values(), "rest"))}


async def run(plan: Plan) -> Result:
    """Measures files."""
    pairs = plan.records(RECORDS)
    with TemporaryDirectory(dir=plan.directory) as name:
        files = Files(Path(name), Random(plan.seed))
        await _written(files, pairs)
        await _changed(files, pairs)
        await _churned(files, plan)
    return Result(figures=files.figures)


async def _written(files: Files, pairs: Pairs) -> None:
    """A bulk put, what a node holds that has synced with it, and the same records written by themselves."""
    async with files.opened("empty"):
        pass
    files.measure("empty", "empty")
    async with files.opened("bulk") as node, files.opened("merged") as other:
        await node[COLLECTION].put_many(pairs)
        for _ in range(2):
            await _meet(other, node)
        for each in (node, other):
            await each.trim()
    async with files.opened("single") as node:
        for first in range(0, len(pairs), TOGETHER):
            async with node.transaction() as tx:
                for key, fields in pairs[first : first + TOGETHER]:
                    tx.put(COLLECTION, key, fields)
        await node.trim()
    for state in ("bulk", "single", "merged"):
        files.measure(state, state)


async def _changed(files: Files, pairs: Pairs) -> None:
    """Every record updated in three of its fields; then every second deleted and gone for good."""
    async with files.opened("bulk") as node, files.opened("merged") as other:
        await _edit(node, [(key, extras(files.rng)) for key, _ in pairs], [])
        for _ in range(2):  # what was sent in one session is acknowledged in the next
            await _meet(other, node)
        await node.trim()
    files.measure("bulk", "updated")
    async with files.opened("bulk") as node, files.opened("merged") as other:
        await node.members.seize("the benchmark's own")
        await _edit(node, [], [key for key, _ in pairs[::2]])
        for _ in range(2):  # the mark, and that the other covers it
            await node.purge()
            await _meet(other, node)
        await node.trim()
    files.measure("bulk", "purged")


async def _churned(files: Files, plan: Plan) -> None:
    """A year of members that come and go."""
    count = max(plan.count(CHURNED), 4 * WRITES)
    held = dict.fromkeys(key for key, _ in generate(count, plan.seed))
    async with files.opened("hub") as hub:
        await hub[COLLECTION].put_many(generate(count, plan.seed))
        await hub.members.seize("the benchmark's own")
        for visitor in range(plan.count(WEEKS * MEMBERS)):
            files.calendar.ms += WEEK_MS // MEMBERS
            fresh = {f"{key}-{visitor}": fields for key, fields in generate(WRITES, visitor)}
            chosen = files.rng.sample(sorted(held), 2 * WRITES)
            changed, gone = chosen[:WRITES], chosen[WRITES:]
            async with files.opened(f"member-{visitor}") as member:
                await _meet(member, hub)
                await member[COLLECTION].put_many(fresh.items())
                await _edit(member, [(key, extras(files.rng)) for key in changed], gone)
                await _meet(member, hub)
            held = {key: None for key in (*held, *fresh) if key not in gone}
            await hub.purge()
        await hub.trim()
    files.measure("hub", "churned")


async def _edit(node: Engine, updates: Pairs, deletes: list[str]) -> None:
    edits: list[tuple[str, Fields | None]] = [*updates, *((key, None) for key in deletes)]
    for first in range(0, len(edits), TOGETHER):
        async with node.transaction() as tx:
            for key, fields in edits[first : first + TOGETHER]:
                if fields is None:
                    tx.delete(COLLECTION, key)
                else:
                    tx.update(COLLECTION, key, fields)


async def _meet(node: Engine, hub: Engine) -> None:
    link = MemoryLink(lambda chunks: respond(Replica(hub), chunks, rights="rw"), url="memory://hub")
    report = await sync(Replica(node), link)
    assert report.completed, report
