"""history, revert, undo."""

from __future__ import annotations

from pathlib import Path

from .commands import holdfast, ok


def test_a_record_is_followed_and_goes_back(file: Path):
    ok("update", file, "tasks", "t1", '{"n": 5}', "--author", "ann", "--note", "wrong")
    ok("delete", file, "tasks", "t1")
    found = ok("history", file, "tasks", "t1", "--json").value
    assert [(one["kind"], one["fields"] and one["fields"]["n"]) for one in found] == [
        ("delete", None),
        ("update", 5),
        ("put", 1),
    ]
    text = ok("history", file, "tasks", "t1").out
    assert "(deleted)" in text
    assert "ann" in text
    told = ok("revert", file, "tasks", "t1", "--to", found[-1]["lsn"], "--preview")
    assert (told.out, told.err) == ("1 records would be written\n", "tasks/t1\n")
    assert ok("revert", file, "tasks", "t1", "--to", found[-1]["lsn"]).out == "1 records were written\n"
    future = ("revert", file, "tasks", "t1", "--to")
    assert [holdfast(*future, moment).code for moment in ("999", "2999-01-01T00:00:00Z")] == [2, 2]
    assert ok("get", file, "tasks", "t1", "--json").value["fields"]["n"] == 1
    gone = ok("revert", file, "tasks", "t1", "t2", "--to", "2020-01-01T00:00:00Z", "--json").value
    places = [["tasks", "t1"], ["tasks", "t2"]]
    assert gone == {"written": 2, "deleted": 2, "left": [], "named": places, "before": None}
    assert ok("history", file, "tasks", "none").out == ""
    lives = ok("history", file, "tasks", "--json").value
    assert [one for one in lives if one["key"] == "t1"][-3:] == found
    assert {one["key"] for one in lives} == {"t1", "t2"}
    assert ok("history", file, "tasks").out.startswith("key ")


def test_a_transaction_is_undone(file: Path):
    ok("update", file, "tasks", "t1", '{"n": 5, "m": 1}')
    lsn = ok("history", file, "tasks", "t1", "--json").value[0]["lsn"]
    ok("update", file, "tasks", "t1", '{"m": 2}')
    done = ok("undo", file, lsn)
    assert done.out == "1 records were written\n"
    assert "tasks/t1 was changed since" in done.err
    assert ok("get", file, "tasks", "t1", "--json").value["fields"] == {"m": 2, "n": 1, "title": "Check valve"}
    again = ok("undo", file, lsn, "--json").value
    assert (again["written"], again["left"]) == (0, [["tasks", "t1"]])
    first = ok("undo", file, 1, "--preview")
    assert "would be written" in first.out


def test_what_is_no_moment_is_refused(file: Path):
    for wrong in ("yesterday", "2026-11-21T08:00:00", "-1"):
        assert holdfast("revert", file, "tasks", "t1", "--to", wrong).code == 2
    assert holdfast("history", file, "taks", "t1", "--json").error["code"] == "no-such-collection"
    assert holdfast("revert", file, "taks", "t1", "--to", "0", "--json").error["code"] == "no-such-collection"


def test_what_a_node_has_changed_is_taken_back(file: Path):
    since = ok("history", file, "tasks", "t1", "--json").value[0]["lsn"]
    told = ok("disown", file, "pump-7", "--since", since, "--preview")
    assert told.out == "0 records would be written, 1 deleted\n"
    done = ok("disown", file, "pump-7", "--since", since)
    assert done.out == "0 records were written, 1 deleted\n"
    assert "is kept as snapshot" in done.err
    assert ok("disown", file, "pump-7", "--since", "2030-01-01T00:00:00Z", "--json").value["before"] is None
    assert holdfast("disown", file, "nobody", "--since", "0").code == 2


def test_records_are_read_as_they_were(file: Path):
    first = ok("history", file, "tasks", "t1", "--json").value[0]
    ok("update", file, "tasks", "t1", '{"n": 5}')
    ok("put", file, "tasks", "t3", '{"n": 3}')
    assert ok("get", file, "tasks", "t1", "--as-of", first["lsn"], "--json").value == {
        "key": "t1",
        "fields": first["fields"],
    }
    assert '"n": 1' in ok("get", file, "tasks", "t1", "--as-of", first["lsn"]).out
    head = ok("history", file, "tasks", "--json").value[0]["lsn"]
    assert ok("list", file, "tasks", "--as-of", head - 1, "--json").value == ["t1", "t2"]
    assert ok("list", file, "tasks", "--as-of", head, "--limit", "1").out == "t1\n"
    assert ok("list", file, "tasks", "--as-of", "0", "--json").value == []
    assert holdfast("get", file, "tasks", "t3", "--as-of", head - 1, "--json").error["code"] == "no-such-record"
    assert holdfast("list", file, "taks", "--as-of", "0", "--json").error["code"] == "no-such-collection"
    assert holdfast("list", file, "--as-of", "0").code == 2
