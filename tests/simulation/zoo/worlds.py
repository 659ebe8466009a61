"""The small worlds in which mutants are hunted, by name: which faults they know, and how long they last.

Each is a setting of the generator that ships, or a plan that is written down (`plans/`): a seed draws the plan, if
there is none, and everything that the plan leaves open.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from holdfast import Schema
from holdfast.engine.replica import Replica
from holdfast.errors import ProgramFault, Violation
from holdfast.resolvers import Conflict, Resolution, Take
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.trace import Trace
from holdfast.simulation.plans.actions import AnyAction, Attack, Quality
from holdfast.simulation.plans.generate import plan_of
from holdfast.simulation.plans.parse import parse_plan
from holdfast.simulation.plans.plan import Healing, Plan
from holdfast.simulation.runs.lived import live
from holdfast.simulation.runs.scenario import Fleet, scenario_of
from holdfast.simulation.world.outcome import Outcome
from holdfast.transport import sync
from holdfast.transport.links.link import Link
from holdfast.transport.repair import UNMENDED, Mended
from holdfast.transport.session import Initiator

PLANS = Path(__file__).parent / "plans"

CPU_S_MAX = 30
"""A world that a mutant keeps busy for longer has caught nothing."""


class HangsError(BaseException):
    """A world does not end: no part of it may take this for a failure of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A setting of the generator, or a written plan.

    Attributes:
        written: The file of the plan; "": it is drawn, and all else says how.
        faults: Which kinds there are.
        nodes, minutes, operations, keys, partitions, work: As `plan_of` takes them.
        batch_bytes: At which batches are closed; 0: what the generator draws.
        alter: What is done to each action that was drawn, and `note` says it; None: nothing.
        schemas: What the nodes declare, by a function that makes them; None: what the generator draws.
        compares: Whether nodes compare ranges, which mends much of what mutants spoil; without, they do as older peers.
    """

    faults: tuple[str, ...] = ()
    written: str = ""
    work: tuple[str, ...] | None = None
    batch_bytes: int = 0
    alter: Callable[[AnyAction], AnyAction] | None = None
    note: str = ""
    nodes: int = 3
    minutes: int = 5
    operations: int = 24
    keys: int = 2
    partitions: str = "medium"
    schemas: Callable[[], tuple[Schema, ...]] = field(default=tuple)
    compares: bool = True

    def plan(self, seed: int) -> Plan:
        """The plan of a seed; who does not agree soon after healing never will."""
        if self.written:
            return parse_plan((PLANS / self.written).read_text(encoding="utf-8"))
        plan = plan_of(
            seed,
            nodes=self.nodes,
            hours=self.minutes / 60,
            operations=self.operations,
            keys=self.keys,
            partitions=self.partitions,
            faults=self.faults,
            work=self.work,
            schema=self.schemas() or None,
        )
        if self.batch_bytes:
            plan = replace(plan, nodes=tuple(replace(node, batch_bytes=self.batch_bytes) for node in plan.nodes))
        if self.alter is not None:
            plan = replace(plan, events=tuple(replace(each, action=self.alter(each.action)) for each in plan.events))
        return replace(plan, heal=Healing(deadline_minutes=10, every_ms=20_000))

    def outcome(self, seed: int) -> Outcome:
        """Live through the world of a seed."""
        scenario = scenario_of(None, Fleet(), schemas=self.schemas())
        with _bounded(), pytest.MonkeyPatch.context() as patch:
            if not self.compares:
                patch.setattr(sync, "catch_up", _not_compared)
                patch.setattr(sync, "mend", _not_mended)
            return live(scenario, self.plan(seed), SeededChoices(seed), Trace(0))


async def _not_compared(replica: Replica, link: Link) -> None:
    """As with a peer that cannot tell what stands in ranges."""


async def _not_mended(replica: Replica, link: Link, session: Initiator, before: Mended) -> Mended:
    return UNMENDED


class Crooked:
    """A resolver that breaks its contract in two of three conflicts: it raises, or takes what is not there."""

    name = "crooked"
    version = 1

    def resolve(self, conflict: Conflict) -> Resolution:
        """Follows from the siblings, as the contract wants, and is wrong."""
        number = sum(version.dot.seq for version in conflict.siblings) % 3
        if number == 0:
            raise ValueError("this resolver was written in a hurry")
        return Take(number) if number == 1 else Take(17)


def _with(resolver: object) -> Callable[[], tuple[Schema, ...]]:
    return lambda: (Schema(name="tasks", fields={"title": resolver, "note": resolver}, default=resolver),)


def _overtaken(action: AnyAction) -> AnyAction:
    """Strangers who make a node rename its operations, while an answer that knows the old names is under way."""
    if isinstance(action, Attack):
        return replace(action, attack="holds what was never written")
    if isinstance(action, Quality):
        return replace(action, latency_ms_min=1_000, latency_ms_max=5_000, bytes_per_s=100, for_ms=None)
    return action


WORLDS: Mapping[str, World] = {
    "network": World(faults=("cut", "loss", "one_way", "flap", "replay")),
    "busy": World(faults=("loss",), minutes=3, operations=60, keys=1),
    "trickle": World(faults=("midway", "cut"), partitions="heavy", batch_bytes=1, operations=60, keys=4),
    "crashes": World(faults=("crash", "hub_restart", "all_at_once", "pause", "loss")),
    "power": World(faults=("power_cut",), operations=16, nodes=2),
    "disk": World(faults=("disk_full", "disk_errors", "bad_start", "slow_disk", "lock", "loss"), operations=40),
    "clocks": World(faults=("clock", "loss", "crash")),
    "ticks": World(faults=("clock",), minutes=2, operations=60, keys=1),
    "backups": World(faults=("backup", "crash", "loss"), operations=30),
    "resets": World(faults=("snapshot",), operations=30, nodes=2),
    "returns": World(faults=("backup", "midway"), partitions="heavy", operations=30),
    "clones": World(faults=("clone", "loss", "cut")),
    "copies": World(faults=("clone", "backup", "loss", "crash"), minutes=4, operations=30),
    "bits": World(faults=("corruption",), partitions="heavy", operations=40),
    "echoes": World(faults=("replay",), partitions="heavy", operations=60),
    "decisions": World(faults=("loss",), minutes=3, operations=80, keys=1, work=("decide",)),
    "queues": World(faults=("pause", "slow_disk"), minutes=1, operations=120, keys=40, nodes=2, work=("transact",)),
    "overtaken": World(
        faults=("slow_link", "attack"),
        alter=_overtaken,
        note="links stay slow, and strangers hold what was never written",
        batch_bytes=1,
        partitions="heavy",
        nodes=2,
        operations=60,
        keys=4,
    ),
    "away": World(written="half-a-year-away.json", compares=False),
    "late": World(written="late-batch.json", compares=False),
    "rewound": World(written="hub-put-back.json", compares=False),
    "purges": World(faults=("purge", "cut", "loss"), operations=40, keys=6, compares=False),
    "attacks": World(faults=("attack", "loss")),
    "crooked": World(faults=("cut",), schemas=_with(Crooked()), operations=30),
}


def verdict(outcome: Outcome) -> Violation | None:
    """What the checkers say; also behind the complaint that a resolver is bad, if it is meant to be."""
    fault = outcome.fault.__cause__ if isinstance(outcome.fault, ProgramFault) else outcome.fault
    return fault if isinstance(fault, Violation) else None


@cache
def holds(name: str, seed: int) -> bool:
    """Whether the world of a seed holds when nothing is broken on purpose."""
    outcome = WORLDS[name].outcome(seed)
    return verdict(outcome) is None and (outcome.ok or isinstance(outcome.fault, ProgramFault))


@contextmanager
def _bounded() -> Iterator[None]:
    def hangs(*_: object) -> None:
        raise HangsError

    before = signal.signal(signal.SIGVTALRM, hangs)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
