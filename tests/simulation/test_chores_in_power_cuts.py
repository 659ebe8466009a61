"""Chores on a disk whose power fails at each of their operations: images are reopened in production and judged."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from holdfast import HoldfastError
from holdfast.simulation.disk.disk import Disk
from holdfast.simulation.disk.images import CRASH_LEAVES, copy_files
from holdfast.simulation.disk.power import PowerDriver
from holdfast.simulation.kernel.choices import SeededChoices

from ..chaos.chores import CHORES, FILE, Chore, opened
from ..engine.upgrading import format_of
from .machines import booted, virtually

IMAGES = 3
"""Images of each power cut, with draws of their own."""

STEP = 37
"""Of the operations on the disk that a chore has, each so many-th is tried at a push."""

SIMULATED = [name for name, chore in CHORES.items() if chore.power]


async def judged(chore: Chore, image: Path, needed: Path) -> bool:
    """Judge what is left; tells whether it goes on under a new identity."""
    async with opened(image / FILE, **chore.options) as engine:
        await chore.check(engine, needed)
        return engine.renewed is not None


def beside(source: Path, target: Path) -> None:
    """What stands beside a file and is not of SQLite goes with it."""
    for name in (f"{FILE}-snapshots",):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)


class Cut:
    """A chore whose power fails at one operation, and what is left."""

    def __init__(self, chore: Chore, source: Path, folder: Path, operations: int) -> None:
        self.chore, self.source, self.folder, self.operations = chore, source, folder, operations
        copy_files(source, folder / "0", CRASH_LEAVES)
        beside(source, folder / "0")
        self.disk = Disk("a", folder / "0", SeededChoices(operations), PowerDriver())

    def run(self) -> bool:
        """Do the chore until the power fails; tells whether it did."""
        self.disk.driver.platters.cut_after(self.operations)

        async def main() -> bool:
            try:
                engine = await booted(self.disk, **self.chore.options)
                await self.chore.act(engine, self.source)
            except HoldfastError:
                return True
            return False

        return virtually(main()) and not self.disk.driver.powered

    def judge(self, counts: Counter[str]) -> list[str]:
        """What is wrong with what is left by a power cut, and by the end of the process alone."""
        images = [self.folder / f"image-{number}" for number in range(IMAGES)]
        for image in images:
            self.disk.power_cut_image(image)
        killed = self.folder / "killed"
        copy_files(self.disk.folder, killed, CRASH_LEAVES)
        return [finding for image in (*images, killed) for finding in self._look(image, counts)]

    def _look(self, image: Path, counts: Counter[str]) -> Iterator[str]:
        beside(self.source, image)
        place = f"operation {self.operations}, {image.name}"
        counts["images"] += 1
        try:
            renewed = asyncio.run(judged(self.chore, image, self.source))
        except (AssertionError, HoldfastError) as error:
            yield f"{place}: {error!r}"
            return
        counts["under_a_new_identity"] += renewed
        if renewed and image.name == "killed" and not self.chore.renews:
            yield f"{place}: a false new identity"


def sweep(name: str, ram: Path, recorder, step: int) -> None:
    chore, source = CHORES[name], ram / "source"
    source.mkdir()
    asyncio.run(chore.prepare(source))
    if chore.row == 44:
        keep(source)
    findings, counts = [], Counter()
    for operations in count(1, step):
        cut = Cut(chore, source, ram / f"{operations}", operations)
        failed = cut.run()
        if failed:
            findings += cut.judge(counts)
        cut.disk.give_up()
        shutil.rmtree(cut.folder)
        if not failed:
            break
    gc.collect()  # connections of the dead say here, and in no other test, that nobody closed them
    how = f"the engine on a simulated disk, reopened in production ({name})"
    renewed = counts["under_a_new_identity"]
    recorder.note(
        chore.row or 9, how, runs=counts["images"], violations=len(findings), images_under_a_new_identity=renewed
    )
    assert findings == []
    assert counts["images"] > IMAGES


def keep(source: Path) -> None:
    """The snapshot that an opening makes before it migrates: copies are made outside the simulated disk."""
    again = source / "again"
    again.mkdir()
    shutil.copyfile(source / FILE, again / FILE)

    async def migrated() -> None:
        async with opened(again / FILE):
            pass

    asyncio.run(migrated())
    shutil.copytree(again / f"{FILE}-snapshots", source / f"{FILE}-snapshots")
    assert format_of(again / FILE) > format_of(source / FILE)
    shutil.rmtree(again)


# Connections of the dead complain of the power that is off when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("name", SIMULATED)
def test_power_cuts_in_a_chore_leave_what_was_there_and_it_can_be_done_again(name, ram, recorder):
    sweep(name, ram, recorder, STEP)


@pytest.mark.soak
@pytest.mark.parametrize("name", SIMULATED)
def test_power_cuts_at_every_operation_of_a_chore(name, ram, recorder):
    sweep(name, ram, recorder, 1)
