"""Takes out of a salvaged file what is none of what its columns hold, and what refers to nothing.

Knows nothing of the damaged file. Invariant: afterwards every identity, feed and vector in the tables beside the
records reads as one, every number that stands for something stands for it, and nothing speaks of a place beyond the
feed's end.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.clocks import EMPTY
from holdfast.errors import MalformedVector

from .pasts import restored

_ACTOR: Final = ("length({0}) <> 32 OR {0} GLOB '*[^0-9a-f]*'", "length({0}) <> 16 OR {0} GLOB '*[^0-9a-f]*'")
_NAMES: Final = (
    ("actor", "actor", _ACTOR[0]),
    ("alias", "space", _ACTOR[0]),
    ("peer", "actor", _ACTOR[0]),
    ("peer", "feed", f"{{0}} <> '' AND ({_ACTOR[1]})"),
    ("hole", "feed", _ACTOR[1]),
    ("member", "actor", _ACTOR[0]),
)
"""Table, column, and when a text in it is no name."""

_NO_ACTOR: Final = "NOT IN (SELECT id FROM actor)"
_TIDY: Final = (
    "DELETE FROM conflict WHERE record NOT IN (SELECT id FROM record)",
    "DELETE FROM quarantine WHERE record NOT IN (SELECT id FROM record)",
    f"DELETE FROM reused WHERE actor {_NO_ACTOR}",  # noqa: S608 - constants only
    f"DELETE FROM taken_back WHERE actor {_NO_ACTOR}",  # noqa: S608 - constants only
    f"DELETE FROM ledger WHERE node {_NO_ACTOR}",  # noqa: S608 - constants only
    f"UPDATE log SET node = NULL, seq = NULL WHERE node {_NO_ACTOR}",  # noqa: S608 - constants only
    "DELETE FROM log WHERE lsn NOT BETWEEN 1 AND (SELECT lsn FROM node)",
    "UPDATE log SET context = NULL WHERE context NOT IN (SELECT id FROM context)",
    "UPDATE record SET returned = NULL WHERE returned NOT IN (SELECT id FROM forgotten)",
    "DELETE FROM stub WHERE context NOT IN (SELECT id FROM context WHERE settled = 0)",
    "DELETE FROM hole WHERE context NOT IN (SELECT id FROM context)",
    # What peers had said may be a flipped bit: they say it again.
    "UPDATE peer SET vector = NULL, told = NULL",
    "UPDATE context SET logged = 1 WHERE id IN (SELECT context FROM log)",
)


def check_names(connection: sqlite3.Connection) -> list[int]:
    """Drop what reads as no identity, feed or vector; gives the numbers of extra contexts that were dropped."""
    for table, column, wrong in _NAMES:
        connection.execute(f"DELETE FROM {table} WHERE {wrong.format(column)}")  # noqa: S608 - constants only
    connection.execute(f"DELETE FROM vector WHERE actor {_NO_ACTOR}")  # noqa: S608 - constants only
    # Nobody else knows an id that cannot be read: the node takes that of the space of its name which it meets.
    wrong = _ACTOR[0].format("space")
    connection.execute(f"UPDATE node SET space = lower(hex(randomblob(16))), bond = 0 WHERE {wrong}")  # noqa: S608 - constants only
    # How much of a past can still be read is known only where something is kept over it.
    connection.execute("UPDATE node SET past = NULL")
    connection.execute("UPDATE vector SET apart = 1")
    for column in ("fence", "horizon", "mark"):
        (encoded,) = connection.execute(f"SELECT {column} FROM purging").fetchone() or (None,)  # noqa: S608 - constants only
        if encoded is not None and not _is_vector(connection, encoded):
            empty = None if column == "mark" else EMPTY.encode()
            connection.execute(f"UPDATE purging SET {column} = ?", (empty,))  # noqa: S608 - constants only
    rows = connection.execute("SELECT id, settled, vector FROM context").fetchall()
    gone = [(number, settled) for number, settled, encoded in rows if not _is_vector(connection, encoded)]
    connection.executemany("DELETE FROM context WHERE id = ?", [(number,) for number, _ in gone])
    return [number for number, settled in gone if not settled]


def tidy(connection: sqlite3.Connection) -> None:
    """Drop what refers to nothing, when all that could be read has been."""
    for statement in _TIDY:
        connection.execute(statement)


def _is_vector(connection: sqlite3.Connection, encoded: bytes) -> bool:
    try:
        restored(connection, encoded)
    except (MalformedVector, TypeError):
        return False
    return True
