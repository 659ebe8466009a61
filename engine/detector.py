"""Finds the conflicts of a record: cells whose siblings say different things.

Pure; knows no resolver and no table. Invariant: what it reports is a function of the record's cells, so every node
that holds the same cells reports the same conflicts under the same ids. Equal values are no conflict, and neither is
an unknown type (that is quarantine). The kinds TYPE, RULE, UNIQUE and BOUND have their place in the values only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.clocks import Dot, Timestamp
from holdfast.resolvers import JSON, Fields
from holdfast.resolvers.canonical import decode
from holdfast.resolvers.values import Conflict, ConflictKind, Version, canonical, conflict_id

from .cells import BIRTH, DECISION, EQUIVOCAL, REGISTER, Cell, Life, Record
from .join import claims
from .packing import PackedStamp

READABLE: Final = frozenset({REGISTER, EQUIVOCAL})
"""Types of values that this version can read."""

READING: Final = 1
"""What this version can show, as a number: whoever adds a type, or allows other names of collections, raises it, and
every file shows at its next opening what it had to hide."""


def readable(cell: Cell) -> bool:
    """Whether every sibling is of a type that this version can read."""
    return all(sibling.tag in READABLE for sibling in cell.values())


def agreed(cell: Cell) -> str | None:
    """The JSON text that all siblings of a cell agree on; None if they differ or cannot be read."""
    if len(cell) == 1:
        (sibling,) = cell.values()
        if sibling.tag == REGISTER and isinstance(sibling.value, str):
            return sibling.value
    if not readable(cell):
        return None
    texts = {text for sibling in cell.values() for text in claims(sibling)}
    return texts.pop() if len(texts) == 1 else None


def disputed(existence: Mapping[Dot, Life]) -> bool:
    """Whether some siblings of the existence say dead and some alive."""
    return len(existence) > 1 and len({life.alive for life in existence.values()}) > 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at all fields of a record.

    Attributes:
        agreed: Field -> the JSON text that all its siblings agree on.
        conflicting: Fields whose siblings differ, sorted.
        unreadable: Fields of a type that this version cannot read, sorted.
    """

    agreed: dict[str, str]
    conflicting: list[str]
    unreadable: list[str]


def read(record: Record) -> Reading:
    """Sort the fields of a record by what can be said of them."""
    reading = Reading({}, [], [])
    for name, cell in record.cells.items():
        text = agreed(cell)
        if text is not None:
            reading.agreed[name] = text
        elif readable(cell):
            reading.conflicting.append(name)
        else:
            reading.unreadable.append(name)
    reading.conflicting.sort()
    reading.unreadable.sort()
    return reading


def conflicts_of(collection: str, key: str, record: Record, reading: Reading) -> Iterator[Conflict]:
    """Every conflict of the record, existence first, then by field name."""
    rest = Fields(reading.agreed)
    if disputed(record.existence):
        yield _conflict(collection, key, None, [_existence(life) for life in record.existence.values()], rest)
    for name in reading.conflicting:
        yield _conflict(collection, key, name, _versions(record.cells[name]), rest)


def conflict_between(
    collection: str, key: str, field: str, siblings: Iterable[tuple[PackedStamp, str]], rest: Mapping[str, JSON]
) -> Conflict:
    """The conflict of one field whose siblings, given as stamps and texts, differ; `rest`: what the others agree on."""
    versions = [
        _version(Dot(actor, seq), Timestamp(clock), flags, decode(text), text)
        for (actor, seq, clock, flags), text in siblings
    ]
    return _conflict(collection, key, field, versions, rest)


def _conflict(
    collection: str, key: str, field: str | None, versions: list[Version], rest: Mapping[str, JSON]
) -> Conflict:
    siblings = canonical(versions)
    return Conflict(
        id=conflict_id(collection, key, field, [version.dot for version in siblings]),
        collection=collection,
        key=key,
        field=field,
        kind=_kind(field, siblings),
        base=None,
        base_status="none",
        siblings=siblings,
        record=rest,
    )


def _kind(field: str | None, siblings: tuple[Version, ...]) -> ConflictKind:
    if field is None:
        return ConflictKind.UPDATE_DELETE
    if all(version.decision for version in siblings):
        return ConflictKind.RESOLVE_RESOLVE
    if all(version.birth for version in siblings):
        return ConflictKind.CREATE_CREATE
    return ConflictKind.UPDATE_UPDATE


def _versions(cell: Cell) -> list[Version]:
    return [_version(*sibling.stamp, decode(text), text) for sibling in cell.values() for text in claims(sibling)]


def _existence(life: Life) -> Version:
    return _version(*life.stamp, None, "", deleted=not life.alive)


def _version(dot: Dot, clock: Timestamp, flags: int, value: JSON, text: str, *, deleted: bool = False) -> Version:
    return Version(
        dot=dot,
        clock=clock,
        value=value,
        text=text,
        deleted=deleted,
        birth=bool(flags & BIRTH),
        decision=bool(flags & DECISION),
    )
