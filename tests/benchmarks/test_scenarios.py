"""Claims about the scenarios: run at a small size through the same code, they give the numbers they are named for."""

from __future__ import annotations

import json

import pytest
from benchmarks import __main__ as program
from benchmarks import growth
from benchmarks.catch_up import CatchUp
from benchmarks.measure import Turns
from benchmarks.metadata import PARTS, STATES
from benchmarks.noop import Noop
from benchmarks.records import generate, json_lines
from benchmarks.scenario import Plan, Result

from ..gate import only

# What docs/benchmarks.md and whoever reads the JSON rely on.
NAMES = {
    "W1a": ({"fsync_us"}, {"one_by_one", "concurrent_64"}),
    "W1b": (set(), {"bulk_put"}),
    "W2": ({"bytes_per_record", "receiver_peak_rss_mb", "hub_peak_rss_mb"}, {"catch_up", "wire"}),
    "W3": ({"seconds", "bytes", "conflicts"}, {"against_w2"}),
    "W4": (set(), {"against_once"}),
    "W5": ({"bytes", "round_trips", "ms"}, set()),
    "W7": (set(), {"over_imports"}),
    "DISK": ({"bytes_per_record"}, set()),
    "METADATA": ({f"{state}_{part}" for state in STATES for part in (*PARTS.values(), "rest", "bytes")}, set()),
    "COPIES": (
        {"snapshot_ms", "verify_per_s", "past_per_s", "export_per_s", "import_per_s"},
        {"over_copy", "bundle_over_json"},
    ),
    "RETENTION": ({"write_us", "whole_write_us"}, {"file_growth", "log_growth", "whole_growth", "cost"}),
    "REPAIR": (
        {"verify_per_s", "compare_per_s", "compare_bytes", "salvage_per_cpu_s", "damaged_bytes", "repair_bytes"},
        {"repair", "digest_share", "digest_share_bulk"},
    ),
    "IDLE": ({"rss_mb"}, set()),
    "CHURN": (
        {"hub_bytes_each", "hub_bytes_per_record", "vector_bytes", "kept_vector_bytes", "write_bytes", "noop_bytes"},
        {"hub_growth", "write_cost"},
    ),
}


def _plan(directory) -> Plan:
    return Plan(scale="quick", directory=directory, fraction=0.01)


@pytest.mark.parametrize("name", only(["W1b", "DISK", "METADATA", "COPIES", "W5"], NAMES))
async def test_a_scenario_gives_the_numbers_it_is_named_for(name, tmp_path):
    module = program.scenario(name)
    result = await module.run(_plan(tmp_path))
    figures, ratios = NAMES[name]
    assert figures <= result.figures.keys()
    assert ratios == result.ratios.keys() - {"over_floor"}
    assert module.AIMS.keys() <= {*result.figures, *result.ratios}
    assert all(number > 0 for number in (*result.figures.values(), *result.ratios.values()))
    assert not list(tmp_path.iterdir()), "it leaves files behind"
    EXACT.get(name, lambda _: None)(result)


def _conflicts_are_exact(result: Result) -> None:
    assert result.figures["conflicts"] == 20  # one hundredth of 2,000


def _a_sync_without_news_is_small(result: Result) -> None:
    assert result.figures["bytes"] < 1_000
    assert result.figures["round_trips"] == 1


EXACT = {"W3": _conflicts_are_exact, "W5": _a_sync_without_news_is_small}


async def test_growth_is_time_per_record_at_the_largest_size_over_the_smallest(tmp_path, monkeypatch):
    async def put(_plan, pairs, _repetitions):
        return Turns((1.0,), (len(pairs) ** 2 / 1e6,))  # quadratic: ten times as many take a hundred times as long

    async def caught_up(_plan, pairs, _repetitions):
        turns = Turns((1.0,), (len(pairs) / 1e6,))
        return CatchUp(turns=turns, socket_bytes=1, receiver_peak_rss_mb=1.0, hub_peak_rss_mb=1.0)

    async def noop(_plan, _pairs, _repetitions):
        return Noop(bytes=500, round_trips=1, ms=2.0)

    monkeypatch.setattr(growth.bulk_put, "measure", put)
    monkeypatch.setattr(growth.catch_up, "measure", caught_up)
    monkeypatch.setattr(growth.noop, "measure", noop)
    result = await growth.run(_plan(tmp_path))
    assert result.ratios == pytest.approx({"bulk_put": 10.0, "catch_up": 1.0, "noop": 1.0})
    assert result.figures["noop_bytes_1000"] == 500


def test_the_program_prints_one_json_object(tmp_path, capsys):
    file = tmp_path / "few.jsonl"
    file.write_bytes(json_lines(generate(20)))
    assert program.main(["DISK", "--json", "--data", str(file), "--dir", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["scenario", "scale", "figures", "ratios", "machine"]
    assert (printed["scenario"], printed["scale"]) == ("DISK", "quick")


def test_all_scenarios_print_one_list(tmp_path, capsys, monkeypatch):
    file = tmp_path / "few.jsonl"
    file.write_bytes(json_lines(generate(20)))
    monkeypatch.setattr(program, "SCENARIOS", {"DISK": "disk", "W1b": "bulk_put"})
    assert program.main(["ALL", "--json", "--data", str(file), "--dir", str(tmp_path)]) == 0
    assert [each["scenario"] for each in json.loads(capsys.readouterr().out)] == ["DISK", "W1b"]


def test_the_program_prints_a_table_with_the_aims(tmp_path, capsys):
    file = tmp_path / "few.jsonl"
    file.write_bytes(json_lines(generate(20)))
    program.main(["W1b", "--data", str(file), "--dir", str(tmp_path)])
    printed = capsys.readouterr()
    assert "bulk_put" in printed.out
    assert "at least 0.5" in printed.out
    assert "warm-up" in printed.err
