"""The storm: all nodes write the same few records, meet the hub in bad weather, and are killed at random, as it is.

Everything that happens follows from the seed but for what the machine's scheduler adds. Invariant: in the storm each
driver only gives orders and does harm; what is right is decided by the checker after the healing.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from .checker import Verdict
from .fleet import Fleet, fleet, quietly
from .proxy import Weather

KEYS = 24
SYNC_PATIENCE_S = 4.0


@dataclass(slots=True)
class Storm:
    """A storm over a fleet.

    Attributes:
        harm: What was done, by kind.
    """

    fleet: Fleet
    seed: int
    seconds: float
    harm: Counter[str] = field(default_factory=Counter)
    _end: float = 0.0

    async def rage(self) -> None:
        """Storm until the time is over, and leave everything as it then is."""
        self._end = asyncio.get_running_loop().time() + self.seconds
        drivers = [self._drive(name) for name in self.fleet.edges]
        await asyncio.gather(*drivers, self._hub(), self._weather(), self._pauses())

    def _moments(self, rng: random.Random, shortest_s: float, longest_s: float) -> Iterator[float]:
        """How long to wait before each deed, until the storm is over."""
        while (left := self._end - asyncio.get_running_loop().time()) > 0:
            yield min(left, rng.uniform(shortest_s, longest_s))

    async def _drive(self, name: str) -> None:
        """Orders for one edge, which dies now and then in the middle of them."""
        rng = random.Random(f"{self.seed}:{name}")
        edge, values = self.fleet.edges[name], count(1)
        for wait_s in self._moments(rng, 0.0, 0.1):
            if not edge.running:
                await self.fleet.start(name)
            burst = [order(edge, rng, name, values) for _ in range(rng.randrange(1, 8))]
            if rng.random() < 0.5:
                burst.append(edge.order("sync", patience_s=SYNC_PATIENCE_S))
            await asyncio.sleep(wait_s)
            if rng.random() < 0.12:
                self.harm["edge killed"] += 1
                await edge.kill()
            elif rng.random() < 0.7:
                await quietly(*burst)

    async def _hub(self) -> None:
        rng = random.Random(f"{self.seed}:hub")
        for wait_s in self._moments(rng, 0.4, 1.8):
            await asyncio.sleep(wait_s)
            self.harm["hub killed"] += 1
            await self.fleet.hub.kill()
            await self.fleet.hub.start()

    async def _weather(self) -> None:
        rng = random.Random(f"{self.seed}:weather")
        for wait_s in self._moments(rng, 0.05, 0.4):
            await asyncio.sleep(wait_s)
            self.harm["weather"] += 1
            proxy = rng.choice([*self.fleet.proxies.values()])
            match rng.randrange(7):
                case 0:
                    proxy.cut()
                case 1:
                    proxy.up = Weather(cut_after=rng.randrange(1, 4_000))
                case 2:
                    proxy.down = Weather(cut_after=rng.randrange(1, 4_000))
                case 3:
                    proxy.worsen(delay_s=rng.uniform(0, 0.05))
                case 4:
                    for connection in proxy.connections:
                        connection.leave_half_open()
                case 5:
                    proxy.down.hole = True
                case 6:
                    proxy.open = not proxy.open
            if rng.random() < 0.5:
                proxy.clear()

    async def _pauses(self) -> None:
        rng = random.Random(f"{self.seed}:pauses")
        for wait_s in self._moments(rng, 0.2, 1.0):
            await asyncio.sleep(wait_s)
            edge = rng.choice([*self.fleet.edges.values()])
            self.harm["paused"] += 1
            edge.signal(signal.SIGSTOP)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            edge.signal(signal.SIGCONT)


def order(edge: object, rng: random.Random, name: str, values: Iterator[int]) -> asyncio.Future[object]:
    """One order that touches the records of everybody."""
    key, value = f"k{rng.randrange(KEYS)}", f"{name}#{next(values)}"
    dice = rng.random()
    if dice < 0.35:
        return edge.order("put", key=key, value=value, pad=rng.choice((0, 0, 200, 3_000)))
    if dice < 0.6:
        return edge.order("update", key=key, value=value)
    if dice < 0.68:
        return edge.order("delete", key=key)
    if dice < 0.8:
        keys = [f"k{number}" for number in rng.sample(range(KEYS), 3)]
        return edge.order("transact", keys=keys, values=[f"{value}/{part}" for part in range(3)])
    return edge.order("read", key=key)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a storm ended."""

    verdict: Verdict
    figures: dict[str, float]
    report: str


async def storm(directory: Path, seed: int, seconds: float, nodes: int = 6) -> Outcome:
    """One storm from calm to calm."""
    async with fleet(directory, [f"n{number}" for number in range(nodes)]) as found:
        raging = Storm(found, seed, seconds)
        await raging.rage()
        await found.heal()
        verdict = await found.judged()
        harm = raging.harm
        figures = {
            "writes acknowledged": verdict.acknowledged,
            "kills": harm["edge killed"] + harm["hub killed"],
            "pauses": harm["paused"],
            "faults of the network": harm["weather"],
            "max rounds to agree": found.rounds,
            **{f"writes {fate}": number for fate, number in verdict.fates.items()},
        }
        return Outcome(verdict, figures, found.report(verdict))
