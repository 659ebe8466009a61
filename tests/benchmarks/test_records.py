"""Claims about the records: seeded, stable, shaped like the list of cities they stand for."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
import unicodedata

import pytest
from benchmarks import records

from ..sources import ROOT

CITIES = 26_467
# The public list of cities under zstd-3, with the same three extra fields: what the generator must resemble.
CITIES_PACKED_BYTES_PER_RECORD = 43.5

DIGEST = (
    "import hashlib; from benchmarks import records; "
    "print(hashlib.sha256(records.json_lines(records.generate(2_000, 7))).hexdigest())"
)


@pytest.fixture(scope="module")
def cities():
    return records.generate(CITIES)


def test_the_same_seed_gives_the_same_records_in_every_process():
    here = hashlib.sha256(records.json_lines(records.generate(2_000, 7))).hexdigest()
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_another_seed_gives_other_records():
    assert records.generate(100, 1) != records.generate(100, 2)


def test_records_pack_like_the_list_they_imitate(cities):
    packed = records.packed_bytes(cities) / CITIES
    assert packed == pytest.approx(CITIES_PACKED_BYTES_PER_RECORD, rel=0.10)


@pytest.mark.parametrize("count", [0, 1, 10, 1_000, 100_000])
def test_there_are_as_many_records_as_asked_for_and_no_key_twice(count):
    keys = [key for key, _ in records.generate(count)]
    assert len(set(keys)) == len(keys) == count


def test_keys_are_ids_in_runs_and_not_sorted(cities):
    keys = [int(key) for key, _ in cities]
    ascending = sum(first < second for first, second in itertools.pairwise(keys))
    assert keys != sorted(keys)
    assert ascending > 0.98 * len(keys)


def test_countries_are_few_regions_many_and_scripts_several(cities):
    fields = [each for _, each in cities]
    scripts = {unicodedata.name(letter).split()[0] for each in fields for letter in each["name"] if letter.isalpha()}
    assert len({each["country"] for each in fields}) <= records.COUNTRIES
    assert len({each["subcountry"] for each in fields}) > 2_000
    assert {"LATIN", "CYRILLIC", "ARABIC", "CJK", "THAI"} <= scripts


def test_every_record_has_an_integer_a_float_and_random_bytes(cities):
    _, fields = cities[0]
    assert isinstance(fields["population"], int)
    assert isinstance(fields["elevation"], float)
    assert len(bytes.fromhex(fields["token"])) == 16


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_file_of_json_lines_is_read_with_its_keys(tmp_path, suffix):
    file = tmp_path / f"places{suffix}"
    lines = "".join(json.dumps({"key": str(number), "name": f"Ōtsu {number}"}) + "\n" for number in range(5))
    file.write_bytes(gzip.compress(lines.encode()) if suffix.endswith("gz") else lines.encode())
    assert records.load(file, 3) == [(str(number), {"name": f"Ōtsu {number}"}) for number in range(3)]
    assert len(records.load(file, 100)) == 5
