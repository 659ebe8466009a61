"""trim and erase."""

from __future__ import annotations

import json
from pathlib import Path

from .commands import holdfast, ok


def test_the_log_is_trimmed_to_what_is_asked_for_and_stays_so(file: Path):
    for n in range(5):
        ok("update", file, "tasks", "t1", f'{{"n": {n}}}')
    assert ok("trim", file).out == "0 changes were trimmed\n"
    assert ok("trim", file, "--rows", 3, "--json").value == {"deleted": 4, "stubs": 0}
    assert len(ok("log", file, "--json").value) == 3
    ok("update", file, "tasks", "t1", '{"n": 9}')
    assert ok("trim", file).out == "1 changes were trimmed\n"
    status = ok("status", file, "--json").value["history"]
    assert (status["rows"], status["floors"]) == (3, {"tasks": 5})
    assert "trimmed to 5 of tasks" in ok("status", file).out
    refused = holdfast("revert", file, "tasks", "t1", "--to", 1, "--json")
    assert (refused.code, refused.error["code"]) == (2, "history-trimmed")
    first = json.loads(ok("audit", file).out.splitlines()[0])
    assert first["trimmed_to"] == {"tasks": 5}
    assert ok("trim", file, "--everything").out == "0 changes were trimmed\n"
    assert holdfast("trim", file, "--everything", "--rows", 1).code == 2
    assert ok("trim", file, "--days", 1).out == "0 changes were trimmed\n"


def test_a_record_and_fields_are_erased(file: Path):
    ok("update", file, "tasks", "t1", '{"title": "whispered words"}')
    ok("snapshot", "take", file, "before")
    done = ok("erase", file, "tasks", "t1", "--field", "title", "--author", "ann")
    assert done.out == "erased tasks/t1\n"
    assert "Snapshot before still holds the record" in done.err
    assert ok("get", file, "tasks", "t1", "--json").value["fields"] == {"n": 1}
    assert b"whispered words" not in file.read_bytes()
    found = ok("erase", file, "tasks", "t1", "--json").value
    assert (found["removed"], found["snapshots"]) == (True, ["before"])
    assert holdfast("get", file, "tasks", "t1").code == 2
    assert len(ok("list", file, "holdfast-erasures", "--json").value) == 2
    lines = [json.loads(line) for line in ok("export", file, "holdfast-erasures").out.splitlines()]
    assert [line["key"] for line in lines] == ["t1", "t1"]
    assert len({line["erasure"] for line in lines}) == 2
    assert holdfast("erase", file, "tasks", "never", "--json").error["code"] == "no-such-record"
    assert holdfast("erase", file, "taks", "t1", "--json").error["code"] == "no-such-collection"
