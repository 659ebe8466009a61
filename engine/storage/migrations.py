"""Brings a file to this version's format, one numbered script per format, each in one transaction.

Knows nothing of records. Invariant: a fresh file equals one that went through every script; a file of a newer format
or of another program is refused and left as it is.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources
from typing import Final

from holdfast.errors import NewerFormat, NotADatabase, OlderFormat

FORMAT: Final = 6
"""The format that this version writes; stands in the file as PRAGMA user_version."""

OLDEST_FORMAT: Final = 3
"""The oldest format that is brought up to date; older ones were never released."""

APPLICATION_ID: Final = 0x48464442
"""'HFDB': tells a Holdfast file from any other SQLite database."""

_SHOWN: Final = {
    4: ("CREATE TEMP VIEW log AS SELECT *, NULL AS added, NULL AS was FROM main.log",),
    5: (
        "CREATE TEMP VIEW record AS SELECT *, NULL AS returned FROM main.record",
        "CREATE TEMP VIEW place AS SELECT id, collection, key, live, doc FROM main.record",
        (
            "CREATE TEMP VIEW purging AS SELECT x'0100' AS fence, x'0100' AS horizon, 0 AS judged, NULL AS mark,"
            " NULL AS marked_ms, NULL AS purged_ms, 0 AS term, 0 AS number, '' AS authority, 0 AS handing"
        ),
        (
            "CREATE TEMP VIEW member AS SELECT '' AS actor, '' AS label, 0 AS heard_ms, 0 AS marked, NULL AS out_ms,"
            " NULL AS out_at WHERE 0"
        ),
    ),
    6: (
        "CREATE TEMP VIEW node AS SELECT *, NULL AS past FROM main.node",
        "CREATE TEMP VIEW vector AS SELECT *, 1 AS apart, 0 AS moved_ms FROM main.vector",
    ),
}
"""Format -> views that stand for what it added, in a file that is only read and has an older one."""


@cache
def scripts() -> dict[int, str]:
    """Format -> the SQL that leads to it, in order."""
    folder = resources.files("holdfast.engine.storage") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {int(name.partition("-")[0]): (folder / name).read_text(encoding="utf-8") for name in names}


def format_of(connection: sqlite3.Connection, path: str) -> int:
    """The format of the file; 0 if it is empty.

    Raises:
        NotADatabase: It is a database of another program.
        NewerFormat, OlderFormat: Another version wrote it, which this one cannot follow.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables or version:
            raise NotADatabase("this is another program's database", subject=path, remedy="Choose another file.")
        return 0
    if version > FORMAT:
        raise NewerFormat(
            f"the file has format {version}, this version reads up to {FORMAT}",
            subject=path,
            remedy="Upgrade Holdfast; the file was left as it is.",
        )
    if version < OLDEST_FORMAT:
        raise OlderFormat(
            f"the file has format {version}, this version reads {OLDEST_FORMAT} to {FORMAT}",
            subject=path,
            remedy="Export its records with the version that wrote it, and import them here; it was left as it is.",
        )
    return int(version)


def migrate(connection: sqlite3.Connection, path: str) -> bool:
    """Bring the file to FORMAT; tells whether it was empty before."""
    found = format_of(connection, path)
    for number, script in scripts().items():
        if number <= found:
            continue
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )
    return found == 0


def show_as_current(connection: sqlite3.Connection) -> None:
    """Let a query-only connection to a file of an older format show what queries of this version name."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        connection.execute("PRAGMA query_only = OFF")
        for number, views in _SHOWN.items():
            for view in views if OLDEST_FORMAT <= version < number else ():
                connection.execute(view)
        connection.execute("PRAGMA query_only = ON")
