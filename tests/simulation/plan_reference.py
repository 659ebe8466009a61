"""Tables of docs/reference/plan.md as the code has them; `python -m tests.simulation.plan_reference` prints them."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from holdfast.simulation.plans.actions import ACTIONS, Record
from holdfast.simulation.plans.arguments import kinds_of
from holdfast.simulation.plans.plan import CollectionPlan, FieldPlan, Healing, NodePlan, Plan, Route

PARTS: dict[str, type] = {
    "Plan": Plan,
    "Node": NodePlan,
    "Collection": CollectionPlan,
    "Field": FieldPlan,
    "Healing": Healing,
    "Route": Route,
    "Record": Record,
    **{f"`{name}`": kind for name, kind in ACTIONS.items()},
}
"""Heading in the page -> what its table lists."""


def rows(record: Any) -> list[str]:
    """A row for each field: name, what it may be, default."""
    kinds = kinds_of(record)
    return [f"| `{field.name}` | {kinds[field.name].describe()} | {_default(field)} |" for field in fields(record)]


def _default(field: Any) -> str:
    if field.name == "format":
        return "required"
    if field.name in ("heal", "checkers"):
        return {"heal": "its defaults", "checkers": "all"}[field.name]
    if field.default_factory is not MISSING:
        return f"`{json.dumps(field.default_factory())}`"
    return "required" if field.default is MISSING else f"`{json.dumps(field.default)}`"


def table(record: Any) -> str:
    """The whole table."""
    return "\n".join(["| Member | May be | Default |", "|---|---|---|", *rows(record)])


if __name__ == "__main__":
    for heading, kind in PARTS.items():
        print(f"### {heading}", (kind.__doc__ or "").splitlines()[0], sep="\n\n", end="\n\n")  # noqa: T201 - its job
        print(table(kind) if fields(kind) else "No arguments.", end="\n\n")  # noqa: T201
