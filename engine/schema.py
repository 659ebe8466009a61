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

from holdfast.errors import InvalidSchema
from holdfast.resolvers import LastWriterWins, Policy, Resolver, UpdateWins
from holdfast.resolvers.canonical import encode

from .documents import check_name

_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED_COLUMNS: Final = frozenset({"key", "doc"})
"""Names that a query already has a meaning for; such a field is read as ``doc ->> 'key'``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What an application says about one collection.

    Args:
        name: The collection.
        fields: Resolver per field. Declared fields are columns in queries.
        indexes: Fields to index: a name, or a sequence of names for an index over several.
        default: The resolver of every other field.
        on_delete: The resolver of a record that one node deleted while another changed it.
        version: The application's own number for this declaration.

    Raises:
        InvalidSchema: An index names a field that cannot be a column, or a resolver is none.
    """

    name: str
    fields: Mapping[str, Resolver] = field(default_factory=dict)
    indexes: Sequence[str | Sequence[str]] = ()
    default: Resolver = field(default_factory=LastWriterWins)
    on_delete: Resolver = field(default_factory=UpdateWins)
    version: int = 1

    def __post_init__(self) -> None:
        check_name(self.name, "collection")
        for name in (*self.fields, *(name for index in self.index_fields for name in index)):
            if not _COLUMN.fullmatch(name):
                raise InvalidSchema(
                    f"{name!r} cannot be a column: it must be letters, digits and underscores",
                    subject=self.name,
                    remedy="Rename the field, or leave it undeclared and query it as doc ->> '...'.",
                )

    @property
    def index_fields(self) -> tuple[tuple[str, ...], ...]:
        """The fields of each index."""
        return tuple((index,) if isinstance(index, str) else tuple(index) for index in self.indexes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that are columns in queries, sorted."""
        named = {*self.fields, *(name for index in self.index_fields for name in index)}
        return tuple(sorted(named - RESERVED_COLUMNS))

    @property
    def policy(self) -> Policy:
        """Which resolver reads what."""
        return Policy(fields=self.fields, default=self.default, existence=self.on_delete)

    def fingerprint(self) -> bytes:
        """8 bytes that differ when the declaration does."""
        text = encode([self.name, self.version, list(self.columns), [list(index) for index in self.index_fields]])
        return blake2b(text.encode() + self.policy.fingerprint(), digest_size=8).digest()


def schemas_fingerprint(schemas: Iterable[Schema]) -> bytes:
    """8 bytes over all declarations of a node; b"" when there are none."""
    prints = [schema.fingerprint() for schema in sorted(schemas, key=lambda schema: schema.name)]
    return blake2b(b"".join(prints), digest_size=8).digest() if prints else b""


def policies_fingerprint(schemas: Iterable[Schema]) -> bytes:
    """8 bytes over all rules of a node; b"" when none are declared."""
    prints = [s.name.encode() + b"\0" + s.policy.fingerprint() for s in sorted(schemas, key=lambda s: s.name)]
    return blake2b(b"".join(prints), digest_size=8).digest() if prints else b""
