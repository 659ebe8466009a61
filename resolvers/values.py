"""The values that resolvers read and return.

Pure data: this module knows no rule that chooses between siblings and no way to store them.

Invariants: siblings stand in canonical order, which depends on nothing but the siblings; a
conflict has the same id on every node; and versions compare by their canonical text, so 1 and
1.0 are different values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NewType, TypeAlias

from holdfast.clocks import Dot, Timestamp

from .canonical import JSON, decode, encode

ConflictId = NewType("ConflictId", str)
"""16 lowercase hex characters, the same on every node."""

BaseStatus: TypeAlias = Literal["exact", "approximate", "none"]
"""How far a base can be trusted; see `Conflict.base_status`."""


class ConflictKind(Enum):
    """What the siblings disagree about."""

    UPDATE_UPDATE = "update-update"
    """Several authors changed one field."""
    UPDATE_DELETE = "update-delete"
    """One author deleted what another changed."""
    CREATE_CREATE = "create-create"
    """Several authors created the record, none knowing of the others."""
    TYPE = "type"
    """The siblings are of different types."""
    RULE = "rule"
    """Each sibling keeps a rule of the application; together they break it."""
    UNIQUE = "unique"
    """Several records claim a value that only one may have."""
    BOUND = "bound"
    """Each sibling keeps within a bound; together they exceed it."""
    RESOLVE_RESOLVE = "resolve-resolve"
    """Several people decided the same conflict differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One value that no other write has superseded, or the base that siblings forked from.

    Attributes:
        dot: the operation that wrote it.
        clock: the hybrid timestamp of that operation.
        value: the value; None if `deleted`. Not compared: `text` is.
        text: the canonical JSON text of `value`; empty where there is no value.
        deleted: the field was removed, or (existence) the record is dead.
        birth: its author saw no record under this key.
        decision: it was written to decide an earlier conflict.
    """

    dot: Dot
    clock: Timestamp
    value: JSON = field(compare=False)
    text: str
    deleted: bool = False
    birth: bool = False
    decision: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Concurrent versions of one field, or of a record's existence.

    There is no "local" and no "remote": every node builds the same conflict from the same
    siblings.

    Attributes:
        id: see `conflict_id`.
        collection: the collection of the record.
        key: the key of the record.
        field: the field in conflict; None for the record's existence.
        kind: what the siblings disagree about.
        base: the version that the siblings forked from, if one is known.
        base_status: "exact" if all siblings forked from `base`; "approximate" if they forked from
            different versions and `base` is the oldest (adding differences to it would count some
            twice); "none" if there is no common base.
        siblings: two or more versions, in the order of `canonical`.
        record: the fields of the record that merged without conflict.
    """

    id: ConflictId
    collection: str
    key: str
    field: str | None
    kind: ConflictKind
    base: Version | None
    base_status: BaseStatus
    siblings: tuple[Version, ...]
    record: Mapping[str, JSON]

    def __post_init__(self) -> None:
        assert self.siblings, "a conflict has siblings"
        assert self.siblings == canonical(self.siblings), "siblings stand in canonical order"


class Fields(Mapping[str, JSON]):
    """Fields of a record by name, decoded anew at each access: nobody can change what others read.

    Args:
        texts: Canonical JSON text per field.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> JSON:
        return decode(self._texts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"Fields({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class Value:
    """The field shows this value, which may be new."""

    value: JSON


@dataclass(frozen=True, slots=True)
class Take:
    """The sibling at this index wins, from 0; a deleted sibling deletes."""

    index: int


@dataclass(frozen=True, slots=True)
class Delete:
    """The field is removed, or (existence) the record is dead."""


@dataclass(frozen=True, slots=True)
class Leave:
    """A person must decide; until then the total order says what is shown."""


@dataclass(frozen=True, slots=True)
class Defer:
    """Something slow or remote will decide later; until then the total order says what is shown."""

    reason: str


Resolution: TypeAlias = Value | Take | Delete | Leave | Defer
"""What a resolver may answer."""


def canonical(siblings: Iterable[Version]) -> tuple[Version, ...]:
    """Return the siblings in the order that every node gives them: by clock, actor and sequence.

    Two copies of one identity can put different values under one dot; their content then orders
    them, so that the order stays total.
    """
    return tuple(sorted(siblings, key=_rank))


def conflict_id(collection: str, key: str, field: str | None, dots: Iterable[Dot]) -> ConflictId:
    """Return the id of the conflict between the versions with these dots, in any order.

    It is a hash of the place and the set of dots; `field` is None for a record's existence.
    """
    text = encode([collection, key, field, sorted(set(dots))])
    return ConflictId(hashlib.blake2b(text.encode(), digest_size=8).hexdigest())


def _rank(version: Version) -> tuple[int, str, int, bool, str, bool, bool]:
    actor, seq = version.dot
    return version.clock, actor, seq, version.deleted, version.text, version.birth, version.decision
