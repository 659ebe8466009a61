"""A healthy pair of node files, made by real engines, and damage done to one of them behind the engine's back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast import Take
from holdfast.errors import Violation

from .fleet import Fleet
from .watched import Node


@asynccontextmanager
async def healthy_pair(folder: Path) -> AsyncIterator[Fleet]:
    """Two nodes that have written, deleted, disagreed, decided, begun a record anew and synced.

    Afterwards: tasks/whole is plain; tasks/old was written twice; tasks/gone is deleted; tasks/again was deleted and
    put again; tasks/both has a conflict of `b` (open) and `a`; sites/decided had one; left and right were written
    together; lone/x is of b alone.
    """
    fleet = Fleet(1, folder)
    try:
        await fleet.build("ab")
        await _write(fleet)
        yield fleet
    finally:
        await fleet.close()


async def _write(fleet: Fleet) -> None:
    a, b = fleet.nodes
    tasks, sites = a.engine["tasks"], a.engine["sites"]
    await tasks.put("whole", {"a": 1, "b": "two"})
    await tasks.put("old", {"a": "before"})
    await tasks.put("gone", {"a": 1})
    await tasks.put("again", {"a": "first life", "d": 4})
    await tasks.put("both", {"b": 0})
    await sites.put("decided", {"a": 0})
    await fleet.meet(b, a, cut=False)
    await tasks.put("old", {"a": "after"})
    await tasks.delete("gone")
    await tasks.delete("again")
    await tasks.put("again", {"d": "second life"})
    for node in (a, b):
        await node.engine["tasks"].update("both", {"b": node.name})
        await node.engine["sites"].update("decided", {"a": node.name})
    async with a.engine.transaction() as tx:
        tx.put("tasks", "left", {"n": 1})
        tx.put("tasks", "right", {"n": 1})
    await fleet.meet(b, a, cut=False)
    (conflict,) = await b.engine.conflicts("settled", collection="sites")
    await conflict.resolve(Take(1))
    await fleet.meet(b, a, cut=False)
    fleet.raise_violation()


def damage(node: Node, sql: str, *values: object) -> None:
    """Change the node's file with raw SQL, whatever it means, and look at it anew."""
    connection = sqlite3.connect(node.path, isolation_level=None)
    try:
        assert connection.execute(sql, values).rowcount, f"no row was damaged: {sql}"
    finally:
        connection.close()
    node.recorder.reopened(node.connection, wall_ms=node.wall.ms)


def first_word(fleet: Fleet) -> Violation:
    """The first violation that the checkers find, after a step of every node and then in the end."""
    try:
        for node in fleet.nodes:
            for checker in fleet.checkers:
                checker.step(fleet, node)
        for checker in fleet.checkers:
            checker.end(fleet)
    except Violation as violation:
        return violation
    raise AssertionError("no checker speaks")
