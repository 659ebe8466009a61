"""status, verify, log, ledger."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

from holdfast import Manual, Schema

from .commands import holdfast, make_conflict, ok


def test_status_tells_what_the_file_holds_and_whom_it_met(tmp_path: Path):
    path = make_conflict(tmp_path, Schema(name="tasks", fields={"title": Manual()}))
    found = ok("status", path, "--json").value
    assert (found["space"], found["records"], found["conflicts"]) == ("plant", 1, {"open": 1})
    assert [peer["label"] for peer in found["peers"]] == ["b"]
    text = ok("status", path).out
    assert "1 open" in text
    assert "memory://peer" in text


def test_a_good_file_is_verified(file: Path):
    assert ok("verify", file).out == "ok: 2 records checked\n"
    assert ok("verify", file, "--json").value == {"records": 2, "problems": [], "ok": True}


def test_a_file_that_contradicts_itself_is_a_problem(file: Path):
    with sqlite3.connect(file) as connection:
        connection.execute("""UPDATE record SET doc = '{"n":3}' WHERE key = 't1'""")
    connection.close()
    report = holdfast("verify", file, "--json")
    assert (report.code, report.value["ok"]) == (1, False)
    assert "tasks/t1" in report.value["problems"][0]
    assert "tasks/t1" in holdfast("verify", file).out


def test_the_log_is_newest_first_and_can_be_narrowed(file: Path):
    ok("update", file, "tasks", "t1", '{"n": 5}')
    entries = ok("log", file, "--json").value
    assert [(entry["kind"], entry["key"]) for entry in entries] == [("update", "t1"), ("put", "t2"), ("put", "t1")]
    assert entries[0]["old"] == {"n": 1}
    assert len(ok("log", file, "--collection", "tasks", "--key", "t1", "--limit", 1, "--json").value) == 1
    assert '{"n": 1}' in ok("log", file).out


def test_where_nothing_was_discarded_the_ledger_is_empty(file: Path):
    assert ok("ledger", file, "--json").value == []
    assert ok("ledger", file).out == ""


def test_the_whole_log_is_written_oldest_first(file: Path, tmp_path: Path):
    ok("update", file, "tasks", "t1", '{"n": 5, "m": 0}', "--author", "ann")
    ok("put", file, "other", "o1", "{}")
    first, *lines = [json.loads(line) for line in ok("audit", file).out.splitlines()]
    assert (first["audit"], first["node"], first["trimmed_to"]) == ("plant", "pump-7", {})
    assert [(line["kind"], line["key"], line["born"]) for line in lines] == [
        ("put", "t1", True),
        ("put", "t2", True),
        ("update", "t1", False),
        ("put", "o1", True),
    ]
    assert (lines[2]["old"], lines[2]["added"], lines[2]["author"], lines[2]["node"]) == (
        {"n": 1},
        ["m"],
        "ann",
        "pump-7",
    )
    packed = tmp_path / "audit.jsonl.gz"
    assert ok("audit", file, packed, "--collection", "tasks").out == f"wrote 3 entries to {packed}\n"
    assert len(gzip.decompress(packed.read_bytes()).splitlines()) == 4
    assert ok("audit", file, packed, "--json").value == {"entries": 4}
    assert holdfast("audit", file, "--json").code == 2
    assert holdfast("audit", file, file).code == 2
    assert holdfast("audit", file, packed, "--collection", "taks", "--json").error["code"] == "no-such-collection"


def test_status_says_before_the_first_write_that_a_file_was_put_back_or_is_a_copy(file: Path, tmp_path: Path):
    old = file.read_bytes()
    ok("put", file, "tasks", "later", '{"n": 9}')
    assert ok("status", file, "--json").value["blockers"] == []
    file.with_name(file.name + "-wal").unlink(missing_ok=True)
    with file.open("r+b") as raw:  # as `cat old.db > edge.db` does
        raw.truncate(0)
        raw.write(old)
    (blocker,) = ok("status", file, "--json").value["blockers"]
    assert "rolled back" in blocker
    ok("put", file, "tasks", "more", "{}")
    assert ok("status", file, "--json").value["blockers"] == []
    ok("backup", file, tmp_path / "copy.db")
    (blocker,) = ok("status", tmp_path / "copy.db", "--json").value["blockers"]
    assert blocker.startswith("it is a copy")
