"""Between a plan's collections, which are data, and `holdfast.Schema`, which holds resolvers.

Knows no events. Invariant: ``schema_of(collection_of(schema), resolvers) == schema`` when each resolver is registered
under its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from holdfast.engine.schema import Schema
from holdfast.errors import HoldfastError, InvalidPlan
from holdfast.resolvers import (
    AskOnDelete,
    DeleteWins,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Resolver,
    UpdateWins,
)

from .arguments import mistake
from .plan import CollectionPlan, FieldPlan, NodePlan, Plan

BUILT_IN: Final[Mapping[str, Resolver]] = MappingProxyType(
    {
        resolver.name: resolver
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
)
"""The resolvers that every plan may name."""


def collection_of(schema: Schema) -> CollectionPlan:
    """A schema as data; where a resolver is the user's, generated writes give its field one type of value."""
    return CollectionPlan(
        name=schema.name,
        version=schema.version,
        fields=tuple(
            FieldPlan(name=name, resolver=resolver.name, values="any" if resolver.name in BUILT_IN else "text")
            for name, resolver in schema.fields.items()
        ),
        indexes=schema.index_fields,
        default=schema.default.name,
        on_delete=schema.on_delete.name,
    )


def resolvers_of(schema: Schema) -> dict[str, Resolver]:
    """The resolvers of a schema by name."""
    return {resolver.name: resolver for resolver in (*schema.fields.values(), schema.default, schema.on_delete)}


def schema_of(
    collection: CollectionPlan, resolvers: Mapping[str, Resolver] | None = None, path: str = "collection"
) -> Schema:
    """The schema that a collection of a plan is.

    Args:
        collection: From the plan.
        resolvers: The user's, by name.
        path: The collection's place in the plan, for errors.

    Raises:
        InvalidPlan: It names an unknown resolver, or no engine would take it.
    """
    known = {**BUILT_IN, **(resolvers or {})}
    names = {f"{path}.fields[{at}].resolver": field.resolver for at, field in enumerate(collection.fields)}
    names |= {f"{path}.default": collection.default, f"{path}.on_delete": collection.on_delete}
    for place, name in names.items():
        if name not in known:
            raise _unknown(name, place, known)
    if collection.on_delete == MultiValue.name:
        raise mistake("existence has no value to show a list of", f"{path}.on_delete", "Name another resolver.")
    try:
        return Schema(
            name=collection.name,
            version=collection.version,
            fields={field.name: known[field.resolver] for field in collection.fields},
            indexes=collection.indexes,
            default=known[collection.default],
            on_delete=known[collection.on_delete],
        )
    except HoldfastError as error:
        raise mistake(error.what, path, error.remedy) from error


def schemas_of(plan: Plan, node: NodePlan, resolvers: Mapping[str, Resolver] | None = None) -> tuple[Schema, ...]:
    """What a node declares: each collection in its newest version up to the node's `schema_version`."""
    chosen: dict[str, CollectionPlan] = {}
    for collection in plan.collections:
        if collection.version <= node.schema_version:
            before = chosen.get(collection.name)
            if before is None or before.version < collection.version:
                chosen[collection.name] = collection
    return tuple(schema_of(collection, resolvers) for collection in chosen.values())


def _unknown(name: str, place: str, known: Iterable[str]) -> InvalidPlan:
    remedy = f"Register it, or name one of: {', '.join(known)}."
    return mistake(f"there is no resolver {name!r}", place, remedy)
