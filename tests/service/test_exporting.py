"""export: what it refuses and what it leaves behind."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

from .commands import holdfast, ok


def test_an_export_is_sorted_by_key_with_the_key_first(file: Path):
    assert ok("export", file, "tasks").out == (
        '{"key":"t1","n":1,"title":"Check valve"}\n{"key":"t2","n":2.0,"title":"日本 \U0001f600"}\n'
    )


def test_equal_records_make_equal_compressed_files(file: Path, tmp_path: Path):
    for name in ("a.gz", "b.gz"):
        ok("export", file, "tasks", tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).count(b"\n") == 2


def test_a_record_with_a_field_of_the_keys_name_is_not_overwritten_but_refused(file: Path, tmp_path: Path):
    ok("put", file, "tasks", "t3", '{"key": "mine"}')
    output = tmp_path / "out.jsonl"
    output.write_text("yesterday's\n")
    refused = holdfast("export", file, "tasks", output, "--json")
    assert (refused.code, refused.error["code"], refused.error["subject"]) == (2, "invalid-name", "tasks/t3")
    assert output.read_text() == "yesterday's\n"
    assert not (tmp_path / "out.jsonl.part").exists()
    ok("export", file, "tasks", output, "--key", "_key")


def test_with_json_it_reports_and_needs_a_file_for_the_records(file: Path, tmp_path: Path):
    report = ok("export", file, "tasks", tmp_path / "out", "--json").value
    assert report == {"collection": "tasks", "records": 2, "incomplete": 0}
    assert holdfast("export", file, "tasks", "--json").code == 2


def test_an_output_that_cannot_be_written_is_a_storage_error(file: Path, tmp_path: Path):
    refused = holdfast("export", file, "tasks", tmp_path / "no" / "out", "--json")
    assert (refused.code, refused.error["code"]) == (3, "file-unreadable")


def test_an_empty_collection_is_an_empty_file(file: Path, tmp_path: Path):
    ok("put", file, "gone", "k", "{}")
    ok("delete", file, "gone", "k")
    ok("export", file, "gone", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b""


def test_a_database_is_never_exported_over(file: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(file)
    for output in (file, tmp_path / "link", f"{file}-wal", f"{file}-witness"):
        refused = holdfast("export", file, "tasks", output, "--json")
        assert (refused.code, refused.error["code"]) == (2, "usage-error")
        assert f"write over {file}" in refused.error["message"]
    assert ok("verify", file, "--json").value["ok"]


def test_what_a_link_leads_to_is_replaced_and_not_the_link(file: Path, tmp_path: Path):
    link, output = tmp_path / "link", tmp_path / "out.jsonl"
    link.symlink_to(output)
    for _ in range(2):
        ok("export", file, "tasks", link)
        assert link.is_symlink()
        assert output.read_bytes().count(b"\n") == 2


def test_a_pipe_is_written_to_and_not_replaced(file: Path, tmp_path: Path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    ok("export", file, "tasks", pipe)
    reader.join(20)
    assert found[0].count(b"\n") == 2
    assert pipe.is_fifo()
    refused = holdfast("get", pipe, "tasks", "t1", "--json")
    assert refused.error["message"] == "this is a device or pipe, not a file"
