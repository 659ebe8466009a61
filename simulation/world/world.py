"""A world that lives through a plan: chaos with checkers after every step, then healing, then the last checks.

Owns the loop, the nodes and the network. Invariants: everything that happens follows from the plan and the choices;
the first thing that goes wrong ends the world and is its outcome; nothing of a world is left when it is closed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn

from holdfast.clocks import DRIFT_MS_MAX
from holdfast.engine.reached import counting
from holdfast.engine.replica import Replica
from holdfast.engine.status import read_status
from holdfast.errors import HoldfastError, SimulationFault
from holdfast.resolvers import Resolver
from holdfast.transport.responder import respond

from ..checkers import Checker, checkers_named
from ..disk.disk import Disk
from ..disk.drivers import Driver, PlainDriver
from ..kernel.choices import Choices
from ..kernel.clock import NodeClock
from ..kernel.loop import SimLoop
from ..kernel.trace import Trace
from ..network.network import Network
from ..observed.history import History
from ..observed.model import Model
from ..observed.recorder import Recorder
from ..plans import actions as plan
from ..plans.plan import Event, NodePlan, Plan
from ..plans.schemas import schemas_of
from .after import Check, ask
from .ailments import Ailments
from .around import Around
from .attackers import Attackers
from .chronicle import Chronicle
from .engine import SimEngine
from .fates import Fates
from .healing import heal
from .node import SimNode
from .outcome import Figures, Outcome
from .programs import Program, of_program
from .ways import Ways
from .work import LASTING, Worker


class World:
    """One run of a plan.

    Args:
        plan: What happens; it was checked.
        choices: Decide what the plan leaves open.
        folder: Where the files are; empty.
        resolvers, programs: The user's, by name.
        checks: The user's; each is asked about the nodes in the end, when they agree.
        trace: What happens is written there.
    """

    def __init__(
        self,
        plan_: Plan,
        choices: Choices,
        folder: Path,
        *,
        resolvers: Mapping[str, Resolver] | None = None,
        programs: Mapping[str, Program] | None = None,
        checks: Sequence[Check] = (),
        trace: Trace | None = None,
    ) -> None:
        self.plan = plan_
        self.choices = choices
        self.folder = folder
        self.resolvers = resolvers
        self.programs = dict(programs or {})
        self.checks = tuple(checks)
        self.trace = Trace() if trace is None else trace  # an empty one is false
        self.loop = SimLoop(choices, self.trace)
        self.chronicle = Chronicle(self.trace, lambda: self.loop.now_us, str(folder))
        self.network = Network(choices, self.loop, on_event=self._network_event)
        self.history = History()
        policies = {s.name: s.policy for node in plan_.nodes for s in schemas_of(plan_, node, resolvers)}
        self.model = Model(policies)
        self.figures = Figures()
        self.checkers: tuple[Checker, ...] = checkers_named(plan_.checkers)
        self.drift_ms_max = DRIFT_MS_MAX
        self.by_name: dict[str, SimNode] = {}
        self.workers: dict[str, Worker] = {}
        self.ailments: dict[str, Ailments] = {}
        self.ways = Ways(self.network, [])
        self.fates = Fates(self)
        self.attackers = Attackers(self)
        self.fault: HoldfastError | None = None
        self.healing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._work_begun: list[tuple[SimNode, SimEngine, asyncio.Task[None]]] = []

    # ------------------------------------------------------------------------------------------------------ whole

    def run(self) -> Outcome:
        """Live through the plan."""
        with counting() as reached:
            try:
                self.loop.run_until_complete(self._live())
            except SimulationFault as fault:
                self.fault = self.fault or fault
            except SystemExit as error:  # of a task that a program started
                self.fault = self.fault or of_program("a task of a program", error)
                if self.fault is None:
                    raise
            self._look_at_complaints()
        figures = self.figures
        figures.virtual_ms, figures.steps = self.loop.now_us // 1000, self.loop.steps
        honest = (traffic for pair, traffic in self.network.traffic.items() if {*pair} <= self.by_name.keys())
        figures.bytes = sum(traffic.bytes_to + traffic.bytes_from for traffic in honest)
        figures.operations = self.model.all.bit_count()
        figures.acknowledged = self.history.acknowledged.bit_count()
        figures.unaccounted = len(getattr(self.fault, "evidence", {}).get("acknowledged", ()))
        if self.fault is not None:
            self._note("", "FAULT", str(self.fault))
        return Outcome(
            seed=self.plan.seed,
            plan=self.plan,
            fault=self.fault,
            figures=figures,
            trace=self.trace,
            digest=self.trace.digest(),
            reached=reached,
        )

    def close(self) -> None:
        """Leave nothing behind but the folder."""
        for node in self.nodes:
            node.let_go()
            node.disk.give_up()
        self.loop.close()

    async def _live(self) -> None:
        for node in self.plan.nodes:
            self.add(node, self.folder / f"{node.name}-0")
        await asyncio.gather(*(self.start(node) for node in self.nodes))
        await self._found_space()
        for event in self.plan.events:
            await self._until(event.at_ms)
            self._happen(event)
        await self._until(self.plan.length_ms)
        self.healing = True
        await heal(self)

    async def _found_space(self) -> None:
        """Hubs share one space before anybody else meets them: two that were founded apart never mix."""
        first, *others = [node.name for node in self.plan.nodes if node.role == "hub"]
        for name in others:
            engine = self.by_name[name].engine
            assert engine is not None, "nothing has happened to it yet"
            await self.loop.spawn(name, engine.sync(f"http://{first}"))

    async def _until(self, at_ms: int) -> None:
        wait = at_ms / 1000 - self.loop.time()
        if wait > 0:
            await asyncio.sleep(wait)

    def _look_at_complaints(self) -> None:
        """What nobody could raise where it happened."""
        unseen = [*self.network.faults, *(complaint.error for complaint in self.loop.complaints if complaint.error)]
        if unseen and self.fault is None:
            self.fault = of_program("a task of a program", unseen[0]) or self.fates.escaped("the world", unseen[0])

    # ----------------------------------------------------------------------------------------------------- events

    def _happen(self, event: Event) -> None:
        self._note(event.node or "", event.action.name, _said(event))
        action = event.action
        if isinstance(action, plan.Network):
            self.ways.do(action)
            return
        node = self.by_name.get(event.node or "")
        if node is None:
            self.figures.skipped += 1
        elif isinstance(action, plan.Storage | plan.Clock):
            self.ailments[node.name].strike(action)
        elif isinstance(action, plan.Life):
            self.fates.meet(node, action)
        elif isinstance(action, plan.Attack):
            self.attackers.attack(node, action)
        else:
            self._work(node, action)

    def _work(self, node: SimNode, action: plan.Work) -> None:
        worker = self.workers[node.name]
        lasting = isinstance(action, LASTING)
        if lasting:
            routine = partial(_routine, worker, action)
            node.routines.append(routine)
            if isinstance(action, plan.SyncEvery) and action.for_ms is not None:
                self.later(action.for_ms, partial(node.forget_routine, routine))
        if node.engine is None:
            self.figures.skipped += not lasting
            return
        task = self.loop.spawn(node.name, worker.do(node.engine, action))
        if not lasting:
            self._work_begun = [begun for begun in self._work_begun if not begun[2].done()]
            self._work_begun.append((node, node.engine, task))

    @property
    def at_work(self) -> bool:
        """Whether something that the plan asked for has not ended; a life that is over takes its work along."""
        return any(node.engine is engine and not task.done() for node, engine, task in self._work_begun)

    def later(self, wait_ms: int, what: Callable[[], None]) -> None:
        """Do something of the world's own after some virtual time."""

        async def waiting() -> None:
            await asyncio.sleep(wait_ms / 1000)
            what()

        task = asyncio.create_task(waiting())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------------------------------------------ nodes

    @property
    def nodes(self) -> list[SimNode]:
        """All nodes, in the order of the plan; clones behind."""
        return [*self.by_name.values()]

    def add(self, node: NodePlan, folder: Path) -> SimNode:
        """A node, not yet started, whose files stand in a folder or are to be made there."""
        clock = NodeClock(
            lambda: self.loop.now_us,
            skew_ms=node.clock_offset_ms,
            drift_ppm=node.clock_drift_ppm,
            granularity_ms=node.clock_step_ms,
        )
        disk = Disk(node.name, folder, self.choices, self._driver(node.name))
        recorder = Recorder(node.name, self.history, self.model)
        schemas = schemas_of(self.plan, node, self.resolvers)
        made = SimNode(node, disk, clock, recorder, schemas, self.folder, self.choices)
        self.by_name[node.name] = made
        self.ailments[node.name] = Ailments(made)
        self.workers[node.name] = Worker(node.name, self.choices, self.figures, self.programs, self.fail, made)
        self.ways.names.append(node.name)
        disk.before_write(recorder.observe_before)
        disk.after_write(partial(self._written, made))
        return made

    def _driver(self, name: str) -> Driver:
        if any(event.node == name and isinstance(event.action, plan.PowerCut) for event in self.plan.events):
            from ..disk.power import PowerDriver

            return PowerDriver()
        return PlainDriver()

    def start(self, node: SimNode) -> asyncio.Task[None]:
        """Start a node's process."""
        node.opening = True
        return self.loop.spawn(node.name, self._start(node))

    async def _start(self, node: SimNode) -> None:
        """Open until it works: a disk may be full, or fail to be read."""
        engine = None
        while engine is None:
            try:
                engine = await node.open(Around(self, node))
            except SimulationFault:
                raise
            except HoldfastError as error:
                self.figures.refused[f"open: {error.code}"] += 1
                await asyncio.sleep(1)
        node.engine, node.opening = engine, False
        self.network.register(node.name, partial(self._answer, node))
        self._note(node.name, "up", str(engine.renewed or ""))
        for routine in [*node.routines]:
            self.loop.spawn(node.name, routine(engine))

    def _answer(self, node: SimNode, chunks: AsyncIterator[bytes], _caller: str) -> AsyncGenerator[bytes, None]:
        assert node.engine is not None, "a node that answers is up"
        return respond(Replica(node.engine), chunks, rights="rw")

    def is_offline(self, name: str) -> bool:
        """Whether an edge reaches no hub; a hub is what others reach."""
        hubs = [node.name for node in self.plan.hubs]
        if name in hubs:
            return False
        return all(self.network.is_cut(name, hub) or self.by_name[hub].engine is None for hub in hubs)

    # --------------------------------------------------------------------------------------------------- checking

    def fail(self, fault: HoldfastError) -> NoReturn:
        """Something must not have happened: the world ends with the next step."""
        self.fault = self.fault or (
            fault if isinstance(fault, SimulationFault) else self.fates.escaped("the world", fault)
        )
        self.loop.call_soon(_throw, self.fault)
        raise self.fault

    def _written(self, node: SimNode, connection: sqlite3.Connection, failed: bool) -> None:  # noqa: FBT001 - the disk's hook
        if failed:
            node.recorder.undone()
            return
        node.status = None
        if node.recorder.observe_after(connection, wall_ms=node.clock.now_ms()):
            self.trace.state(self.loop.now_us, node.name, _state(connection))
            self.chronicle.wrote(node.recorder.observed.wrote)
            self.chronicle.conflicts(node.name, connection, node.recorder.observed.image.lsn)
            self.check(node)

    def check(self, node: SimNode) -> None:
        """Ask all checkers about a node."""
        for checker in self.checkers:
            checker.step(self, node)

    def ask(self, node: SimNode) -> None:
        """Ask all checkers about a node, and about what it says of itself at this moment.

        Read here and not through its engine: that would take time, in which the file goes on.
        """
        node.status = read_status(node.connection, node.path)
        self.check(node)

    def judge(self) -> None:
        """Ask all checkers about the end."""
        for checker in self.checkers:
            checker.end(self)
        ask(self.checks, self.nodes)

    def _network_event(self, _time: float, source: str, target: str, what: str, detail: str) -> None:
        self._note(source, f"net {what}", f"{target} {detail}".rstrip())

    def _note(self, node: str, what: str, detail: str) -> None:
        self.trace.add(self.loop.now_us, node, what, detail)


def _throw(fault: HoldfastError) -> None:
    """A fault that is raised in a task stays there; in a callback it ends the loop."""
    raise fault


async def _routine(worker: Worker, action: plan.Work, engine: SimEngine) -> None:
    await worker.do(engine, action)


def _said(event: Event) -> str:
    said = ", ".join(f"{name}={kind.write(value)}" for name, kind, value in event.action.arguments())
    return said[:200]


def _state(connection: sqlite3.Connection) -> bytes:
    """A digest of what the file holds."""
    hashed = blake2b(digest_size=8)
    for row in connection.execute("SELECT lsn, seq, clock, digest FROM node"):
        hashed.update(repr(row).encode())
    return hashed.digest()


VERSIONS = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}
