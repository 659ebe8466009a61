"""The commands about a file and its single records: init, put, update, delete, get.

Invariant: one command is one call of the engine.
"""

from __future__ import annotations

import functools
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.errors import NoSuchRecord

from .files import Callback, T, Target, check_collection, file_argument, reading, run, writes_file, writing
from .output import note, print_json, printable, say, shown
from .program import Command, wants_json, was_given
from .values import JsonValue, as_of_option

if TYPE_CHECKING:
    from holdfast import Document, Receipt

collection_argument = click.argument("collection")


def _write_options(function: Callback[T]) -> Callback[T]:
    """Give a command what every write takes, as one dict `options`."""

    @functools.wraps(function)
    def command(*, if_version: str | None, author: str, note: str, **rest: Any) -> T:  # noqa: ANN401 - passed on
        return function(options={"if_version": if_version, "author": author, "note": note}, **rest)

    with_note = click.option("--note", default="", metavar="TEXT", help="Why, for the log.")(command)
    with_author = click.option("--author", default="", metavar="TEXT", help="Who writes, for the log.")(with_note)
    return click.option(
        "--if-version",
        metavar="VERSION",
        help="Refuse unless the record has this version (`get --json` shows it); '' for: there must be none.",
    )(with_author)


@click.command(cls=Command)
@file_argument
@click.option("--space", required=True, metavar="NAME", help="The space that the file holds, for good.")
@click.option("--name", default="", metavar="LABEL", help="Human name of this node; the file's stem by default.")
def init(*, file: Path, space: str, name: str) -> None:
    """Create a database file for one space.

    A space is a set of collections that nodes share. All nodes of a space, and its hub, call it by the same name.
    A FILE that holds this space already stays as it is.

    \b
    Example:
      holdfast init edge.db --space plant --name pump-7
    """
    run(_init(Target(file, space, name)))


async def _init(target: Target) -> None:
    created = target.is_new
    async with writing(target) as engine:
        status = await engine.status()
    if wants_json():
        made = {"file": str(target.path), "space": status.space, "label": status.label, "actor": status.actor}
        print_json(made | {"created": created})
    else:
        did = "created" if created else "found"
        say(printable(f"{did} {target.path}: node {status.label}, space {status.space}"))


@click.command(cls=Command)
@writes_file
@collection_argument
@click.argument("key")
@click.argument("fields", metavar="JSON", type=JsonValue())
@_write_options
def put(*, target: Target, collection: str, key: str, fields: Any, options: dict[str, Any]) -> None:  # noqa: ANN401 - JSON
    """Write a whole record.

    JSON replaces all fields of COLLECTION/KEY. It is an object, or `-` to read it from stdin. A collection exists when
    it has records.

    \b
    Examples:
      holdfast put edge.db tasks t1 '{"title": "Check valve", "site": "north"}'
      holdfast put new.db tasks t1 '{"n": 1}' --space plant
    """
    run(_put(target, collection, key, fields, options))


async def _put(target: Target, collection: str, key: str, fields: Any, options: dict[str, Any]) -> None:  # noqa: ANN401 - JSON
    async with writing(target) as engine:
        receipt = await engine[collection].put(key, fields, **options)
    print_receipt("put", receipt)


@click.command(cls=Command)
@writes_file
@collection_argument
@click.argument("key")
@click.argument("fields", metavar="[JSON]", type=JsonValue(), default="{}")
@click.option("--remove", multiple=True, metavar="FIELD", help="Take this field away; may be repeated.")
@click.option("--upsert", is_flag=True, help="Create the record if there is none.")
@_write_options
def update(
    *,
    target: Target,
    collection: str,
    key: str,
    fields: Any,  # noqa: ANN401 - JSON
    remove: tuple[str, ...],
    options: dict[str, Any],
    **rest: Any,  # noqa: ANN401 - passed on
) -> None:
    """Write some fields of a record.

    JSON is an object with the fields of COLLECTION/KEY to write (null is a value), or `-` to read it from stdin; the
    other fields stay.

    \b
    Examples:
      holdfast update edge.db tasks t1 '{"done": true}'
      holdfast update edge.db tasks t1 --remove site
    """
    if not (was_given("fields") or remove or rest["upsert"]):
        raise click.UsageError("there is nothing to write: give fields as JSON, or --remove FIELD")
    if not isinstance(fields, dict):
        raise click.BadParameter("it must be a JSON object", param_hint="JSON")
    if both := sorted(fields.keys() & set(remove)):
        raise click.UsageError(f"to be written and to be removed: {', '.join(both)}")
    run(_update(target, collection, key, fields, remove, options | rest))


async def _update(
    target: Target, collection: str, key: str, fields: dict[str, Any], remove: tuple[str, ...], options: dict[str, Any]
) -> None:
    from holdfast import Remove

    async with writing(target) as engine:
        edit = fields | {name: Remove() for name in remove}
        receipt = await engine[collection].update(key, edit, **options)
    print_receipt("updated", receipt)


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("key")
@_write_options
def delete(*, file: Path, collection: str, key: str, options: dict[str, Any]) -> None:
    """Delete a record.

    If another node changes the record meanwhile, the change wins and the record lives on, unless the application
    declared otherwise; `holdfast conflicts` shows it.
    """
    run(_delete(Target(file), collection, key, options))


async def _delete(target: Target, collection: str, key: str, options: dict[str, Any]) -> None:
    async with writing(target) as engine:
        receipt = await engine[collection].delete(key, **options)
    print_receipt("deleted", receipt)


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("key")
@as_of_option
def get(*, file: Path, collection: str, key: str, then: int | datetime | None) -> None:
    """Print a record.

    Prints the fields of COLLECTION/KEY; with --json also its version, and whether concurrent values stand behind what
    is shown; with --as-of only the fields, as readers of this node saw them at that moment.
    """
    run(_get(file, collection, key) if then is None else _get_as_of(file, collection, key, then))


async def _get_as_of(file: Path, collection: str, key: str, then: int | datetime) -> None:
    async with reading(file) as engine:
        fields = await engine[collection].as_of(then).get(key)
        if fields is None:
            await check_collection(engine, collection)
            what, remedy = "there was no such record at that moment", "`holdfast history` shows when it was there."
            raise NoSuchRecord(what, subject=f"{collection}/{key}", remedy=remedy)
    if wants_json():
        print_json({"key": key, "fields": fields})
    else:
        say(shown(fields, indent=2))


async def _get(file: Path, collection: str, key: str) -> None:
    async with reading(file) as engine:
        document = await engine[collection].get(key)
        if document is None:
            await check_collection(engine, collection)
    if document is None:
        raise NoSuchRecord(
            "there is no such record", subject=f"{collection}/{key}", remedy=f"See `holdfast list {file} {collection}`."
        )
    if wants_json():
        print_json(document_json(document))
        return
    say(shown(document.fields, indent=2))
    if document.conflicted:
        note("Note: concurrent values stand behind this record; see `holdfast conflicts`.")
    if document.quarantined:
        note(f"Note: fields of a type that this version cannot read: {', '.join(document.quarantined)}.")


def document_json(document: Document) -> dict[str, Any]:
    """A record as JSON values."""
    return {
        "key": document.key,
        "fields": document.fields,
        "version": document.version,
        "conflicted": document.conflicted,
        "quarantined": list(document.quarantined),
    }


def print_receipt(did: str, receipt: Receipt) -> None:
    """Print what a write returned."""
    from holdfast.clocks import millis

    if wants_json():
        print_json(
            {
                "collection": receipt.collection,
                "key": receipt.key,
                "dot": receipt.dot._asdict(),
                "clock_ms": millis(receipt.clock),
                "lsn": receipt.lsn,
                "version": receipt.version,
            }
        )
    else:
        say(printable(f"{did} {receipt.collection}/{receipt.key}"))
