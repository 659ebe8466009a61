"""The small worlds in which mutants are hunted, by name: which faults they know, and how long they last.

Each is a setting of the generator that ships: a seed draws its plan and everything that the plan leaves open.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache

from holdfast import Schema
from holdfast.errors import ProgramFault, Violation
from holdfast.resolvers import Conflict, Resolution, Take
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.trace import Trace
from holdfast.simulation.plans.generate import plan_of
from holdfast.simulation.plans.plan import Healing, Plan
from holdfast.simulation.runs.lived import live
from holdfast.simulation.runs.scenario import Fleet, scenario_of
from holdfast.simulation.world.outcome import Outcome

CPU_S_MAX = 30
"""A world that a mutant keeps busy for longer has caught nothing."""


class HangsError(BaseException):
    """A world does not end: no part of it may take this for a failure of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A setting of the generator.

    Attributes:
        faults: Which kinds there are.
        nodes, minutes, operations, keys, partitions: As `plan_of` takes them.
        schemas: What the nodes declare, by a function that makes them; None: what the generator draws.
    """

    faults: tuple[str, ...]
    nodes: int = 3
    minutes: int = 5
    operations: int = 24
    keys: int = 2
    partitions: str = "medium"
    schemas: Callable[[], tuple[Schema, ...]] = field(default=tuple)

    def plan(self, seed: int) -> Plan:
        """The plan of a seed; who does not agree soon after healing never will."""
        plan = plan_of(
            seed,
            nodes=self.nodes,
            hours=self.minutes / 60,
            operations=self.operations,
            keys=self.keys,
            partitions=self.partitions,
            faults=self.faults,
            schema=self.schemas() or None,
        )
        return replace(plan, heal=Healing(deadline_minutes=20, every_ms=20_000))

    def outcome(self, seed: int) -> Outcome:
        """Live through the world of a seed."""
        scenario = scenario_of(None, Fleet(), schemas=self.schemas())
        with _bounded():
            return live(scenario, self.plan(seed), SeededChoices(seed), Trace(0))


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


WORLDS: Mapping[str, World] = {
    "network": World(faults=("cut", "loss", "one_way", "flap", "replay")),
    "busy": World(faults=("loss",), minutes=3, operations=60, keys=1),
    "mesh": World(faults=("breaks", "cut"), partitions="heavy", operations=40),
    "crashes": World(faults=("crash", "hub_restart", "all_at_once", "pause", "loss")),
    "power": World(faults=("power_cut",), operations=16, nodes=2),
    "disk": World(faults=("disk_full", "disk_errors", "bad_start", "slow_disk", "lock", "loss"), operations=40),
    "clocks": World(faults=("clock", "loss", "crash")),
    "ticks": World(faults=("clock",), minutes=2, operations=60, keys=1),
    "backups": World(faults=("backup", "crash", "loss"), operations=30),
    "clones": World(faults=("clone", "loss", "cut")),
    "copies": World(faults=("clone", "backup", "loss", "crash"), minutes=4, operations=30),
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
