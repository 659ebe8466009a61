"""A campaign of power cuts: a real engine on a disk that loses power, its images reopened in production and judged.

Every write has a number, and the writer commits in order, so what a sound image holds is what the first so many
writes leave: with `durability="full"` at least all that were acknowledged, or shown to a reader after a restart.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from holdfast import Engine, SideFile
from holdfast.clocks import Dot
from holdfast.errors import StorageError
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.power import PowerDriver
from holdfast.simulation.kernel.choices import SeededChoices, between, chance

from ..nodes import opened
from .machines import booted, virtually

WORK = "work"
KEYS = 12
LIVES = 5
IMAGES = 4
"""Images of each power cut, with draws of their own."""


@dataclass(slots=True)
class Truth:
    """What was written, in order of the commits.

    Attributes:
        start: What the file held at the beginning of the life.
        changes: Of each write, key by key (None: the key is deleted).
        certain: How many writes must be there: they were acknowledged, or a reader saw them.
        dots: Of all acknowledged writes of all lives.
        number: The last number that was given to a write.
    """

    start: dict[str, int] = field(default_factory=dict)
    changes: list[dict[str, int | None]] = field(default_factory=list)
    certain: int = 0
    dots: set[Dot] = field(default_factory=set)
    number: int = 0

    def issue(self, keys: list[str], deleted: str | None = None) -> int:
        """The place of a write of the last number, counted from one."""
        self.changes.append(dict.fromkeys(keys, self.number) | ({deleted: None} if deleted else {}))
        return len(self.changes)

    def states(self) -> list[dict[str, int]]:
        """What the file holds after none, one, two ... of the writes."""
        states = [dict(self.start)]
        for changes in self.changes:
            now = states[-1] | changes
            states.append({key: value for key, value in now.items() if value is not None})
        return states

    def place(self, found: dict[str, int]) -> int | None:
        """After how many writes the file holds this: the most that fit."""
        states = self.states()
        return next((at for at in range(len(states) - 1, -1, -1) if states[at] == found), None)

    def shown(self, found: dict[str, int]) -> None:
        """A reader saw this; what is not in it will never be."""
        place = self.place(found)
        assert place is not None, f"after a process crash: {found}, {self}"
        assert place >= self.certain, f"lost by a process crash: {found}, {self}"
        del self.changes[place:]
        self.certain = place

    def restart(self, place: int) -> None:
        """A life begins with what the first so many writes left."""
        self.start, self.changes, self.certain = self.states()[place], [], 0


@dataclass(slots=True)
class Campaign:
    """Power cuts of one seed.

    Attributes:
        counts: Images, lives, lost writes and the like.
        problems: What must not be.
        most: The most acknowledged writes that one image had lost.
    """

    seed: int
    folder: Path
    durability: str = "full"
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    most: int = 0

    def run(self) -> None:
        """Several lives of one node."""
        choices = SeededChoices(self.seed)
        disk, truth = Disk("a", self.folder / "0", choices, PowerDriver()), Truth()
        for life in range(LIVES):
            virtually(self._live(disk, truth, choices, life), self.seed)
            self.counts["lives"] += 1
            if chance(choices, WORK, 300):
                self.counts["process crashes"] += 1
                disk.crash_image(self.folder / f"{life + 1}")
                continue
            self.counts["power cuts"] += 1
            for number in range(IMAGES):
                image = self.folder / f"image-{life}-{number}"
                disk.power_cut_image(image)
                self._judge(image, truth, f"{self.seed}/{life}/{number}")
                shutil.rmtree(image)
            disk.power_cut(self.folder / f"{life + 1}")
            truth.restart(self._place_of(disk, truth, life))

    def _place_of(self, disk: Disk, truth: Truth, life: int) -> int:
        """After how many writes the image is with which the node goes on; looked up in a copy."""
        image = self.folder / f"look-{life}"
        shutil.copytree(disk.folder, image)
        place = self._judge(image, truth, f"{self.seed}/{life}")
        shutil.rmtree(image)
        return place or 0

    def _judge(self, image: Path, truth: Truth, name: str) -> int | None:
        """Reopen an image in production; gives after how many writes it is."""
        self.counts["images"] += 1
        self.counts["acknowledged writes that an image should hold"] += truth.certain
        found, problems, renewed, dot = asyncio.run(_reopened(image / "node.db", name))
        place = truth.place(found)
        if place is None:
            self.problems.append(f"{name}: not what any first writes leave: {found}, {truth}")
        elif place < truth.certain:
            lost = truth.certain - place
            self.counts["images that lost acknowledged writes"] += 1
            self.counts["acknowledged writes lost"] += lost
            self.most = max(self.most, lost)
            if self.durability == "full":
                self.problems.append(f"{name}: {truth.certain - place} writes lost: {found}, {truth}")
        else:
            self.counts["images with writes beyond the acknowledged"] += place > truth.certain
        if dot in truth.dots:
            self.counts["images that used an identity twice"] += 1
            if self.durability == "full":
                self.problems.append(f"{name}: {dot} was given twice")
        self.counts["images under a new identity"] += renewed
        self.problems += [f"{name}: {problem}" for problem in problems]
        return place

    async def _live(self, disk: Disk, truth: Truth, choices: Any, life: int) -> None:
        """Open, write, close, until the power fails or the work is done."""
        platters = disk.driver.platters
        if chance(choices, WORK, 850):
            platters.cut_after(between(choices, WORK, 0, 200))
        pages = between(choices, WORK, 3, 60)
        disk.before_write(lambda connection: connection.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchall())
        try:
            for session in range(between(choices, WORK, 1, 3)):
                node = await booted(disk, life * 10 + session, durability=self.durability)
                truth.shown(await _state(node))
                for _ in range(between(choices, WORK, 1, 8)):
                    writes = [_write(node, truth, choices) for _ in range(between(choices, WORK, 1, 5))]
                    for outcome in await asyncio.gather(*writes, return_exceptions=True):
                        if isinstance(outcome, BaseException):
                            raise outcome
                await node.close()
        except StorageError:
            if platters.powered:
                raise
            self.counts["cut in the middle"] += 1


async def _write(node: Engine, truth: Truth, choices: Any) -> None:
    """One write, drawn; its place in the truth is that of its commit, as both are given before anything is awaited."""
    table, kind = node["t"], between(choices, WORK, 0, 3)
    keys = [f"k{between(choices, WORK, 0, KEYS - 1):02}" for _ in range(between(choices, WORK, 1, 6))]
    truth.number += 1
    fields = {"n": truth.number, "v": "x" * between(choices, WORK, 0, 6_000)}
    match kind:
        case 0:
            place = truth.issue(keys[:1])
            receipts = [await table.put(keys[0], fields)]
        case 1:
            place = truth.issue(keys[:1])
            receipts = [await table.update(keys[0], fields, upsert=True)]
        case 2:
            place, receipts = truth.issue(keys), []
            await table.put_many((key, fields) for key in dict.fromkeys(keys))
        case _:
            place = truth.issue(keys, deleted=keys[0])
            async with node.transaction() as tx:
                for key in dict.fromkeys(keys):
                    tx.put("t", key, fields)
                tx.delete("t", keys[0])
            receipts = tx.receipts
    truth.certain = max(truth.certain, place)
    truth.dots.update(receipt.dot for receipt in receipts)


async def _state(node: Engine) -> dict[str, int]:
    return {record.key: record.fields["n"] for record in await node["t"].query()}


async def _reopened(path: Path, name: str) -> tuple[dict[str, int], tuple[str, ...], bool, Dot]:
    """What production finds in a file: its records, its problems, whether its identity is new, and the next dot."""
    # Another inode is no sign here: on a real disk the file has the one it had.
    async with opened(path, space="plant", seed=name, witness=SideFile(path, bound=False)) as node:
        found = await _state(node)
        problems = (await node.verify()).problems
        renewed = node.renewed is not None
        receipt = await node["other"].put("next", {})
        return found, problems, renewed, receipt.dot


def measured(durability: str, seeds: range) -> dict[str, int]:
    """What the power cuts of so many seeds have taken, by a level of durability."""
    counts: Counter[str] = Counter()
    most = 0
    for seed in seeds:
        with TemporaryDirectory(prefix="holdfast-power-") as name:
            campaign = Campaign(seed, Path(name), durability)
            campaign.run()
            if campaign.problems:
                raise AssertionError(campaign.problems)
            counts += campaign.counts
            most = max(most, campaign.most)
    return dict(sorted(counts.items())) | {"most that one image lost": most}


if __name__ == "__main__":  # python -m tests.simulation.power_cuts SEEDS
    for level in ("full", "normal"):
        sys.stdout.write(f"{level}: {json.dumps(measured(level, range(int(sys.argv[1]))), indent=1)}\n")
