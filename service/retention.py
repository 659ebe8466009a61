"""The commands that let go of what was: trim, erase.

Invariant: what they say is gone is gone from this file, and they name where else it may stand.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, check_collection, file_argument, run, writing
from .output import note, print_json, printable, say
from .program import Command, wants_json
from .records import collection_argument

if TYPE_CHECKING:
    from holdfast import EraseReport, Retention, TrimReport


@click.command(cls=Command)
@file_argument
@click.option("--days", type=click.IntRange(1, 365_000), metavar="N", help="Keep changes of the last N days.")
@click.option("--rows", type=click.IntRange(min=0), metavar="N", help="Keep the last N changes of each collection.")
@click.option("--bytes", "size", type=click.IntRange(min=0), metavar="N", help="Keep N bytes for each collection.")
@click.option("--everything", is_flag=True, help="Keep everything.")
def trim(*, file: Path, days: int | None, rows: int | None, size: int | None, everything: bool) -> None:
    """Trim the log to its retention, or to another one from now on.

    Options replace the retention of FILE and are kept in it; a collection that its application gave a retention of its
    own keeps that. Without options what holds already is done at once, instead of behind later writes.

    \b
    Example:
      holdfast trim edge.db --days 90 --rows 100000
    """
    if everything and not (days is None and rows is None and size is None):
        raise click.UsageError("--everything goes with no other bound")
    report = run(_trim(file, days, rows, size, everything=everything))
    if wants_json():
        print_json(report.as_json())
        return
    say(f"{report.deleted:,} changes were trimmed")
    if report.stubs:
        note(f"Of {report.stubs:,} a stub is left: no peer has stored these operations yet.")


async def _trim(file: Path, days: int | None, rows: int | None, size: int | None, *, everything: bool) -> TrimReport:
    from holdfast import Retention

    retention: Retention | None = None
    if everything or not (days is None and rows is None and size is None):
        retention = Retention(age=None if days is None else timedelta(days=days), rows=rows, bytes=size)
    async with writing(Target(file), retention) as engine:
        return await engine.trim()


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("key")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="Only this field; may be given several times.")
@click.option("--author", default="", metavar="TEXT", help="Who erases, for the log and the list of erasures.")
@click.option("--note", "why", default="", metavar="TEXT", help="Why, for the log and the list of erasures.")
def erase(*, file: Path, collection: str, key: str, fields: tuple[str, ...], author: str, why: str) -> None:
    """Erase a record, or fields of it, with all that was kept of their values; a sync carries it to the others.

    The record is deleted, or without the fields, and its history reads as if they had never been. The key stays. A
    field of which nothing is known here is refused. Snapshots, backups and bundles are not touched: those snapshots
    that hold the record are named.
    """
    report = run(_erase(file, collection, key, fields, author, why))
    if wants_json():
        print_json(report.as_json())
        return
    say(printable(f"erased {collection}/{key}"))
    if not report.removed:
        note("Another process reads the file: the values go when it lets go, behind a later write.")
    for name in report.snapshots:
        note(printable(f"Snapshot {name} still holds the record: holdfast snapshot drop FILE {name}"))


async def _erase(file: Path, collection: str, key: str, fields: tuple[str, ...], author: str, why: str) -> EraseReport:
    async with writing(Target(file)) as engine:
        await check_collection(engine, collection)
        return await engine[collection].erase(key, fields or None, author=author, note=why)
