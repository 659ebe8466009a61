"""bundle want, export, import."""

from __future__ import annotations

from pathlib import Path

from .commands import holdfast, ok


def test_two_files_agree_by_what_is_carried(file: Path, tmp_path: Path):
    ship, all_, wanted, rest = (tmp_path / name for name in ("ship.db", "all.bundle", "ship.want", "rest.bundle"))
    assert ok("bundle", "export", file, all_).out == f"wrote 2 records to {all_}\n"
    done = ok("bundle", "import", ship, all_, "--space", "plant")
    assert done.out == "took in 2 records from pump-7, 0 new conflicts\n"
    ok("put", file, "tasks", "t3", '{"n": 3}')
    assert ok("bundle", "want", ship, wanted).out == f"wrote what {ship} holds to {wanted}\n"
    assert ok("bundle", "export", file, rest, "--want", wanted).out == f"wrote 1 records for ship to {rest}\n"
    report = ok("bundle", "import", ship, rest, "--json").value
    assert (report["records"], report["completed"], report["blockers"]) == (1, True, [])
    assert ok("list", ship, "tasks", "--json").value == ok("list", file, "tasks", "--json").value
    assert ok("bundle", "want", file, tmp_path / "a.want", "--json").value["want"] == str(tmp_path / "a.want")
    assert ok("bundle", "export", ship, tmp_path / "b.bundle", "--json").value["records"] == 3


def test_what_cannot_be_taken_in_is_a_problem(file: Path, tmp_path: Path):
    path, cut = tmp_path / "all.bundle", tmp_path / "cut.bundle"
    ok("bundle", "export", file, path)
    cut.write_bytes(path.read_bytes()[:-1])
    done = holdfast("bundle", "import", tmp_path / "new.db", cut, "--space", "plant")
    assert done.code in (1, 5), done
    assert (
        holdfast("bundle", "import", tmp_path / "new.db", tmp_path / "no", "--json").error["code"] == "file-unreadable"
    )
    assert holdfast("bundle", "import", file, path, "--json").error["code"] == "incompatible-bundle"
    assert holdfast("bundle", "export", file, path).code == 2


def test_too_much_is_held(tmp_path: Path):
    a, b, lines = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "rows.jsonl"
    lines.write_text("".join(f'{{"key": "k{n}", "n": {n}}}\n' for n in range(300)))
    ok("import", a, "rows", lines, "--space", "plant")
    ok("bundle", "export", a, tmp_path / "one.bundle")
    ok("bundle", "import", b, tmp_path / "one.bundle", "--space", "plant")
    lines.write_text("".join(f'{{"key": "k{n}", "n": -1}}\n' for n in range(200)))
    ok("import", a, "rows", lines)
    ok("bundle", "export", a, tmp_path / "two.bundle")
    held = holdfast("bundle", "import", b, tmp_path / "two.bundle", "--hold-above", "0.5", "--json")
    assert (held.code, held.error["code"], held.error["subject"]) == (1, "sync-held", "rows")
    assert "--hold-above" in held.error["remedy"]
    assert holdfast("bundle", "import", b, tmp_path / "two.bundle", "--hold-above", "0").code == 2
    ok("bundle", "import", b, tmp_path / "two.bundle", "--hold-above", "0.9")
