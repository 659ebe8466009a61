"""The commands sync and bootstrap: one session with a hub.

Invariant: the token comes from an option or the environment and is never printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, first_contact, run, writes_file
from .output import print_json, printable, say
from .program import Command, found_problem, wants_json
from .progress import counter

if TYPE_CHECKING:
    from holdfast import Guard, Hub, SyncProgress, SyncReport


hold_option = click.option(
    "--hold-above",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Hold what would delete or rewrite more than this share of a collection, and more than 100 records.",
)


def guard_of(share: float | None) -> Guard | None:
    """The guard that the option asks for."""
    from holdfast import Guard

    return None if share is None else Guard(share=share)


token_option = click.option(
    "--token",
    default="",
    envvar="HOLDFAST_TOKEN",
    show_envvar=True,
    help="What `holdfast hub token add` printed. Other users of this machine can read command lines: rather use the "
    "environment.",
)

ca_option = click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificates (PEM) to trust instead of the system's, for a hub with a private one.",
)

insecure_option = click.option(
    "--insecure", is_flag=True, help="Send the token over plain HTTP to another machine, for all to read."
)


@click.command(cls=Command)
@writes_file
@click.argument("url")
@token_option
@ca_option
@hold_option
@insecure_option
def sync(
    *, target: Target, url: str, token: str, ca_file: Path | None, hold_above: float | None, insecure: bool
) -> None:
    """Sync with a hub.

    Ends when FILE and the hub at URL have all that the other has. FILE's space must be one that the hub serves, under
    the same name. A sync that is cut keeps what it got; the next one goes on from there. Exit code 1 means that it
    ended and something is missing; it says what.

    \b
    Examples:
      HOLDFAST_TOKEN=hf_... holdfast sync edge.db https://hub.example:8787
      holdfast sync new.db http://127.0.0.1:8787 --space plant
    """
    from holdfast import Hub

    _show(run(sync_file(target, Hub(url, token, ca_file, insecure), guard_of(hold_above))))


@click.command(cls=Command)
@writes_file
@click.argument("url")
@token_option
@ca_option
@insecure_option
def bootstrap(*, target: Target, url: str, token: str, ca_file: Path | None, insecure: bool) -> None:
    """Begin FILE with a copy of what the hub holds.

    FILE is new, or holds nothing yet. The hub's copy is fetched, checked and taken in, and what came since is synced;
    a node begins under an identity of its own. Run it again if it is cut: it goes on at the byte where it was. A hub
    that has no copy is read record by record. `holdfast sync` does the same with a FILE that holds nothing.

    \b
    Example:
      HOLDFAST_TOKEN=hf_... holdfast bootstrap edge.db https://hub.example:8787 --space plant
    """
    from holdfast import Hub

    _show(run(_bootstrap(target, Hub(url, token, ca_file, insecure))))


def _show(report: SyncReport) -> None:
    if wants_json():
        print_json(report.as_json())
    else:
        say_synced(report)
    if not report.completed:
        found_problem()


def say_synced(report: SyncReport) -> None:
    """What a sync did, in words."""
    say(printable(_summary(report)))
    for blocker in report.blockers:
        say(printable(f"! {blocker}"))


async def sync_file(target: Target, hub: Hub, guard: Guard | None) -> SyncReport:
    """One session of a file with a hub."""
    async with first_contact(target) as engine:
        with counter() as show:
            return await engine.sync(hub, guard=guard, on_progress=lambda seen: show(_line(seen)))


async def _bootstrap(target: Target, hub: Hub) -> SyncReport:
    async with first_contact(target) as engine:
        with counter() as show:
            return await engine.bootstrap(hub, on_progress=lambda seen: show(_line(seen)))


def _line(seen: SyncProgress) -> str:
    if seen.starter_size:
        return f"fetching the hub's copy: {seen.starter_bytes:,} of {seen.starter_size:,} bytes"
    return f"syncing: {seen.sent:,} sent, {seen.received:,} received"


def _summary(report: SyncReport) -> str:
    repaired = f", {report.repaired:,} records repaired" if report.repaired else ""
    word = "in sync with" if report.completed else "not in sync with"
    return (
        f"{word} {report.peer or 'the hub'}: {report.sent:,} sent, {report.received:,} received,"
        f" {report.conflicts:,} new conflicts{repaired} ({report.bytes_sent:,} bytes out, {report.bytes_received:,} in,"
        f" {report.round_trips} round trips, {report.seconds:.2f} s)"
    )
