"""What the command line tells people to do is something to type, never Python."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holdfast import Manual, Schema
from holdfast.engine.storage.faults import fault
from holdfast.errors import FileLocked, FileUnreadable

from ..sources import ROOT, product_files, tree
from .commands import Outcome, holdfast, make_conflict, ok, writer_process

# Arguments, calls and names that mean nothing to a shell. (An option with a value is written `--name VALUE`.)
PYTHON = re.compile(
    r"(?<!-)\b\w+=|\w\(\)|\b(dict|str|None|True|Hub|Engine|put_many|read_only|if_version)\b|for writing once"
)

# Nobody at a shell gets to see these: commands neither declare schemas, nor write resolvers, nor hold transactions.
LIBRARY_ONLY = {"engine/schema.py", "engine/transaction.py", "resolvers/port.py", "resolvers/settle.py"}


def _texts(node: ast.expr | None) -> str:
    return " ".join(part.value for part in ast.walk(node) if isinstance(part, ast.Constant)) if node else ""


def _remedies(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, remedy and what is typed instead, of every error that a file makes."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call):
            words = {word.arg: word.value for word in node.keywords}
            if "remedy" in words:
                yield node.lineno, _texts(words["remedy"]), _texts(words.get("typed"))


def test_a_remedy_in_python_stands_beside_one_to_type():
    found = [
        (f"{file}:{line}", remedy, typed)
        for file in product_files()
        if str(file) not in LIBRARY_ONLY
        for line, remedy, typed in _remedies(file)
    ]
    assert len(found) > 80
    assert len([typed for _, _, typed in found if typed]) >= 10
    assert not [(place, remedy) for place, remedy, typed in found if PYTHON.search(typed or remedy)]
    assert PYTHON.search("Put it, or pass upsert=True.")
    assert not PYTHON.search("Pass --ca-file FILE; see `holdfast list FILE`.")


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("update", "{file}", "tasks", "no", "{}"), "--upsert"),
        (("delete", "{file}", "tasks", "no"), "holdfast list FILE COLLECTION"),
        (("put", "{file}", "tasks", "t1", "{}", "--if-version", "x"), "holdfast get --json"),
        (("sync", "{file}", "http://hub.example", "--token", "t"), "--insecure"),
        (("sync", "{file}", "https://me:secret@hub.example"), "HOLDFAST_TOKEN"),
        (("conflicts", "{file}", "show", "0"), "holdfast conflicts FILE list --state all"),
        (("get", "{file}.empty", "tasks", "t1"), "holdfast init FILE --space NAME"),
        (("hub", "space", "list", "{file}.d"), "holdfast hub init {file}.d"),
        (("hub", "token", "add", "{file}.hub", "no"), "holdfast hub space list {file}.hub"),
        (("hub", "token", "revoke", "{file}.hub", "no"), "holdfast hub token list {file}.hub"),
        (("hub", "run", "{file}.hub", "--host", "0.0.0.0"), "--insecure"),
    ],
)
def test_the_remedy_is_a_command_or_an_option(file: Path, words, typed):
    Path(f"{file}.empty").touch()
    ok("hub", "init", f"{file}.hub")
    _assert_typed(holdfast(*(word.replace("{file}", str(file)) for word in words)), typed.replace("{file}", str(file)))


def test_the_remedy_for_a_locked_file_names_what_can_be_done_meanwhile(file: Path):
    with writer_process(file):
        _assert_typed(holdfast("put", file, "tasks", "t1", "{}"), "what only reads (get, list,")


def test_the_remedy_for_a_decision_that_does_not_fit_is_an_option(tmp_path: Path):
    file = make_conflict(tmp_path, Schema(name="tasks", fields={"title": Manual()}))
    (item,) = ok("conflicts", file, "--json").value
    _assert_typed(holdfast("conflicts", file, "resolve", item["id"], "--take", 7), "--take 0 to --take 1")
    ok("conflicts", file, "resolve", item["id"], "--take", 0)
    _assert_typed(holdfast("conflicts", file, "resolve", item["id"], "--take", 0), "`reopen ID`")


def test_an_error_without_words_to_type_is_remedied_in_its_own():
    assert FileLocked("it is held", subject="a.db", remedy="Close it.").typed == "Close it."


def _assert_typed(refused: Outcome, typed: str) -> None:
    assert refused.code, "it was to fail"
    remedy = refused.err.splitlines()[-1]
    assert typed in remedy
    assert not PYTHON.search(remedy)


def test_the_sources_are_where_they_are_looked_for():
    assert all((ROOT / file).exists() for file in LIBRARY_ONLY)


def test_an_error_always_names_its_object(file: Path):
    """Also if the words of the message contain it by chance."""
    done = holdfast("get", file, "tasks", "e")
    assert "(tasks/e)" in done.err
    done = holdfast("list", file, "no")
    assert "(no)" in done.err.splitlines()[0]
    done = holdfast("sync", file, "http://127.0.0.1:99999")
    assert done.code == 2
    assert "127.0.0.1:99999" in done.err
    done = holdfast("sync", file, "http://hf_user:hf_secret@127.0.0.1:99999")
    assert "127.0.0.1:99999" in done.err
    assert "hf_" not in done.err


def test_a_collection_that_is_not_there_is_not_sent_to_list(file: Path):
    done = holdfast("get", file, "nocoll", "k", "--json")
    assert (done.code, done.error["code"]) == (2, "no-such-collection")
    assert "tasks" in done.error["remedy"]


def test_a_nul_in_a_key_is_not_a_matter_of_length(file: Path):
    done = holdfast("put", file, "tasks", "a\0b", "{}", "--json")
    assert done.error["code"] == "invalid-key"
    assert "NUL" in done.error["remedy"]
    assert "horten" not in done.error["remedy"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":1,"a":2}', '{"a":NaN}', '{"a":1e999}'])
def test_text_that_is_meant_as_json_gets_no_hint_about_quotes(file: Path, text: str):
    done = holdfast("put", file, "tasks", "k", text)
    assert done.code == 2
    assert "quotes" not in done.err
    assert "quotes" in holdfast("put", file, "tasks", "k", "north").err


def test_a_condition_with_a_lone_surrogate_is_refused_in_print(file: Path):
    for form in ([], ["--json"]):
        done = holdfast("query", file, "tasks", "key = '\ud800'", *form)
        assert done.code == 2
        assert "udcff" in done.err or "ud800" in done.err


def test_who_may_not_write_beside_a_file_is_told_so_when_reading_it(file: Path):
    """It said only that something had been written, which nobody had asked for."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError, match="readonly database") as caught:
            connection.execute("DELETE FROM record")
    error = fault(caught.value, str(file))
    assert isinstance(error, FileUnreadable)
    assert "may not write the folder" in error.what
    assert "Give this user the right" in error.remedy
