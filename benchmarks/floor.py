"""The floor: plain `sqlite3` in one thread, doing the least that keeps a record.

`json.dumps` into a table of key and document, WITHOUT ROWID, in WAL mode, with the `synchronous` of the product.
No clocks, no log, no conflicts, no sync: whatever Holdfast adds must be paid from the distance to this.
Invariant: a returned duration covers encoding, inserting and the commit, and nothing else.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

from .records import Pairs

SCHEMA = "CREATE TABLE record (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID"
INSERT = "INSERT INTO record (key, doc) VALUES (?, ?)"
READ = "SELECT doc FROM record WHERE key = ?"


def create(file: Path) -> sqlite3.Connection:
    """Makes an empty floor; transactions are the caller's."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(SCHEMA)
    return connection


def load(file: Path, pairs: Pairs) -> float:
    """Writes all records in one transaction into a new file; seconds until they are durable."""
    with closing(create(file)) as connection:
        start = perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, ((key, json.dumps(fields)) for key, fields in pairs))
        connection.execute("COMMIT")
        return perf_counter() - start


def write_singly(file: Path, pairs: Pairs) -> float:
    """Writes each record in a transaction of its own into a new file; seconds until the last is durable."""
    with closing(create(file)) as connection:
        start = perf_counter()
        for key, fields in pairs:
            connection.execute(INSERT, (key, json.dumps(fields)))
        return perf_counter() - start


def fsync_us(directory: Path, repetitions: int = 100) -> float:
    """The median cost of making 4 KiB durable at the end of a small file, in microseconds: write and fsync."""
    file = directory / "fsync"
    page = bytes(4096)
    durations = []
    with file.open("wb", buffering=0) as target:
        for _ in range(repetitions):
            start = perf_counter()
            target.write(page)
            os.fsync(target.fileno())
            durations.append(perf_counter() - start)
    file.unlink()
    return median(durations) * 1e6
