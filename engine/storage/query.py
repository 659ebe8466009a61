"""Queries: a condition in SQL over the living records of one collection.

Read-only. Invariant: a condition can read nothing but the collection's view and can change nothing: the connection is
query-only, and an authorizer refuses every other table.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from holdfast.errors import InvalidQuery

from ..documents import shown

_STARTS_WITHOUT_WHERE: Final = re.compile(r"\s*(ORDER\s+BY|LIMIT|GROUP\s+BY|$)", re.IGNORECASE)
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_READ: Final = sqlite3.SQLITE_READ
_FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"})
_TABLE_FUNCTIONS: Final = frozenset({"json_each", "json_tree"})
"""They read nothing but their arguments."""

_NUMBER: Final = "record number"
"""The column that a query gives, of a name that no declared field has: `id` belongs to the application."""

_SELECT: Final = f'SELECT "{_NUMBER}" FROM {{view}} {{rest}}'  # noqa: S608 - constants only

Parameter = str | int | float | bytes | None


def select_ids(
    connection: sqlite3.Connection, collection: str, columns: Sequence[str], condition: str, params: Sequence[Parameter]
) -> list[int]:
    """Numbers of the records that match, in the condition's order.

    Raises:
        InvalidQuery: The condition is no SQL over this collection, or its parameters do not fit.
    """
    return [row[0] for row in _run(connection, collection, columns, _SELECT, condition, params)]


def explain(
    connection: sqlite3.Connection, collection: str, columns: Sequence[str], condition: str, params: Sequence[Parameter]
) -> list[str]:
    """SQLite's plan for the query, a line each; raises like `select_ids`."""
    sql = f"EXPLAIN QUERY PLAN {_SELECT}"
    return [row[3] for row in _run(connection, collection, columns, sql, condition, params)]


def view_sql(number: int, columns: Sequence[str]) -> str:
    """The SELECT behind a collection's view; field expressions are those of its indexes."""
    fields = "".join(f", doc ->> '{name}' AS \"{name}\"" for name in columns)
    return f'SELECT id AS "{_NUMBER}", key, doc{fields} FROM record WHERE collection = {number:d} AND live = 1'  # noqa: S608 - names are checked identifiers


def index_name(number: int, fields: Sequence[str]) -> str:
    """The name of the index over these fields of a collection."""
    return f"field_{number}_{','.join(fields)}"


def index_sql(number: int, fields: Sequence[str]) -> str:
    """The index over these fields; it holds the living records of one collection only."""
    expressions = ", ".join(f"doc ->> '{name}'" for name in fields)
    name = index_name(number, fields)
    return f'CREATE INDEX "{name}" ON record ({expressions}) WHERE collection = {number:d} AND live = 1'


def _run(
    connection: sqlite3.Connection,
    collection: str,
    columns: Sequence[str],
    sql: str,
    condition: str,
    params: Sequence[Parameter],
) -> list[Any]:
    if type(condition) is not str:
        raise _refused(collection, shown(condition), "it is no text")
    found = connection.execute("SELECT id FROM collection WHERE name = ?", (collection,)).fetchone()
    if found is None:
        return []
    view = _view(connection, found[0], columns)
    if view in condition:  # SQLite would name a table expression of that name to the authorizer as it names the view
        raise _refused(collection, condition, f"{view} is a reserved name")
    rest = condition if _STARTS_WITHOUT_WHERE.match(condition) else f"WHERE {condition}"

    def authorize(action: int, table: str | None, _column: str | None, _db: str | None, source: str | None) -> int:
        if action in _ALLOWED and table not in _FORBIDDEN_FUNCTIONS and _column not in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_OK
        inside = action == _READ and (view in (table, source) or table in _TABLE_FUNCTIONS)
        return sqlite3.SQLITE_OK if inside else sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)
    try:
        return connection.execute(sql.format(view=view, rest=rest), tuple(params)).fetchall()
    except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOTADB):
            raise
        raise _refused(collection, condition, str(error)) from error
    finally:
        connection.set_authorizer(None)


def _refused(collection: str, condition: str, reason: str) -> InvalidQuery:
    return InvalidQuery(
        f"the condition is refused: {reason}",
        subject=f"{collection}: {condition[:80]}",
        remedy="Write a SQL condition over key, doc and declared fields, with ? for values and names that SQL knows"
        ' in double quotes: "select" = ?.',
    )


def _view(connection: sqlite3.Connection, number: int, columns: Sequence[str]) -> str:
    """The collection's view on this connection, made when first needed (in its temporary schema)."""
    name = f"collection_{number}"
    sql = f"CREATE VIEW {name} AS {view_sql(number, columns)}"
    found = connection.execute("SELECT sql FROM sqlite_temp_schema WHERE name = ?", (name,)).fetchone()
    if found is None or found[0] != sql:
        # The temporary schema is this connection's memory, but query_only forbids it too.
        connection.execute("PRAGMA query_only = OFF")
        try:
            connection.execute(f"DROP VIEW IF EXISTS temp.{name}")
            connection.execute(sql.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
        finally:
            connection.execute("PRAGMA query_only = ON")
    return name
