"""Processes that are killed with -9 in the middle of writes, syncs and checkpoints: what was acknowledged is there."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..gate import first
from ..nodes import assert_equal, heal, opened, raw

PROGRAM = Path(__file__).with_name("writer.py")


def run_and_kill(seed: int, *files: Path) -> list[list]:
    """What the process told until it was killed at a moment that follows from the seed."""
    rng = random.Random(seed)
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(files[0]), str(seed), *map(str, files[1:])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what readline() read ahead, communicate() would not give
    ) as process:
        first = process.stdout.readline()
        assert first, process.stderr.read().decode()
        time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        rest, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
    lines = (first + rest).decode().splitlines()
    told = []
    for line in lines:
        try:
            told.append(json.loads(line))
        except ValueError:  # the last line, cut
            assert line is lines[-1]
    return told


class Journal:
    """What was acknowledged, over several lives of a file."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.sequences: dict[str, int] = {}
        self.count = 0

    def take(self, told: list[list]) -> None:
        for kind, *rest in told:
            if kind == "put":
                key, value, actor, seq = rest
                self.values[key] = value
                self.sequences[actor] = max(self.sequences.get(actor, 0), seq)
                self.count += 1
            elif kind == "bulk":
                start, count = rest
                for n in range(count):
                    self.values.setdefault(f"bulk{start}/{n}", n)
                self.count += count

    async def check(self, node) -> None:
        """Every acknowledged write is there, or was overwritten by one that was under way when the kill came."""
        found = await node["t"].get_many(list(self.values))
        assert found.keys() == self.values.keys()
        wrong = {key for key, value in self.values.items() if found[key].fields["v"] != value}
        logged = {entry.key: entry for entry in reversed(await node.log(limit=2_000))}
        assert all(key in logged for key in wrong), wrong - logged.keys()
        assert len(wrong) <= 5
        for key in wrong:
            self.values[key] = found[key].fields["v"]


async def after_the_kill(path, journal):
    """Open again, check, and write once; gives the identity and number of that write."""
    async with opened(path, seed="after", durability="full") as node:
        assert node.renewed is None, node.renewed
        assert (await node.verify()).problems == ()
        await journal.check(node)
        receipt = await node["t"].put("after", {"v": 0})
        assert receipt.dot.seq > journal.sequences.get(receipt.dot.actor, 0)
        journal.sequences[receipt.dot.actor] = receipt.dot.seq
        return node


@pytest.mark.parametrize("seed", first(1, range(2)))
async def test_every_acknowledged_write_survives_kill_9(tmp_path, seed):
    path, journal = tmp_path / "edge.db", Journal()
    for life in range(5):
        journal.take(run_and_kill(seed * 100 + life, path))
        await after_the_kill(path, journal)
    assert journal.count > 20
    with raw(path) as connection:
        dots = connection.execute("SELECT node, seq FROM log WHERE kind <> 5").fetchall()
        assert len(dots) == len(set(dots))  # no number was given twice
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("seed", first(1, range(2)))
async def test_a_sync_that_was_killed_goes_on_and_both_end_equal(tmp_path, seed):
    path, hub_path, journal = tmp_path / "edge.db", tmp_path / "hub.db", Journal()
    for life in range(4):
        journal.take(run_and_kill(1_000 + seed * 100 + life, path, hub_path))
        # Randomness of each life of its own: a hub that draws a ticket twice would take the node for a copy.
        seeds = {"edge": f"edge{seed}/{life}", "hub": f"hub{seed}/{life}"}
        async with (
            opened(path, space="s", seed=seeds["edge"]) as edge,
            opened(hub_path, space="s", seed=seeds["hub"]) as hub,
        ):
            assert edge.renewed is hub.renewed is None
            assert (await edge.verify()).problems == (await hub.verify()).problems == ()
            if life % 2:
                await heal(hub, edge)
                assert edge.renewed is hub.renewed is None  # cuts and kills are no signs of a copy
                await assert_equal(edge, hub)
    async with opened(path, space="s", seed="edge/end") as edge, opened(hub_path, space="s", seed="hub/end") as hub:
        await heal(hub, edge)
        await assert_equal(edge, hub)
        found = await edge["t"].get_many(list(journal.values))
        assert found.keys() == journal.values.keys()


OPENER = """
import asyncio, sys
from holdfast import Engine, Schema
print("go", flush=True)

async def main():
    while True:
        async with Engine.open(sys.argv[1], schemas=[Schema(name="t", indexes=["a"])]):
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(6))
async def test_a_kill_while_the_file_is_made_leaves_nothing_half_made(tmp_path, seed):
    path = tmp_path / "n.db"
    make_and_kill(seed, path)
    async with opened(path) as node:
        await node["t"].put("k", {"a": 1})
        assert (await node.verify()).problems == ()
    with raw(path) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def make_and_kill(seed: int, path: Path) -> None:
    """Kill a process while it makes the file, or just after."""
    with subprocess.Popen([sys.executable, "-c", OPENER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"go\n"
        while not path.exists():
            time.sleep(0.0005)
        time.sleep(random.Random(seed).uniform(0, 0.01))
        process.kill()
        process.communicate()
