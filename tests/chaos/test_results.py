"""Results of runs add up, and the table names what is not covered."""

from __future__ import annotations

import pytest

from .results import BEGIN, END, ROWS, Result, added, append, kept, put_into, table


def test_results_of_runs_that_were_interrupted_add_up(tmp_path):
    path = tmp_path / "results.jsonl"
    assert kept(path) == []
    for seed, kills in enumerate((3, 4)):
        figures = {"kills": kills, "max s": kills}
        append(path, Result(row=7, how="SIGKILL", test="test_storm", seed=seed, figures=figures))
    append(path, Result(row=2, how="netns", test="test_net", violations=1))
    assert [result.seed for result in kept(path)] == [0, 1, None]
    (net, storm) = added(kept(path))
    assert (net.row, net.runs, net.violations) == (2, 1, 1)
    assert (storm.runs, storm.figures) == (2, {"kills": 7, "max s": 4})


def test_the_table_names_rows_that_nothing_stands_for():
    text = table([Result(row=7, how="SIGKILL", test="test_storm", figures={"kills": 1234, "max s": 0.25})])
    assert "| 7 | kill -9 at random during sync | SIGKILL | 1 | 0 | 1,234 kills, 0.25 max s | `pytest -m" in text
    assert text.endswith(".")
    assert all((f" {row} (" in text) == (row != 7) for row in ROWS)


def test_the_table_goes_between_the_marks_of_a_document():
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(SystemExit, match="no marks"):
        put_into("nothing", "new")
