"""The commands about who takes part in a space: members, purge.

Invariant: looking runs beside a hub or application that has the file open; deciding needs the file for itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import Target, file_argument, reading, run, writing
from .output import moment, note, print_json, printable, say, table
from .program import Command, Family, wants_json

if TYPE_CHECKING:
    from holdfast import Member, Members, PurgeReport

IDENTITY_SHOWN = 20
"""Characters of an identity: 16 are of its node, the rest tells its lives apart."""

NAMED_MAX = 10

name_argument = click.argument("name")


@click.group(cls=Family)
def members() -> None:
    """Who takes part in a space, who decides that, and whom a purge waits for.

    A deleted record goes for good once every member that counts has heard of the delete. One node decides who counts:
    the space's hub, by itself, or the node that was told to (`seize`). A member that was left out loses nothing: when
    it comes back it hears what was deleted, and what it wrote is taken in.
    """


@members.command(name="list")
@file_argument
def list_members(*, file: Path) -> None:
    """List whom FILE knows to take part, itself first."""
    found = run(_list(file))
    if wants_json():
        print_json([member.as_json() for member in found])
    else:
        rows = [(m.label, _role(m), moment(m.heard_ms) if m.heard_ms else "-", m.behind, m.actor) for m in found]
        say(table(("name", "state", "last met", "behind", "identity"), rows))


def _role(member: Member) -> str:
    words = ["decides"] if member.decides else []
    words += ["counts"] if member.counts else [f"left out since {moment(member.left_out_ms or 0)}"]
    words += ["awaited"] if member.awaited else []
    return ", ".join([*words, *(["goes on under another identity"] if member.superseded else [])])


async def _list(file: Path) -> list[Member]:
    async with reading(file) as engine:
        return await engine.members.list()


@members.command()
@file_argument
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--superseded", is_flag=True, help="All identities whose node goes on under a later one, not heard of since."
)
def expire(*, file: Path, names: tuple[str, ...], superseded: bool) -> None:
    """Wait for the members NAME (or the beginning of their identities) no more."""
    if superseded == bool(names):
        raise click.UsageError("name members, or give --superseded")
    gone = run(_expire(Target(file), names)) if names else run(_expire_superseded(Target(file)))
    if wants_json():
        print_json([{"member": name, "counts": False} for name in gone])
    else:
        say("\n".join(printable(f"{name} is left out: purges do not wait for it") for name in gone) or "there is none")


async def _expire(file: Target, names: tuple[str, ...]) -> list[str]:
    async with writing(file) as engine:
        await engine.members.expire(*names)
    return [*names]


async def _expire_superseded(file: Target) -> list[str]:
    async with writing(file) as engine:
        return [f"{member.label} {member.actor}" for member in await engine.members.expire_superseded()]


@members.command()
@file_argument
@name_argument
def restore(*, file: Path, name: str) -> None:
    """Wait for the member NAME again; before the next purge this undoes `expire`."""
    run(_decide(Target(file), lambda members: members.restore(name)))
    _told({"member": name, "counts": True}, f"{name} counts again")


@members.command()
@file_argument
@name_argument
def seal(*, file: Path, name: str) -> None:
    """Give the member NAME up: nothing is kept of it but what it wrote. It may come back, and loses nothing."""
    run(_decide(Target(file), lambda members: members.seal(name)))
    _told({"member": name, "sealed": True}, f"{name} is no member any more; when it comes back, it is one again")


@members.command(name="hand-over")
@file_argument
@name_argument
def hand_over(*, file: Path, name: str) -> None:
    """Let the member NAME decide from now on; it hears of it when the two next meet."""
    run(_decide(Target(file), lambda members: members.hand_over(name)))
    _told({"member": name, "decides": True}, f"{name} decides from now on")


@members.command()
@file_argument
@click.argument("reason")
def seize(*, file: Path, reason: str) -> None:
    """Let FILE decide from now on, because the node that did is lost, or none did; REASON stands in the log."""
    run(_decide(Target(file), lambda members: members.seize(reason)))
    _told({"decides": True}, "this node decides from now on")


async def _decide(file: Target, decision: Callable[[Members], Awaitable[None]]) -> None:
    async with writing(file) as engine:
        await decision(engine.members)


def _told(value: dict[str, object], text: str) -> None:
    if wants_json():
        print_json(value)
    else:
        say(printable(text))


@click.command(cls=Command)
@file_argument
def purge(*, file: Path) -> None:
    """Let go for good what was deleted, as far as all that count have heard of it.

    A running hub does it by itself.
    """
    report = run(_purge(Target(file)))
    if wants_json():
        print_json(report.as_json())
        return
    say(f"{report.dropped:,} deleted records are gone for good")
    for label in report.left_out:
        note(f"{label} was silent for too long, or has another identity: purges do not wait for it any more")
    for label in report.sealed:
        note(f"{label} was left out for long: nothing is kept of it but what it wrote")
    if report.awaited:
        note(printable(_waits_for(report.awaited)))
    if not report.decides:
        note("another node decides what may go: see `holdfast members list`")


def _waits_for(awaited: Mapping[str, str]) -> str:
    """Who is waited for: equal labels are told apart by the beginning of the identity."""
    named = [f"{label} ({actor[:IDENTITY_SHOWN]})" for actor, label in awaited.items()]
    more = f", and {len(named) - NAMED_MAX} more: see `holdfast members list`" if len(named) > NAMED_MAX else ""
    members = "1 member" if len(named) == 1 else f"{len(named)} members"
    return f"the next purge waits for {members}: {', '.join(named[:NAMED_MAX])}{more}"


async def _purge(file: Target) -> PurgeReport:
    async with writing(file) as engine:
        return await engine.purge()
