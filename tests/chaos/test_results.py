"""Results of runs add up, and the table names what is not covered."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ..direct import DIRECT
from ..recorder import Recorder, note_direct, still_to_run
from ..sources import ROOT
from .results import BEGIN, END, ROWS, Result, added, append, kept, put_into, table


def test_results_of_runs_that_were_interrupted_add_up(tmp_path):
    path = tmp_path / "results.jsonl"
    assert kept(path) == []
    for case, kills in (("test_storm[0]", 3), ("test_storm[1]", 4)):
        figures = {"kills": kills, "max s": kills}
        append(path, Result(row=7, how="SIGKILL", test="test_storm", case=case, figures=figures))
    append(path, Result(row=2, how="netns", test="test_net", case="test_net", violations=1))
    assert [result.case for result in kept(path)] == ["test_storm[0]", "test_storm[1]", "test_net"]
    (net, storm) = added(kept(path))
    assert (net.row, net.runs, net.violations) == (2, 1, 1)
    assert (storm.runs, storm.figures) == (2, {"kills": 7, "max s": 4})


def test_the_table_names_rows_that_nothing_stands_for():
    found = Result(row=7, how="SIGKILL", test="test_storm", commit="abc", figures={"kills": 1234, "max s": 0.25})
    text = table([found])
    assert "| 7 | kill -9 at random during sync | SIGKILL | 1 | 0 | 1,234 kills, 0.25 max s | `pytest -m" in text
    assert "abc (1 runs)" in text
    assert all((f" {row} (" in text) == (row != 7) for row in ROWS)


def test_every_row_of_the_matrix_is_there():
    assert sorted(ROWS) == [*range(1, 46)]


@dataclass
class Item:
    """What pytest knows of a test."""

    name: str
    fixturenames: tuple[str, ...] = ("recorder",)
    nodeid: str = ""


def test_a_run_goes_on_with_what_has_no_result_yet(tmp_path):
    path = tmp_path / "results.jsonl"
    Recorder(path, "test_storm", "test_storm[0]").note(7, "SIGKILL", writes_lost=0)
    done, left, without = Item("test_storm[0]"), Item("test_storm[1]"), Item("test_storm[0]", ())
    assert still_to_run([done, left, without], path) == ([left, without], [done])
    (found,) = kept(path)
    assert found.commit
    assert found.figures == {"writes lost": 0}


def test_the_table_goes_between_the_marks_of_a_document():
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(SystemExit, match="no marks"):
        put_into("nothing", "new")


def test_a_direct_test_is_a_run_of_its_rows(tmp_path):
    path = tmp_path / "results.jsonl"
    nodeid = "tests/engine/test_orders.py::test_every_order_of_delivery_ends_in_one_state[a revived record]"
    note_direct(path, nodeid, failed=True)
    (found,) = kept(path)
    assert (found.row, found.violations, found.case) == (22, 1, nodeid)
    item = Item("test_every_order", ("lab",), nodeid)
    assert still_to_run([item], path) == ([], [item])


def test_every_direct_test_exists():
    for row, files in DIRECT.items():
        assert row in ROWS
        for file, names in files.items():
            text = (ROOT / file).read_text(encoding="utf-8")
            assert all(f"def {name}" in text for name in names), (file, names)
