"""Finds the seed at which each mutant of the zoo is caught, and writes the table of docs/reference/mutants.md.

    python -m tests.simulation.zoo.hunt [--only A,B,...] [--missing] [--first N] [--seeds N] [--processes N]

A row that still holds stays; so a hunt that was ended goes on where it was. Mutants that no seed catches are named in
the end: each is a hole in the generator or the checkers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from . import ZOO
from .mutants import Mutant, caught
from .table import Row, rows, write
from .worlds import holds

SEEDS_MAX = 1_000


def hunt(planted: Mutant, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these seeds that catches the mutant and holds without it, and the invariant that is broken."""
    for seed in seeds:
        invariant = caught(planted, seed)
        if invariant and holds(planted.world, seed):
            return seed, invariant
    return None


def renewed(name: str, known: Row | None, seeds: range) -> Row | None:
    """The row of a mutant: the one that is known, if it still catches it."""
    planted = ZOO[name]
    first = (known.seed,) if known is not None and known.world == planted.world else ()
    found = hunt(planted, (*first, *seeds))
    return None if found is None else Row(planted.rule, planted.world, *found)


def _renew(names: list[str], known: dict[str, Row], seeds: range, processes: int) -> Iterator[tuple[str, Row | None]]:
    with ProcessPoolExecutor(processes) as pool:
        under_way = {pool.submit(renewed, name, known.get(name), seeds): name for name in names}
        for done in as_completed(under_way):
            yield under_way[done], done.result()


def main() -> None:
    """Renew the table."""
    parser = argparse.ArgumentParser(description="Hunt mutants and renew docs/reference/mutants.md.")
    parser.add_argument("--only", default="", help="mutants whose name, rule or world has one of these words")
    parser.add_argument("--missing", action="store_true", help="only mutants that the table does not have")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="at most so many for each")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    known = rows()
    words = asked.only.split(",")
    names = [
        each.name
        for each in ZOO.values()
        if any(word in f"{each.name} {each.rule} {each.world}" for word in words)
        and not (asked.missing and each.name in known)
    ]
    survivors = []
    for name, row in _renew(names, known, range(asked.first, asked.first + asked.seeds), asked.processes):
        known.pop(name, None)
        if row is None:
            survivors.append(name)
        else:
            known[name] = row
        sys.stdout.write(f"{name}: {row or 'survives'}\n")
        sys.stdout.flush()
        write({each: known[each] for each in ZOO if each in known})
    if survivors:
        sys.exit(f"{len(survivors)} survive: {'; '.join(survivors)}")


if __name__ == "__main__":
    main()
