"""Edges, their proxies and their hub as one thing that can be set up, healed and judged.

Invariant: a fleet is judged only after every process has ended or closed what it wrote, and by files and history alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .checker import Verdict, judge, read_file
from .history import History
from .processes import Edge, Hub, OrderError, running_hub
from .proxy import Proxy

SPACE = "storm"
ROUNDS_MAX = 4
"""Syncs of everybody after which all must be equal: the first brings everything to the hub, the second back."""


@dataclass(slots=True)
class Fleet:
    """A hub, edges behind a proxy each, and the history of the run.

    Attributes:
        file: The hub's file of the space.
        rounds: How many rounds of syncs the last healing took.
    """

    hub: Hub
    file: Path
    history: History
    edges: dict[str, Edge] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    rounds: int = 0

    async def start(self, name: str) -> None:
        """Start an edge behind its proxy."""
        await self.edges[name].start(self.proxies[name].url)

    async def heal(self) -> None:
        """Good weather, everybody up, and syncs until nothing moves any more."""
        for proxy in self.proxies.values():
            proxy.clear()
        for edge in self.edges.values():
            if not edge.running:
                await self.start(edge.name)
        for self.rounds in range(1, ROUNDS_MAX + 1):
            reports = [await edge.order("sync") for edge in self.edges.values()]
            if self.rounds > 1 and not any(report["sent"] + report["received"] for report in reports):
                return
        raise AssertionError(f"after {self.rounds} rounds of syncs something still moves: {reports}")

    async def judged(self, *, stop_hub: bool = True, renewals_allowed: Sequence[str] = ()) -> Verdict:
        """Stop everybody in good order and judge what is there."""
        codes = {edge.name: await edge.stop() for edge in self.edges.values() if edge.running}
        if stop_hub:
            codes["hub"] = await self.hub.stop()
        files = [await read_file(self.file, "hub")]
        files += [await read_file(edge.path, edge.name) for edge in self.edges.values()]
        verdict = judge(self.history, files, renewals_allowed=renewals_allowed)
        verdict.findings += [f"{name} ended with {code}" for name, code in codes.items() if code]
        return verdict

    def report(self, verdict: Verdict) -> str:
        """What a person needs who looks into a failure."""
        log = self.hub.log.read_text(encoding="utf-8")[-4_000:]
        return "\n".join([f"history: {self.history.path}", *verdict.findings[:40], "hub's log:", log])


@asynccontextmanager
async def fleet(directory: Path, names: Iterable[str], *, hub: Path | None = None) -> AsyncIterator[Fleet]:
    """A fleet with these edges, all started; the hub's directory may be elsewhere."""
    await asyncio.to_thread(directory.mkdir, exist_ok=True)
    history = History(directory / "history.jsonl")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_hub(hub or directory / "hub"))
        token, file = running.add_space(SPACE)
        found = Fleet(running, file, history)
        for name in names:
            found.proxies[name] = await stack.enter_async_context(Proxy.before(running.address))
            found.edges[name] = Edge(name, directory / f"{name}.db", history, SPACE, token)
            stack.push_async_callback(found.edges[name].kill)
        await asyncio.gather(*(found.start(name) for name in found.edges))
        yield found


async def quietly(*orders: asyncio.Future[object]) -> list[object]:
    """The answers of orders, None for those that were refused or whose edge is gone."""
    answers = await asyncio.gather(*orders, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, OrderError):
            raise answer
    return [None if isinstance(answer, OrderError) else answer for answer in answers]
