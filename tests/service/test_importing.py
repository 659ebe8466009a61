"""import, and its way back through export."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from .commands import holdfast, ok

RECORDS = [
    {"key": "ключ", "name": "東京 \U0001f600", "zero": "\u0000", "quote": '"\\'},
    {"key": "a b/c", "int": 9223372036854775807, "float": 1.0, "small": 1e-300, "minus": -0.0},
    {"key": "nested", "list": [None, True, {"deep": []}], "empty": {}, "": "no name?"},
    {"key": "zz"},
]


def _jsonl(records: list[dict]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _numbered(count: int) -> list[str]:
    return [json.dumps({"key": f"k{at:05}", "n": at}) for at in range(count)]


def test_what_is_exported_and_imported_again_is_the_same_to_the_byte(file: Path, tmp_path: Path):
    records = [{name: value for name, value in record.items() if name} for record in RECORDS]
    assert ok("import", file, "all", "-", "--json", stdin=_jsonl(records)).value == {
        "collection": "all",
        "records": 4,
        "skipped": 0,
    }
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl.gz"
    ok("export", file, "all", first)
    ok("import", tmp_path / "other.db", "all", first, "--space", "plant")
    assert ok("export", tmp_path / "other.db", "all", second).out == f"exported 4 records to {second}\n"
    assert gzip.decompress(second.read_bytes()) == first.read_bytes()
    found = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    assert sorted(map(repr, found)) == sorted(
        repr(dict(sorted(r.items(), key=lambda i: (i[0] != "key", i[0])))) for r in records
    )


def test_gzip_is_read_from_a_file_and_another_field_may_be_the_key(file: Path, tmp_path: Path):
    packed = tmp_path / "orders.data"
    packed.write_bytes(gzip.compress(b'{"id": 7, "n": 1}\n{"id": "b", "key": "mine"}\n'))
    ok("import", file, "orders", packed, "--key", "id")
    assert ok("export", file, "orders", "--key", "id").out == '{"id":"7","n":1}\n{"id":"b","key":"mine"}\n'


def test_a_record_that_is_there_is_replaced(file: Path):
    ok("import", file, "tasks", "-", stdin='{"key": "t1", "new": 1}\n')
    assert ok("get", file, "tasks", "t1", "--json").value["fields"] == {"new": 1}


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[]",
        '{"id": 1}',
        '{"key": "x", "n": NaN}',
        '{"key": ""}',
        '{"key": "x", "n": 99999999999999999999}',
        '{"key": "\\ud800"}',
    ],
)
def test_a_broken_line_is_named_and_nothing_of_its_part_is_written(file: Path, tmp_path: Path, broken):
    before = ok("status", file, "--json").value["digest"]
    source = tmp_path / "in.jsonl"
    source.write_text(f'{{"key": "a"}}\n\n{broken}\n{{"key": "b"}}', encoding="utf-8")
    failed = holdfast("import", file, "tasks", source, "--json")
    assert (failed.code, failed.error["code"], failed.error["subject"]) == (2, "import-failed", f"{source}:3")
    assert failed.error["message"].startswith("line 3: ")
    assert failed.error["message"].endswith("; 0 records before it are in")
    assert ok("status", file, "--json").value["digest"] == before


def test_the_parts_before_a_broken_line_stay_and_are_counted(file: Path):
    lines = [*_numbered(10_500), "broken", *_numbered(3)]
    failed = holdfast("import", file, "many", "-", stdin="\n".join(lines))
    assert failed.code == 2
    assert "line 10,501: it is not JSON" in failed.err
    assert "10,000 records before it are in" in failed.err
    assert ok("list", file, "--json").value[0] == {"collection": "many", "records": 10_000}


def test_broken_lines_can_be_set_aside(file: Path, tmp_path: Path):
    aside = tmp_path / "aside.jsonl"
    bad = ["nope", '{"key": ""}', '{"key": "x", "n": 99999999999999999999}']
    lines = [*_numbered(2), *bad, '{"key": "last"}']
    done = holdfast("import", file, "many", "-", "--skip-broken", aside, "--json", stdin="\n".join(lines))
    assert (done.code, done.value) == (1, {"collection": "many", "records": 3, "skipped": 3})
    assert aside.read_text(encoding="utf-8").splitlines() == bad
    assert "line 3: it is not JSON" in done.err
    assert ok("list", file, "many").out.split() == ["k00000", "k00001", "last"]


def test_nothing_broken_leaves_no_file_aside(file: Path, tmp_path: Path):
    ok("import", file, "many", "-", "--skip-broken", tmp_path / "aside", stdin='{"key": "a"}')
    assert not (tmp_path / "aside").exists()


def test_the_file_aside_is_neither_input_nor_database(file: Path, tmp_path: Path):
    source = tmp_path / "in.jsonl"
    source.write_text("broken\n")
    (tmp_path / "link").symlink_to(file)
    for aside in (source, file, f"{file}-wal", tmp_path / "link"):
        assert holdfast("import", file, "c", source, "--skip-broken", aside).code == 2
    assert source.read_text() == "broken\n"
    assert ok("verify", file, "--json").value["ok"]


def test_of_damaged_gzip_every_line_that_can_be_read_is_stored_and_the_last_one_is_named(file: Path, tmp_path: Path):
    source = tmp_path / "in.gz"
    source.write_bytes(gzip.compress("\n".join(_numbered(30_000)).encode())[:-100])
    failed = holdfast("import", file, "many", source, "--json")
    assert (failed.code, failed.error["code"], failed.error["subject"]) == (2, "import-failed", str(source))
    stored = ok("list", file, "--json").value[0]["records"]
    assert stored > 20_000
    assert failed.error["message"].startswith("the compression of the input is damaged (")
    end = f"): line {stored:,} is the last that could be read; {stored:,} records are stored"
    assert failed.error["message"].endswith(end)
    assert "line" not in failed.error["remedy"]


def test_gzip_that_is_damaged_before_its_first_line_blames_no_line(file: Path, tmp_path: Path):
    source = tmp_path / "in.gz"
    source.write_bytes(gzip.compress(b'{"key": "a"}\n')[:12])
    failed = holdfast("import", file, "many", source, "--json")
    assert failed.error["message"].endswith("no line could be read; 0 records are stored")
    assert "line 0" not in failed.err


def test_a_name_that_no_collection_has_blames_no_line(file: Path):
    failed = holdfast("import", file, "", "-", "--json", stdin='{"key": "a"}\n')
    assert (failed.code, failed.error["code"]) == (2, "invalid-name")


def test_an_input_that_is_not_there_is_an_error_before_anything_is_made(tmp_path: Path):
    failed = holdfast("import", tmp_path / "new.db", "c", tmp_path / "no.jsonl", "--space", "plant", "--json")
    assert (failed.code, failed.error["code"]) == (3, "file-unreadable")
    assert not (tmp_path / "new.db").exists()
    assert holdfast("import", tmp_path / "new.db", "c", tmp_path, "--space", "plant").code == 3
