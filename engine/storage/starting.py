"""Takes a checked starter into a file that holds nothing, in one transaction: the file goes on from there.

Knows nothing of how it came. Invariants: afterwards the file is what it would be had it read that feed up to that
position in a session that drained, under its own identity and feed; what readers see, the inbox, the quarantine and
the log are its own, made by the rules that are in force here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from holdfast.errors import SpaceMismatch

from ..declared import has_absent_rules
from ..documents import is_name
from ..membership import Bond, Membership
from ..projection import project
from ..schema import Schema
from ..tickets import MARK_BYTES, marked
from .declare import declare, keep_declared, rules_in_force
from .inbox import Inbox
from .journal import Kind
from .members import unite
from .peers import find_peer, save_peer
from .quarantine import Quarantine
from .rows import COLUMNS, Row, latest_stamp
from .starter import drop_indexes
from .starter_check import Starter
from .store import Tx

NAME: Final = "starter"
"""What the starter is called where it stands beside the file."""

_BLANK: Final = (
    "SELECT lsn = 0 AND seq = 0 AND NOT EXISTS (SELECT 1 FROM record) AND NOT EXISTS (SELECT 1 FROM vector)"
    " AND NOT EXISTS (SELECT 1 FROM log) FROM node"
)
_CLEARED: Final = (
    # Whoever was met is met anew: nothing was read of it, nothing sent. Tickets stay, or we would pass for a copy.
    "UPDATE peer SET checkpoint = 0, stretch = x'', vector = NULL, told = NULL, acked = 0",
    "DELETE FROM hole",
    "DELETE FROM context",
    "DELETE FROM forgotten",
    "DELETE FROM collection",
    "UPDATE node SET past = NULL",
    "DELETE FROM past",
    "DELETE FROM actor",
)
_PURGING: Final = (
    "UPDATE main.purging SET (fence, horizon, term, number, authority) ="
    " (SELECT fence, horizon, term, number, authority FROM starter.purging)"
)
_TAKEN: Final = (
    "INSERT INTO main.actor SELECT * FROM starter.actor",
    "INSERT INTO main.vector SELECT * FROM starter.vector",
    "INSERT INTO main.vector (actor, seq) SELECT actor, seq FROM starter.node WHERE seq > 0",
    "INSERT INTO main.past SELECT * FROM starter.past",
    "UPDATE main.node SET past = (SELECT past FROM starter.node)",
    "INSERT INTO main.context SELECT * FROM starter.context",
    "INSERT INTO main.collection SELECT * FROM starter.collection",
    "INSERT INTO main.forgotten SELECT * FROM starter.forgotten",
    "INSERT INTO main.record SELECT * FROM starter.record",
    _PURGING,
    "DELETE FROM main.sqlite_sequence",
    "INSERT INTO main.sqlite_sequence SELECT name, seq FROM starter.sqlite_sequence",
)
_LOG: Final = (
    "INSERT INTO log (lsn, record, kind, node, seq, clock, was)"
    " SELECT ?, id, ?, node, seq, clock, 0 FROM record ORDER BY id"
)
_BELIEVED: Final = "SELECT coalesce(max(clock), 0) FROM record WHERE clock <= ?"
_ODD: Final = f"SELECT r.collection, r.key, r.lsn, {COLUMNS} FROM record r WHERE r.id = ?"  # noqa: S608 - constants only


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing, and never has."""
    return bool(connection.execute(_BLANK).fetchone()[0])


def take_starter(tx: Tx, starter: Starter, url: str, schemas: Sequence[Schema]) -> bool:
    """Take in the starter that stands as `starter` beside the file; False if the file holds something by now.

    Args:
        tx: The transaction.
        starter: What was checked.
        url: Where whoever offers it is reached.
        schemas: What is declared here.

    Raises:
        SpaceMismatch: It is of another space.
    """
    if not is_blank(tx.connection) or starter.vector.seq(tx.actor):
        return False
    _unite(tx, starter)
    indexes = drop_indexes(tx.connection)  # declared ones too: they are named by numbers, which change
    _replace(tx)
    for statement in indexes:
        tx.connection.execute(statement)
    _go_on(tx, starter)
    tx.connection.execute(_LOG, (tx.lsn, int(Kind.MERGE)))
    tx.connection.execute("INSERT INTO arrival (lsn, ms) VALUES (?, ?)", (tx.lsn, tx.now_ms))
    # Only what has siblings reads otherwise under other rules, and that is read anew below.
    tx.connection.execute("UPDATE node SET policy = ?", (rules_in_force(schemas),))
    declare(tx, schemas)
    if any(has_absent_rules(schema.policy) for schema in schemas):
        keep_declared(tx)
    _read_odd(tx, starter.odd)
    _know(tx, starter, url)
    return True


def _unite(tx: Tx, starter: Starter) -> None:
    (name,) = tx.connection.execute("SELECT space_name FROM node").fetchone()
    if name != starter.space_name:
        raise SpaceMismatch(
            f"the hub's copy is of the space {starter.space_name!r}, this node holds {name!r}",
            subject=starter.label,
            remedy="Check the address, and the space of the token.",
        )
    theirs = starter.membership
    unite(tx, Membership(theirs.space, Bond.BOUND, theirs.aliases), they_hold=True)


def _replace(tx: Tx) -> None:
    label = tx.connection.execute("SELECT label FROM node").fetchone()[0]
    for statement in (*_CLEARED, *_TAKEN):
        tx.connection.execute(statement)
    number = tx.connection.execute(
        "INSERT INTO actor (actor, label) VALUES (?, ?) RETURNING id", (tx.actor, label)
    ).fetchone()[0]
    tx.connection.execute("UPDATE node SET actor = ?", (number,))
    tx.restart(number, tx.actor, tx.feed)


def _go_on(tx: Tx, starter: Starter) -> None:
    """The counters: positions as there, under this file's own feed and stretch."""
    tx.lsn = starter.lsn
    tx.store.append(1)
    tx.change_digest(starter.digest)
    horizon = tx.clock.horizon()
    if starter.clock <= horizon:
        tx.observe([starter.clock])
    else:
        tx.observe([tx.connection.execute(_BELIEVED, (horizon,)).fetchone()[0]])


def _read_odd(tx: Tx, numbers: Sequence[int]) -> None:
    """Show what has siblings by the rules in force here, with its conflicts; hide what this version cannot show."""
    inbox, quarantine = Inbox(tx), Quarantine(tx)
    names = dict(tx.connection.execute("SELECT id, name FROM collection"))
    for row, collection, key, lsn in _odd_rows(tx, numbers, names):
        record = row.record(tx.names)
        policy = tx.policy(collection)
        projection = project(collection, key, record, policy)
        inbox.note(row.id, record, projection, tx.lsn, had=False)
        quarantine.note(row.id, projection.unreadable, lsn, hidden=not is_name(collection))
        latest = latest_stamp(record).dot
        tx.connection.execute(
            "UPDATE record SET doc = ?, live = ?, conflicts = ? WHERE id = ?",
            (projection.doc, int(projection.live), len(projection.settled), row.id),
        )
        tx.connection.execute(
            "UPDATE log SET node = ?, seq = ? WHERE record = ?", (tx.names.number(latest.actor), latest.seq, row.id)
        )
    inbox.flush()


def _odd_rows(tx: Tx, numbers: Sequence[int], names: dict[int, str]) -> Iterator[tuple[Row, str, str, int]]:
    for number in numbers:
        collection, key, lsn, *columns = tx.connection.execute(_ODD, (number,)).fetchone()
        yield Row._make(columns), names[collection], key, lsn


def _know(tx: Tx, starter: Starter, url: str) -> None:
    """Its node is known as one whose feed was read so far; a session goes on from there."""
    peer = find_peer(tx.connection, starter.actor)
    peer.label, peer.url = starter.label, url
    peer.feed, peer.checkpoint, peer.stretch, peer.vector = starter.feed, starter.lsn, starter.stretch, starter.vector
    peer.ticket = peer.ticket or marked(b"", tx.store.seams.entropy(MARK_BYTES))
    tx.connection.execute("UPDATE peer SET url = NULL WHERE url = ? AND actor <> ?", (url, starter.actor))
    save_peer(tx, peer)
