"""What the nodes of a generated plan do: few keys, bursts, and all nodes at the same record.

Knows the plan's collections, no faults. Invariant: every value names who wrote it and when it was drawn, so that a
person can follow it through a trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .actions import (
    AnyAction,
    BulkPut,
    CheckExport,
    CompareAndSet,
    Decide,
    Delete,
    Put,
    Query,
    Read,
    Record,
    Reopen,
    Transact,
    Update,
)
from .agenda import Agenda
from .dice import Dice
from .plan import CollectionPlan, FieldPlan

BURST_MS_MAX: Final = 3_000
_WEIGHTS: Final = {
    "put": 6,
    "update": 10,
    "delete": 3,
    "transact": 2,
    "compare_and_set": 2,
    "bulk_put": 1,
    "decide": 3,
    "reopen": 1,
    "read": 2,
    "query": 1,
    "check_export": 1,
}
_DECISIONS: Final[tuple[Literal["first", "last", "delete", "value"], ...]] = ("first", "last", "delete", "value")
_STATES: Final[tuple[Literal["open", "settled"], ...]] = ("open", "open", "settled")
_ODD: Final[tuple[Any, ...]] = (None, True, 0, -1, 2**53 + 1, 1.5, "", "é\u2028\U0001f600", [], {"a": [1, {"b": None}]})
"""Values that have gone wrong in some program."""


@dataclass(slots=True)
class Worker:
    """Draws work.

    Args:
        dice: Where from; parts: where what transactions are made of comes from.
        kinds: Which kinds of work are on.
        collections: Where to write.
        keys: How many keys there are in each.
    """

    dice: Dice
    parts: Dice
    kinds: tuple[str, ...]
    collections: tuple[CollectionPlan, ...]
    keys: int
    _count: int = field(default=0)

    def fill(self, agenda: Agenda, nodes: tuple[str, ...], operations: int) -> None:
        """Plan so many operations: some here and there, the others in bursts at one record."""
        while operations > 0:
            at_ms = self.dice.between(0, agenda.length_ms)
            if self.dice.chance(300):
                operations -= self._burst(agenda, nodes, at_ms)
            else:
                node = self.dice.pick(nodes)
                agenda.add(at_ms, node, self.action(node))
                operations -= 1

    def action(self, node: str) -> AnyAction:
        """One thing that a node does."""
        weighted = [kind for kind in self.kinds for _ in range(_WEIGHTS[kind])]
        return self._action(self.dice.pick(weighted), node, self.dice.pick(self.collections), self._key())

    def _burst(self, agenda: Agenda, nodes: tuple[str, ...], at_ms: int) -> int:
        """Several nodes at one record within seconds."""
        writers = self.dice.some(nodes, 600) or nodes
        collection, key = self.dice.pick(self.collections), self._key()
        kinds = [kind for kind in ("put", "update", "delete", "compare_and_set") if kind in self.kinds]
        for node in writers:
            moment_ms = min(agenda.length_ms, at_ms + self.dice.between(0, BURST_MS_MAX))
            agenda.add(moment_ms, node, self._action(self.dice.pick(kinds), node, collection, key))
        return len(writers)

    def _action(self, kind: str, node: str, collection: CollectionPlan, key: str) -> AnyAction:  # noqa: PLR0911 - one line for each kind
        name, fields = collection.name, self._fields(node, collection)
        think_ms = self.dice.pick((0, 0, 10, 5_000))
        match kind:
            case "put":
                return Put(collection=name, key=key, fields=fields)
            case "update":
                return self._update(name, key, fields)
            case "delete":
                return Delete(collection=name, key=key)
            case "compare_and_set":
                return CompareAndSet(collection=name, key=key, fields=fields, think_ms=think_ms)
            case "bulk_put":
                return BulkPut(collection=name, key_prefix="k", records=self.dice.span(2, self.keys * 4), fields=fields)
            case "transact":
                return self._transaction(node, name, key, think_ms)
            case "decide":
                return self._decision(node, think_ms)
            case "reopen":
                return Reopen()
            case "read":
                return Read(collection=name, key=key)
            case "query":
                return Query(collection=name, condition="key >= 'k' ORDER BY key", limit=self.dice.pick((None, 1, 100)))
            case _:
                return CheckExport()

    def _update(self, name: str, key: str, fields: dict[str, Any]) -> Update:
        chosen = sorted(fields)
        removed = self.dice.pick(chosen) if self.dice.chance(150) else None
        kept = {field: value for field, value in fields.items() if field != removed}
        upsert = self.dice.chance(700)
        return Update(collection=name, key=key, fields=kept, remove=(removed,) if removed else (), upsert=upsert)

    def _transaction(self, node: str, name: str, key: str, think_ms: int) -> Transact:
        keys = [key, *dict.fromkeys(other for _ in range(self.dice.between(0, 3)) if (other := self._key()) != key)]
        writes = []
        for written in keys:
            collection = self.dice.pick(self.collections)
            fields = self._fields(node, collection)
            writes.append(self._part(collection.name, written, fields))
        reads = (Record(collection=name, key=key),) if self.dice.chance(500) else ()
        return Transact(reads=reads, writes=tuple(writes), think_ms=think_ms)

    def _part(self, collection: str, key: str, fields: dict[str, Any]) -> Put | Update | Delete:
        """Mostly a put; the others are refused where there is no such record, and the whole transaction with them."""
        match self.parts.between(0, 5):
            case 0:
                return Update(collection=collection, key=key, fields=fields)
            case 1:
                return Delete(collection=collection, key=key)
            case _:
                return Put(collection=collection, key=key, fields=fields)

    def _decision(self, node: str, think_ms: int) -> Decide:
        decision = self.dice.pick(_DECISIONS)
        value = self._text(node) if decision == "value" else None
        return Decide(decision=decision, value=value, state=self.dice.pick(_STATES), think_ms=think_ms)

    def _key(self) -> str:
        return f"k{self.dice.between(0, self.keys - 1)}"

    def _fields(self, node: str, collection: CollectionPlan) -> dict[str, Any]:
        declared = collection.fields or tuple(FieldPlan(name=name, values="any") for name in ("title", "state", "note"))
        chosen = self.dice.some(declared, 600) or declared[:1]
        return {field.name: self._value(node, field) for field in chosen}

    def _value(self, node: str, field: FieldPlan) -> object:
        match field.values:
            case "text":
                return self._text(node)
            case "integer":
                return self.dice.between(-5, 100)
            case "boolean":
                return self.dice.chance(500)
            case "list":
                return [self._text(node) for _ in range(self.dice.between(0, 3))]
            case "any":
                return self.dice.pick(_ODD) if self.dice.chance(200) else self._text(node)

    def _text(self, node: str) -> str:
        self._count += 1
        return f"{node} {self._count}"
