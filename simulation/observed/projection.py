"""What readers must see of cells under a policy, worked out without the engine's own detector and rules.

The rules that Holdfast brings are written here a second time; a user's resolver is asked through the same pure function
as everywhere (`resolvers.settle`), as there is no second one. Invariant: a function of the cells and the policy alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.clocks import Timestamp
from holdfast.resolvers import (
    AskOnDelete,
    Conflict,
    ConflictKind,
    DeleteWins,
    Fields,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Policy,
    Resolver,
    UpdateWins,
    Version,
    canonical,
    conflict_id,
    decode,
    settle,
)

from .image import REGISTER, Name, Place, Value
from .operation import Wrote

Existence = Mapping[Name, bool]
Cells = Mapping[str, Mapping[Name, Value]]
Operations = Callable[[Name], Wrote]


@dataclass(frozen=True, slots=True)
class Dispute:
    """A conflict as the inbox must show it: field (None: the existence), kind, siblings, whether nobody has decided."""

    place: Place
    field: str | None
    kind: str
    names: frozenset[Name]
    open: bool

    @property
    def id(self) -> str:
        """Its id, the same on every node."""
        return conflict_id(*self.place, self.field, (name.dot for name in self.names))


@dataclass(frozen=True, slots=True)
class Shown:
    """What readers see; `unreadable` names the fields of a type that this version does not know."""

    doc: str
    live: bool
    disputes: tuple[Dispute, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a rule makes of siblings: the text to show (None: nothing; of an existence "" means alive)."""

    text: str | None
    open: bool = False


def project(place: Place, existence: Existence, cells: Cells, operations: Operations, policy: Policy) -> Shown:
    """What readers see of a record."""
    unreadable = {name for name, cell in cells.items() if any(value.tag != REGISTER for value in cell.values())}
    texts = {name: {n: str(value.body) for n, value in cell.items()} for name, cell in cells.items()}
    agreed = {
        name: next(iter(siblings.values()))
        for name, siblings in texts.items()
        if name not in unreadable and len(set(siblings.values())) == 1
    }
    disputes, live, shown = [], any(existence.values()), dict(agreed)
    if len(set(existence.values())) > 1:
        lives = {name: "" if alive else None for name, alive in existence.items()}
        answer = _settled(place, None, lives, agreed, operations, policy.existence)
        live = answer.text is not None
        disputes.append(Dispute(place, None, "update-delete", frozenset(existence), answer.open))
    for name in sorted(texts.keys() - agreed.keys() - unreadable):
        answer = _settled(place, name, texts[name], agreed, operations, policy.resolver_for(name))
        if answer.text is not None:
            shown[name] = answer.text
        kind = _kind([operations(sibling) for sibling in texts[name]])
        disputes.append(Dispute(place, name, kind, frozenset(texts[name]), answer.open))
    return Shown(document(shown), live, tuple(disputes), tuple(sorted(unreadable)))


def document(texts: Mapping[str, str]) -> str:
    """The canonical document of these fields: sorted, without spaces."""
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{texts[name]}" for name in sorted(texts)) + "}"


def _kind(rivals: list[Wrote]) -> str:
    if all(operation.decision for operation in rivals):
        return "resolve-resolve"
    return "create-create" if all(operation.birth for operation in rivals) else "update-update"


def _by_time(siblings: Mapping[Name, str | None]) -> Iterator[Name]:
    return iter(sorted(siblings, key=lambda name: (name.clock, name.actor, name.seq)))


def _settled(
    place: Place,
    field: str | None,
    siblings: Mapping[Name, str | None],
    agreed: Mapping[str, str],
    operations: Operations,
    rule: Resolver,
) -> _Answer:
    order = [*_by_time(siblings)]
    alive = [name for name in order if siblings[name] is not None]
    kind = type(rule)
    if field is None:
        if kind in (UpdateWins, AskOnDelete):
            return _Answer("" if alive else None, open=kind is AskOnDelete)
        if kind is DeleteWins:
            return _Answer(None)
    elif kind is MultiValue:
        distinct = dict.fromkeys(siblings[name] or "" for name in order)
        return _Answer("[" + ",".join(distinct) + "]")
    if kind in (LastWriterWins, Manual):
        return (
            _Answer(siblings[order[-1]], open=kind is Manual)
            if field is not None or kind is not Manual
            else (_Answer("" if alive else None, open=True))
        )
    if kind is FirstWriterWins:
        return _Answer(siblings[order[0]])
    return _asked(place, field, siblings, agreed, operations, rule)


def _asked(
    place: Place,
    field: str | None,
    siblings: Mapping[Name, str | None],
    agreed: Mapping[str, str],
    operations: Operations,
    rule: Resolver,
) -> _Answer:
    """What a user's resolver makes of it."""
    versions = canonical(
        _version(operations(name), text, of_field=field is not None) for name, text in siblings.items()
    )
    rivals = [operations(name) for name in siblings]
    conflict = Conflict(
        id=conflict_id(*place, field, (name.dot for name in siblings)),
        collection=place[0],
        key=place[1],
        field=field,
        kind=ConflictKind(_kind(rivals) if field is not None else "update-delete"),
        base=None,
        base_status="none",
        siblings=versions,
        record=Fields(dict(agreed)),
    )
    settlement = settle(rule, conflict)
    return _Answer(None if settlement.deleted else settlement.text, open=settlement.open)


def _version(operation: Wrote, text: str | None, *, of_field: bool) -> Version:
    return Version(
        dot=operation.name.dot,
        clock=Timestamp(operation.name.clock),
        value=decode(text) if of_field and text else None,
        text=text or "",
        deleted=text is None,
        birth=operation.birth,
        decision=operation.decision,
    )
