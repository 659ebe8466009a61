"""An apsw connection with the surface of sqlite3.Connection, as far as the engine uses it.

Knows nothing of power cuts. Invariant: the same calls give the same rows, counts and errors as with sqlite3 in
autocommit (`isolation_level=None`); tests/simulation/test_drivers.py runs one suite against both.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Final, Self

import apsw

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]

_CLASSES: Final[dict[int, type[sqlite3.Error]]] = {
    sqlite3.SQLITE_INTERNAL: sqlite3.InternalError,
    sqlite3.SQLITE_NOTFOUND: sqlite3.InternalError,
    sqlite3.SQLITE_TOOBIG: sqlite3.DataError,
    sqlite3.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISMATCH: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISUSE: sqlite3.InterfaceError,
    sqlite3.SQLITE_RANGE: sqlite3.InterfaceError,
    sqlite3.SQLITE_CORRUPT: sqlite3.DatabaseError,
    sqlite3.SQLITE_NOTADB: sqlite3.DatabaseError,
    sqlite3.SQLITE_AUTH: sqlite3.DatabaseError,
}
"""By SQLite's primary code, as CPython's sqlite3 chooses them; all others are operational."""


@contextmanager
def as_sqlite3() -> Iterator[None]:
    """Raise apsw's errors as those of sqlite3."""
    try:
        yield
    except (apsw.BindingsError, apsw.ConnectionClosedError, apsw.CursorClosedError) as error:
        raise sqlite3.ProgrammingError(str(error)) from error
    except UnicodeDecodeError as error:
        raise sqlite3.OperationalError(f"Could not decode to UTF-8: {error}") from error
    except apsw.Error as error:
        code = getattr(error, "extendedresult", sqlite3.SQLITE_ERROR)
        if code & 0xFF == sqlite3.SQLITE_NOMEM:
            raise MemoryError from error
        translation = _CLASSES.get(code & 0xFF, sqlite3.OperationalError)(str(error))
        translation.sqlite_errorcode = code
        translation.sqlite_errorname = str(apsw.mapping_extended_result_codes.get(code, error.__class__.__name__))
        raise translation from error


@contextmanager
def only_the_first() -> Iterator[None]:
    """Where a file system refuses several times, SQLite gives up at one and apsw raises it; it complains of the others.

    For one thread: inside the block, those complaints are dropped.
    """
    outer = sys.unraisablehook

    def complain(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, apsw.Error):
            outer(what)

    sys.unraisablehook = complain
    try:
        yield
    finally:
        sys.unraisablehook = outer


class PowerCursor:
    """Rows of one statement."""

    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Row:
        with as_sqlite3():
            row: Row = next(self._cursor)
        return row

    def fetchone(self) -> Row | None:
        """The next row, or None."""
        with as_sqlite3():
            row: Row | None = self._cursor.fetchone()
        return row

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        with as_sqlite3():
            return self._cursor.fetchall()

    def fetchmany(self, size: int = 1) -> list[Row]:
        """At most so many rows."""
        with as_sqlite3():
            return list(islice(self._cursor, size))

    def close(self) -> None:
        """Reset the statement."""
        self._cursor.close(True)  # noqa: FBT003 - positional in apsw


class PowerConnection:
    """A connection in autocommit.

    Args:
        raw: What it stands for.
    """

    isolation_level = None

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        with as_sqlite3():
            return self._raw.in_transaction

    @property
    def total_changes(self) -> int:
        """Rows changed since the connection was opened."""
        return self._raw.total_changes()

    def execute(self, sql: str, parameters: Parameters = ()) -> PowerCursor:
        """Run one statement up to its first row."""
        with as_sqlite3():
            cursor = self._raw.cursor()
            if ";" in sql.rstrip().removesuffix(";"):
                cursor.exec_trace = _only(sql)
            try:
                cursor.execute(sql, _bound(parameters))
            except KeyError as error:
                raise sqlite3.ProgrammingError(f"You did not supply a value for binding {error}") from error
            except TypeError as error:
                raise sqlite3.ProgrammingError(str(error)) from error
            return PowerCursor(cursor, self._raw.changes() if _changes_rows(sql) else -1)

    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> PowerCursor:
        """Run one statement for each set of parameters."""
        cursor, changed, changes = self._raw.cursor(), 0, self._raw.changes
        for each in parameters:
            with as_sqlite3():
                cursor.execute(sql, _bound(each))
                changed += changes()
        return PowerCursor(cursor, changed if _changes_rows(sql) else -1)

    def executescript(self, sql: str) -> PowerCursor:
        """Run all statements; an open transaction is committed first."""
        with as_sqlite3():
            cursor = self._raw.cursor()
            if self._raw.in_transaction:
                cursor.execute("COMMIT")
            for _row in cursor.execute(sql):
                pass
            return PowerCursor(cursor, -1)

    def interrupt(self) -> None:
        """End the statement under way."""
        with as_sqlite3():
            self._raw.interrupt()

    def setlimit(self, category: int, limit: int) -> int:
        """Set a limit; gives the one before."""
        return self._raw.limit(category, limit)

    def set_authorizer(self, callback: Callable[..., int] | None) -> None:
        """Ask `callback` for each access of the statements prepared from here on."""
        self._raw.authorizer = callback

    def backup(self, target: PowerConnection) -> None:
        """Copy the whole database into `target`."""
        with as_sqlite3(), target._raw.backup("main", self._raw, "main") as copying:
            while not copying.done:
                copying.step()

    def close(self) -> None:
        """Close; a second time does nothing.

        SQLite closes whatever happens to the checkpoint on the way, and says nothing of it; apsw tells of what the
        file system refused.
        """
        with suppress(sqlite3.OperationalError), only_the_first(), as_sqlite3():
            self._raw.close()


def _bound(parameters: Parameters) -> Row | dict[str, Any]:
    return parameters if isinstance(parameters, tuple | dict) else tuple(parameters)


def _changes_rows(sql: str) -> bool:
    """Whether sqlite3 counts rows for the statement, by its first word as sqlite3 does."""
    return sql.lstrip()[:7].upper().startswith(("INSERT", "UPDATE", "DELETE", "REPLACE"))


def _only(sql: str) -> Callable[[apsw.Cursor, str, Any], bool]:
    """Refuses a statement that is not all of `sql`; called before it runs."""

    def trace(_cursor: apsw.Cursor, statement: str, _parameters: object) -> bool:
        if sql[len(statement) :].strip(" \t\r\n;"):
            raise sqlite3.ProgrammingError("You can only execute one statement at a time.")
        return True

    return trace
