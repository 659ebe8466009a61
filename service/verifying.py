"""The command verify: a file against itself, against a hub, and what to do about what is found.

Invariant: without `--repair` nothing changes; with it the damaged file is set aside and never deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .files import Target, file_argument, reading, run
from .output import note, print_json, printable, say
from .program import Command, found_problem, wants_json
from .progress import bar
from .syncing import ca_option, insecure_option, say_synced, sync_file, token_option

if TYPE_CHECKING:
    from holdfast import CompareReport, Engine, Hub, SalvageReport, SyncReport, VerifyReport

NAMED_MAX = 20
"""Records that are named in words; JSON names more."""


@dataclass(slots=True)
class _Found:
    """What a run of the command found and did."""

    verified: VerifyReport
    unopened: bool = False
    salvaged: SalvageReport | None = None
    synced: SyncReport | None = None
    compared: CompareReport | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or no longer."""
        if self.compared is not None and not self.compared.alike:
            return False
        if self.synced is not None and not self.synced.completed:
            return False
        if self.salvaged is None:
            return self.verified.ok
        whole = not (self.salvaged.lost or self.salvaged.nameless)
        return not self.salvaged.unsent and (whole or self.synced is not None)

    def as_json(self, *, against: bool, repair: bool) -> dict[str, Any]:
        """As plain JSON values; what was not asked for is left out."""
        shown: dict[str, Any] = self.verified.as_json()
        if repair:
            shown["salvaged"] = self.salvaged.as_json() if self.salvaged else None
        if against:
            shown["compared"] = self.compared.as_json() if self.compared else None
        if against and repair:
            shown["synced"] = self.synced.as_json() if self.synced else None
        return shown | {"ok": self.ok}


@click.command(cls=Command)
@file_argument
@click.option("--against", "url", metavar="URL", help="Also compare with the hub at this address.")
@click.option("--repair", is_flag=True, help="Salvage what is whole of a damaged FILE; with --against, sync as well.")
@token_option
@ca_option
@insecure_option
def verify(*, file: Path, url: str | None, repair: bool, token: str, ca_file: Path | None, insecure: bool) -> None:
    """Check a file against itself, and against a hub.

    Checks pages, records, digests, vectors, indexes, the conflict inbox and the log of FILE. With --against, what
    stands in FILE is compared with what stands at the hub, by sums over ranges of keys. Nothing is changed. Exit code
    1 means that problems or differences were found.

    With --repair, a FILE with problems is set aside (in the folder FILE-aside) and what is whole of it goes on under
    a new identity, which gets back from peers what is gone: with --against at once, by a sync, which also mends what
    differs though both had taken in the same. Exit code 1 then means that something is still missing.

    \b
    Examples:
      holdfast verify edge.db
      HOLDFAST_TOKEN=hf_... holdfast verify edge.db --against https://hub.example:8787 --repair
    """
    from holdfast import Hub

    hub = None if url is None else Hub(url, token, ca_file, insecure)
    found = run(_verify(file, hub, repair=repair))
    if wants_json():
        print_json(found.as_json(against=hub is not None, repair=repair))
    else:
        _say(found, hub, repair=repair)
    if not found.ok:
        found_problem()


async def _verify(file: Path, hub: Hub | None, *, repair: bool) -> _Found:
    found = await _check(file)
    if repair and not found.verified.ok:
        from holdfast import salvage_file

        found.salvaged = salvage_file(file)
    if hub is None or (found.unopened and not repair):  # what cannot be opened cannot be compared
        return found
    if repair:
        found.synced = await sync_file(Target(file, None, ""), hub, None)
    async with reading(file) as engine:
        found.compared = await engine.compare(hub)
    return found


async def _check(file: Path) -> _Found:
    """The file against itself; one that cannot even be opened is a problem that `--repair` may solve."""
    from holdfast import DamagedFile, NotADatabase, SideFile, VerifyReport

    try:
        async with reading(file) as engine:
            with bar("verifying", await _records(engine)) as show:
                return _Found(await engine.verify(on_progress=show))
    except (DamagedFile, NotADatabase) as error:
        if isinstance(error, NotADatabase) and not SideFile(file).recall():
            raise
        return _Found(VerifyReport(records=0, problems=(f"file: it cannot be opened: {error.what}",)), unopened=True)


async def _records(engine: Engine) -> int:
    """How many records there are to check; 0 if that cannot be read."""
    from holdfast import DamagedFile

    try:
        held = await engine.status()
    except DamagedFile:
        return 0
    return held.records + held.deleted


def _say(found: _Found, hub: Hub | None, *, repair: bool) -> None:
    report = found.verified
    if report.ok:
        say(f"ok: {report.records:,} records checked")
    for problem in report.problems:
        say(printable(problem))
    if found.salvaged is not None:
        _say_salvaged(found.salvaged, hub)
    elif not report.ok and not repair:
        note(
            f"{len(report.problems)} problems in {report.records:,} records. `holdfast verify --repair` keeps the file"
            " aside and goes on with what is whole of it; peers give back the rest."
        )
    if found.synced is not None:
        say_synced(found.synced)
    if found.compared is not None:
        _say_compared(found.compared)


def _say_salvaged(report: SalvageReport, hub: Hub | None) -> None:
    some = "at least " if report.nameless else ""
    say(f"salvaged {report.records:,} records; {some}{report.lost:,} are gone here")
    for collection, key in report.named[:NAMED_MAX]:
        say(printable(f"gone: {collection}/{key}"))
    for collection, key in report.unsent[:NAMED_MAX]:
        say(printable(f"! {collection}/{key}: its last changes had never left this node: nobody has them"))
    if report.tables:
        say(printable(f"Also damaged: {', '.join(report.tables)}."))
    note(printable(f"The damaged file is in {report.aside}."))
    if hub is None:
        note("Sync now: peers give back what is gone here.")


def _say_compared(report: CompareReport) -> None:
    peer = report.peer or "the hub"
    if report.alike:
        say(printable(f"alike: {peer} holds the same ({report.bytes_received:,} bytes in)"))
        return
    if not report.complete:
        say(printable(f"not compared in full: {peer} cannot compare, or too much differs"))
    if not report.sound:
        say(printable(f"records of {peer} are lost: run verify there"))
    say(f"{report.changed:,} records differ, {report.there:,} are only there, {report.here:,} only here")
    for collection, key in report.named[:NAMED_MAX]:
        say(printable(f"differs: {collection}/{key}"))
    if not report.current:
        note("Not all has been synced: sync first to see what really differs.")
