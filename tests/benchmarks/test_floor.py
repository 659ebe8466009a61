"""Claims about the floor: it keeps the records, as durably as the product does."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from benchmarks import floor, records


@pytest.mark.parametrize("write", [floor.load, floor.write_singly])
def test_the_floor_keeps_every_record(tmp_path, write):
    pairs = records.generate(50)
    assert write(tmp_path / "floor.db", pairs) > 0
    with closing(sqlite3.connect(tmp_path / "floor.db")) as connection:
        stored = connection.execute("SELECT key, doc FROM record").fetchall()
        assert {key: json.loads(doc) for key, doc in stored} == dict(pairs)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_floor_writes_as_durably_as_an_engine(tmp_path):
    with closing(floor.create(tmp_path / "floor.db")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_fsync_takes_time_and_leaves_nothing(tmp_path):
    assert floor.fsync_us(tmp_path, repetitions=3) > 0
    assert not list(tmp_path.iterdir())
