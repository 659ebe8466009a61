"""The engine of a simulated node: the real one, watched from outside, whose links go through the network of the world.

Knows no plan. Invariants: it adds nothing to what the engine does; whoever awaits a write has its receipt in the step
in which the history learns that it was acknowledged.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, NoReturn, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

from holdfast import Engine, Hub, Seams
from holdfast.clocks import Dot
from holdfast.engine.guard import Guard
from holdfast.engine.readers import Readers
from holdfast.engine.schema import Schema
from holdfast.engine.storage.bulk import BulkPut
from holdfast.engine.storage.connection import Storage
from holdfast.engine.storage.store import Tx
from holdfast.engine.storage.write import Receipt
from holdfast.errors import HoldfastError, ProgramFault, UsageError
from holdfast.transport.links.link import Link
from holdfast.transport.progress import OnProgress, SyncReport

from ..disk.mortal import Mortal
from ..kernel.blame import program_fault
from ..kernel.life import current_program, current_work
from ..observed.recorder import Meeting, Recorder, intents_of, merges
from .answers import Answers

P = ParamSpec("P")
T = TypeVar("T")


class Surroundings(Protocol):
    """What the engine needs of its world."""

    @property
    def recorder(self) -> Recorder:
        """Who watches the node's file."""
        ...

    @property
    def answers(self) -> Answers:
        """Who counts what the node's application is told."""
        ...

    def link(self, peer: str) -> Link:
        """The way to a peer."""
        ...

    def blame(self, fault: ProgramFault) -> NoReturn:
        """A program did what ends the world: raise the fault, whoever catches it."""
        ...

    def hubs(self) -> list[str]:
        """The nodes that listen."""
        ...

    def meets(self, peer: str) -> Meeting | None:
        """A session with a peer begins; None if nobody has ever run there."""
        ...

    def met(self, meeting: Meeting | None, report: SyncReport) -> None:
        """A session ended."""
        ...

    def chronicle(self, peer: str, began_s: float, end: SyncReport | HoldfastError) -> None:
        """How a session with a peer ended, for the trace."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSeams(Seams):
    """The seams of a simulated node.

    Attributes:
        around: The world, as the node sees it.
    """

    around: Surroundings


class SimEngine(Mortal, Engine):
    """An engine that lives in a world; programs of users get it as any other engine."""

    def __init__(self, path: Path, schemas: Sequence[Schema] | None, seams: Seams) -> None:
        super().__init__(path, schemas, seams)
        self.readers = CountedReaders(path, seams.storage, self._around.answers)

    @property
    def _around(self) -> Surroundings:
        assert isinstance(self.seams, SimSeams), "a simulated engine has simulated seams"
        return self.seams.around

    async def write(self, job: Callable[[Tx], T]) -> T:
        """As the engine's, announced to the recorder, and counted."""
        return await self._around.answers.counted("write", self._write(job))

    async def _write(self, job: Callable[[Tx], T]) -> T:
        recorder, intents = self._around.recorder, intents_of(job)
        recorder.submitted(intents)
        named: list[Dot] = []
        try:
            result: T = await (super().write(_watched(job, recorder, named)) if merges(job) else super().write(job))
        except UsageError:
            recorder.refused(intents)
            raise
        receipts = result if isinstance(result, list) else [result]
        recorder.acknowledged(named or [receipt.dot for receipt in receipts if isinstance(receipt, Receipt)])
        return result

    async def sync(
        self,
        hub: Hub | str,
        *,
        guard: Guard | None = None,
        starter: bool = True,
        on_progress: OnProgress | None = None,
    ) -> SyncReport:
        """As the engine's, with the node of the world that the address names: ``http://hub``."""
        around, began = self._around, asyncio.get_running_loop().time()
        peer = _peer(Hub(hub) if isinstance(hub, str) else hub)
        if current_program.get() and peer not in around.hubs():
            around.blame(_no_hub(peer, around.hubs()))
        meeting = around.meets(peer)
        work = current_work.set("")
        try:
            report = await super().sync(hub, guard=guard, starter=starter, on_progress=on_progress)
        except HoldfastError as error:
            around.chronicle(peer, began, error)
            raise
        finally:
            current_work.reset(work)
        around.chronicle(peer, began, report)
        around.met(meeting, report)
        return report

    async def close(self) -> None:
        """As the engine's; the life of a node is the world's, so a program must not end it."""
        if name := current_program.get():
            remedy = "Leave the engine open: the simulation opened it for the program, and closes it."
            self._around.blame(program_fault(f"the program {name} closed the engine of its node", remedy))
        await super().close()

    def _link(self, hub: Hub) -> Link:
        return self._around.link(_peer(hub))


class CountedReaders(Readers):
    """The readers of a simulated node, whose answers are counted."""

    def __init__(self, path: Path, storage: Storage, answers: Answers) -> None:
        super().__init__(path, storage)
        self._answers = answers

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As the readers', and counted."""
        return await self._answers.counted("read", super().run(function, *args, **kwargs))


def _watched(job: Callable[[Tx], T], recorder: Recorder, named: list[Dot]) -> Callable[[Tx], T]:
    """The job, looked at before and behind it; `named` gets the writes of a bulk put, which gives no receipts."""

    def watched(tx: Tx) -> T:
        recorder.observe_between(tx.connection)
        seq = tx.seq
        result = job(tx)
        recorder.observe_between(tx.connection)
        if isinstance(job, BulkPut):  # of a key that is put twice, the later one stands for both
            last = {key: Dot(tx.actor, seq + at) for at, key in enumerate(job.keys, 1)}
            named[:] = last.values()
        return result

    return watched


def _no_hub(peer: str, hubs: list[str]) -> ProgramFault:
    there_are = ", ".join(f"http://{name}" for name in hubs)
    what = f"the program {current_program.get()} syncs with {peer!r}, which is no hub of this world"
    return program_fault(what, f"Pass the address to your function, and in simulations one of: {there_are}.")


def _peer(hub: Hub) -> str:
    return urlsplit(hub.url).hostname or ""
