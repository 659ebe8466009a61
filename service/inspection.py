"""The commands that look into a file and change nothing: status, log, audit, ledger, quarantine.

Invariant: they run beside an application that has the file open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .exporting import STDOUT, opened_output
from .files import Callback, T, check_apart, check_collection, file_argument, reading, refuse_directory, run
from .output import facts, json_text, moment, note, print_json, printable, say, shown, table
from .program import Command, wants_json

if TYPE_CHECKING:
    from holdfast import Dot, Engine, HistoryStatus, LedgerEntry, LogEntry, PeerStatus, Status, Unreadable

E = TypeVar("E")


def _filters(function: Callback[T]) -> Callback[T]:
    """Give a command the options that choose entries."""
    with_limit = click.option(
        "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="At most so many."
    )(function)
    with_key = click.option("--key", metavar="KEY", help="Only of records with this key.")(with_limit)
    return click.option("--collection", metavar="NAME", help="Only of this collection.")(with_key)


@click.command(cls=Command)
@file_argument
def status(*, file: Path) -> None:
    """Show what a file holds and whom it met.

    Lines that begin with ! say what keeps FILE from agreeing with the others.
    """
    found = run(status_of(file))
    if wants_json():
        print_json(found.as_json())
    else:
        say(_status_text(found))


async def status_of(file: Path) -> Status:
    """The status of a file, read beside whoever has it open."""
    async with reading(file) as engine:
        return await engine.status()


def _status_text(found: Status) -> str:
    conflicts = ", ".join(f"{count:,} {state}" for state, count in found.conflicts.items()) or "none"
    parts = [
        facts(
            (
                ("file", found.path),
                ("space", f"{found.space} ({found.space_id})"),
                ("node", f"{found.label} ({found.actor}, life {found.incarnations})"),
                ("records", f"{found.records:,} (and {found.deleted:,} deleted)"),
                ("conflicts", conflicts),
                ("operations", f"{found.operations:,} own; position {found.lsn:,}"),
                ("digest", found.digest),
                ("unreadable", f"{found.quarantined:,} in part, {found.holes:,} in full"),
                ("history", _kept(found.history)),
                ("bytes", f"{found.bytes['file']:,} and {found.bytes['log']:,} in the log{_held_log(found)}"),
            )
        )
    ]
    if found.collections:
        parts.append(table(("collection", "records"), found.collections.items()))
    if found.peers:
        heads = ("peer", "last sync", "to send", "clock", "address")
        parts.append(table(heads, [_peer_row(peer) for peer in found.peers]))
    parts += [f"! {printable(blocker)}" for blocker in found.blockers]
    return "\n\n".join(parts)


def _held_log(found: Status) -> str:
    return f"; a read has held it for {found.reading_s:,.0f} s" if found.reading_s >= 1 else ""


def _kept(history: HistoryStatus) -> str:
    """What is kept of the log, on one line."""
    text = f"{history.rows:,} changes ({history.bytes:,} bytes)"
    if history.oldest_ms is not None:
        text += f" since {moment(history.oldest_ms)}"
    if history.floors:
        text += "; trimmed to " + ", ".join(f"{lsn:,} of {name}" for name, lsn in history.floors.items())
    return "; ".join((text, *history.waiting))


def _peer_row(peer: PeerStatus) -> tuple[object, ...]:
    drift = f"{peer.drift_ms / 1000:+.1f} s"
    return peer.label or peer.actor[:16], moment(peer.synced_ms), peer.pending, drift, peer.url or "-"


@click.command(cls=Command)
@file_argument
@_filters
def log(*, file: Path, collection: str | None, key: str | None, limit: int) -> None:
    """Show the operation log.

    Own writes and records that a sync changed, newest first, with the values that were replaced. A line of kind
    "merge" tells of a record that a sync changed. It names the latest write that the record holds afterwards, which is
    this node's own where what arrived was older.
    """
    entries = run(_entries(file, collection, lambda engine: engine.log(collection=collection, key=key, limit=limit)))
    heads = ("time", "kind", "record", "operation", "author", "note", "replaced")
    _print(entries, lambda entry: entry.as_json(), heads, [_log_row(entry) for entry in entries])


@click.command(cls=Command)
@file_argument
@click.argument("output", default=STDOUT)
@click.option("--collection", metavar="NAME", help="Only of this collection.")
def audit(*, file: Path, output: str, collection: str | None) -> None:
    """Write the whole operation log as JSON Lines, oldest first.

    The first line says where it begins: what is older has been trimmed. Then one line for each change of a record at
    this node, with its author, its note and how the record read before. OUTPUT is replaced when it is whole; a name
    that ends in .gz is compressed; `-`, the default, is stdout.
    """
    if output == STDOUT and wants_json():
        raise click.UsageError("--json reports on stdout, where the entries go: name an OUTPUT file")
    if output != STDOUT:
        refuse_directory(Path(output))
        check_apart(Path(output), [file], "OUTPUT")
    count = run(_audit(file, output, collection))
    if wants_json():
        print_json({"entries": count})
    elif output != STDOUT:
        say(printable(f"wrote {count:,} entries to {output}"))


async def _audit(file: Path, output: str, collection: str | None) -> int:
    count = 0
    async with reading(file) as engine:
        with opened_output(output) as stream:
            stream.write(f"{json_text(await _beginning(engine, collection))}\n".encode())
            async for entry in engine.audit(collection=collection):
                stream.write(f"{json_text(entry.as_json())}\n".encode())
                count += 1
        if collection is not None and not count:
            await check_collection(engine, collection)
    return count


async def _beginning(engine: Engine, collection: str | None) -> dict[str, Any]:
    """Where an audit begins: behind which lsn of each collection all is known, and since when."""
    found = await engine.status()
    floors = {name: lsn for name, lsn in found.history.floors.items() if collection in (None, name)}
    return {"audit": found.space, "node": found.label, "trimmed_to": floors, "oldest_ms": found.history.oldest_ms}


@click.command(cls=Command)
@file_argument
@_filters
def ledger(*, file: Path, collection: str | None, key: str | None, limit: int) -> None:
    """Show the values that lost a conflict.

    Nothing is gone: what a decision or a later write discarded from a conflict stands here, newest first.
    """
    entries = run(_entries(file, collection, lambda engine: engine.ledger(collection=collection, key=key, limit=limit)))
    heads = ("time", "record", "field", "operation", "value", "reason")
    _print(entries, _ledger_json, heads, [_ledger_row(entry) for entry in entries])


@click.command(cls=Command)
@file_argument
@click.option("--collection", metavar="NAME", help="Only of this collection.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="At most so many."
)
def quarantine(*, file: Path, collection: str | None, limit: int) -> None:
    """Show the records that this version cannot show.

    Of most of them a part or all is hidden: it has a type, or a name, of a later version. It is kept, joined and passed
    on, and shown as soon as FILE is opened by a version that knows it. What could not even be joined comes first: it is
    asked for again in every sync, and everything else flows. Nothing has to be done but to upgrade.
    """
    entries = run(_quarantine(file, collection, limit))
    heads = ("since", "record", "hidden", "why", "from")
    _print(entries, lambda entry: entry.as_json(), heads, [_quarantine_row(entry) for entry in entries])


async def _quarantine(file: Path, collection: str | None, limit: int) -> list[Unreadable]:
    async with reading(file) as engine:
        return await engine.quarantine(collection=collection, limit=limit)


def _quarantine_row(entry: Unreadable) -> tuple[object, ...]:
    hidden = ", ".join(entry.fields) or ("all" if entry.held else "not held")
    return moment(entry.since_ms), f"{entry.collection}/{entry.key}", hidden, entry.reason, entry.peer or "-"


async def _entries(file: Path, collection: str | None, read: Callable[[Engine], Awaitable[list[E]]]) -> list[E]:
    """What `read` finds; raises if there is no such collection."""
    async with reading(file) as engine:
        found = await read(engine)
        if collection is not None and not found:
            await check_collection(engine, collection)
        return found


def _print(entries: Sequence[Any], as_json: Any, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:  # noqa: ANN401 - a function of one entry
    if wants_json():
        print_json([as_json(entry) for entry in entries])
    elif rows:
        say(table(heads, rows))
    else:
        note("Nothing.")


def _log_row(entry: LogEntry) -> tuple[object, ...]:
    replaced = shown(entry.old) if entry.old else ""
    place = f"{entry.collection}/{entry.key}"
    return moment(entry.clock_ms), entry.kind, place, _dot(entry.dot), entry.author or "", entry.note or "", replaced


def _ledger_row(entry: LedgerEntry) -> tuple[object, ...]:
    place = f"{entry.collection}/{entry.key}"
    return moment(entry.clock_ms), place, entry.field, _dot(entry.dot), shown(entry.value), entry.reason


def _ledger_json(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "lsn": entry.lsn,
        "collection": entry.collection,
        "key": entry.key,
        "field": entry.field,
        "dot": entry.dot._asdict(),
        "clock_ms": entry.clock_ms,
        "value": entry.value,
        "reason": entry.reason,
        "by": entry.by._asdict() if entry.by else None,
    }


def _dot(dot: Dot) -> str:
    return f"{dot.actor[:16]}.{dot.seq}"
