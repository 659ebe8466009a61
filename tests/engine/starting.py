"""Takes in a starter in processes that are killed at one statement after the other.

Run as a program (`python -m tests.engine.starting FOLDER STEP`): the folder holds `hub.db`. Each new file opens and
takes the starter in, in a fork of its own that ends by SIGKILL before every STEP-th statement; another fork then finds
all of it or nothing. Prints how many were killed, and how many of the files held nothing then.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path

from holdfast import Engine
from holdfast.engine.starters import Beginning, Offering

from .upgrading import STATEMENTS_MAX, forked, killed_at

NOTHING, ALL = 10, 11


async def draw(folder: Path) -> None:
    """The starter that all take in."""
    async with Engine.open(folder / "hub.db") as hub:
        await Offering(hub).draw(folder / "starter.db")


async def take(folder: Path, path: Path) -> None:
    """Begin with it."""
    async with Engine.open(path, space="default") as node:
        beginning = Beginning(node)
        shutil.copyfile(folder / "starter.db", beginning.path)
        assert await beginning.take(await beginning.check(), "http://hub")


async def found(folder: Path, path: Path) -> int:
    """What a file holds after its process was killed."""
    async with Engine.open(path, space="default") as node, Engine.open(folder / "hub.db", read_only=True) as hub:
        assert node.renewed is None
        assert (await node.verify()).problems == ()
        if await Beginning(node).is_blank():
            await node["t"].put("mine", {"n": 1})
            return NOTHING
        assert (await node.status()).digest == (await hub.status()).digest
        return ALL


def main(folder: Path, step: int) -> int:
    """Kill one process for each step."""
    forked(lambda: asyncio.run(draw(folder)))
    blank = killed = 0
    for number in range(1, STATEMENTS_MAX, step):
        path = folder / f"{number}" / "n.db"
        path.parent.mkdir()

        def taking(path: Path = path, number: int = number) -> None:
            killed_at(number)
            asyncio.run(take(folder, path))

        ended = forked(taking)
        if ended == 0:
            sys.stdout.write(f"{killed} {blank}\n")
            return 0
        killed += 1
        if ended == -signal.SIGKILL and not path.exists():
            continue
        held = forked(lambda path=path: sys.exit(asyncio.run(found(folder, path))))
        if ended != -signal.SIGKILL or held not in {NOTHING, ALL}:
            sys.stderr.write(f"statement {number}: it ended with {ended}, and what it left with {held}\n")
            return 1
        blank += held == NOTHING
        shutil.rmtree(path.parent)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
