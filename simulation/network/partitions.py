"""Partitions over many nodes, made of cuts between pairs: split, isolate, bridge, flap, swizzle-clog.

Knows nothing of connections. Invariant: each is made of `Network.cut` and `Network.heal` alone, so whoever looks at the
pairs sees all there is; those that take time leave everything healed that they have cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import combinations

from .choices import Choices, between
from .network import Direction, Network


def isolate(network: Network, name: str, others: Iterable[str], direction: Direction = "both") -> None:
    """Cut one node off from the others; "to": it hears them, and they do not hear it."""
    for other in others:
        if other != name:
            network.cut(name, other, direction)


def rejoin(network: Network, name: str, others: Iterable[str]) -> None:
    """Heal every way between one node and the others."""
    for other in others:
        if other != name:
            network.heal(name, other)


def split(network: Network, groups: Sequence[Sequence[str]]) -> None:
    """Let nodes hear those of their own group only. With a hub in each: a partition by hub."""
    for one, other in combinations(groups, 2):
        for name in one:
            isolate(network, name, other)


def bridge(network: Network, name: str, groups: Sequence[Sequence[str]]) -> None:
    """As `split`, with one node that hears them all."""
    split(network, [[member for member in group if member != name] for group in groups])


def heal_all(network: Network, names: Sequence[str]) -> None:
    """Heal every way between these nodes."""
    for one, other in combinations(names, 2):
        network.heal(one, other)


async def flap(
    network: Network, choices: Choices, pair: tuple[str, str], *, seconds: float, period_ms: tuple[int, int]
) -> None:
    """Cut and heal a pair again and again, each state for a drawn time of the period."""
    loop = asyncio.get_running_loop()
    until, label = loop.time() + seconds, network.way(*pair).label
    try:
        while loop.time() < until:
            network.cut(*pair)
            await asyncio.sleep(between(choices, label, *period_ms) / 1000)
            network.heal(*pair)
            await asyncio.sleep(between(choices, label, *period_ms) / 1000)
    finally:
        network.heal(*pair)


async def swizzle(network: Network, choices: Choices, names: Sequence[str], *, seconds: float) -> None:
    """Swizzle-clog: cut the nodes off one by one, and heal them one by one in another order."""
    pause_s = seconds / (2 * len(names))
    for name in _shuffled(choices, names):
        isolate(network, name, names)
        await asyncio.sleep(pause_s)
    for name in _shuffled(choices, names):
        rejoin(network, name, names)
        await asyncio.sleep(pause_s)


def _shuffled(choices: Choices, names: Sequence[str]) -> list[str]:
    left, order = list(names), list[str]()
    while left:
        order.append(left.pop(choices.draw("net:swizzle", len(left))))
    return order
