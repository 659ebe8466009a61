"""Starters: compact copies of what a space holds, for nodes that hold nothing yet (decision 0032).

Draws one beside the node that offers it. Knows nothing of who asks for it. Invariants: a starter is one state of the
file, and holds nothing but what every reader of the space gets in a session: no log, no replaced or discarded value, no
peer, no ticket, no label of who never wrote, and not one byte of what the file held before.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ..membership import Bond
from .faults import translated
from .migrations import migrate
from .pasts import restored

COPIED: Final = frozenset(
    {"record", "collection", "actor", "vector", "context", "alias", "forgotten", "purging", "past"}
)
"""Tables whose rows every reader gets, or part of them; `node` and `stretch` say which state of which feed it is."""

LEFT_OUT: Final = frozenset(
    {
        *("arrival", "buried", "conflict", "hole", "ledger", "log", "member", "peer", "quarantine", "reused", "stub"),
        *("taken_back", "retained", "trimmed", "stored", "erasing"),
    }
)
"""Tables that are the file's own: a node that starts makes its own rows, or has none."""

_INDEXES: Final = (
    "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'record' AND sql IS NOT NULL ORDER BY name"
)
_NODE: Final = (
    "INSERT INTO main.node (id, actor, label, seq, shared, lsn, clock, digest, feed, space, space_name, bond, policy,"
    " past, copied) SELECT 1, actor, label, seq, 0, lsn, clock, digest, feed, space, space_name, bond, x'', past, ?"
    " FROM source.node"
)
_ACTORS: Final = (
    "INSERT INTO main.actor (id, actor, label) SELECT id, actor, label FROM source.actor WHERE"
    " id IN (SELECT actor FROM source.vector) OR id = (SELECT actor FROM source.node)"
    " OR actor IN (SELECT value FROM json_each(?))"
)
_PURGING: Final = (
    "UPDATE main.purging SET (fence, horizon, term, number, authority) ="
    " (SELECT fence, horizon, term, number, authority FROM source.purging)"
)
_ROWS: Final = (
    "INSERT INTO main.stretch SELECT first, id FROM source.stretch ORDER BY first DESC LIMIT 1",
    "INSERT INTO main.alias SELECT * FROM source.alias",
    "INSERT INTO main.vector SELECT * FROM source.vector",
    "INSERT INTO main.context SELECT * FROM source.context WHERE settled = 0",
    "INSERT INTO main.collection (id, name) SELECT id, name FROM source.collection",
    "INSERT INTO main.forgotten SELECT * FROM source.forgotten",
    # The tables are alike and this one is empty and without indexes: SQLite copies the rows as they are.
    "INSERT INTO main.record SELECT * FROM source.record",
    _PURGING,
    # Numbers of contexts that are gone are given to no other: records go on naming them.
    "DELETE FROM main.sqlite_sequence",
    "INSERT INTO main.sqlite_sequence SELECT name, seq FROM source.sqlite_sequence",
)


def may_start(connection: sqlite3.Connection) -> bool:
    """Whether the file may be the start of others: an id of the space that nobody else knows could still change."""
    (bond,) = connection.execute("SELECT bond FROM node").fetchone()
    return bool(bond != Bond.FREE)


def records_in(connection: sqlite3.Connection) -> int:
    """How many records a starter would hold, tombstones included."""
    (count,) = connection.execute("SELECT count(*) FROM record").fetchone()
    return int(count)


def changed_since(connection: sqlite3.Connection, lsn: int) -> int:
    """How many records who starts from that position still has to read."""
    (count,) = connection.execute("SELECT count(*) FROM record WHERE lsn > ?", (lsn,)).fetchone()
    return int(count)


def drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop the indexes of records, declared ones too; gives the statements that make those of the format again.

    A starter has none: whoever takes it in builds them faster than they travel.
    """
    rows = connection.execute(_INDEXES).fetchall()
    for name, _ in rows:
        connection.execute(f'DROP INDEX "{name}"')
    return [sql for name, sql in rows if not name.startswith("field_")]


def draw_starter(source: Path, target: Path) -> None:
    """Write the starter of a file to a new one; writers of the file go on meanwhile.

    Raises:
        DiskFull, FileUnreadable, DamagedFile: What stands at the target is nothing.
    """
    with translated(str(target)), closing(_opened(target)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # who does not end it throws it away
        connection.execute("PRAGMA synchronous = OFF")
        migrate(connection, str(target))
        drop_indexes(connection)
        connection.execute("ATTACH ? AS source", (f"{source.resolve().as_uri()}?mode=ro",))
        connection.execute("BEGIN")  # one state, however long it takes
        connection.execute(_NODE, (json.dumps({"name": "starter", "note": "", "made_ms": 0}),))
        connection.execute("INSERT INTO main.past SELECT * FROM source.past")
        rows = connection.execute("SELECT vector FROM source.context WHERE settled = 0").fetchall()
        waiting = {actor for (vector,) in rows for actor, _ in restored(connection, vector).items()}
        connection.execute(_ACTORS, (json.dumps(sorted(waiting)),))
        for statement in _ROWS:
            connection.execute(statement)
        connection.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}", uri=True, isolation_level=None)
