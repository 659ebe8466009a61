"""init, put, update, delete, get."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .commands import holdfast, make_conflict, ok

CRASHING = """
import asyncio, os, sys
from holdfast import Engine
async def crash():
    engine = await Engine.open(sys.argv[1], space="plant")
    for n in range(20):
        await engine["t"].put(f"k{n}", {})
    os._exit(9)
asyncio.run(crash())
"""


def test_what_was_put_is_what_one_gets(file: Path):
    assert ok("get", file, "tasks", "t1", "--json").value["fields"] == {"n": 1, "title": "Check valve"}
    assert ok("get", file, "tasks", "t2").out == '{\n  "n": 2.0,\n  "title": "日本 \U0001f600"\n}\n'


def test_a_receipt_names_the_write(file: Path):
    receipt = ok("put", file, "tasks", "t3", '{"a": null}', "--author", "ann", "--note", "why", "--json").value
    assert set(receipt) == {"collection", "key", "dot", "clock_ms", "lsn", "version"}
    assert (receipt["collection"], receipt["key"], receipt["dot"]["seq"], receipt["lsn"]) == ("tasks", "t3", 3, 3)
    (entry,) = ok("log", file, "--key", "t3", "--json").value
    assert (entry["author"], entry["note"], entry["dot"]) == ("ann", "why", receipt["dot"])


def test_fields_may_come_from_stdin(file: Path):
    ok("put", file, "tasks", "t3", "-", stdin='{"text": "Ünïcode"}')
    assert ok("get", file, "tasks", "t3", "--json").value["fields"] == {"text": "Ünïcode"}


def test_an_update_writes_and_removes_fields_and_leaves_the_rest(file: Path):
    ok("update", file, "tasks", "t1", '{"done": true}', "--remove", "n")
    assert ok("get", file, "tasks", "t1", "--json").value["fields"] == {"done": True, "title": "Check valve"}


def test_an_update_creates_a_record_only_if_told_to(file: Path):
    assert holdfast("update", file, "tasks", "new", '{"a": 1}', "--json").error["code"] == "no-such-record"
    ok("update", file, "tasks", "new", '{"a": 1}', "--upsert")


def test_a_deleted_record_is_gone(file: Path):
    ok("delete", file, "tasks", "t1")
    missing = holdfast("get", file, "tasks", "t1", "--json")
    assert (missing.code, missing.error["code"], missing.error["subject"]) == (2, "no-such-record", "tasks/t1")
    assert holdfast("delete", file, "tasks", "t1").code == 2


def test_a_write_can_be_bound_to_the_version_that_was_read(file: Path):
    version = ok("get", file, "tasks", "t1", "--json").value["version"]
    ok("put", file, "tasks", "t1", "{}", "--if-version", version)
    late = holdfast("put", file, "tasks", "t1", "{}", "--if-version", version, "--json")
    assert (late.code, late.error["code"]) == (2, "version-mismatch")
    assert holdfast("put", file, "tasks", "t1", "{}", "--if-version", "").code == 2
    ok("put", file, "tasks", "t9", "{}", "--if-version", "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("tasks", "k", "{"), "usage-error"),
        (("tasks", "k", '{"a": NaN}'), "usage-error"),
        (("tasks", "k", "[1]"), "invalid-value"),
        (("tasks", "k", '{"a": 9223372036854775808}'), "invalid-value"),
        (("tasks", "k", '{"a": "\\ud800"}'), "invalid-value"),
        (("tasks", "", "{}"), "invalid-key"),
        (("tasks", "k" * 513, "{}"), "invalid-key"),
        (("", "k", "{}"), "invalid-name"),
    ],
)
def test_a_bad_value_is_refused_and_changes_nothing(file: Path, words, code):
    before = ok("status", file, "--json").value["digest"]
    refused = holdfast("put", file, *words, "--json")
    assert (refused.code, refused.error["code"]) == (2, code)
    assert ok("status", file, "--json").value["digest"] == before


def test_a_typing_error_makes_no_database(tmp_path: Path):
    path = tmp_path / "typo.db"
    for words in (("put", path, "c", "k", "{}"), ("sync", path, "http://127.0.0.1:1"), ("get", path, "c", "k")):
        refused = holdfast(*words, "--json")
        assert (refused.code, refused.error["code"]) == (3, "file-unreadable")
    assert "holdfast init" in holdfast("put", path, "c", "k", "{}").err
    assert not list(tmp_path.iterdir())


def test_a_named_space_makes_a_database(tmp_path: Path):
    path = tmp_path / "new.db"
    ok("put", path, "c", "k", '{"a": 1}', "--space", "plant", "--name", "pump")
    found = ok("status", path, "--json").value
    assert (found["space"], found["label"], found["records"]) == ("plant", "pump", 1)


def test_init_may_be_repeated_and_never_changes_the_space(file: Path):
    assert ok("init", file, "--space", "plant", "--json").value["created"] is False
    refused = holdfast("init", file, "--space", "other", "--json")
    assert (refused.code, refused.error["code"]) == (5, "space-mismatch")


@pytest.mark.parametrize("words", [("get", "c", "k"), ("put", "c", "k", "{}"), ("status",), ("verify",)])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, words):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"just some text, and more of it than a header has\n" * 20)
    refused = holdfast(words[0], path, *words[1:], "--json")
    assert (refused.code, refused.error["code"]) == (3, "not-a-database")
    assert path.read_bytes().startswith(b"just some text")


@pytest.mark.parametrize("words", [("get", "c", "k"), ("put", "c", "k", "{}")])
def test_a_file_of_a_newer_format_is_refused(file: Path, words):
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused = holdfast(words[0], file, *words[1:], "--json")
    assert (refused.code, refused.error["code"]) == (3, "newer-format")


def test_a_copied_file_goes_on_under_a_new_identity_and_says_so(file: Path, tmp_path: Path):
    copy = tmp_path / "copy.db"
    copy.write_bytes(file.read_bytes())
    assert "new identity" in ok("put", copy, "tasks", "t1", "{}").err


def test_people_are_told_of_values_behind_a_record(tmp_path: Path):
    assert "concurrent values" in ok("get", make_conflict(tmp_path), "tasks", "t1").err


def test_an_update_takes_an_object(file: Path):
    assert holdfast("update", file, "tasks", "t1", "[1]", "--json").error["code"] == "usage-error"


def test_an_update_that_would_write_nothing_is_refused(file: Path):
    refused = holdfast("update", file, "tasks", "t1", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage-error")
    assert "nothing to write" in refused.error["message"]
    assert ok("status", file, "--json").value["operations"] == 2
    ok("update", file, "tasks", "t1", "{}")  # who says so gets it
    ok("update", file, "tasks", "new", "--upsert")


def test_a_field_cannot_be_written_and_removed_at_once(file: Path):
    refused = holdfast("update", file, "tasks", "t1", '{"n": 2, "m": 1}', "--remove", "n", "--json")
    assert (refused.code, refused.error["message"]) == (2, "to be written and to be removed: n")
    assert ok("get", file, "tasks", "t1", "--json").value["fields"]["n"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("get", "{folder}", "tasks", "t1"),
        ("put", "{folder}", "tasks", "t1", "{}"),
        ("put", "{folder}", "tasks", "t1", "{}", "--space", "plant"),
        ("init", "{folder}", "--space", "plant"),
        ("import", "{folder}", "tasks", "-", "--space", "plant"),
        ("import", "{file}", "tasks", "{folder}"),
        ("export", "{file}", "tasks", "{folder}"),
    ],
    ids=" ".join,
)
def test_a_directory_where_a_file_is_wanted_is_named_as_such(file: Path, tmp_path: Path, words):
    folder = tmp_path / "folder"
    folder.mkdir()
    refused = holdfast(
        *(word.replace("{folder}", str(folder)).replace("{file}", str(file)) for word in words), "--json"
    )
    assert (refused.code, refused.error["code"], refused.error["subject"]) == (3, "file-unreadable", str(folder))
    assert refused.error["message"] == "this is a directory, not a file"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("folder")] == ["folder"]


@pytest.mark.parametrize("command", ["put", "update"])
@pytest.mark.parametrize("text", ["[]", "1", "null", '"text"'])
def test_what_is_no_object_is_no_record(file: Path, command, text):
    refused = holdfast(command, file, "tasks", "t1", text)
    assert refused.code == 2
    assert "JSON object" in refused.err


def test_a_file_in_which_no_database_was_begun_is_not_begun_without_a_space(tmp_path: Path):
    """A crash had left one, whose log was removed: it became one of the space "default"."""
    path = tmp_path / "lw.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = path.read_bytes()
    assert before
    refused = holdfast("put", path, "t", "new", "{}", "--json")
    assert (refused.code, refused.error["code"]) == (3, "file-unreadable")
    assert path.read_bytes() == before
    ok("put", path, "t", "new", "{}", "--space", "plant")
    assert ok("status", path, "--json").value["space"] == "plant"


def test_a_node_that_crashed_and_lost_its_log_stays_one_of_its_space(tmp_path: Path):
    path = tmp_path / "lw.db"
    crashed = subprocess.run([sys.executable, "-c", CRASHING, str(path)], check=False)
    assert crashed.returncode == 9
    path.with_name("lw.db-wal").unlink()
    put = ok("put", path, "t", "new", "{}")
    assert "it was rolled back" in put.err
    status = ok("status", path, "--json").value
    assert (status["space"], status["records"]) == ("plant", 1)
