"""list and query."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Schema
from holdfast.service.values import parameter

from .commands import holdfast, make_conflict, ok


def test_collections_are_listed_with_their_records(file: Path):
    assert ok("list", file).out == "collection  records\ntasks             2\n"
    assert ok("list", file, "--json").value == [{"collection": "tasks", "records": 2}]


def test_keys_are_listed_in_order_across_pages(file: Path):
    keys = [f"k{at:04}" for at in range(2_500)]
    ok("import", file, "many", "-", stdin="".join(f'{{"key": "{key}"}}\n' for key in reversed(keys)))
    assert ok("list", file, "many").out.split() == keys
    assert ok("list", file, "many", "--limit", 1_500, "--json").value == keys[:1_500]


@pytest.mark.parametrize(
    "words",
    [
        ("list", "taks"),
        ("query", "taks"),
        ("query", "taks", "bad sql"),
        ("query", "taks", "--explain"),
        ("export", "taks", "no/such/place"),
        ("log", "--collection", "taks"),
        ("ledger", "--collection", "taks"),
        ("conflicts", "list", "--collection", "taks"),
    ],
    ids=" ".join,
)
def test_a_collection_that_is_not_there_is_refused_with_those_that_are(file: Path, words):
    ok("put", file, "jobs", "j1", "{}")
    command, *rest = words
    refused = holdfast(command, file, *rest, "--json")
    assert (refused.code, refused.error["code"], refused.error["subject"]) == (2, "no-such-collection", "taks")
    assert refused.error["remedy"] == "Its collections: jobs, tasks."
    assert refused.out == ""


def test_a_collection_that_is_declared_or_whose_records_are_deleted_is_there_and_empty(tmp_path: Path, file: Path):
    ok("put", file, "gone", "k", "{}")
    ok("delete", file, "gone", "k")
    declared = make_conflict(tmp_path, Schema(name="tasks"), Schema(name="jobs"))
    for path, name in ((file, "gone"), (declared, "jobs")):
        assert ok("list", path, name).out == ""
        assert ok("list", path, name, "--json").value == []
        assert ok("query", path, name, "--json").value == []
        assert ok("export", path, name).out == ""
        assert ok("ledger", path, "--collection", name).err == "Nothing.\n"


def test_a_key_cannot_steer_the_terminal(file: Path):
    ok("put", file, "odd", "a\x1b[31m\nb", "{}")
    assert ok("list", file, "odd").out == "a\\x1b[31m\\nb\n"
    assert ok("list", file, "odd", "--json").value == ["a\x1b[31m\nb"]


def test_a_condition_chooses_records_by_typed_parameters(file: Path):
    ok("put", file, "tasks", "t3", '{"n": "1"}')
    by_number = ok("query", file, "tasks", "doc ->> 'n' = ?", "1", "--json").value
    assert [(record["key"], record["fields"]["title"]) for record in by_number] == [("t1", "Check valve")]
    assert ok("query", file, "tasks", "doc ->> 'n' = ?", '"1"').out == 't3  {"n": "1"}\n'
    assert ok("query", file, "tasks", "doc ->> 'title' = ? OR key = ?", "Check valve", "t3").out.count("\n") == 2
    assert ok("query", file, "tasks", "doc ->> 'n' > ?", "--", "-5").out.count("\n") == 3


def test_without_a_condition_all_records_match(file: Path):
    assert len(ok("query", file, "tasks", "--json").value) == 2
    assert len(ok("query", file, "tasks", "--limit", 1, "--json").value) == 1
    assert ok("query", file, "tasks", "ORDER BY key DESC LIMIT 1", "--json").value[0]["key"] == "t2"


@pytest.mark.parametrize("words", [("bad sql",), ("n = ?",), ("key = ?",), ("1; DROP TABLE record",)])
def test_a_condition_that_is_none_is_refused(file: Path, words):
    refused = holdfast("query", file, "tasks", *words, "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-query")


def test_fields_that_the_application_declared_are_columns_here_too(tmp_path: Path):
    path = make_conflict(tmp_path, Schema(name="tasks", indexes=["site"]))
    assert ok("query", path, "tasks", "site = ?", "north", "--json").value[0]["key"] == "t1"
    assert "INDEX" in ok("query", path, "tasks", "site = ?", "north", "--explain").out
    assert isinstance(ok("query", path, "tasks", "site = ?", "north", "--explain", "--json").value, list)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("1.0", 1.0),
        ('"12"', "12"),
        ("north", "north"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("", ""),
        ("null", None),
        ("true", 1),
        ('["b", {"a": 1}]', '["b",{"a":1}]'),
    ],
)
def test_a_parameter_is_json_if_it_is_json_and_else_text(text, value):
    found = parameter(text)
    assert (found, type(found)) == (value, type(value))
