"""After the chaos: faults end, nodes start, all sync until they agree; then all is judged, live, reopened and exported.

Invariant: what is judged in the end is what the engines say of themselves and what their files hold, both again after
every process was closed and started anew.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Violation

from ..kernel.choices import between
from ..plans.atlas import healing_routes
from ..plans.plan import Route
from .node import SimNode

if TYPE_CHECKING:
    from .engine import SimEngine
    from .world import World

LOOK_EVERY_S = 1.0
HEARD_WITHIN_S = 120.0


async def heal(world: World) -> None:
    """End all faults, and wait until all agree; raises Violation if they do not in time, or agree on what is wrong."""
    world.chronicle.note("", "healing")
    for node in world.nodes:
        world.ailments[node.name].heal()
        world.fates.resume(node)
        node.routines.clear()
    world.ways.calm()
    for node in world.nodes:
        world.fates.restart(node)
    for worker in world.workers.values():
        await worker.end_programs()
    began = world.loop.time()
    deadline = began + world.plan.heal.deadline_minutes * 60
    routes = healing_routes(world.plan)
    for route in routes:
        world.loop.spawn(route.node, _keep_syncing(world, route))
    agree = False
    while world.at_work or not agree:  # what comes late is part of the chaos
        if world.loop.time() > deadline:
            raise _stuck(world)
        await asyncio.sleep(LOOK_EVERY_S)  # before the first look as well: what was due last begins only now
        agree = _agree(world)
    world.figures.converged_ms = round((world.loop.time() - began) * 1000)
    world.chronicle.note("", "agreed")
    await _hear(world)
    await _judge(world)
    await _reopen(world)
    await _judge(world)


async def _keep_syncing(world: World, route: Route) -> None:
    node = world.by_name[route.node]
    every_ms = world.plan.heal.every_ms
    await asyncio.sleep(between(world.choices, f"work:{route.node}", 0, 1_000) / 1000)
    while True:
        if node.engine is not None:
            with suppress(HoldfastError):  # it is counted, and tried again
                await node.engine.sync(f"http://{route.peer}")
        await asyncio.sleep(every_ms / 1000)


def _agree(world: World) -> bool:
    if any(node.engine is None for node in world.nodes) or any(worker.busy for worker in world.workers.values()):
        return False
    return len({_summary(world, node) for node in world.nodes}) == 1


def _summary(world: World, node: SimNode) -> str:
    """Vector and digest of a file, and whether something waits for a session.

    Once something may be gone for good, what is dead says nothing: some have dropped it, others not yet.
    """
    connection = node.connection
    vector = dict(
        connection.execute(
            "SELECT a.actor, v.seq FROM vector v JOIN actor a ON a.id = v.actor"
            " UNION ALL SELECT a.actor, n.seq FROM node n JOIN actor a ON a.id = n.actor WHERE n.seq > 0"
        )
    )
    (digest,) = connection.execute("SELECT digest FROM node").fetchone()
    image = node.recorder.observed.image
    if world.history.purged:
        digest = sum(held.digest for held in image.records.values() if any(held.existence.values())) % (1 << 62)
    waits = any(world.history.can_settle(image.claimed(place)) for place in image.waiting())
    return json.dumps([sorted(vector.items()), digest, f"{node.name} waits" if waits else ""])


def _stuck(world: World) -> Violation:
    minutes = world.plan.heal.deadline_minutes
    fault = Violation(
        f"{minutes} virtual minutes after healing the nodes do not agree: "
        + "; ".join(f"{node.name}: {_summary(world, node) if node.engine else 'down'}" for node in world.nodes)[:2_000],
        subject="the world",
        remedy="Look at the syncs after healing: which one brings nothing, and why.",
    )
    fault.invariant = "I4 agreement"
    return fault


async def _hear(world: World) -> None:
    """Give watchers the time that a disk may have been stalled for."""
    until = world.loop.time() + HEARD_WITHIN_S
    while any(map(_is_behind, world.nodes)) and world.loop.time() < until:  # noqa: ASYNC110 - files tell no event
        await asyncio.sleep(LOOK_EVERY_S)


def _is_behind(node: SimNode) -> bool:
    if node.watched is None:
        return False
    (last,) = node.connection.execute("SELECT coalesce(max(lsn), 0) FROM record").fetchone()
    return max((lsn for lsn, _ in node.watched.values()), default=0) < int(last)


async def _judge(world: World) -> None:
    first = world.nodes[0]
    assert first.engine is not None, "all are up"
    conflicts = await first.engine.conflicts(None)  # counted of worlds that fail as well
    world.figures.conflicts = len(conflicts)
    world.figures.conflicts_settled = sum(conflict.state != "open" for conflict in conflicts)
    for node in world.nodes:
        assert node.engine is not None, "all are up"
        await _ask(node, node.engine)
    world.figures.records = len(first.exported or {})
    world.judge()


async def _ask(node: SimNode, engine: SimEngine) -> None:
    """All that checkers want to know, newer than the last commit."""
    node.verified = await engine.verify()
    exported = {}
    for name in (await engine.status()).collections:
        async for page in engine[name].pages("TRUE ORDER BY key"):
            for document in page:
                text = json.dumps(document.fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
                exported[name, document.key] = text
    node.exported = exported
    node.status = await engine.status()


async def _reopen(world: World) -> None:
    """Close every process in good order, and start it anew."""
    for node in world.nodes:
        world.network.register(node.name, None)
        engine = node.engine
        assert engine is not None, "all are up"
        world.chronicle.note(node.name, "down", "closed")
        node.let_go()
        await world.loop.spawn(node.name, engine.close())  # which waits for what it has accepted
        world.loop.abandon(node.name)
        node.recorder.reopened(node.connection, wall_ms=node.clock.now_ms(), clean=True)
        node.let_go()
        await world.start(node)
