"""What a file remembers of its declarations, so that a program that declares nothing can keep them in force.

Pure; knows no table. Invariant: a schema that is read back has the columns, the indexes and the rule names of the one
that was declared; a rule whose code is not here is named and never guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from holdfast.resolvers import (
    AskOnDelete,
    Conflict,
    Defer,
    DeleteWins,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Policy,
    Resolution,
    Resolver,
    UpdateWins,
    rule_of,
)

from .schema import Schema

_BUILT_IN: Final[dict[str, Resolver]] = {
    rule_of(resolver): resolver
    for resolver in (
        LastWriterWins(),
        FirstWriterWins(),
        MultiValue(),
        Manual(),
        UpdateWins(),
        DeleteWins(),
        AskOnDelete(),
    )
}


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for an application's own rule where its code is not: every conflict waits for the application."""

    name: str
    version: int

    def resolve(self, conflict: Conflict) -> Resolution:
        """Defer to the application."""
        return Defer(f"the rule {rule_of(self)} belongs to the application: it decides when it opens the file")


def declaration(schema: Schema) -> str:
    """The schema as the text that stands in the file."""
    rules = {
        "fields": {name: rule_of(resolver) for name, resolver in sorted(schema.fields.items())},
        "default": rule_of(schema.default),
        "on_delete": rule_of(schema.on_delete),
    }
    return json.dumps(
        {"version": schema.version, "columns": schema.columns, "indexes": schema.index_fields, "rules": rules}
    )


def schema_from(name: str, text: str) -> Schema:
    """The schema of a collection, from the text that `declaration` made."""
    found: dict[str, Any] = json.loads(text)
    rules = found["rules"]
    return Schema(
        name=name,
        fields={field: _resolver(rule) for field, rule in rules["fields"].items()},
        indexes=[tuple(index) for index in found["indexes"]],
        default=_resolver(rules["default"]),
        on_delete=_resolver(rules["on_delete"]),
        version=found["version"],
    )


def has_absent_rules(policy: Policy) -> bool:
    """Whether a conflict of this collection may need code that is not here."""
    return any(isinstance(rule, Absent) for rule in (policy.default, policy.existence, *policy.fields.values()))


def _resolver(rule: str) -> Resolver:
    name, _, version = rule.rpartition("/")
    return _BUILT_IN.get(rule) or Absent(name, int(version))
