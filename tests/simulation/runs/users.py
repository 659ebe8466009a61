"""What a user brings to a simulation, good and bad: resolvers, programs and checks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from dataclasses import dataclass

from holdfast import HoldfastError, LinkError, Schema, Take, UsageError
from holdfast.simulation import PlanBuilder


@dataclass(frozen=True)
class Longest:
    """Settles a conflict with the longest text."""

    name: str = "longest"
    version: int = 1

    def resolve(self, conflict):
        lengths = [len(sibling.text) for sibling in conflict.siblings]
        return Take(lengths.index(max(lengths)))


class Raising(Longest):
    def resolve(self, conflict):
        raise KeyError("weight")


class Timed(Longest):
    def resolve(self, conflict):
        return Take(int(time.time()) % 2)


class Stateful(Longest):
    turns = itertools.count()

    def resolve(self, conflict):
        return Take(next(self.turns) % 2)


class Answerless(Longest):
    def resolve(self, conflict):
        return "the longest"


def schema(resolver=None):
    return Schema(name="tasks", fields={"title": resolver or Longest()})


async def patient(engine):
    """Works for ever, and copes with what can happen."""
    for turn in itertools.count():
        await asyncio.sleep(30)
        try:
            await engine["tasks"].update("k0", {"title": f"turn {turn}"}, upsert=True)
            await engine.sync("http://hub")
        except (LinkError, UsageError):
            continue


async def raising(engine):
    await asyncio.sleep(30)
    raise KeyError("weight")


async def careless(engine):
    while True:
        await asyncio.sleep(5)
        await engine.sync("http://hub")


async def lost(engine):
    with contextlib.suppress(LinkError):  # which would hide that nothing is ever synced
        await engine.sync("https://sync.example.com")


async def closing(engine):
    async with engine:
        await engine["tasks"].put("k0", {"title": "done"})


async def leaving(engine):
    sys.exit(3)


async def parting(engine):
    async def leave():
        sys.exit(3)

    await asyncio.create_task(leave())


class Worse(BaseException):
    """Not an Exception."""


async def unsorted(engine):
    for word in {f"w{number}" for number in range(20)}:
        with contextlib.suppress(HoldfastError):
            await engine["tasks"].put("t1", {"title": word})


async def worse(engine):
    raise Worse("mine")


async def grouped(engine):
    async with asyncio.TaskGroup() as group:
        group.create_task(raising(engine))


async def spinning(engine):
    while True:
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def plain(engine):
    """Not asynchronous."""


async def without_engine():
    """Takes nothing."""


async def yielding(engine):
    yield engine


async def sleeping(engine):
    time.sleep(1)  # noqa: ASYNC251 - that is what must be found


async def deaf(engine):
    while True:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            continue


_runs = itertools.count()


async def changing(engine):
    """Does something else in every run."""
    await engine["tasks"].put("k0", {"title": f"run {next(_runs)}"})


def titles_are_short(world):
    for node, key, fields in world.records("tasks"):
        assert len(fields.get("title", "")) < 5, f"{key} at {node}"


def many_and_tagged(world):
    found = [fields for node, _, fields in world.records("tasks") if node == "hub"]
    assert len(found) < 3, "all are here"
    assert len(found) > 2, "some are missing"


def has_nodes(world):
    return len(world.nodes) == 3


async def asynchronous_check(world):
    raise AssertionError("nobody would hear it")


def late_check(world):
    return asynchronous_check(world)


def timed_check(world):
    assert time.time() > 0


def broken_check(world):
    return world.nodes[99]


def meeting(resolver=None):
    """Two edges that write one field while apart, so that a conflict is certain."""
    return (
        PlanBuilder(hours=0.05)
        .hub("hub")
        .edge("a")
        .edge("b")
        .collection(schema(resolver))
        .heal(every_seconds=10)
        .put("a", "tasks", "k0", {"title": "one"})
        .put("b", "tasks", "k0", {"title": "another"})
        .build()
    )
