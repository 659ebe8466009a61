"""The commands that read many records: list and query.

Invariant: they read page by page and print as they read, so a large collection is never held as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .files import check_collection, file_argument, reading, run
from .output import encodable, json_text, print_json, printable, say, shown, table
from .program import Command, wants_json
from .records import collection_argument, document_json
from .values import as_of_option, parameter

if TYPE_CHECKING:
    from holdfast import Collection, Document
    from holdfast.engine.storage.query import Parameter

limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")


@click.command("list", cls=Command)
@file_argument
@click.argument("collection", required=False)
@limit_option
@as_of_option
def list_(*, file: Path, collection: str | None, limit: int | None, then: int | datetime | None) -> None:
    """List collections, or the keys of one.

    Without COLLECTION: the collections of FILE with their records; with it: its keys in their order, with --as-of those
    that readers of this node saw at that moment.
    """
    if then is not None:
        if collection is None:
            raise click.UsageError("--as-of needs a COLLECTION")
        run(_list_as_of(file, collection, limit, then))
    elif collection is None:
        run(_list_collections(file))
    else:
        run(_print(file, collection, "ORDER BY key", (), limit, _key_line))


async def _list_as_of(file: Path, collection: str, limit: int | None, then: int | datetime) -> None:
    keys: list[str] = []
    async with reading(file) as engine:
        async with aclosing(engine[collection].as_of(then).documents()) as found:
            async for key, _ in found:
                keys.append(key)
                if len(keys) == limit:
                    break
        if not keys:
            await check_collection(engine, collection)
    if wants_json():
        print_json(keys)
    elif keys:
        say("\n".join(printable(key) for key in keys))


async def _list_collections(file: Path) -> None:
    async with reading(file) as engine:
        found = (await engine.status()).collections
    if wants_json():
        print_json([{"collection": name, "records": count} for name, count in found.items()])
    else:
        say(table(("collection", "records"), found.items()))


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
    """Print the records that match a SQL condition.

    CONDITION is what follows WHERE, over `key`, `doc` (the JSON document) and the fields that the application
    declared, with ? for each PARAM; it may end with ORDER BY and LIMIT. Without it all records of COLLECTION match.

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
        run(_print(file, collection, condition, values, limit, _record_line))


async def _explain(file: Path, collection: str, condition: str, values: tuple[Parameter, ...]) -> None:
    async with reading(file) as engine:
        plan = await engine[collection].explain(condition, *values)
        if not plan:
            await check_collection(engine, collection)
    if wants_json():
        print_json(plan)
    else:
        say("\n".join(plan))


def _key_line(document: Document) -> str:
    return json_text(document.key) if wants_json() else printable(document.key)


def _record_line(document: Document) -> str:
    if wants_json():
        return json_text(document_json(document))
    return f"{printable(document.key)}  {shown(document.fields)}"


async def _print(
    file: Path,
    collection: str,
    condition: str,
    values: tuple[Parameter, ...],
    limit: int | None,
    line: Callable[[Document], str],
) -> None:
    """Print a line for each document as it is read: an array if JSON is wanted."""
    before, between = ("[", ",\n ") if wants_json() else ("", "\n")
    async with reading(file) as engine, aclosing(_documents(engine[collection], condition, values, limit)) as found:
        count = 0
        async for document in found:
            click.echo((between if count else before) + encodable(line(document)), nl=False)
            count += 1
        if not count:
            await check_collection(engine, collection)
    if wants_json():
        click.echo("]" if count else "[]")
    elif count:
        click.echo()


async def _documents(
    collection: Collection, condition: str, values: tuple[Parameter, ...], limit: int | None
) -> AsyncGenerator[Document, None]:
    left = limit
    async for page in collection.pages(condition, *values):
        for document in page[:left]:
            yield document
        if left is not None:
            left -= min(left, len(page))
            if not left:
                return
