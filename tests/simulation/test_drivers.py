"""The driver that can lose power behaves as Python's sqlite3 does, call by call: one suite for both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.simulation.disk.drivers import PlainDriver
from holdfast.simulation.disk.power import PowerDriver

DRIVERS = {"sqlite3": PlainDriver, "apsw": PowerDriver}


@pytest.fixture(params=sorted(DRIVERS))
def driver(request):
    return DRIVERS[request.param]()


@pytest.fixture
def connection(driver, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = driver.connect_writer(tmp_path / "f.db", "full")
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("CREATE TABLE t (a UNIQUE, b)")
    yield opened
    opened.close()


def test_values_go_in_and_come_out_with_their_types(connection):
    values = [
        None,
        0,
        -(2**63),
        2**63 - 1,
        True,
        1.5,
        -0.0,
        1e300,
        "",
        "ä€𝄞",
        "nul\0inside",
        b"",
        b"\0\xff",
        bytearray(b"x"),
    ]
    for at, value in enumerate(values):
        connection.execute("INSERT INTO t VALUES (?, ?)", (at, value))
    found = connection.execute("SELECT b, typeof(b) FROM t ORDER BY a").fetchall()
    assert [repr(value) for value, _ in found] == [repr(v) for v in [*values[:4], 1, *values[5:-1], b"x"]]
    assert [kind for _, kind in found] == ["null"] + ["integer"] * 4 + ["real"] * 3 + ["text"] * 3 + ["blob"] * 3
    assert all(type(row) is tuple for row in found)


def test_rows_are_fetched_as_one_several_all_or_by_iteration(connection):
    connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, n * n) for n in range(10)))
    cursor = connection.execute("SELECT a FROM t ORDER BY a")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
    assert next(cursor) == (4,)
    assert [a for (a,) in cursor] == [5, 6, 7, 8, 9]
    assert (cursor.fetchone(), cursor.fetchmany(3), cursor.fetchall()) == (None, [], [])


def test_rows_are_counted_where_a_statement_changes_rows(connection):
    insert = "INSERT OR IGNORE INTO t VALUES (?, ?)"
    assert connection.execute(insert, (1, 1)).rowcount == 1
    assert connection.execute(insert, (1, 1)).rowcount == 0
    assert connection.executemany(insert, [(1, 1), (2, 2), (2, 2), (3, 3)]).rowcount == 2
    assert connection.executemany(insert, []).rowcount == 0
    assert connection.execute("UPDATE t SET b = 0 WHERE a > ?", [1]).rowcount == 2
    assert connection.execute("DELETE FROM t WHERE a = 99").rowcount == 0
    assert connection.execute("SELECT 1").rowcount == -1
    assert connection.execute("CREATE TABLE u (a)").rowcount == -1
    assert connection.execute("  REPLACE INTO t VALUES (1, 5)").rowcount == 1


def test_returning_gives_rows_of_a_change_that_is_whole(connection):
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, 0) for n in range(5)])
    cursor = connection.execute("UPDATE t SET b = a + 1 RETURNING b")
    assert cursor.fetchone() == (1,)
    assert connection.execute("SELECT sum(b) FROM t").fetchone() == (15,)
    assert sorted(cursor.fetchall()) == [(2,), (3,), (4,), (5,)]
    assert connection.execute("INSERT INTO t VALUES (9, 9) RETURNING a, b").fetchone() == (9, 9)


def test_transactions_are_those_that_the_statements_say(connection):
    assert connection.isolation_level is None
    assert not connection.in_transaction
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (1, 1)")
    connection.execute("SAVEPOINT part")
    connection.execute("INSERT INTO t VALUES (2, 2)")
    connection.execute("ROLLBACK TO part")
    connection.execute("RELEASE part")
    assert connection.in_transaction
    connection.execute("COMMIT")
    assert not connection.in_transaction
    connection.execute("BEGIN")
    connection.execute("DELETE FROM t")
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_script_runs_whole_and_commits_what_was_open(connection):
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (1, 1)")
    connection.executescript("BEGIN; INSERT INTO t VALUES (2, 2); SELECT 1; INSERT INTO t VALUES (3, ';'); COMMIT;")
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,)


def test_parameters_are_bound_by_place_or_by_name(connection):
    assert connection.execute("SELECT ?, ?2", (1, 2)).fetchone() == (1, 2)
    assert connection.execute("SELECT :a, :b", {"a": 1, "b": "x"}).fetchone() == (1, "x")
    connection.executemany("INSERT INTO t VALUES (:a, :b)", [{"a": 1, "b": 2}, {"a": 2, "b": 3}])
    assert connection.execute("SELECT sum(b) FROM t").fetchone() == (5,)


@pytest.mark.parametrize(
    ("sql", "parameters", "error", "code"),
    [
        ("SELEC 1", (), sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
        ("SELECT * FROM absent", (), sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
        ("INSERT INTO t VALUES (1, 2)", (), sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        ("INSERT INTO t VALUES (9, zeroblob(2000000000))", (), sqlite3.DataError, sqlite3.SQLITE_TOOBIG),
        ("SELECT ?", (), sqlite3.ProgrammingError, None),
        ("SELECT ?", (1, 2), sqlite3.ProgrammingError, None),
        ("SELECT :a", {"b": 1}, sqlite3.ProgrammingError, None),
        ("SELECT ?", (object(),), sqlite3.ProgrammingError, None),
        ("SELECT ?", (2**63,), OverflowError, None),
        ("SELECT ?", ("\ud800",), UnicodeEncodeError, None),
        ("SELECT cast(x'ff' AS text)", (), sqlite3.OperationalError, None),
        ("SELECT 1; SELECT 2", (), sqlite3.ProgrammingError, None),
        ("SELECT ';'; DROP TABLE t", (), sqlite3.ProgrammingError, None),
        ("COMMIT", (), sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
        ("SELECT abs(-9223372036854775807 - 1)", (), sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
    ],
)
def test_errors_are_of_the_same_class_and_code(connection, sql, parameters, error, code):
    connection.execute("INSERT INTO t VALUES (1, 2)")
    with pytest.raises(error) as caught:
        connection.execute(sql, parameters).fetchall()
    assert type(caught.value) is error
    if code is not None:
        assert caught.value.sqlite_errorcode == code
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_an_error_in_a_later_row_comes_while_rows_are_fetched(connection):
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(9)])
    cursor = connection.execute("SELECT abs(CASE a WHEN 8 THEN -9223372036854775807 - 1 ELSE a END) FROM t ORDER BY a")
    assert cursor.fetchone() == (0,)
    assert next(cursor) == (1,)
    with pytest.raises(sqlite3.OperationalError, match="overflow"):
        cursor.fetchall()


def test_many_statements_stop_at_the_first_that_fails(connection):
    with pytest.raises(sqlite3.IntegrityError):
        connection.executemany("INSERT INTO t VALUES (?, 0)", [(1,), (2,), (1,), (3,)])
    assert connection.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]


def test_an_authorizer_is_asked_and_obeyed(connection):
    asked = []

    def authorize(action, first, *_):
        asked.append(first)
        return sqlite3.SQLITE_DENY if (action, first) == (sqlite3.SQLITE_READ, "t") else sqlite3.SQLITE_OK

    connection.set_authorizer(authorize)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT a FROM t")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_AUTH
    connection.set_authorizer(None)
    assert connection.execute("SELECT a FROM t").fetchall() == []
    assert "t" in asked


def test_a_limit_holds(connection):
    assert connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000) > 1_000
    with pytest.raises(sqlite3.DataError):
        connection.execute("SELECT zeroblob(2000)")


def test_a_reader_only_reads_one_committed_state(driver, connection, tmp_path):
    connection.execute("INSERT INTO t VALUES (1, 1)")
    reader = driver.connect_reader(tmp_path / "f.db")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.execute("INSERT INTO t VALUES (2, 2)")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
    with pytest.raises(sqlite3.OperationalError) as caught:
        reader.execute("DELETE FROM t")
    assert caught.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY
    reader.close()


def test_a_second_writer_is_refused_at_once(driver, connection, tmp_path):
    other = driver.connect_tool(tmp_path / "f.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("BEGIN IMMEDIATE")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
    assert not connection.in_transaction
    other.close()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def test_a_reader_of_no_file_is_refused(driver, tmp_path):
    with pytest.raises(sqlite3.OperationalError) as caught:
        driver.connect_reader(tmp_path / "absent.db").execute("SELECT 1 FROM sqlite_schema")
    assert caught.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN


def test_what_is_no_database_is_named_so(driver, tmp_path):
    (tmp_path / "text").write_bytes(b"x" * 4096)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        driver.connect_writer(tmp_path / "text", "full").execute("SELECT 1 FROM sqlite_schema")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_NOTADB


def test_a_backup_is_the_whole_file(driver, connection, tmp_path):
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 1000) for n in range(50)])
    copy = driver.connect_tool(tmp_path / "copy.db")
    connection.backup(copy)
    assert copy.execute("SELECT count(*), sum(length(b)) FROM t").fetchone() == (50, 50_000)
    copy.close()


def test_a_closed_connection_says_so(driver, tmp_path):
    opened = driver.connect_writer(tmp_path / "g.db", "normal")
    opened.close()
    opened.close()
    with pytest.raises(sqlite3.ProgrammingError):
        opened.execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError):
        _ = opened.in_transaction


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_a_writer_is_set_as_in_production(driver, tmp_path, durability, level):
    opened = driver.connect_writer(tmp_path / "g.db", durability)
    assert opened.execute("PRAGMA synchronous").fetchone() == (level,)
    assert opened.execute("PRAGMA busy_timeout").fetchone() == (0,)
    opened.close()
