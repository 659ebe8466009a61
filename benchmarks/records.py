"""Records to measure with: cities made from syllables by a seeded generator, or a real JSON Lines file.

The generator has the shape of a public list of cities: 244 countries, a few of which own most of the records; many
regions; names in several scripts; and as keys the ids of a gazetteer in the order of its file, which ascends within a
country and jumps between countries. To that come an integer, a float and 16 random bytes in hex, because real records
hold numbers and ids that do not compress. It must not know how they are stored or sent.
Invariant: the same count and seed give the same records in every process.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import zstandard

from .syllables import LANGUAGES, Language

Fields = dict[str, Any]
Pairs = list[tuple[str, Fields]]

COUNTRIES = 244
COUNTRY_SKEW = 1.35  # exponent of the Zipf law by which records fall to countries: the largest has an eighth
REGIONS_PER_COUNTRY_MAX = 60
REGION_SKEW = 0.8
REGION_STAYS = 0.2  # neighbours in the file share their region this often, beyond chance
SECOND_WORD = 0.24  # this share of the names has two words

ID_SPACE = 9_000_000  # gazetteer ids have seven digits, however many of its places are taken
ID_RECORDS_MIN = 26_000  # fewer records leave the rest of the space empty instead of spreading thinner
ID_GAP_SIGMA = 1.9  # of the log-normal gap between neighbours: median 57, nine of ten below 700 at 26,000 records
LATE_SHARE = 0.015  # places that were added to their country later and have ids from the end
LATE_SPACE = 3_500_000


@dataclass(frozen=True, slots=True)
class Country:
    """A country of the generator: how its names are made, and the regions its records fall to with their weights."""

    language: Language
    name: str
    regions: tuple[str, ...]
    weights: tuple[float, ...]


def generate(count: int, seed: int = 1) -> Pairs:
    """Makes `count` records as pairs of key and fields, in the order of the file they imitate."""
    rng = Random(seed)
    countries = [_country(rng) for _ in range(COUNTRIES)]
    members = _shares(rng, count)
    keys = _keys(rng, members)
    pairs: Pairs = []
    for country, size in zip(countries, members, strict=True):
        cities = zip(_regions(rng, country, size), keys, strict=False)
        pairs.extend((key, _city(rng, country, region)) for region, key in cities)
    return pairs


def load(file: Path, count: int) -> Pairs:
    """Reads at most `count` records of a JSON Lines file (`.jsonl` or `.jsonl.gz`), whose objects have a `key`."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as lines:
        objects = [json.loads(line) for line in itertools.islice(lines, count)]
    return [(str(fields.pop("key")), fields) for fields in objects]


def json_lines(pairs: Iterable[tuple[str, Fields]]) -> bytes:
    """The records as a JSON Lines file: UTF-8, no spaces, the key first."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return b"".join(encode({"key": key, **fields}).encode() + b"\n" for key, fields in pairs)


def packed_bytes(pairs: Iterable[tuple[str, Fields]]) -> int:
    """The size of the records as one JSON Lines file under zstd level 3, in bytes."""
    return len(zstandard.ZstdCompressor(level=3).compress(json_lines(pairs)))


def extras(rng: Random) -> Fields:
    """The fields that every record has beside its place: an integer, a float and 16 random bytes in hex."""
    return {
        "population": int(10 ** rng.uniform(3, 7)),
        "elevation": round(rng.expovariate(1 / 400), 1),
        "token": rng.randbytes(16).hex(),
    }


def _city(rng: Random, country: Country, region: str) -> Fields:
    name = _name(rng, country.language)
    return {"name": name, "country": country.name, "subcountry": region, **extras(rng)}


def _name(rng: Random, language: Language) -> str:
    first = _word(rng, language)
    return f"{first}{language.space}{_word(rng, language)}" if rng.random() < SECOND_WORD else first


def _word(rng: Random, language: Language) -> str:
    return "".join(rng.choices(language.syllables, k=rng.choice(language.lengths))).capitalize()


def _country(rng: Random) -> Country:
    language = rng.choices(LANGUAGES, [language.weight for language in LANGUAGES])[0]
    regions = tuple(_name(rng, language) for _ in range(rng.randint(3, REGIONS_PER_COUNTRY_MAX)))
    return Country(language, _name(rng, language), regions, _zipf(len(regions), REGION_SKEW))


def _regions(rng: Random, country: Country, size: int) -> Iterator[str]:
    region = ""
    for drawn in rng.choices(country.regions, country.weights, k=size):
        if not region or rng.random() >= REGION_STAYS:
            region = drawn
        yield region


def _zipf(count: int, skew: float) -> tuple[float, ...]:
    return tuple(rank**-skew for rank in range(1, count + 1))


def _shares(rng: Random, count: int) -> list[int]:
    """How many of `count` records fall to each country, the countries in no particular order."""
    weights = list(_zipf(COUNTRIES, COUNTRY_SKEW))
    rng.shuffle(weights)
    drawn = rng.choices(range(COUNTRIES), weights, k=count)
    members = [0] * COUNTRIES
    for country in drawn:
        members[country] += 1
    return members


def _keys(rng: Random, members: Sequence[int]) -> Iterator[str]:
    """Unique ids for the members of each country in turn: ascending runs, in ranges that lie in no order."""
    count = sum(members)
    late = [sum(rng.random() < LATE_SHARE for _ in range(size)) for size in members]
    late_ids = iter(rng.sample(range(ID_SPACE * 2, ID_SPACE * 2 + LATE_SPACE), sum(late)))
    runs = _runs(rng, [size - few for size, few in zip(members, late, strict=True)], count)
    for run, few in zip(runs, late, strict=True):
        yield from map(str, run)
        yield from map(str, sorted(itertools.islice(late_ids, few)))


def _runs(rng: Random, sizes: Sequence[int], count: int) -> list[list[int]]:
    scale = ID_SPACE / max(count, ID_RECORDS_MIN) / 6.1  # by the mean of the log-normal: all runs fill the space
    runs: list[list[int]] = [[] for _ in sizes]
    order = list(range(len(sizes)))
    rng.shuffle(order)
    last = 10_000
    for country in order:
        for _ in range(sizes[country]):
            last += 1 + int(scale * rng.lognormvariate(0, ID_GAP_SIGMA))
            runs[country].append(last)
    return runs
