"""snapshot, backup, restore."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commands import holdfast, ok, writer_process


def test_a_snapshot_is_taken_listed_gone_back_to_and_dropped(file: Path):
    assert ok("snapshot", "list", file).out == ""
    assert ok("snapshot", "take", file, "first", "--note", "why").out.startswith("kept 2 records as first: ")
    ok("update", file, "tasks", "t1", '{"n": 5}')
    ok("put", file, "tasks", "t3", '{"n": 3}')
    (found,) = ok("snapshot", "list", file, "--json").value
    assert (found["name"], found["note"], found["records"]) == ("first", "why", 2)
    assert "why" in ok("snapshot", "list", file).out

    told = ok("snapshot", "restore", file, "first", "--preview")
    assert told.out == "1 records would be written, 1 deleted; 1 read as they did\n"
    one = ok("snapshot", "restore", file, "first", "--collection", "tasks", "--key", "t1", "--json").value
    assert (one["written"], one["deleted"]) == (1, 0)
    done = ok("snapshot", "restore", file, "first")
    assert done.out == "0 records were written, 1 deleted; 2 read as they did\n"
    assert "is kept as snapshot" in done.err
    assert ok("get", file, "tasks", "t1", "--json").value["fields"]["n"] == 1
    assert len(ok("snapshot", "list", file, "--json").value) == 3
    assert ok("snapshot", "drop", file, "first").out == "dropped first\n"
    assert ok("snapshot", "drop", file, done.err.split()[-1].rstrip("."), "--json").value
    assert holdfast("snapshot", "restore", file, "first", "--json").error["code"] == "no-such-snapshot"


def test_a_backup_is_put_back(file: Path, tmp_path: Path):
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    assert ok("backup", file, copy, "--json").value == {"file": str(file), "backup": str(copy)}
    assert holdfast("backup", file, copy).code == 2
    assert ok("restore", copy, new).out == f"made {new} of {copy}\n"
    assert holdfast("restore", copy, new, "--json").error["remedy"].endswith("or remove it.")
    aside = Path(ok("restore", copy, new, "--replace", "--json").value["aside"])
    assert (aside / "new.db").is_file()
    assert "What stood there" in ok("restore", copy, new, "--replace").err
    done = ok("put", new, "tasks", "t9", '{"n": 1}')
    assert "new identity: it is a copy" in done.err
    assert ok("backup", file, tmp_path / "other.db").out == f"copied {file} to {tmp_path / 'other.db'}\n"


@pytest.mark.timeout(60)
def test_copies_are_taken_beside_an_application_and_going_back_waits_for_it(file: Path, tmp_path: Path):
    with writer_process(file):
        ok("snapshot", "take", file, "beside")
        ok("backup", file, tmp_path / "copy.db")
        assert holdfast("snapshot", "restore", file, "beside", "--json").error["code"] == "file-locked"
        assert holdfast("restore", tmp_path / "copy.db", file, "--replace", "--json").error["code"] == "file-locked"
