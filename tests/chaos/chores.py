"""Chores: what a node does with its whole file in one go, and what must stand in it if that was ended anywhere.

For sweeps that end a chore at one call after the other: by SIGKILL (`chore_kills.py`) and by power cuts
(tests/simulation/test_chores_in_power_cuts.py). Knows nothing of how it was ended. Invariant: a check opens what was
left as an application would, does the chore again, and finds all that the file held before and all that the chore does.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from holdfast import Engine, Retention, SideFile
from holdfast.engine.node import Opened
from holdfast.engine.starters import Beginning, Offering
from holdfast.engine.storage.migrations import FORMAT, OLDEST_FORMAT

from ..engine.upgrading import WANTED, format_of

FILE: Final = "node.db"
KEPT: Final = Path(__file__).parents[1] / "engine" / "kept"
RECORDS: Final = 24
TRIMMED: Final = Retention(rows=20)
TRIMMED_MAX: Final = 40
"""Rows of the log that may stand after trimming: those that are kept, and stubs."""

Job = Callable[[Engine, Path], Awaitable[None]]


def opened(path: Path, **options: Any) -> Opened[Engine]:
    """Open a file that may be a copy of one that was prepared elsewhere: on a real disk it stays where it is."""
    return Engine.open(path, space="plant", witness=SideFile(path, bound=False), **options)


async def nothing(_engine: Engine, _folder: Path) -> None:
    """Opening the file is all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something that a node does.

    Attributes:
        prepare: Puts `node.db`, and what it needs beside it, into a folder.
        act: Does it, with the open engine and the folder of what it needs; opening belongs to it.
        check: Judges what is left, with an engine that was opened after the end, and completes it.
        options: How the file is opened for it.
        renews: Whether a file that was never opened here goes on under a new identity.
        power: Whether power cuts can be simulated in it: copies of a file are made outside the simulated disk.
    """

    prepare: Callable[[Path], Awaitable[None]]
    act: Job
    check: Job
    options: Mapping[str, Any] = field(default_factory=dict)
    renews: bool = False
    power: bool = True

    @property
    def row(self) -> int | None:
        """The row of the fault matrix that it counts in; None: that of how it is ended."""
        return 44 if self.check is _is_migrated else None


def _fields(number: int, turn: int = 0) -> dict[str, Any]:
    return {"n": number, "turn": turn, "pad": "x" * 400}


async def _records(engine: Engine, collection: str = "t") -> dict[str, dict[str, Any]]:
    return {found.key: found.fields async for page in engine[collection].pages() for found in page}


async def _is_sound(engine: Engine) -> None:
    assert (await engine.verify()).problems == ()


# -- a file of an older format -----------------------------------------------------------------------------------------


async def _older(number: int, folder: Path) -> None:
    (folder / FILE).write_bytes(gzip.decompress((KEPT / f"format-{number}.db.gz").read_bytes()))


async def _is_migrated(engine: Engine, _folder: Path) -> None:
    assert await _records(engine, "tasks") == WANTED
    assert format_of(engine.path) == FORMAT
    assert (await engine.verify()).problems == ()


# -- purging -----------------------------------------------------------------------------------------------------------


async def _with_deleted(folder: Path) -> None:
    async with opened(folder / FILE) as node:
        await node.members.seize("it is alone")
        await node["t"].put_many((f"k{n}", _fields(n)) for n in range(RECORDS))
        for n in range(0, RECORDS, 2):
            await node["t"].delete(f"k{n}")


async def _purge(engine: Engine, _folder: Path) -> None:
    await engine.purge()


async def _is_purged(engine: Engine, folder: Path) -> None:
    await _is_sound(engine)
    expected = {f"k{n}": _fields(n) for n in range(1, RECORDS, 2)}
    assert await _records(engine) == expected
    await _purge(engine, folder)
    await _is_sound(engine)
    assert await _records(engine) == expected
    rows = await engine.readers.run(lambda connection: connection.execute("SELECT count(*) FROM record").fetchone()[0])
    assert rows == len(expected)
    assert [entry.kind for entry in await engine["t"].history("k0")] == ["delete", "put"]


# -- trimming ----------------------------------------------------------------------------------------------------------


async def _with_a_log(folder: Path) -> None:
    async with opened(folder / FILE, retention=Retention()) as node:
        for turn in range(8):
            async with node.transaction() as tx:
                for n in range(RECORDS):
                    tx.put("t", f"k{n}", _fields(n, turn))


async def _trim(engine: Engine, _folder: Path) -> None:
    await engine.trim()


async def _is_trimmed(engine: Engine, folder: Path) -> None:
    expected = {f"k{n}": _fields(n, 7) for n in range(RECORDS)}
    await _is_sound(engine)
    assert await _records(engine) == expected
    await _trim(engine, folder)
    await _is_sound(engine)
    assert await _records(engine) == expected
    assert (await engine.status()).history.rows <= TRIMMED_MAX


# -- going back to a snapshot ------------------------------------------------------------------------------------------


async def _with_a_snapshot(folder: Path) -> None:
    async with opened(folder / FILE) as node:
        await node["t"].put_many((f"k{n}", _fields(n)) for n in range(RECORDS))
        await node.snapshots.take("then")
        for n in range(8):
            await node["t"].update(f"k{n}", {"turn": 1})
            await node["t"].delete(f"k{n + 8}")
            await node["t"].put(f"new{n}", _fields(n))


async def _restore(engine: Engine, _folder: Path) -> None:
    await engine.snapshots.restore("then")


async def _is_restored(engine: Engine, folder: Path) -> None:
    await _is_sound(engine)
    then = {f"k{n}": _fields(n) for n in range(RECORDS)}
    now = then | {f"k{n}": _fields(n, 1) for n in range(8)} | {f"new{n}": _fields(n) for n in range(8)}
    assert await _records(engine) in (
        {key: now[key] for key in now if key not in map("k{}".format, range(8, 16))},
        then,
    )
    assert {"then"} <= {each.name for each in await engine.snapshots.list()}  # and each that stands there can be read
    await _restore(engine, folder)
    await _is_sound(engine)
    assert await _records(engine) == then


# -- taking in a bundle ------------------------------------------------------------------------------------------------


async def _with_a_bundle(folder: Path) -> None:
    async with opened(folder / FILE) as node, opened(folder / "b.db") as other:
        await other["t"].put_many((f"b{n}", _fields(n)) for n in range(RECORDS))
        await other["t"].update("b0", {"turn": 1})
        await other["t"].delete("b1")
        await other.export_bundle(folder / "ship.bundle")
        await node["t"].put_many((f"k{n}", _fields(n)) for n in range(RECORDS))


async def _take_in(engine: Engine, folder: Path) -> None:
    await engine.import_bundle(folder / "ship.bundle")


async def _has_taken_in(engine: Engine, folder: Path) -> None:
    await _is_sound(engine)
    own = {f"k{n}": _fields(n) for n in range(RECORDS)}
    theirs = {"b0": _fields(0, 1)} | {f"b{n}": _fields(n) for n in range(2, RECORDS)}
    assert await _records(engine) in (own, own | theirs)
    await _take_in(engine, folder)
    await _is_sound(engine)
    assert await _records(engine) == own | theirs


# -- beginning with a starter ------------------------------------------------------------------------------------------


async def _with_a_starter(folder: Path) -> None:
    async with opened(folder / "hub.db") as hub:
        await hub["t"].put_many((f"k{n}", _fields(n)) for n in range(RECORDS))
        await hub["t"].update("k0", {"turn": 1})
        await Offering(hub).draw(folder / "starter.db")


async def _begin(engine: Engine, folder: Path) -> None:
    beginning = Beginning(engine)
    shutil.copyfile(folder / "starter.db", beginning.path)
    assert await beginning.take(await beginning.check(), "http://hub")


async def _has_begun(engine: Engine, folder: Path) -> None:
    await _is_sound(engine)
    if await Beginning(engine).is_blank():
        await _begin(engine, folder)
    await _is_sound(engine)
    assert await _records(engine) == {"k0": _fields(0, 1)} | {f"k{n}": _fields(n) for n in range(1, RECORDS)}


CHORES: dict[str, Chore] = {
    **{
        f"migrate from {number}": Chore(prepare=partial(_older, number), act=nothing, check=_is_migrated, renews=True)
        for number in range(OLDEST_FORMAT, FORMAT)
    },
    "purge": Chore(prepare=_with_deleted, act=_purge, check=_is_purged),
    "trim": Chore(prepare=_with_a_log, act=_trim, check=_is_trimmed, options={"retention": TRIMMED}),
    "restore": Chore(prepare=_with_a_snapshot, act=_restore, check=_is_restored, power=False),
    "import": Chore(prepare=_with_a_bundle, act=_take_in, check=_has_taken_in),
    "begin": Chore(prepare=_with_a_starter, act=_begin, check=_has_begun),
}
"""By name."""
