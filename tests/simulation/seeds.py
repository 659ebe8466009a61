"""Worlds of the generator by seed, as a program: prints a digest of all that happened in each.

python -m tests.simulation.seeds FIRST LAST [--planted]

Planted: the engine puts many records in the order of a set of their keys, which is another in every process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from holdfast.engine.storage import bulk
from holdfast.simulation import Report, simulate

from ..sources import ROOT


def small_worlds(seeds: range) -> Report:
    """Live through the worlds of these seeds."""
    return simulate(seeds=seeds, nodes=3, hours=0.05, operations=25, processes=1)


def digests(report: Report) -> dict[str, str]:
    """Digest of the trace, which has the states of all nodes in it, by seed."""
    return {str(result.seed): result.digest for result in report.results}


def elsewhere(seeds: range, hash_seed: int, *options: str) -> dict[str, str]:
    """The digests of these seeds in a process of its own, with this hash seed."""
    command = [sys.executable, "-m", "tests.simulation.seeds", str(seeds.start), str(seeds.stop), *options]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


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
        sys.stdout.write(json.dumps(digests(small_worlds(range(int(sys.argv[1]), int(sys.argv[2]))))))
