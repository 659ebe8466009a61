"""Seeds by the thousand, in blocks that go on where they were interrupted; what they count as is tested at once."""

from __future__ import annotations

import json

import pytest

from holdfast.simulation import simulate

from ..long_runs import ROWS, SEEDS_EACH, WORLDS, by_fault, read, scenario_of, summary


def block(world, seeds, path, recorder):
    """Run seeds of a world; a line for each goes into a file beside the results, and each fault into its row."""
    file = None if path is None else path.with_name(f"{path.stem}.{world}{path.suffix}")
    report = simulate(seeds=seeds, **WORLDS[world], processes=1, results=file)
    results = [result for result in report.results if result.seed in seeds]
    for fault, (runs, failed) in by_fault(world, results).items():
        recorder.note(ROWS[fault], f"simulated worlds with `{fault}`", runs=runs, violations=failed)
    failures = [f"seed {result.seed}: {result.invariant}: {result.error}" for result in results if not result.ok]
    hours = sum(result.figures["virtual_ms"] for result in results) / 3_600_000
    recorder.note(45, "simulated worlds", runs=len(results), violations=len(failures), virtual_hours=hours)
    return report, failures


@pytest.mark.soak
@pytest.mark.parametrize("world", WORLDS)
def test_worlds_hold(world, request, recorder, soak_seed):
    each = SEEDS_EACH.get(world, 100)
    seeds = range(soak_seed * each, (soak_seed + 1) * each)
    _, failures = block(world, seeds, request.config.getoption("--results"), recorder)
    assert not failures, "\n".join(failures)


def test_blocks_of_seeds_add_up(tmp_path, recorder):
    path = tmp_path / "soak.jsonl"
    for seeds in (range(1, 3), range(2, 4)):
        report, _ = block("small", seeds, path, recorder)
        assert report.scenario.digest == scenario_of("small").digest
    (row,) = [result for result in recorder.results if result.row == 45][1:]
    assert row.runs == 2
    assert row.figures["virtual hours"] > 0
    file = tmp_path / "soak.small.jsonl"
    lines = read(file)["small"]
    assert [line["seed"] for line in lines] == [1, 2, 3]
    assert all(line["commit"] for line in lines)
    text = summary([file])
    assert "| small | `nodes=3, hours=0.05, operations=25` | 3 |" in text
    assert "(3 seeds)" in text


def test_failures_are_counted_by_what_was_broken(tmp_path, recorder):
    path = tmp_path / "soak.jsonl"
    block("small", range(1, 2), path, recorder)
    file = tmp_path / "soak.small.jsonl"
    (sound,) = read(file)["small"]
    names = ["I1 no stored write is lost", "I4 agreement", "I4 all nodes agree", "I9 no deleted value comes back"]
    names.append("I13 status tells the truth")  # neither of these three, and not to be taken for I1
    broken = [{**sound, "seed": seed, "invariant": name} for seed, name in enumerate(names, 7)]
    file.write_text("".join(json.dumps(line) + "\n" for line in (sound, *broken)))
    text = summary([file])
    for said in ("seeds that failed | 5", "as lost | 2", "as divergent | 1", "as stuck | 1"):
        assert said in text
    assert "Seeds of `small` that failed: 7, 8, 9, 10, 11." in text


def test_lines_of_another_world_are_refused(tmp_path):
    file = tmp_path / "other.jsonl"
    simulate(seeds=[1], nodes=2, hours=0.02, operations=2, processes=1, results=file)
    with pytest.raises(SystemExit, match="not in WORLDS"):
        summary([file])
