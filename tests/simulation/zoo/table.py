"""The table of the zoo in docs/reference/mutants.md: read, and written anew row by row.

Knows no world. Invariant: what is written is what is read, and the other parts of the document stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.sources import ROOT

from .worlds import WORLDS, World

PAGE: Final = ROOT / "docs" / "reference" / "mutants.md"
_HEAD: Final = "| Mutant | Rule or class of bugs | World | Invariant |\n|---|---|---|---|\n"
_ROW: Final = re.compile(
    r"^\| (?P<name>[^|]+) \| (?P<rule>[^|]+) \| (?P<world>[a-z]+) (?P<seed>\d+) \| (?P<invariant>[^|]+) \|$",
    re.MULTILINE,
)


WORLD_ROWS: Final = re.compile(r"^\| `[a-z]+` \|.+\|$", re.MULTILINE)
"""The rows that say what the worlds are."""


def world_rows() -> list[str]:
    """As the document must have them."""
    return [
        f"| `{name}` | | | | | | the plan [{each.written}](../../tests/simulation/zoo/plans/{each.written}) |"
        if each.written
        else f"| `{name}` | {each.nodes} | {each.minutes} | {each.operations} | {each.keys} | {', '.join(each.faults)}"
        f" | {_besides(each)} |"
        for name, each in WORLDS.items()
    ]


def _besides(world: World) -> str:
    said = [
        f"partitions {world.partitions}" if world.partitions != "medium" else "",
        f"work: {', '.join(world.work)}" if world.work is not None else "",
        f"batches of {world.batch_bytes} bytes" if world.batch_bytes else "",
        world.note,
    ]
    return "; ".join(filter(None, said))


class Row(NamedTuple):
    """Where a mutant is caught."""

    rule: str
    world: str
    seed: int
    invariant: str


def rows() -> dict[str, Row]:
    """The rows by mutant, as the document has them."""
    return {
        each["name"]: Row(each["rule"], each["world"], int(each["seed"]), each["invariant"])
        for each in _ROW.finditer(PAGE.read_text(encoding="utf-8"))
    }


def write(found: Mapping[str, Row]) -> None:
    """Write these rows in place of those that the document has."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_HEAD)
    behind = rest[rest.index("\n\n") if "\n\n" in rest else len(rest) :].lstrip("\n")
    lines = "".join(
        f"| {name} | {row.rule} | {row.world} {row.seed} | {row.invariant} |\n" for name, row in found.items()
    )
    PAGE.write_text(f"{before}{_HEAD}{lines}\n{behind}".rstrip("\n") + "\n", encoding="utf-8")
