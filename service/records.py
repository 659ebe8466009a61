"""The commands about single records and queries: init, put, update, delete, get, list, query.

Invariant: one command is one call of the engine.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.errors import NoSuchRecord

from .files import Callback, T, Target, file_argument, reading, run, writes_file, writing
from .output import json_text, note, print_json, printable, say, shown, table
from .program import Command, wants_json
from .values import JsonValue, parameter

if TYPE_CHECKING:
    from holdfast import Document, Receipt

collection_argument = click.argument("collection")
limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")


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
    """Create a database FILE for one space.

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
    """Write a whole record: JSON replaces all fields of COLLECTION/KEY.

    JSON is an object, or `-` to read it from stdin. A collection exists when it has records.

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
@click.argument("fields", metavar="JSON", type=JsonValue(), default="{}")
@click.option("--remove", multiple=True, metavar="FIELD", help="Take this field away; may be repeated.")
@click.option("--upsert", is_flag=True, help="Create the record if there is none.")
@_write_options
def update(
    *,
    target: Target,
    collection: str,
    key: str,
    fields: Any,
    remove: tuple[str, ...],
    options: dict[str, Any],
    **rest: Any,  # noqa: ANN401 - JSON; passed on
) -> None:
    """Write some fields of COLLECTION/KEY; the rest of the record stays.

    JSON is an object with the fields to write (null is a value), or `-` to read it from stdin.

    \b
    Examples:
      holdfast update edge.db tasks t1 '{"done": true}'
      holdfast update edge.db tasks t1 --remove site
    """
    if not isinstance(fields, dict):
        raise click.BadParameter("it must be a JSON object", param_hint="JSON")
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
@writes_file
@collection_argument
@click.argument("key")
@_write_options
def delete(*, target: Target, collection: str, key: str, options: dict[str, Any]) -> None:
    """Delete the record COLLECTION/KEY.

    If another node changes the record meanwhile, the change wins and the record lives on, unless the application
    declared otherwise; `holdfast conflicts` shows it.
    """
    run(_delete(target, collection, key, options))


async def _delete(target: Target, collection: str, key: str, options: dict[str, Any]) -> None:
    async with writing(target) as engine:
        receipt = await engine[collection].delete(key, **options)
    print_receipt("deleted", receipt)


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("key")
def get(*, file: Path, collection: str, key: str) -> None:
    """Print the record COLLECTION/KEY.

    Prints its fields; with --json also its version, and whether concurrent values stand behind what is shown.
    """
    run(_get(file, collection, key))


async def _get(file: Path, collection: str, key: str) -> None:
    async with reading(file) as engine:
        document = await engine[collection].get(key)
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


@click.command("list", cls=Command)
@file_argument
@click.argument("collection", required=False)
@limit_option
def list_(*, file: Path, collection: str | None, limit: int | None) -> None:
    """List the collections of FILE, or the keys of a COLLECTION in their order."""
    run(_list_keys(file, collection, limit) if collection is not None else _list_collections(file))


async def _list_collections(file: Path) -> None:
    async with reading(file) as engine:
        found = (await engine.status()).collections
    if wants_json():
        print_json([{"collection": name, "records": count} for name, count in found.items()])
    else:
        say(table(("collection", "records"), found.items()))


async def _list_keys(file: Path, collection: str, limit: int | None) -> None:
    await _print_documents(
        file, collection, "ORDER BY key", (), limit, lambda d: json_text(d.key) if wants_json() else printable(d.key)
    )


@click.command(cls=Command)
@file_argument
@collection_argument
@click.argument("condition", default="")
@click.argument("params", metavar="[PARAM]...", nargs=-1)
@limit_option
@click.option("--explain", is_flag=True, help="Print SQLite's plan instead: it names the index that is used.")
def query(
    *, file: Path, collection: str, condition: str, params: tuple[str, ...], limit: int | None, explain: bool
) -> None:
    """Print the records of COLLECTION that match a SQL CONDITION.

    CONDITION is what follows WHERE, over `key`, `doc` (the JSON document) and the fields that the application
    declared, with ? for each PARAM; it may end with ORDER BY and LIMIT. Without it all records match.

    A PARAM that is JSON is taken as JSON, anything else as text: 12 is a number, '"12"' and north are text. Put --
    before the first PARAM that begins with a minus.

    \b
    Examples:
      holdfast query edge.db tasks "doc ->> 'site' = ? ORDER BY key" north
      holdfast query edge.db tasks "doc ->> 'temp' < ?" -- -5
    """
    values = tuple(parameter(text) for text in params)
    if explain:
        run(_explain(file, collection, condition, values))
    else:
        run(_print_documents(file, collection, condition, values, limit, _result_line))


def _result_line(document: Document) -> str:
    if wants_json():
        return json_text(document_json(document))
    return f"{printable(document.key)}  {shown(document.fields)}"


async def _explain(file: Path, collection: str, condition: str, values: tuple[Any, ...]) -> None:
    async with reading(file) as engine:
        plan = await engine[collection].explain(condition, *values)
    if wants_json():
        print_json(plan)
    else:
        say("\n".join(plan))


async def _print_documents(
    file: Path, collection: str, condition: str, values: tuple[Any, ...], limit: int | None, line: Any
) -> None:
    """Print what `line` makes of each document as it is read, as a JSON array or as lines."""
    opening, joint, closing = ("[", ",\n ", "]\n") if wants_json() else ("", "\n", "\n")
    async with reading(file) as engine, aclosing(_documents(engine[collection], condition, values, limit)) as found:
        count = 0
        async for document in found:
            click.echo((joint if count else opening) + line(document), nl=False)
            count += 1
    if wants_json() or count:
        click.echo((closing if count else opening + closing), nl=False)


async def _documents(
    collection: Any, condition: str, values: tuple[Any, ...], limit: int | None
) -> AsyncIterator[Document]:
    left = limit
    async for page in collection.pages(condition, *values):
        for document in page[:left]:
            yield document
        if left is not None:
            left -= min(left, len(page))
            if not left:
                return


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
