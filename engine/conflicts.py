"""The conflict inbox as an application sees it: list, inspect, decide, reopen.

Knows nothing of SQLite's rows beyond one query. Invariant: a decision supersedes exactly the siblings that its author
was shown; one that arrived meanwhile stands beside the decision and the conflict is open again.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.clocks import Dot
from holdfast.errors import InvalidDecision, NoSuchConflict
from holdfast.resolvers import Delete, Take, Value
from holdfast.resolvers.values import Conflict, ConflictId, ConflictKind
from holdfast.resolvers.values import Version as Sibling

from .arguments import check_choice, check_limit, check_place, check_remarks, check_text
from .documents import decode_object, encode_value, shown
from .edits import Delete as DeleteRecord
from .edits import Edit, Update
from .host import Host
from .reached import reached
from .storage.inbox import unpack_versions
from .storage.reading import all_actors
from .storage.rows import COLUMNS, Row
from .storage.store import Tx
from .storage.write import Receipt, Write, write_all

Decision = Take | Value | Delete
STATES: Final = ("open", "settled", "decided", "overwritten")

_SHOWN = f"SELECT x.id, x.field, x.kind, x.state, x.rule, x.error, x.siblings, x.note, c.name, r.key, {COLUMNS}"
_FROM = "FROM conflict x JOIN record r ON r.id = x.record JOIN collection c ON c.id = r.collection"
_LIST = (
    f"{_SHOWN} {_FROM} WHERE (?1 IS NULL OR x.state = ?1) AND (?2 IS NULL OR c.name = ?2)"
    " ORDER BY x.opened, x.id LIMIT ?3"
)
_ONE = f"{_SHOWN} {_FROM} WHERE x.id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConflict:
    """A conflict in the inbox, with the means to decide it.

    Attributes:
        conflict: What stands against what.
        state: "open", "settled", "decided" or "overwritten".
        rule: The resolver that was asked, "name/version".
        error: How it failed, or why it deferred.
        note: What was noted with the decision.
        seen: The dots of the record as it was read; a decision supersedes these and no others.
    """

    conflict: Conflict
    state: str
    rule: str
    error: str | None
    note: str | None
    seen: frozenset[Dot]
    _node: Host = field(repr=False, compare=False)

    @property
    def id(self) -> ConflictId:
        """The conflict's id, the same on every node."""
        return self.conflict.id

    async def resolve(self, decision: Decision, *, note: str = "", author: str = "") -> Receipt:
        """Decide: `Take` a sibling, write a new `Value`, or `Delete` the field (or the record).

        Raises:
            InvalidDecision: The decision does not fit the conflict.
            InvalidValue: Its value, author or note cannot be stored.
            NoSuchConflict: It ended meanwhile.
        """
        check_remarks(author, note, f"{self.conflict.collection}/{self.conflict.key}")
        edit = edit_of(self.conflict, decision)
        write = Write(
            collection=self.conflict.collection,
            key=self.conflict.key,
            edit=edit,
            seen=self.seen,
            upsert=True,
            decision=True,
            author=author,
            note=note,
        )
        return await self._node.write(Deciding(self.id, write, note))


async def find_conflicts(
    node: Host, state: str | None, collection: str | None, limit: int | None
) -> list[OpenConflict]:
    """Conflicts of this state and collection (None: any), oldest first."""
    if state is not None:
        check_choice(state, STATES, "state")
    check_place(collection, None)
    check_limit(limit)
    rows, seen = await node.readers.run(_read, _LIST, (state, collection, -1 if limit is None else limit))
    return [_item(node, row, dots) for row, dots in zip(rows, seen, strict=True)]


async def find_conflict(node: Host, conflict_id: str) -> OpenConflict:
    """The conflict with this id; raises NoSuchConflict."""
    check_text(conflict_id, "conflict id")
    rows, seen = await node.readers.run(_read, _ONE, (conflict_id,))
    if not rows:
        raise _unknown(conflict_id)
    return _item(node, rows[0], seen[0])


async def reopen_conflict(node: Host, conflict_id: str) -> OpenConflict:
    """Put a conflict back into this node's inbox; raises NoSuchConflict."""
    check_text(conflict_id, "conflict id")

    def reopen(tx: Tx) -> None:
        done = tx.connection.execute("UPDATE conflict SET state = 'open', closed = NULL WHERE id = ?", (conflict_id,))
        if done.rowcount == 0:
            raise _unknown(conflict_id)
        reached("inbox: a conflict that was reopened")

    await node.write(reopen)
    return await find_conflict(node, conflict_id)


def edit_of(conflict: Conflict, decision: Decision) -> Edit:
    """The write that a decision is.

    Raises:
        InvalidDecision: The decision does not fit the conflict.
    """
    subject = f"{conflict.collection}/{conflict.key} {conflict.field or ''}".strip()
    match decision:
        case Take(index):
            if type(index) is not int or not 0 <= index < len(conflict.siblings):
                last = len(conflict.siblings) - 1
                raise InvalidDecision(
                    "there is no such sibling",
                    subject=subject,
                    remedy=f"Take 0 to {last}.",
                    typed=f"Pass --take 0 to --take {last}.",
                )
            return _taking(conflict, conflict.siblings[index])
        case Value(value):
            if conflict.field is None:
                raise InvalidDecision(
                    "existence has no value",
                    subject=subject,
                    remedy="Take a side or Delete.",
                    typed="Pass --take N or --delete.",
                )
            return Update({conflict.field: encode_value(value, subject)})
        case Delete():
            return DeleteRecord() if conflict.field is None else Update(removed=frozenset({conflict.field}))
        case _:
            raise InvalidDecision(f"{shown(decision)} is no decision", subject=subject, remedy="Take, Value or Delete.")


def _taking(conflict: Conflict, sibling: Sibling) -> Edit:
    if conflict.field is None:
        return DeleteRecord() if sibling.deleted else Update()
    return Update(removed=frozenset({conflict.field})) if sibling.deleted else Update({conflict.field: sibling.text})


@dataclass(frozen=True, slots=True)
class Deciding:
    """A job that writes a decision, if its conflict still stands."""

    conflict_id: str
    write: Write
    note: str

    def __call__(self, tx: Tx) -> Receipt:
        """Write it; raises NoSuchConflict."""
        return _decide(tx, self.conflict_id, self.write, self.note)


def _decide(tx: Tx, conflict_id: str, write: Write, note: str) -> Receipt:
    found = tx.connection.execute("SELECT state FROM conflict WHERE id = ?", (conflict_id,)).fetchone()
    if found is None or found[0] not in ("open", "settled"):
        raise NoSuchConflict(
            f"the conflict is {found[0] if found else 'gone: another sibling arrived'}",
            subject=conflict_id,
            remedy="List the inbox again; reopen() a conflict that was decided.",
            typed="See `holdfast conflicts FILE list --state all`; `reopen ID` puts one that was decided back.",
        )
    (receipt,) = write_all(tx, [write])
    tx.connection.execute(
        "UPDATE conflict SET state = 'decided', note = ?, closed = ? WHERE id = ? AND standing = 0",
        (note or None, receipt.lsn, conflict_id),
    )
    return receipt


def _read(connection: sqlite3.Connection, sql: str, params: tuple[Any, ...]) -> tuple[list[Any], list[frozenset[Dot]]]:
    rows = connection.execute(sql, params).fetchall()
    actors = all_actors(connection) if rows else {}
    seen = [frozenset(stamp.dot for stamp in Row._make(row[10:]).record(actors).stamps()) for row in rows]
    return rows, seen


def _item(node: Host, row: Any, seen: frozenset[Dot]) -> OpenConflict:  # noqa: ANN401 - a row of _SHOWN
    number, name, kind, state, rule, error, siblings, note, collection, key = row[:10]
    fields = decode_object(Row._make(row[10:]).doc)
    fields.pop(name, None)
    conflict = Conflict(
        id=ConflictId(number),
        collection=collection,
        key=key,
        field=name,
        kind=ConflictKind(kind),
        base=None,
        base_status="none",
        siblings=unpack_versions(siblings),
        record=fields,
    )
    return OpenConflict(conflict=conflict, state=state, rule=rule, error=error, note=note, seen=seen, _node=node)


def _unknown(conflict_id: str) -> NoSuchConflict:
    return NoSuchConflict(
        "no such conflict here",
        subject=conflict_id or "conflict id",
        remedy="List the inbox to see what there is.",
        typed="See `holdfast conflicts FILE list --state all`.",
    )
