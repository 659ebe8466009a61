"""Claims about results as they are printed."""

from __future__ import annotations

import json

from benchmarks.report import as_object, as_table, machine
from benchmarks.scenario import Aim, Result

RESULT = Result(figures={"records": 100_000.0, "ms": 1.23456789}, ratios={"bulk_put": 0.4, "wire": 1.1})
AIMS = {"bulk_put": Aim(bound=0.5, at_least=True), "wire": Aim(bound=1.25)}


def test_the_object_has_exactly_its_keys_and_numbers():
    assert as_object("W9", "quick", RESULT, {"cores": 2}) == {
        "scenario": "W9",
        "scale": "quick",
        "figures": {"records": 100_000, "ms": 1.23457},
        "ratios": {"bulk_put": 0.4, "wire": 1.1},
        "machine": {"cores": 2},
    }


def test_the_table_shows_each_aim_beside_its_number():
    _, records, _, bulk_put, wire = as_table("W9", "a title", RESULT, AIMS).splitlines()
    assert records.split() == ["records", "100,000"]
    assert bulk_put.split() == ["bulk_put", "0.4", "MISSES", "at", "least", "0.5"]
    assert wire.split() == ["wire", "1.1", "reaches", "at", "most", "1.25"]


def test_the_machine_is_described_in_json():
    assert {"processor", "cores", "system", "python", "sqlite"} <= machine().keys()
    assert json.loads(json.dumps(machine())) == machine()
