"""What an application does on a node, as the plan says: writes, reads, decisions, syncs, programs.

Uses the public API alone. Invariant: whatever the engine refuses with an error of the tree is legal and counted by
cause; anything else that comes out of it is a violation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, assert_never

from holdfast import Delete as DeleteDecision
from holdfast import Remove, Take, Value
from holdfast.engine.conflicts import OpenConflict
from holdfast.engine.versions import NO_RECORD
from holdfast.errors import HoldfastError, SimulationFault, StorageError, TransactionConflict, Violation

from ..kernel.choices import Choices, between
from ..kernel.life import current_work
from ..observed.image import Place
from ..plans import actions as plan
from .engine import SimEngine
from .offices import administer
from .outcome import Figures
from .programs import Program, end_programs, run_program

ATTEMPTS_MAX: Final = 5

LASTING: Final = (plan.SyncEvery, plan.Watch, plan.RunProgram)
"""What goes on until it is ended, and begins again after each start."""


class Watcher(Protocol):
    """The node, as a watch sees it."""

    def begin_watch(self) -> dict[Place, tuple[int, bool]]:
        """Where to note what a watch is told of each record: its lsn, and whether it is alive."""
        ...


@dataclass(slots=True)
class Worker:
    """Does the work of one node.

    Args:
        name: Of the node.
        choices: Decide what the plan leaves open.
        figures: Where it is counted.
        programs: The user's, by name.
        fault: Told of what must not happen.
        watcher: Keeps what a watch was told.

    Attributes:
        busy: Reads and writes under way; they may still be thinking.
    """

    name: str
    choices: Choices
    figures: Figures
    programs: dict[str, Program]
    fault: Callable[[HoldfastError], None]
    watcher: Watcher
    busy: int = 0
    _running: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def do(self, engine: SimEngine, action: plan.Work) -> None:
        """Do one thing, and count how it went."""
        work = current_work.set(action.name)
        counts = not isinstance(action, (*LASTING, plan.Sync))
        self.busy += counts
        try:
            await self._do(engine, action)
        except SimulationFault as fault:
            self.fault(fault)
        except HoldfastError as error:
            if not isinstance(action, plan.Sync):  # what came of syncs is counted where they end
                self.figures.refused[f"{action.name}: {error.code}"] += 1
            return
        except Exception as error:  # noqa: BLE001 - the engine must raise nothing else
            self.fault(self._escaped(action, error))
        finally:
            current_work.reset(work)
            self.busy -= counts
        self.figures.done[action.name] += 1

    async def end_programs(self) -> None:
        """The chaos is over: end what runs for ever, so that nodes can come to agree."""
        await end_programs(self._running, self.fault)

    def _escaped(self, action: plan.Work, error: Exception) -> Violation:
        fault = Violation(
            f"{action.name} raised {type(error).__name__}: {error}",
            subject=self.name,
            remedy="Nothing but the errors of the tree may come out of the engine.",
        )
        fault.invariant = "one error tree"
        fault.__cause__ = error
        return fault

    async def _do(self, engine: SimEngine, action: plan.Work) -> None:  # noqa: C901, PLR0912 - one branch per action
        match action:
            case plan.Put():
                await engine[action.collection].put(action.key, action.fields)
            case plan.Update():
                changes = {**action.fields, **{name: Remove() for name in action.remove}}
                await engine[action.collection].update(action.key, changes, upsert=action.upsert)
            case plan.Delete():
                await engine[action.collection].delete(action.key)
            case plan.CompareAndSet():
                await self._compare_and_set(engine, action)
            case plan.BulkPut():
                keys = (f"{action.key_prefix}{number}" for number in range(action.records))
                await engine[action.collection].put_many((key, action.fields) for key in keys)
            case plan.Transact():
                await self._transact(engine, action)
            case plan.Decide():
                await self._decide(engine, action)
            case plan.Reopen():
                decided = await engine.conflicts("decided")
                if decided:
                    await engine.reopen(decided[-1].conflict.id)
            case plan.Read():
                await engine[action.collection].get(action.key)
            case plan.Query():
                await engine[action.collection].query(action.condition or "TRUE", limit=action.limit)
            case plan.CheckExport():
                await self._read_all(engine)
            case plan.Sync():
                await engine.sync(f"http://{action.peer}")
            case plan.SyncEvery():
                await self._sync_every(engine, action)
            case plan.Watch():
                await self._watch(engine)
            case plan.RunProgram():
                await run_program(action.program, self.programs[action.program], engine, self._running)
            case plan.Purge():
                await engine.purge()
            case plan.Seize() | plan.HandOver() | plan.Expire() | plan.Restore():
                await administer(engine, action)
            case _:
                assert_never(action)

    async def _compare_and_set(self, engine: SimEngine, action: plan.CompareAndSet) -> None:
        found = await engine[action.collection].get(action.key)
        await asyncio.sleep(action.think_ms / 1000)
        await engine[action.collection].put(action.key, action.fields, if_version=found.version if found else NO_RECORD)

    async def _transact(self, engine: SimEngine, action: plan.Transact) -> None:
        for attempt in count(1):
            try:
                async with engine.transaction() as tx:
                    for record in action.reads:
                        await tx.get(record.collection, record.key)
                    await asyncio.sleep(action.think_ms / 1000)
                    for write in action.writes:
                        _add(tx, write)
            except TransactionConflict:
                if attempt == ATTEMPTS_MAX:
                    raise
            else:
                return

    async def _decide(self, engine: SimEngine, action: plan.Decide) -> None:
        found = await engine.conflicts(action.state, limit=1)
        if not found:
            return
        await asyncio.sleep(action.think_ms / 1000)
        await found[0].resolve(_decision(action, found[0]))

    async def _read_all(self, engine: SimEngine) -> None:
        for collection in engine.schemas:
            async for _page in engine[collection].pages("TRUE ORDER BY key"):
                pass

    async def _sync_every(self, engine: SimEngine, action: plan.SyncEvery) -> None:
        """Until it is cancelled, or the node dies; a sync that fails is tried again at the next turn."""
        while True:
            jitter = between(self.choices, f"work:{self.name}", 0, action.jitter_ms)
            await asyncio.sleep((action.every_ms + jitter) / 1000)
            await self.do(engine, plan.Sync(peer=action.peer))

    async def _watch(self, engine: SimEngine) -> None:
        """As long as the engine lives; if its file cannot be read, from the beginning again."""
        while True:
            told = self.watcher.begin_watch()
            try:
                async for change in engine.watch(0):
                    told[change.collection, change.key] = change.lsn, change.live
            except StorageError:
                await asyncio.sleep(1)
            else:
                return


def _add(tx: Any, write: plan.Put | plan.Update | plan.Delete) -> None:  # noqa: ANN401 - a Transaction
    match write:
        case plan.Put():
            tx.put(write.collection, write.key, write.fields)
        case plan.Update():
            tx.update(
                write.collection,
                write.key,
                {**write.fields, **{name: Remove() for name in write.remove}},
                upsert=write.upsert,
            )
        case plan.Delete():
            tx.delete(write.collection, write.key)
        case _:
            assert_never(write)


def _decision(action: plan.Decide, found: OpenConflict) -> Take | DeleteDecision | Value:
    match action.decision:
        case "first":
            return Take(0)
        case "last":
            return Take(len(found.conflict.siblings) - 1)
        case "delete":
            return DeleteDecision()
        case "value":
            return Take(0) if found.conflict.field is None else Value(action.value)
        case _:
            assert_never(action.decision)
