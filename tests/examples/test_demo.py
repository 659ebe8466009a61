"""The demonstration passes, and its accounting is not fooled: lost writes and files that differ are found."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from holdfast import Engine
from holdfast.engine.lock import WriterLock
from holdfast.errors import FileLocked

from ..sources import ROOT

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))  # its programs import each other by their bare names

from demo_audit import Fate, File, audit  # noqa: E402
from demo_edits import make_plan  # noqa: E402
from demo_journal import Entry, Journal  # noqa: E402

PLACE = ("stations", "a")


def demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the demonstration with these arguments."""
    command = [sys.executable, str(EXAMPLES / "demo.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


# ------------------------------------------------------------------------------------------- the whole program


def test_a_demonstration_that_is_killed_leaves_no_process_behind(tmp_path):
    """What ends a test that takes too long ends only the process that it knows."""
    directory = tmp_path / "kept"
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--keep", str(directory)]
    locks = [WriterLock(directory / name) for name in ("hub/hub.db", "north.db", "south.db", "island.db")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not all(lock.path.exists() and lock.path.stat().st_size for lock in locks):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    for lock in locks:
        while True:  # the suite's time limit ends it
            with suppress(FileLocked):
                lock.acquire("test")
                break
            time.sleep(0.02)
        lock.release()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of the default set, with what it kept."""
    directory = tmp_path_factory.mktemp("demo") / "kept"
    return demo("--keep", directory, "--seed", "5"), directory


@pytest.fixture
def kept(run, tmp_path):
    """A copy of what the run kept, to be sabotaged."""
    return Path(shutil.copytree(run[1], tmp_path / "copy"))


def test_the_default_run_accounts_for_every_write_and_exits_0(run):
    finished, directory = run
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Every acknowledged write is accounted for, and the four files are equal." in finished.stdout
    assert "\x1b" not in finished.stdout, "no colours without a terminal"
    assert finished.stderr == ""
    assert json.loads(demo("--audit", directory, "--json").stdout)["passed"]


def test_a_write_that_was_acknowledged_and_is_in_no_file_makes_it_exit_1(kept):
    with (kept / "journal.jsonl").open(encoding="utf-8") as file:
        first = json.loads(file.readline())["acknowledged"]
    lost = first | {"key": "nowhere", "seq": 10_000, "index": 10_000}
    with (kept / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"acknowledged": lost}) + "\n")
    finished = demo("--audit", kept)
    assert finished.returncode == 1
    assert "the record is missing" in finished.stdout
    assert "the vector does not cover it" in finished.stdout


def test_a_file_that_differs_makes_it_exit_1(kept):
    async def change() -> None:
        async with Engine.open(kept / "south.db", schemas=None) as engine:
            await engine["notes"].update("last", {"text": "changed behind everyone's back"})

    asyncio.run(change())
    finished = demo("--audit", kept, "--json")
    assert finished.returncode == 1
    findings = json.loads(finished.stdout)["findings"]
    assert "north and south have different digests" in findings
    assert "north and south have different contents" in findings


def test_a_broken_line_is_named_and_makes_it_exit_2(tmp_path):
    data = tmp_path / "broken.jsonl"
    data.write_text('{"key": "a"}\n{"key": \n', encoding="utf-8")
    finished = demo("--data", data)
    assert finished.returncode == 2
    assert f"{data}:2:" in finished.stderr


# ----------------------------------------------------------------------------------- the rules of the accounting


def wrote(edge: str, index: int, fields: dict, *, op: str = "update", clock: int = 0, turn: int = 2, **more) -> Entry:
    """An entry for the record PLACE; its clock follows its index unless it is given."""
    return Entry(
        edge=edge,
        index=index,
        round=turn,
        op=op,
        collection=PLACE[0],
        key=PLACE[1],
        fields=fields,
        actor=edge,
        seq=index,
        clock=clock or index,
        **more,
    )


def outcome(entries: list[Entry], *files: File):
    """The audit of these entries over files."""
    return audit(Journal(Path("unused"), entries=entries), files)


def holding(fields: dict | None, entries: list[Entry], *, name: str = "north", **more) -> File:
    """A file that shows these fields and has taken in all entries."""
    records = {} if fields is None else {PLACE: json.dumps(fields, ensure_ascii=False, sort_keys=True)}
    vector = {entry.actor: max(e.seq for e in entries if e.actor == entry.actor) for entry in entries}
    return File(name, records=records, vector=vector, **more)


BORN = wrote("north", 1, {"name": "Cork"}, op="put", turn=1)
NORTH = wrote("north", 2, {"name": "N"})
SOUTH = wrote("south", 1, {"name": "S"}, clock=9)
GONE = wrote("south", 1, {}, op="delete")
SIBLINGS = {(PLACE, "name"): {NORTH.dot: "N", SOUTH.dot: "S"}}


def test_a_write_supersedes_what_its_author_had_seen_whatever_the_clocks_say():
    entries = [replace(BORN, clock=99), NORTH]
    result = outcome(entries, holding({"name": "N"}, entries))
    assert result.passed
    assert (result.fates["north"][Fate.SUPERSEDED], result.fates["north"][Fate.PRESENT]) == (1, 1)
    assert not outcome(entries, holding({"name": "Cork"}, entries)).passed


def test_siblings_must_be_listed_and_the_last_by_clock_is_shown():
    entries = [BORN, NORTH, SOUTH]
    right = outcome(entries, holding({"name": "S"}, entries, conflicts=SIBLINGS))
    assert right.passed
    assert right.fates["south"][Fate.IN_CONFLICT] == right.fates["north"][Fate.IN_CONFLICT] == 1
    assert not outcome(entries, holding({"name": "N"}, entries, conflicts=SIBLINGS)).passed
    unlisted = outcome(entries, holding({"name": "S"}, entries))
    assert unlisted.fates["north"][Fate.UNACCOUNTED] == unlisted.fates["south"][Fate.UNACCOUNTED] == 1


def test_a_decided_sibling_must_be_in_a_ledger():
    decision = wrote("north", 3, {"name": "S"}, turn=3, decides="c1")
    entries = [BORN, NORTH, SOUTH, decision]
    assert not outcome(entries, holding({"name": "S"}, entries)).passed
    kept = holding({"name": "S"}, entries, ledger={(PLACE, "name", NORTH.dot)})
    assert outcome(entries, kept).passed


def test_a_record_that_was_deleted_and_changed_at_once_lives_on_and_is_listed():
    entries = [BORN, NORTH, GONE]
    listed = {(PLACE, None): {NORTH.dot: False, GONE.dot: True}}
    assert outcome(entries, holding({"name": "N"}, entries, conflicts=listed)).passed
    assert not outcome(entries, holding({"name": "N"}, entries)).passed
    assert not outcome(entries, holding(None, entries, conflicts=listed)).passed


def test_a_record_whose_every_author_saw_the_delete_must_be_gone():
    entries = [BORN, GONE]
    result = outcome(entries, holding(None, entries))
    assert result.passed
    assert (result.fates["north"][Fate.SUPERSEDED], result.fates["south"][Fate.PRESENT]) == (1, 1)
    assert not outcome(entries, holding({"name": "Cork"}, entries)).passed


def test_a_put_takes_away_the_fields_that_it_does_not_give():
    entries = [BORN, wrote("north", 2, {"river": "Lee"}, op="put")]
    assert outcome(entries, holding({"river": "Lee"}, entries)).passed
    assert not outcome(entries, holding({"river": "Lee", "name": "Cork"}, entries)).passed


def test_every_file_is_looked_at():
    right, wrong = holding({"name": "Cork"}, [BORN]), holding({"name": "?"}, [BORN], name="hub")
    assert outcome([BORN], right, right).passed
    assert not outcome([BORN], right, wrong).passed
    assert not outcome([BORN], right, replace(right, vector={})).passed
    assert not outcome([BORN], right, replace(right, digest="other")).passed
    assert not outcome([BORN], right, replace(right, problems=("damaged",))).passed


def test_what_nobody_wrote_is_found_unless_a_killed_device_was_busy_with_it():
    file = holding({"name": "Cork"}, [BORN])
    file.records["notes", "n1"] = "{}"
    assert not outcome([BORN], file).passed
    busy = Journal(Path("unused"), entries=[BORN], unanswered={("notes", "n1")})
    assert audit(busy, [file]).passed


def test_equal_seeds_make_equal_edits():
    data = {f"k{number}": {"name": f"n{number}", "level": number} for number in range(80)}
    plans = [make_plan(data, None, ("a", "b", "c"), 30, Random(seed)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert sum(plans[0].contested.values()) == 30
