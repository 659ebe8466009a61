"""Real nodes on real files for the tests of the engine and of sessions: how they open, meet, and are compared."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import Engine, OpenConflict, Seams, SyncReport
from holdfast.engine.replica import Replica
from holdfast.engine.storage.purge import drop_dead
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync

NOW_MS = 1_750_000_000_000


@dataclass
class Wall:
    """A wall clock that moves by one millisecond per look and can be set."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms


_WALL = Wall()
"""Shared by all nodes that bring no clock of their own: what is written later has the later stamp."""


def opened(path: Path, **options: Any) -> Any:
    """`Engine.open` with a clock of the tests, and randomness that follows from the file's name or option `seed`.

    `batch_bytes` makes batches of the feed smaller.
    """
    wall = options.pop("wall", _WALL)
    seed = options.pop("seed", path.stem)
    options.setdefault("durability", "normal")
    sizes = {"batch_bytes": options.pop("batch_bytes")} if "batch_bytes" in options else {}
    seams = Seams(time=wall, entropy=random.Random(f"{seed}").randbytes, **sizes)
    return Engine.open(path, seams=seams, **options)


def link_to(hub: Engine, *, rights: str = "rw", cut_after: tuple[int | None, int | None] = (None, None)) -> MemoryLink:
    """A link to a node that answers in this process."""
    return MemoryLink(
        lambda chunks: respond(Replica(hub), chunks, rights=rights), url=f"memory://{hub.path}", cut_after=cut_after
    )


async def meet(node: Engine, hub: Engine, **options: Any) -> SyncReport:
    """One sync of a node with a hub; options as in `link_to`."""
    return await sync(Replica(node), link_to(hub, **options))


async def heal(hub: Engine, *nodes: Engine, rounds: int = 2) -> None:
    """Sync every node with the hub, so often that each has what the others had."""
    for _ in range(rounds):
        for node in nodes:
            await meet(node, hub)


async def purge(node: Engine) -> None:
    """Let go what is deleted as an authority does whose members all cover its vector."""
    await node.write(lambda tx: tx.raise_fence(tx.vector))
    await node.write(drop_dead)


async def digest(node: Engine) -> str:
    """The digest over all cells of a node."""
    return (await node.status()).digest


async def assert_equal(*nodes: Engine) -> None:
    """All nodes hold the same cells, have taken in the same, and find nothing wrong with themselves."""
    states = [await node.status() for node in nodes]
    assert len({state.digest for state in states}) == 1, states
    assert all(state.vector == states[0].vector for state in states), [state.vector for state in states]
    assert all(state.whole and not state.holes for state in states)
    for node in nodes:
        assert (await node.verify()).problems == ()


@contextmanager
def python_at(path: Path, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that works on a file, once it has said so: "open"; it ends with its input."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process
        process.stdin.close()


async def one_conflict(node: Engine, state: str | None = "open") -> OpenConflict:
    """The only conflict of a node's inbox."""
    (found,) = await node.conflicts(state)
    return found


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file of a node that is closed, as SQLite sees it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
