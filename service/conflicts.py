"""The commands about the conflict inbox: list, show, resolve, reopen.

Invariant: a decision is made about the values that `show` printed: if another arrived meanwhile, the conflict has
another id and the old one is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .files import Target, check_collection, file_argument, reading, run, writing
from .output import facts, moment, note, print_json, printable, say, shown, table
from .program import Family, wants_json, was_given
from .queries import limit_option
from .records import print_receipt
from .values import JsonValue

if TYPE_CHECKING:
    from holdfast import OpenConflict, Take, Value, Version
    from holdfast.resolvers import Delete

STATES: Final = ("open", "settled", "decided", "overwritten")
VALUE_CHARS_SHOWN: Final = 40
ANY: Final = 1_000_000_000

id_argument = click.argument("conflict_id", metavar="ID")


class Inbox(Family):
    """A family with FILE before its commands, in which `list` is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        if args and not args[0].startswith("-"):
            file, *rest = args
            if rest and file in self.commands and rest[0] not in self.commands and not Path(file).exists():
                raise click.UsageError(f"FILE comes first: {ctx.command_path} {rest[0]} {file}", ctx)
            if rest and rest[0] in ctx.help_option_names:
                args = rest
            elif not rest or rest[0].startswith("-"):
                args = [file, "list", *rest]
        return super().parse_args(ctx, args)


@click.group(cls=Inbox, subcommand_metavar="[COMMAND] [ARGS]...")
@file_argument
@click.pass_context
def conflicts(ctx: click.Context, *, file: Path) -> None:
    """List, show and decide conflicts.

    Where several nodes changed the same field (or one deleted what another changed) while apart, all values are kept.
    The declared rule says which one readers see; what no rule may settle is open until somebody decides.

    \b
    Examples:
      holdfast conflicts edge.db                          list the open ones
      holdfast conflicts edge.db list --state settled     those that a rule settled
      holdfast conflicts edge.db show ID
      holdfast conflicts edge.db resolve ID --take 0 --note "phoned the customer"
    """
    ctx.obj = file


@conflicts.command("list")
@click.option(
    "--state",
    type=click.Choice([*STATES, "all"]),
    default="open",
    show_default=True,
    help="open: waits for a decision; settled: by the declared rule; decided; overwritten: by a later write.",
)
@click.option("--collection", metavar="NAME", help="Only of this collection.")
@limit_option
@click.pass_obj
def list_(file: Path, *, state: str, collection: str | None, limit: int | None) -> None:
    """List conflicts, oldest first."""
    run(_list(file, None if state == "all" else state, collection, limit))


async def _list(file: Path, state: str | None, collection: str | None, limit: int | None) -> None:
    async with reading(file) as engine:
        found = await engine.conflicts(state, collection=collection, limit=limit or ANY)
        if collection is not None and not found:
            await check_collection(engine, collection)
    if wants_json():
        print_json([conflict_json(item) for item in found])
    elif found:
        heads = ("id", "state", "kind", "record", "field", "values")
        say(table(heads, [_row(item) for item in found]))
    else:
        note(f"No {'' if state is None else state + ' '}conflicts.")


def _row(item: OpenConflict) -> tuple[str, ...]:
    conflict = item.conflict
    values = " | ".join(_short(sibling) for sibling in conflict.siblings)
    place = f"{conflict.collection}/{conflict.key}"
    return item.id, item.state, conflict.kind.value, place, _field(item), values


@conflicts.command()
@id_argument
@click.pass_obj
def show(file: Path, *, conflict_id: str) -> None:
    """Show one conflict: its values with the number that --take wants, and the rest of the record."""
    run(_show(file, conflict_id))


async def _show(file: Path, conflict_id: str) -> None:
    async with reading(file) as engine:
        item = await engine.conflict(conflict_id)
    if wants_json():
        print_json(conflict_json(item))
        return
    conflict = item.conflict
    told = [
        ("conflict", item.id),
        ("record", f"{conflict.collection}/{conflict.key}"),
        ("field", _field(item)),
        ("kind", conflict.kind.value),
        ("state", item.state),
        ("rule", item.rule),
    ]
    told += [(name, text) for name, text in (("error", item.error), ("note", item.note)) if text]
    say(facts(told))
    rows = [(at, moment(_ms(s)), s.dot.actor[:16], s.dot.seq, _text(s)) for at, s in enumerate(conflict.siblings)]
    say("\n" + table(("take", "time", "node", "operation", "value"), rows))
    say("\nThe rest of the record:\n" + shown(dict(conflict.record), indent=2))


@conflicts.command()
@id_argument
@click.option("--take", type=click.IntRange(min=0), metavar="N", help="The value with this number, from 0.")
@click.option("--value", type=JsonValue(), metavar="JSON", help="A new value, as JSON.")
@click.option("--delete", "deletes", is_flag=True, help="Remove the field; where existence is in conflict, the record.")
@click.option("--note", default="", metavar="TEXT", help="Why, kept with the decision.")
@click.option("--author", default="", metavar="TEXT", help="Who decides, for the log.")
@click.pass_context
def resolve(
    ctx: click.Context,
    /,
    *,
    conflict_id: str,
    take: int | None,
    deletes: bool,
    note: str,
    author: str,
    **value: Any,  # noqa: ANN401 - JSON
) -> None:
    """Decide a conflict with one of --take, --value and --delete.

    The decision is a write like any other: it travels to the other nodes and ends the conflict there. A value that
    arrives later reopens it.
    """
    if (take is not None) + was_given("value") + deletes != 1:
        raise click.UsageError("pass exactly one of --take, --value and --delete")
    decision = _decision(take, value["value"], deletes=deletes)
    run(_resolve(ctx.obj, conflict_id, decision, note, author))


def _decision(take: int | None, value: Any, *, deletes: bool) -> Take | Value | Delete:  # noqa: ANN401 - JSON
    from holdfast import Delete, Take, Value

    if take is not None:
        return Take(take)
    return Delete() if deletes else Value(value)


async def _resolve(file: Path, conflict_id: str, decision: Take | Value | Delete, reason: str, author: str) -> None:
    async with writing(Target(file)) as engine:
        item = await engine.conflict(conflict_id)
        receipt = await item.resolve(decision, note=reason, author=author)
    print_receipt("decided", receipt)


@conflicts.command()
@id_argument
@click.pass_obj
def reopen(file: Path, *, conflict_id: str) -> None:
    """Put a conflict that was settled or decided back into this node's inbox."""
    run(_reopen(file, conflict_id))


async def _reopen(file: Path, conflict_id: str) -> None:
    async with writing(Target(file)) as engine:
        item = await engine.reopen(conflict_id)
    if wants_json():
        print_json(conflict_json(item))
    else:
        say(printable(f"reopened {item.id}: {item.conflict.collection}/{item.conflict.key} {_field(item)}"))


def conflict_json(item: OpenConflict) -> dict[str, Any]:
    """A conflict as JSON values."""
    conflict = item.conflict
    return {
        "id": item.id,
        "state": item.state,
        "kind": conflict.kind.value,
        "collection": conflict.collection,
        "key": conflict.key,
        "field": conflict.field,
        "rule": item.rule,
        "error": item.error,
        "note": item.note,
        "siblings": [_sibling_json(at, sibling) for at, sibling in enumerate(conflict.siblings)],
        "record": dict(conflict.record),
    }


def _sibling_json(at: int, sibling: Version) -> dict[str, Any]:
    return {
        "take": at,
        "value": sibling.value,
        "deleted": sibling.deleted,
        "birth": sibling.birth,
        "decision": sibling.decision,
        "dot": sibling.dot._asdict(),
        "clock_ms": _ms(sibling),
    }


def _field(item: OpenConflict) -> str:
    return "(the record itself)" if item.conflict.field is None else item.conflict.field


def _text(sibling: Version) -> str:
    if sibling.deleted:
        return "(deleted)"
    return shown(sibling.value) if sibling.text else "(alive)"


def _short(sibling: Version) -> str:
    text = _text(sibling)
    return text if len(text) <= VALUE_CHARS_SHOWN else text[: VALUE_CHARS_SHOWN - 1] + "…"


def _ms(sibling: Version) -> int:
    from holdfast.clocks import millis

    return millis(sibling.clock)
