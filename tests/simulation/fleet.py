"""Random fleets of real engines on real files, watched by recorders and judged by all checkers after every commit.

One seed is one fleet; `python -m tests.simulation.fleet SEED [COUNT]` runs it again.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast import Take
from holdfast.engine.collection import Remove
from holdfast.engine.replica import Replica
from holdfast.errors import HoldfastError, LinkError, UsageError, Violation
from holdfast.simulation.checkers import all_checkers
from holdfast.simulation.observed.history import History
from holdfast.simulation.observed.model import Model
from holdfast.simulation.observed.recorder import Recorder
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

from .watched import DRIFT_MS, SCHEMAS, START_MS, Node, Wall

DAY_MS = 86_400_000
PLACES = [("tasks", "x"), ("tasks", "y"), ("sites", "x"), ("notes", "z")]
FIELDS = "abcd"
RAM = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
STATS: Counter[str] = Counter()


class FleetError(AssertionError):
    """What went wrong, with the history of the fleet."""


@dataclass
class Fleet:
    """One fleet in a folder; everything that happens in it follows from the seed."""

    seed: int
    folder: Path
    model: Model = field(default_factory=lambda: Model({schema.name: schema.policy for schema in SCHEMAS}))
    history: History = field(default_factory=History)
    nodes: list[Node] = field(default_factory=list)
    drift_ms_max: int = DRIFT_MS
    told: list[str] = field(default_factory=list)
    violation: Violation | None = None

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.checkers = all_checkers()
        self.decisions: list[Any] = []

    def check(self, node: Node) -> None:
        """All checkers on one node; the first word is kept."""
        try:
            for checker in self.checkers:
                checker.step(self, node)
        except Violation as violation:
            self.violation = self.violation or violation

    def raise_violation(self) -> None:
        if self.violation is not None:
            raise self.violation

    async def build(self, names: str) -> None:
        for name in names:
            path = self.folder / f"{name}.db"
            wall = Wall(START_MS + self.rng.choice((0, 0, -3_000, 90_000, -DAY_MS, 40 * DAY_MS)))
            recorder = Recorder(name, self.history, self.model)
            node = Node(self, name, path, wall, recorder, random.Random(f"{self.seed}:{name}"))
            self.nodes.append(node)
            await node.open()
            if node is not self.nodes[0]:  # two that meet first elsewhere found two spaces, which never mix
                await self.meet(node, self.nodes[0], cut=False)

    async def live(self, steps: int) -> None:
        """Chaos, then healing and the last checks."""
        for _ in range(steps):
            for node in self.nodes:
                node.wall.ms += self.rng.choice((0, 0, 1, 20, 700))
            await self.step()
            self.raise_violation()
        await self.heal()

    async def step(self) -> None:
        node, dice = self.rng.choice(self.nodes), self.rng.random()
        if dice < 0.5:
            await asyncio.gather(*(self.write(node) for _ in range(self.rng.choice((1, 1, 1, 2, 3)))))
        elif dice < 0.58:
            await self.decide(node)
        elif dice < 0.80:
            await self.meet(node, self.other(node))
        elif dice < 0.88:
            other = self.other(node)
            await asyncio.gather(self.meet(node, other), self.write(node), self.write(other), self.write(other))
        elif dice < 0.92:
            node.wall.ms += self.rng.choice((-DAY_MS, -5_000, 5_000, 200_000, 30 * DAY_MS))
        elif dice < 0.96:
            await self.crash(node)
        else:
            await self.restore(node)

    def other(self, node: Node) -> Node:
        return self.rng.choice([other for other in self.nodes if other is not node])

    def values(self, names) -> dict[str, Any]:
        return {name: self.rng.choice((1, 2, "p", [1], None, 1.5, 'ü"', self.rng.getrandbits(20))) for name in names}

    async def write(self, node: Node) -> None:
        """One job of an application; refusals are legal."""
        rng, engine = self.rng, node.engine
        collection, key = rng.choice(PLACES)
        fields = self.values(rng.sample(FIELDS, rng.randint(0, 3)))
        dice, receipts = rng.random(), []
        self.told.append(f"{node.name} writes {collection}/{key} {fields} {dice:.2f}")
        with suppress(UsageError):
            if dice < 0.35:
                receipts = [await engine[collection].put(key, fields)]
            elif dice < 0.6:
                gone = {name: Remove() for name in rng.sample(FIELDS, rng.choice((0, 1)))}
                receipts = [await engine[collection].update(key, fields | gone, upsert=rng.random() < 0.3)]
            elif dice < 0.72:
                receipts = [await engine[collection].delete(key)]
            elif dice < 0.80:
                document = await engine[collection].get(key)
                if document is not None:
                    receipts = [await engine[collection].put(key, fields, if_version=document.version)]
            elif dice < 0.92:
                async with engine.transaction() as tx:
                    for _ in range(rng.randint(2, 4)):
                        self.add(tx)
                receipts = tx.receipts
            else:
                keys = [rng.choice("xyzvw") for _ in range(rng.randint(1, 4))]
                await engine[collection].put_many([(k, self.values(rng.sample(FIELDS, 2))) for k in keys])
        for receipt in receipts:
            node.recorder.acknowledged([receipt.dot])
        STATS["jobs"] += 1

    def add(self, tx) -> None:
        place, dice = self.rng.choice(PLACES), self.rng.random()
        if dice < 0.5:
            tx.put(*place, self.values(self.rng.sample(FIELDS, 2)))
        elif dice < 0.8:
            tx.update(*place, self.values(self.rng.sample(FIELDS, 1)), upsert=True)
        else:
            tx.put(*place, {})
            tx.delete(*place)

    async def decide(self, node: Node) -> None:
        """Read a conflict, and decide it or one that was read earlier: only what was read is superseded."""
        found = await node.engine.conflicts(self.rng.choice((None, "open", "settled")))
        if found:
            self.decisions.append((node, node.engine, self.rng.choice(found)))
        live = [(n, c) for n, engine, c in self.decisions if n.engine is engine][-6:]
        if live:
            at, conflict = self.rng.choice(live)
            self.told.append(f"{at.name} decides {conflict.conflict.collection}/{conflict.conflict.key}")
            with suppress(UsageError):
                receipt = await conflict.resolve(Take(self.rng.randrange(len(conflict.conflict.siblings))))
                at.recorder.acknowledged([receipt.dot])
                STATS["decisions"] += 1

    async def meet(self, node: Node, peer: Node, *, cut: bool = True) -> None:
        limits = (None, None)
        if cut and self.rng.random() < 0.4:
            limits = self.rng.choice(((self.rng.randint(1, 4), None), (None, self.rng.randint(0, 4))))
        link = MemoryLink(
            lambda chunks: respond(Replica(peer.engine), chunks, rights="rw"),
            url=f"memory://{peer.name}",
            cut_after=limits,
        )
        self.told.append(f"{node.name} meets {peer.name} {limits}")
        meeting = node.recorder.meets(peer.recorder)
        try:
            report = await sync(Replica(node.engine), link)
        except LinkError:
            STATS["cut"] += 1
        else:
            STATS["sessions"] += 1
            meeting.completed(node.wall.ms, pulled=report.completed, pushed=report.completed)
            for each in (node, peer):
                await self.ask(each)

    async def ask(self, node: Node) -> None:
        """Ask a node for its status and check it at once."""
        before, said = node.commits, await node.engine.status()
        if node.commits == before:  # else it speaks of a state that is gone
            node.status = said
            self.check(node)
            node.status = None

    async def crash(self, node: Node) -> None:
        """The process ends in the middle: the file is copied as it stands, and opened again."""
        self.told.append(f"{node.name} crashes")
        node.save(self.folder / "crashed")
        await node.close()
        node.put_back(self.folder / "crashed")
        node.recorder.reopened(node.connection, wall_ms=node.wall.ms)
        self.check(node)
        await node.open()

    async def restore(self, node: Node) -> None:
        """A backup is taken, or put back."""
        if node.backup is None or self.rng.random() < 0.4:
            node.backup = self.folder / f"{node.name}-backup"
            node.save(node.backup)
            return
        self.told.append(f"{node.name} is restored")
        await node.close()
        node.put_back(node.backup, ("", "-wal"))
        node.recorder.reopened(node.connection, wall_ms=node.wall.ms, rolled_back="restored from a backup")
        self.check(node)
        await node.open()
        STATS["restored"] += 1

    async def heal(self) -> None:
        self.told.append("healing")
        for _ in range(3):
            for node in self.nodes[1:]:
                await self.meet(node, self.nodes[0], cut=False)
            self.raise_violation()
        await self.judge()
        STATS["conflicts"] += sum(
            len(self.model.expected(*item).conflicts) for item in self.history.everything().items()
        )

    async def judge(self) -> None:
        """The last checks."""
        for node in self.nodes:
            node.status, node.verified = await node.engine.status(), await node.engine.verify()
            node.exported = {
                (name, key): doc
                for name, key, doc in node.connection.execute(
                    "SELECT c.name, r.key, r.doc FROM record r JOIN collection c ON c.id = r.collection WHERE r.live"
                )
            }
        for checker in self.checkers:
            checker.end(self)

    async def close(self) -> None:
        for node in self.nodes:
            with suppress(HoldfastError):
                await node.close()


async def lived(seed: int, folder: Path) -> Fleet:
    """A fleet that has lived and was judged; the caller closes it."""
    fleet = Fleet(seed, folder)
    try:
        await fleet.build("abcd"[: fleet.rng.choice((2, 2, 3))])
        await fleet.live(fleet.rng.randint(6, 24))
    except BaseException as fault:
        await fleet.close()
        lines = "\n  ".join(fleet.told)
        what = (
            f"fleet {seed}: {type(fault).__name__}: {fault}\n  {lines}\nagain: python -m tests.simulation.fleet {seed}"
        )
        raise FleetError(what) from fault
    return fleet


def run(seed: int) -> None:
    """Run one fleet in a folder of its own."""

    async def alone(folder: Path) -> None:
        fleet = await lived(seed, folder)
        await fleet.close()

    with tempfile.TemporaryDirectory(dir=RAM) as folder:
        asyncio.run(alone(Path(folder)))


if __name__ == "__main__":
    first = int(sys.argv[1])
    for number in range(first, first + (int(sys.argv[2]) if len(sys.argv) > 2 else 1)):
        run(number)
    sys.stdout.write(f"{dict(STATS)}\n")
