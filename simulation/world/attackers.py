"""Adversaries of a world: each attack of a plan comes from a stranger, who calls a hub or answers an edge.

Knows the catalogue and what strangers overhear, no invariant: checkers judge what came of it. Invariant: only a
stranger whose attack may write something is known to the history, so that whatever another leaves is found.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.engine.membership import Bond
from holdfast.engine.storage.members import membership_of
from holdfast.errors import HoldfastError, SimulationFault

from ..network.adversary import Adversary
from ..network.attacks import IN_WORLDS, Attack, Outcome
from ..network.forgery import hello_of, stranger
from ..plans import actions as plan
from .node import SimNode

if TYPE_CHECKING:
    from .engine import SimEngine
    from .world import World

_BY_NAME = {attack.name: attack for attack in IN_WORLDS}


def _has_met(node: SimNode) -> bool:
    """Whether it shares a space with others: who meets a stranger first has founded one with the stranger."""
    return membership_of(node.connection).bond is Bond.BOUND


@dataclass(slots=True)
class Attackers:
    """The strangers of a world."""

    world: World
    _count: int = 0
    _named: dict[str, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def attack(self, node: SimNode, action: plan.Attack) -> None:
        """Attack a node, one time after the other."""
        attack = _BY_NAME[action.attack]
        expected = attack.called if node.plan.role == "hub" else attack.answered
        if expected is None or node.engine is None or not _has_met(node):
            self.world.figures.skipped += 1
            return
        self.world.history.doubtful = True
        strangers = [self._stranger(action, expected) for _ in range(action.times)]
        if node.plan.role == "hub":
            task = asyncio.create_task(self._calls(node, attack, strangers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self.world.loop.spawn(node.name, self._lures(node.engine, attack, strangers))

    def _stranger(self, action: plan.Attack, expected: Outcome) -> Adversary:
        self._count += 1
        number = self._named.setdefault(action.stranger, self._count) if action.stranger else self._count
        actor = stranger(number, action.life)
        if expected is Outcome.WRITTEN:
            self.world.history.outsiders.add(actor)
        return Adversary(self.world.network, self.world.choices, f"mallory-{self._count}", actor)

    async def _calls(self, node: SimNode, attack: Attack, strangers: list[Adversary]) -> None:
        for caller in strangers:
            member = self._overheard(node)
            if member is None:
                self.world.figures.skipped += 1
                return
            reply = await caller.call(attack, node.name, member)
            code = reply.error.code if reply.error is not None else "answered"
            self.world.figures.attacks[f"{attack.name}: {code}"] += 1

    def _overheard(self, node: SimNode) -> str | None:
        """A member of whose requests to the node one was heard that shows that they have met."""
        for other in self.world.nodes:
            heard = [request.body for request in self.world.network.requests(other.name, node.name) if request.complete]
            hello = hello_of(heard[-1]) if heard else None
            if hello is not None and hello.held_of:
                return other.name
        return None

    async def _lures(self, engine: SimEngine, attack: Attack, strangers: list[Adversary]) -> None:
        for lure in strangers:
            lure.listen(attack)
            try:
                await engine.sync(f"http://{lure.name}")
            except SimulationFault as fault:
                self.world.fail(fault)
            except HoldfastError as error:
                self.world.figures.attacks[f"{attack.name}: {error.code}"] += 1
            except Exception as error:  # noqa: BLE001 - the engine must raise nothing else
                self.world.fail(self.world.fates.escaped(attack.name, error))
            else:
                self.world.figures.attacks[f"{attack.name}: answered"] += 1
