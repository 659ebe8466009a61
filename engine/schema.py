"""Declared schemas: which resolver reads which field, and which fields have an index.

Pure; knows no table. Invariant: a schema restricts nothing (fields it does not name are kept and read by the default
resolver), and equal fingerprints mean equal declarations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from holdfast.errors import InvalidSchema, ResolverFault
from holdfast.resolvers import (
    AskOnDelete,
    DeleteWins,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Policy,
    Resolver,
    UpdateWins,
    rule_of,
)
from holdfast.resolvers.canonical import INTEGER_MAX, INTEGER_MIN, encode

from .documents import check_name, shown

_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED_COLUMNS: Final = frozenset({"key", "doc"})
"""Names that a query already has a meaning for, however they are spelled; such a field is read as ``doc ->> 'key'``."""

COLUMNS_MAX: Final = 1_000
"""Declared fields of one collection: SQLite takes 2,000 columns."""

_FOR_FIELDS: Final = (LastWriterWins, FirstWriterWins, MultiValue, Manual)
_FOR_EXISTENCE: Final = (UpdateWins, DeleteWins, AskOnDelete)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What an application says about one collection.

    Args:
        name: The collection.
        fields: Resolver per field. Declared fields are columns in queries; SQL takes `a` and `A` for one name.
        indexes: Fields to index: a name, or a sequence of names for an index over several. A field that `fields`
            does not name becomes a column by it and is read by `default`.
        default: The resolver of every other field.
        on_delete: The resolver of a record that one node deleted while another changed it.
        version: The application's own number for this declaration.

    Raises:
        InvalidSchema: A field cannot be a column, two would be one, a resolver is none or is for something else.
    """

    name: str
    fields: Mapping[str, Resolver] = field(default_factory=dict)
    indexes: Sequence[str | Sequence[str]] = ()
    default: Resolver = field(default_factory=LastWriterWins)
    on_delete: Resolver = field(default_factory=UpdateWins)
    version: int = 1

    def __post_init__(self) -> None:
        check_name(self.name, "collection")
        object.__setattr__(self, "fields", _fields(self.name, self.fields))
        object.__setattr__(self, "indexes", _indexes(self.name, self.indexes))
        _check_columns(self.name, [*self.fields, *(name for index in self.index_fields for name in index)])
        for name, resolver in self.fields.items():
            _check_resolver(f"{self.name}.{name}", resolver, _FOR_EXISTENCE, "existence, not for a field")
        _check_resolver(f"{self.name} default", self.default, _FOR_EXISTENCE, "existence, not for a field")
        _check_resolver(f"{self.name} on_delete", self.on_delete, _FOR_FIELDS, "fields, not for existence")
        if type(self.version) is not int or not INTEGER_MIN <= self.version <= INTEGER_MAX:
            raise InvalidSchema(
                f"the version is {shown(self.version)}, not an integer of 64 bits",
                subject=self.name,
                remedy="Count it up from 1.",
            )

    @property
    def index_fields(self) -> tuple[tuple[str, ...], ...]:
        """The fields of each index."""
        return tuple((index,) if isinstance(index, str) else tuple(index) for index in self.indexes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that are columns in queries, sorted."""
        named = {*self.fields, *(name for index in self.index_fields for name in index)}
        return tuple(sorted(named))

    @property
    def policy(self) -> Policy:
        """Which resolver reads what."""
        return Policy(fields=self.fields, default=self.default, existence=self.on_delete)

    def fingerprint(self) -> bytes:
        """8 bytes that differ when the declaration does."""
        text = encode([self.name, self.version, list(self.columns), [list(index) for index in self.index_fields]])
        return blake2b(text.encode() + self.policy.fingerprint(), digest_size=8).digest()


def check_schemas(schemas: object) -> tuple[Schema, ...]:
    """The schemas of a node, if they are schemas and each is of another collection; raises InvalidSchema."""
    if not isinstance(schemas, Iterable) or isinstance(schemas, str | bytes):
        raise InvalidSchema(
            f"schemas is {shown(schemas)}, not a sequence",
            subject="schemas",
            remedy="Pass a list: schemas=[Schema(...)].",
        )
    found: dict[str, Schema] = {}
    for schema in schemas:
        if not isinstance(schema, Schema):
            raise InvalidSchema(f"{shown(schema)} is no schema", subject="schemas", remedy="Pass Schema(name=...).")
        if schema.name in found:
            raise InvalidSchema(
                "two schemas declare one collection", subject=schema.name, remedy="Put them together into one."
            )
        found[schema.name] = schema
    return tuple(found.values())


def schemas_fingerprint(schemas: Iterable[Schema]) -> bytes:
    """8 bytes over all declarations of a node; b"" when there are none."""
    prints = [schema.fingerprint() for schema in sorted(schemas, key=lambda schema: schema.name)]
    return blake2b(b"".join(prints), digest_size=FINGERPRINT_BYTES).digest() if prints else b""


FINGERPRINT_BYTES: Final = 8


def policies_fingerprint(schemas: Iterable[Schema]) -> bytes:
    """8 bytes over all rules of a node; b"" when none are declared."""
    prints = [s.name.encode() + b"\0" + s.policy.fingerprint() for s in sorted(schemas, key=lambda s: s.name)]
    return blake2b(b"".join(prints), digest_size=8).digest() if prints else b""


def _fields(collection: str, fields: object) -> dict[str, Resolver]:
    """A copy, so that what was checked stays."""
    if not isinstance(fields, Mapping):
        raise InvalidSchema(
            f"fields is {shown(fields)}, not a dict",
            subject=collection,
            remedy="Write it like fields={'title': LastWriterWins()}.",
        )
    return dict(fields)


def _indexes(collection: str, indexes: object) -> tuple[str | tuple[str, ...], ...]:
    """A copy, so that what was checked stays."""
    if not isinstance(indexes, list | tuple):
        raise InvalidSchema(
            f"indexes is {shown(indexes)}, not a sequence",
            subject=collection,
            remedy="Write it like indexes=['site', ('site', 'done')].",
        )
    for index in indexes:
        if not isinstance(index, str) and not (isinstance(index, list | tuple) and index):
            raise InvalidSchema(
                f"{shown(index)} is no index", subject=collection, remedy="Name a field, or several: ('site', 'done')."
            )
    return tuple(index if isinstance(index, str) else tuple(index) for index in indexes)


def _check_columns(collection: str, names: Sequence[object]) -> None:
    spelled: dict[str, str] = {}
    for name in names:
        if type(name) is not str or not _COLUMN.fullmatch(name):
            raise InvalidSchema(
                f"{shown(name)} cannot be a column: it must be 1 to 64 letters, digits and underscores",
                subject=collection,
                remedy="Rename the field, or leave it undeclared and query it as doc ->> '...'.",
            )
        if name.lower() in RESERVED_COLUMNS:
            raise InvalidSchema(
                f"{name!r} cannot be a column: a query calls something else so",
                subject=f"{collection}.{name}",
                remedy=f"Rename the field, or leave it undeclared and query it as doc ->> '{name}'.",
            )
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            raise InvalidSchema(
                f"{other!r} and {name!r} cannot both be columns: SQL takes them for one name",
                subject=f"{collection}.{name}",
                remedy=f"Rename one, or leave one undeclared and query it as doc ->> '{name}'.",
            )
    if len(spelled) > COLUMNS_MAX:
        raise InvalidSchema(
            f"{len(spelled)} declared fields; at most {COLUMNS_MAX}",
            subject=collection,
            remedy="Leave those undeclared that no rule and no query needs.",
        )


def _check_resolver(subject: str, resolver: object, others: tuple[type, ...], purpose: str) -> None:
    if isinstance(resolver, others):
        raise InvalidSchema(
            f"{type(resolver).__name__} is a rule for {purpose}",
            subject=subject,
            remedy="See the table of resolvers: rules for fields stand in fields and default, others in on_delete.",
        )
    try:
        rule_of(resolver)  # type: ignore[arg-type]  # it finds out
    except ResolverFault as fault:
        raise InvalidSchema(fault.what, subject=subject, remedy=fault.remedy) from fault
