"""Worlds of the generator by seed, as a program: prints a digest of all that happened in each.

python -m tests.simulation.seeds FIRST LAST [--planted]

Planted: the engine puts many records in the order of a set of their keys, which is another in every process.
"""

from __future__ import annotations

import json
import sys

import pytest

from holdfast.engine.storage import bulk
from holdfast.simulation.kernel.choices import SeededChoices
from holdfast.simulation.kernel.trace import Trace
from holdfast.simulation.plans.generate import plan_of
from holdfast.simulation.runs.lived import live
from holdfast.simulation.runs.scenario import Fleet, Scenario


def digests(first: int, last: int) -> dict[str, str]:
    """Digest of the trace, which has the states of all nodes in it, by seed."""
    found = {}
    for seed in range(first, last):
        plan = plan_of(seed, nodes=2 + seed % 2, hours=2 / 60, operations=10, keys=3)
        outcome = live(Scenario(source=Fleet()), plan, SeededChoices(seed), Trace(0))
        found[str(seed)] = f"{outcome.digest} {outcome.figures.steps} {outcome.figures.operations}"
    return found


def plant(patch: pytest.MonkeyPatch) -> None:
    """Let an order depend on the hashes of text."""
    original = bulk.BulkPut.__call__

    def unordered(self, tx):
        order = [self.keys.index(key) for key in {*self.keys}]
        again = bulk.BulkPut(self.collection, [self.keys[at] for at in order], [self.docs[at] for at in order])
        return original(again, tx)

    patch.setattr(bulk.BulkPut, "__call__", unordered)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as planted:
        if "--planted" in sys.argv:
            plant(planted)
        sys.stdout.write(json.dumps(digests(int(sys.argv[1]), int(sys.argv[2]))))
