"""The command bundle: what a sync would carry, as a file for nodes that never see a network.

Invariant: a bundle appears whole or not at all, and importing one twice does what importing it once does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, file_argument, run, writes_file, writing
from .output import note, print_json, printable, say
from .program import Family, found_problem, wants_json
from .progress import counter
from .syncing import guard_of, hold_option

if TYPE_CHECKING:
    from holdfast import BundleReport, Guard

_BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))


@click.group(cls=Family)
def bundle() -> None:
    """Sync by files that are carried by hand.

    A bundle holds records of one node for others of its space. Anybody may carry it; it may come late, twice, or cut
    off, and loses nothing.

    \b
    Examples:
      holdfast bundle want ship.db ship.want            on the ship: what it holds
      holdfast bundle export hq.db ship.bundle --want ship.want
      holdfast bundle import ship.db ship.bundle        on the ship
    """


@bundle.command()
@file_argument
@click.argument("output", type=click.Path(path_type=Path))
def want(*, file: Path, output: Path) -> None:
    """Write to OUTPUT what FILE holds, for a bundle that leaves that out."""
    run(_want(file, output))
    if wants_json():
        print_json({"file": str(file), "want": str(output)})
    else:
        say(printable(f"wrote what {file} holds to {output}"))


async def _want(file: Path, output: Path) -> None:
    async with writing(Target(file)) as engine:
        await engine.export_want(output)


@bundle.command(name="export")
@file_argument
@_BUNDLE
@click.option(
    "--want", "wanted", type=click.Path(path_type=Path), metavar="WANT", help="Leave out what this want-list holds."
)
def export_(*, file: Path, bundle: Path, wanted: Path | None) -> None:
    """Write records of FILE to BUNDLE: all, or what the maker of a want-list lacks."""
    report = run(_export(file, bundle, wanted))
    if wants_json():
        print_json(report.as_json())
    else:
        goal = f" for {report.peer}" if report.peer else ""
        say(printable(f"wrote {report.records:,} records{goal} to {bundle}"))


async def _export(file: Path, bundle: Path, wanted: Path | None) -> BundleReport:
    async with writing(Target(file)) as engine:
        with counter() as show:
            return await engine.export_bundle(
                bundle, want=wanted, on_records=lambda count: show(f"{count:,} records written")
            )


@bundle.command(name="import")
@writes_file
@_BUNDLE
@hold_option
def import_(*, target: Target, bundle: Path, hold_above: float | None) -> None:
    """Take the records of BUNDLE into FILE. Exit code 1 means that not all of it could be taken in."""
    report = run(_import(target, bundle, guard_of(hold_above)))
    if wants_json():
        print_json(report.as_json())
    else:
        say(printable(f"took in {report.records:,} records from {report.peer}, {report.conflicts:,} new conflicts"))
        for blocker in report.blockers:
            note(printable(f"! {blocker}"))
    if not report.completed:
        found_problem()


async def _import(target: Target, bundle: Path, guard: Guard | None) -> BundleReport:
    async with writing(target) as engine:
        with counter() as show:
            return await engine.import_bundle(
                bundle, guard=guard, on_records=lambda count: show(f"{count:,} records taken in")
            )
