"""The commands about what a hub holds back: held, approve.

Invariant: they run beside a hub, which asks the registry each time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .hub import directory_argument, registry_of
from .output import moment, print_json, printable, say, table
from .program import Command, wants_json

if TYPE_CHECKING:
    from holdfast.transport.hub.registry import Held


@click.command(cls=Command)
@directory_argument
@click.argument("space", required=False)
def held(*, directory: Path, space: str | None) -> None:
    """List what nodes of SPACE, or of any space, sent that the hub holds back.

    A hub that runs with --hold-above takes nothing in that would delete or rewrite more of a collection than that
    share. The node keeps it and is told so; what others send flows on.
    """
    registry = registry_of(directory)
    names = [space] if space is not None else [item.name for item in registry.spaces()]
    found = [item for name in names for item in registry.held(name)]
    if wants_json():
        print_json([_json(item) for item in found])
    else:
        heads = ("space", "node", "held", "approved", "what", "identity")
        say(table(heads, [_row(item) for item in found]) if found else "nothing is held")


@click.command(cls=Command)
@directory_argument
@click.argument("space")
@click.argument("node")
def approve(*, directory: Path, space: str, node: str) -> None:
    """Let through what the hub holds of NODE (its name, or the beginning of its identity) in SPACE, for a day.

    It comes with the node's next sync.
    """
    registry = registry_of(directory)
    found = [item for item in registry.held(space) if item.label == node or item.actor.startswith(node)]
    if len(found) != 1:
        what = "several nodes of this name are held" if found else "nothing of such a node is held"
        raise click.BadParameter(f"{what}: see `holdfast hub held {directory} {space}`", param_hint="NODE")
    registry.approve(space, found[0].actor)
    if wants_json():
        print_json({"space": space, "node": found[0].actor})
    else:
        say(printable(f"what {found[0].label or node} sends to {space} is let through for a day"))


def _json(item: Held) -> dict[str, object]:
    return {
        "space": item.space,
        "node": item.actor,
        "label": item.label,
        "reason": item.reason,
        "held_ms": item.held_ms,
        "approved_ms": item.approved_ms,
    }


def _row(item: Held) -> tuple[object, ...]:
    approved = "-" if item.approved_ms is None else moment(item.approved_ms)
    return item.space, item.label, moment(item.held_ms), approved, item.reason, item.actor
