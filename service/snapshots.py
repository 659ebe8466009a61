"""The commands that keep copies and go back to them: snapshot, backup, restore.

Invariants: taking a copy runs beside an application that has the file open; nothing that stands anywhere is destroyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, file_argument, reading, run, writing
from .output import moment, note, print_json, printable, say, say_more, table
from .program import Command, Family, wants_json
from .progress import bar

if TYPE_CHECKING:
    from holdfast import RestoreReport, Snapshot

_HUNDREDTHS = 100

name_argument = click.argument("name")


@click.group(cls=Family)
def snapshot() -> None:
    """Keep what a file holds under a name, and go back to it.

    Snapshots stand in the folder FILE-snapshots. Going back is ordinary writes: it reaches every node with the next
    sync, and loses nothing that was written since (see `holdfast log`).
    """


@snapshot.command()
@file_argument
@click.argument("name", required=False)
@click.option("--note", "why", default="", metavar="TEXT", help="Why, kept with the snapshot.")
def take(*, file: Path, name: str | None, why: str) -> None:
    """Keep what FILE holds now under NAME, by default the time."""
    taken = run(_take(file, name, why))
    if wants_json():
        print_json(taken.as_json())
    else:
        say(printable(f"kept {taken.records:,} records as {taken.name}: {taken.path}"))


async def _take(file: Path, name: str | None, why: str) -> Snapshot:
    async with reading(file) as engine:
        with _shares("copying") as show:
            return await engine.snapshots.take(name, note=why, on_progress=show)


@snapshot.command(name="list")
@file_argument
def list_snapshots(*, file: Path) -> None:
    """List the snapshots of FILE, oldest first."""
    found, own = run(_list(file))
    if wants_json():
        print_json([snapshot.as_json() for snapshot in found])
        return
    rows = [(moment(s.made_ms), s.name, s.records, s.bytes, _remark(s, own)) for s in found if not s.fault]
    if rows:
        say(table(("time", "name", "records", "bytes", "note"), rows))
    for bad in found:
        if bad.fault:
            note(printable(f"{bad.path} cannot be read: {bad.fault}"))
    if not found:
        note("No snapshots yet.")


async def _list(file: Path) -> tuple[list[Snapshot], tuple[str, str]]:
    """The snapshots, and the space and the node of the file itself."""
    async with reading(file) as engine:
        status = await engine.status()
        return await engine.snapshots.list(), (status.space, status.label)


def _remark(found: Snapshot, own: tuple[str, str]) -> str:
    """The note of a snapshot, and of whom it is if it is not this file's own."""
    if (found.space, found.node) == own:
        return found.note
    return f"[of node {found.node}, space {found.space}] {found.note}".rstrip()


@snapshot.command()
@file_argument
@name_argument
def drop(*, file: Path, name: str) -> None:
    """Delete the snapshot NAME of FILE."""
    run(_drop(file, name))
    if wants_json():
        print_json({"dropped": name})
    else:
        say(printable(f"dropped {name}"))


async def _drop(file: Path, name: str) -> None:
    async with reading(file) as engine:
        await engine.snapshots.drop(name)


@snapshot.command(name="restore")
@file_argument
@name_argument
@click.option("--collection", metavar="NAME", help="Only this collection.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only the record with this key; may be repeated.")
@click.option("--preview", is_flag=True, help="Only say what would be done.")
def restore_records(*, file: Path, name: str, collection: str | None, keys: tuple[str, ...], preview: bool) -> None:
    """Let the records of FILE read as they did in the snapshot NAME.

    Records that the snapshot does not have are deleted. A snapshot of what stands now is taken first.
    """
    report = run(_go_back(file, name, collection, keys, preview=preview))
    if wants_json():
        print_json(report.as_json())
        return
    verb = "would be" if preview else "were"
    say(f"{report.written:,} records {verb} written, {report.deleted:,} deleted; {report.alike:,} read as they did")
    if report.erased:
        note(f"Of {report.erased:,} records values were erased since: these do not come back.")
    say_more(report.named if preview else (), report.written + report.deleted, report.before)


async def _go_back(
    file: Path, name: str, collection: str | None, keys: tuple[str, ...], *, preview: bool
) -> RestoreReport:
    async with reading(file) if preview else writing(Target(file)) as engine:
        return await engine.snapshots.restore(name, collection=collection, keys=keys or None, preview=preview)


@click.command(cls=Command)
@file_argument
@click.argument("target", type=click.Path(path_type=Path))
def backup(*, file: Path, target: Path) -> None:
    """Copy FILE as it stands to TARGET, which must not be there yet.

    It runs beside an application that has FILE open. The copy is checked; `holdfast restore` makes a file of it.
    """
    run(_backup(file, target))
    if wants_json():
        print_json({"file": str(file), "backup": str(target)})
    else:
        say(printable(f"copied {file} to {target}"))


async def _backup(file: Path, target: Path) -> None:
    async with reading(file) as engine:
        with _shares("copying") as show:
            await engine.backup(target, on_progress=show)


@click.command(cls=Command)
@click.argument("copy", type=click.Path(path_type=Path))
@file_argument
@click.option("--replace", is_flag=True, help="Set aside what stands at FILE instead of refusing.")
def restore(*, copy: Path, file: Path, replace: bool) -> None:
    """Make FILE of a backup or a snapshot, after its disk or its device was lost.

    The node goes on under a new identity, and sync brings it what came since COPY was made. To undo writes, go back
    with `holdfast snapshot restore`: what a sync brings would put them in force again.
    """
    from holdfast import restore_backup

    with _shares("copying") as show:
        aside = restore_backup(copy, file, replace=replace, on_progress=show)
    if wants_json():
        print_json({"file": str(file), "aside": str(aside) if aside else None})
        return
    say(printable(f"made {file} of {copy}"))
    if aside:
        note(printable(f"What stood there is in {aside}."))


@contextmanager
def _shares(label: str) -> Iterator[Callable[[float], None]]:
    with bar(label, _HUNDREDTHS) as show:
        yield lambda share: show(round(share * _HUNDREDTHS))
