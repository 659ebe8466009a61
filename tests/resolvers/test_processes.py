"""Nodes are processes with different hash seeds; they must still agree on everything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from holdfast.clocks import Actor, Dot, Timestamp
from holdfast.resolvers import *

dots = {Dot(Actor(digit * 32), seq) for digit in "0123456789abcdef" for seq in (1, 2)}
found = {
    Version(dot=dot, clock=Timestamp(1), value=dot.seq, text=str(dot.seq), deleted=dot.actor[0] == "7")
    for dot in dots
}
names = {"title", "site", "status", "owner", "notes", "hours", "tags", "due"}
rules = [LastWriterWins(), FirstWriterWins(), MultiValue(), Manual(), UpdateWins(), DeleteWins(), AskOnDelete(), None]
print(sorted(names, key=hash))
print(conflict_id("tasks", "t1", "title", dots))
print(Policy(fields={name: Manual() for name in names}).fingerprint().hex())
for field in ("title", None):
    conflict = Conflict(
        id=conflict_id("tasks", "t1", field, dots), collection="tasks", key="t1", field=field,
        kind=ConflictKind.UPDATE_DELETE, base=None, base_status="none", siblings=canonical(found),
        record={name: name for name in names},
    )
    for rule in rules:
        print(settle(rule, conflict))
"""


def answers(hash_seed: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def first() -> list[str]:
    return answers(0)


@pytest.mark.parametrize("hash_seed", [1, 2])
def test_no_answer_depends_on_the_hash_seed(first: list[str], hash_seed: int) -> None:
    other = answers(hash_seed)
    assert other[0] != first[0], "the seeds must shuffle sets, or this test proves nothing"
    assert other[1:] == first[1:]
    assert len(first) == 3 + 2 * 8
