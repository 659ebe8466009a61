"""Reads of committed records, for people: documents with their version, and what changed since an lsn.

Read-only; knows nothing of the writer. Invariant: what is shown is the stored projection, never more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from holdfast.clocks import Actor, Dot
from holdfast.errors import DamagedFile
from holdfast.resolvers import JSON

from ..documents import decode_object, split
from ..packing import unpack
from ..versions import NO_RECORD, Version, version_of
from .faults import REMEDY_DAMAGED

_SHOWN: Final = "r.key, r.doc, a.actor, r.seq, r.cells, r.conflicts, q.fields"
_FROM: Final = "record r LEFT JOIN actor a ON a.id = r.node LEFT JOIN quarantine q ON q.record = r.id"
_BY_KEYS: Final = (
    f"SELECT {_SHOWN} FROM json_each(?) j CROSS JOIN collection c ON c.name = ?"  # noqa: S608 - constants only
    f" CROSS JOIN {_FROM} WHERE r.collection = c.id AND r.key = j.value AND r.live = 1"
)
_BY_IDS: Final = (
    f"SELECT {_SHOWN} FROM json_each(?) j CROSS JOIN {_FROM} WHERE r.id = j.value AND r.live = 1 ORDER BY j.key"  # noqa: S608 - constants only
)
_CHANGES: Final = (
    f"SELECT r.lsn, r.id, c.name, r.live, {_SHOWN} FROM {_FROM} JOIN collection c ON c.id = r.collection"  # noqa: S608 - constants only
    " WHERE (r.lsn, r.id) > (?, ?) AND (? IS NULL OR c.name = ?) AND q.fields IS NOT '[]' ORDER BY r.lsn, r.id LIMIT ?"
)
_BURIED: Final = (
    "SELECT b.lsn, b.id, c.name, b.key FROM buried b JOIN collection c ON c.id = b.collection"
    " WHERE (b.lsn, b.id) > (?, ?) AND (? IS NULL OR c.name = ?) ORDER BY b.lsn, b.id LIMIT ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A record as readers see it.

    Attributes:
        key: Its key.
        fields: Its fields.
        version: Token of the state that was read, for `if_version`.
        conflicted: Whether siblings stand behind what is shown.
        quarantined: Names of fields of a type that this version cannot read; they are missing from `fields`.
    """

    key: str
    fields: dict[str, JSON]
    version: Version
    conflicted: bool = False
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A record that changed, as it stands now.

    Attributes:
        lsn: Position in this node's feed; all changes of one transaction share it.
        collection, key: Which record.
        live: Whether it exists.
        fields: Its fields; None if it does not exist.
        version: Token of its state.
    """

    lsn: int
    collection: str
    key: str
    live: bool
    fields: dict[str, JSON] | None
    version: Version


def documents(connection: sqlite3.Connection, collection: str, keys: Sequence[str]) -> dict[str, Document]:
    """The living records among these keys."""
    rows = connection.execute(_BY_KEYS, (json.dumps(list(keys)), collection)).fetchall()
    return {row[0]: _document(connection, row) for row in rows}


def documents_by_id(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Document]:
    """The records with these numbers, in their order."""
    return [_document(connection, row) for row in connection.execute(_BY_IDS, (json.dumps(list(ids)),)).fetchall()]


def count(connection: sqlite3.Connection, collection: str) -> int:
    """How many living records a collection has."""
    query = "SELECT count(*) FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.live = 1"
    (number,) = connection.execute(query, (collection,)).fetchone()
    return int(number)


def changes(
    connection: sqlite3.Connection, since: tuple[int, int], collection: str | None, limit: int
) -> tuple[list[Change], tuple[int, int]]:
    """What changed behind a position (lsn, record number), in feed order, and the position reached.

    Records that are gone for good are told of as deleted, for as long as the log tells of them.
    """
    asked = (*since, collection, collection, limit)
    found = [((row[0], row[1]), _change(connection, row)) for row in connection.execute(_CHANGES, asked).fetchall()]
    for lsn, number, name, key in connection.execute(_BURIED, asked).fetchall():
        gone = Change(lsn=lsn, collection=name, key=key, live=False, fields=None, version=NO_RECORD)
        found.append(((lsn, number), gone))
    first = sorted(found, key=itemgetter(0))[:limit]
    return [change for _, change in first], first[-1][0] if first else since


def _change(connection: sqlite3.Connection, row: Sequence[Any]) -> Change:
    lsn, _, name, live, *shown = row
    document = _document(connection, shown)
    return Change(
        lsn=lsn,
        collection=name,
        key=document.key,
        live=bool(live),
        fields=document.fields if live else None,
        version=document.version,
    )


def head(connection: sqlite3.Connection) -> int:
    """The last lsn of the feed."""
    (lsn,) = connection.execute("SELECT lsn FROM node").fetchone()
    return int(lsn)


def all_actors(connection: sqlite3.Connection) -> dict[int, Actor]:
    """Every identity by number."""
    return {number: Actor(actor) for number, actor in connection.execute("SELECT id, actor FROM actor")}


def _document(connection: sqlite3.Connection, row: Sequence[Any]) -> Document:
    key, doc, actor, seq, cells, conflicts, quarantined = row
    dots: Iterable[Dot] = (
        [Dot(Actor(actor), seq)] if actor is not None else unpack(split(doc), cells, all_actors(connection)).frontier
    )
    return Document(
        key=key,
        fields=decode_object(doc),
        version=version_of(dots),
        conflicted=conflicts > 0,
        quarantined=tuple(json.loads(quarantined)) if quarantined else (),
    )


def names_of(connection: sqlite3.Connection) -> tuple[str, str]:
    """The human names of the node and its space; raises DamagedFile."""
    found = connection.execute("SELECT label, space_name FROM node").fetchone()
    if found is None:
        (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
        raise DamagedFile("it does not say whose file it is", subject=str(path), remedy=REMEDY_DAMAGED)
    label, space = found
    return str(label), str(space)


def present_actor(connection: sqlite3.Connection) -> Actor:
    """The identity that new operations are written under."""
    (actor,) = connection.execute("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor").fetchone()
    return Actor(actor)
