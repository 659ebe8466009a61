"""Rules of the merge model: what the fleets catch, and what takes a world."""

from __future__ import annotations

from tests.engine.mutants import MUTANTS

from .exempt import EQUIVALENT
from .mutants import ZOO, Mutant

_WORLDS = {
    "a record that lacks a value lets the checkpoint pass": "overtaken",
    "a decision supersedes siblings that its author never saw": "decisions",
    "records are passed on without their extra context": "trickle",
    "a record that came keeps only the sender's vector": "trickle",
    "a local write drops the extra context": "trickle",
    "any completed session settles every extra context": "trickle",
    "any batch moves the checkpoint": "overtaken",
    "a gap in the feed moves the checkpoint": "overtaken",
    "a batch goes on where another session has come to": "late",
    "what a node had told before it was put back settles as well": "returns",
    "checkpoints are kept without incarnation and feed": "backups",
    "a new incarnation forgets what the old one wrote": "backups",
    "a hole lets the vector advance": "attacks",
    "the last writer wins by clock alone": "ticks",
    "equal values are a conflict": "busy",
    "the clock is not saved": "clocks",
    "the clock does not follow the stamps that it accepts": "clocks",
    "a rolled-back transaction keeps what it remembered": "disk",
}
"""Where they are hunted if not in bad networks alone."""

for _found in MUTANTS.values():
    if _found.name not in EQUIVALENT:
        ZOO[_found.name] = Mutant(_found.name, _found.rule, _WORLDS.get(_found.name, "network"), _found.plant)
