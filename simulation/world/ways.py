"""What the plan does to the ways between nodes.

Knows the network and names of nodes. Invariant: a fault with a length ends by itself; a later one of the same kind on
the same pair replaces it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, assert_never

from ..network.network import Network
from ..plans import actions as plan


@dataclass(slots=True)
class Ways:
    """The ways of a world, as its plan speaks of them."""

    network: Network
    names: list[str]
    _kinds: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def do(self, action: plan.Cut | plan.Heal | plan.Quality | plan.Flap) -> None:
        """Do it now; what has a length ends later."""
        for one, other in self._pairs(action):
            match action:
                case plan.Cut():
                    self.network.cut(one, other, action.direction)
                    self._later(action.for_ms, "cut", one, other)
                case plan.Heal():
                    self._end("cut", one, other)
                    self._end("quality", one, other)
                case plan.Quality():
                    self._set_quality(action, one, other)
                    self._later(action.for_ms, "quality", one, other)
                case plan.Flap():
                    turn = self._begin("cut", one, other)
                    self._spawn(self._flap(action, one, other, turn))
                case _:
                    assert_never(action)

    def calm(self) -> None:
        """All faults end."""
        for kind, one, other in [*self._kinds]:
            self._begin(kind, one, other)
        self.network.calm()

    def _set_quality(self, action: plan.Quality, one: str, other: str) -> None:
        for source, target in ((one, other), (other, one)):
            self.network.quality(
                source,
                target,
                latency_ms=(action.latency_ms_min, action.latency_ms_max),
                bytes_per_s=action.bytes_per_s,
                loss_per_mille=action.loss_per_mille,
                reset_after_bytes=(action.reset_after_bytes_min, action.reset_after_bytes_max),
                silent_per_mille=action.silent_per_mille,
                duplicate_per_mille=action.duplicate_per_mille,
                replay_per_mille=action.replay_per_mille,
                corrupt_per_mille=action.corrupt_per_mille,
            )

    def _pairs(self, action: plan.Cut | plan.Heal | plan.Quality | plan.Flap) -> Iterator[tuple[str, str]]:
        peers = action.peers or [name for name in self.names if name not in action.group]
        seen = set()
        for one in action.group:
            for other in peers:
                if one != other and frozenset((one, other)) not in seen:
                    seen.add(frozenset((one, other)))
                    yield one, other

    def _begin(self, kind: str, one: str, other: str) -> int:
        """A new fault of a kind on a pair: those before it no longer end it."""
        turn = self._kinds.get((kind, one, other), 0) + 1
        self._kinds[kind, one, other] = turn
        return turn

    def _later(self, for_ms: int | None, kind: str, one: str, other: str) -> None:
        turn = self._begin(kind, one, other)
        if for_ms is not None:
            self._spawn(self._end_later(for_ms, kind, one, other, turn))

    async def _end_later(self, for_ms: int, kind: str, one: str, other: str, turn: int) -> None:
        await asyncio.sleep(for_ms / 1000)
        if self._kinds[kind, one, other] == turn:
            self._end(kind, one, other)

    def _end(self, kind: str, one: str, other: str) -> None:
        self._begin(kind, one, other)
        if kind == "cut":
            self.network.heal(one, other)
        else:
            self.network.quality(one, other)
            self.network.quality(other, one)

    async def _flap(self, action: plan.Flap, one: str, other: str, turn: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + action.for_ms / 1000 if action.for_ms is not None else None
        while self._kinds["cut", one, other] == turn and (until is None or loop.time() < until):
            self.network.cut(one, other)
            await asyncio.sleep(action.down_ms / 1000)
            if self._kinds["cut", one, other] != turn:
                return
            self.network.heal(one, other)
            await asyncio.sleep(action.up_ms / 1000)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
