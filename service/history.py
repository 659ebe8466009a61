"""The commands about what was: history, revert, undo, disown.

Invariant: the ways back are ordinary writes, so they reach every node and can be taken back themselves.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, check_collection, file_argument, reading, run, writing
from .output import moment, note, print_json, printable, say, say_more, shown, table
from .program import Command, wants_json
from .records import collection_argument
from .values import Moment

if TYPE_CHECKING:
    from holdfast import DisownReport, Revision, UndoReport

_AUTHOR = click.option("--author", default="", metavar="TEXT", help="Who writes, for the log.")
_PREVIEW = click.option("--preview", is_flag=True, help="Only say what would be done.")
_NOTE = click.option("--note", "why", default="", metavar="TEXT", help="Why, for the log.")


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("key", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="At most so many."
)
def history(*, file: Path, collection: str, key: str | None, limit: int) -> None:
    """Show how a record has read at this node, newest first; without KEY, all of the collection.

    One line for each change, by a write here or by a sync, with what readers saw after it. TIME is when they saw it,
    by this node's clock, as `revert --to` counts.
    """
    found = run(_history(file, collection, key, limit))
    if wants_json():
        print_json([revision.as_json() for revision in found])
    elif found:
        heads, start = ("key", "lsn", "time", "kind", "author", "note", "record"), 0 if key is None else 1
        say(table(heads[start:], [_row(revision)[start:] for revision in found]))
    else:
        note("Nothing.")


async def _history(file: Path, collection: str, key: str | None, limit: int) -> list[Revision]:
    async with reading(file) as engine:
        found = await engine[collection].history(key, limit=limit)
        if not found:
            await check_collection(engine, collection)
        return found


def _row(revision: Revision) -> tuple[object, ...]:
    read = "(deleted)" if revision.fields is None else shown(revision.fields)
    when, who, why = _seen(revision), revision.author or "", revision.note or ""
    return revision.key, revision.lsn, when, revision.kind, who, why, read


def _seen(revision: Revision) -> str:
    return "" if revision.seen_ms is None else moment(revision.seen_ms)


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("--to", "then", type=Moment(), required=True, metavar="MOMENT", help="An lsn, or a time with its zone.")
@_PREVIEW
@_AUTHOR
@_NOTE
def revert(
    *,
    file: Path,
    collection: str,
    keys: tuple[str, ...],
    then: int | datetime,
    preview: bool,
    author: str,
    why: str,
) -> None:
    """Let records read as they did at an earlier moment.

    MOMENT is an lsn, as `holdfast history` shows it, or a time by this node's clock. Records that this node made later
    are deleted; one that a sync brought later is refused, because how it read then is not known here. Of more than 100
    records a snapshot is taken first.

    \b
    Examples:
      holdfast revert edge.db tasks t1 --to 17 --preview
      holdfast revert edge.db tasks t1 t2 --to 2026-11-21T08:00:00Z --note "before the import"
    """
    _say(run(_revert(file, collection, keys, then, author, why, preview=preview)), preview=preview)


async def _revert(
    file: Path, collection: str, keys: tuple[str, ...], then: int | datetime, author: str, why: str, *, preview: bool
) -> UndoReport:
    async with reading(file) if preview else writing(Target(file)) as engine:
        report = await engine[collection].revert(keys, then, author=author, note=why, preview=preview)
        if not report.written:
            await check_collection(engine, collection)
        return report


@click.command(cls=Command)
@file_argument
@click.argument("lsn", type=click.IntRange(min=1))
@_PREVIEW
@_AUTHOR
@_NOTE
def undo(*, file: Path, lsn: int, preview: bool, author: str, why: str) -> None:
    """Take back what one transaction changed, as far as it was not changed since.

    LSN is its number, as `holdfast history` and `holdfast log --json` show it; what a sync brought can be undone like
    a write of this node: records that it brought first are deleted. Of more than 100 records a snapshot is taken first.
    """
    _say(run(_undo(file, lsn, author, why, preview=preview)), preview=preview)


async def _undo(file: Path, lsn: int, author: str, why: str, *, preview: bool) -> UndoReport:
    async with reading(file) if preview else writing(Target(file)) as engine:
        return await engine.undo(lsn, author=author, note=why, preview=preview)


def _say(report: UndoReport, *, preview: bool) -> None:
    if wants_json():
        print_json(report.as_json())
        return
    of_them = f", {report.deleted:,} of them deleted" if report.deleted else ""
    say(f"{report.written:,} records {'would be' if preview else 'were'} written{of_them}")
    for collection, key in report.left:
        note(printable(f"{collection}/{key} was changed since: what was changed stays"))
    say_more(report.named if preview else (), report.written, report.before)


@click.command(cls=Command)
@file_argument
@click.argument("node")
@click.option("--since", type=Moment(), required=True, metavar="MOMENT", help="An lsn, or a time with its zone.")
@_PREVIEW
@_AUTHOR
@_NOTE
def disown(*, file: Path, node: str, since: int | datetime, preview: bool, author: str, why: str) -> None:
    """Take back what a misbehaving node has changed since a moment, where it still shows.

    NODE is its label, or the beginning of its identity (8 characters or more). What others wrote stays. A snapshot of
    what stands now is taken first. Revoke the node's token before.

    \b
    Example:
      holdfast disown edge.db pump-7 --since 2026-11-21T08:00:00Z --preview
    """
    report = run(_disown(file, node, since, author, why, preview=preview))
    if wants_json():
        print_json(report.as_json())
        return
    verb = "would be" if preview else "were"
    say(f"{report.written:,} records {verb} written, {report.deleted:,} deleted")
    say_more(report.named if preview else (), report.written + report.deleted, report.before)


async def _disown(
    file: Path, node: str, since: int | datetime, author: str, why: str, *, preview: bool
) -> DisownReport:
    async with reading(file) if preview else writing(Target(file)) as engine:
        return await engine.disown(node, since, preview=preview, author=author, note=why)
