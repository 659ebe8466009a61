"""What the zoo does not have, and why: bugs of features that do not exist, mutants that are none, and what is open.

Each line stands in docs/reference/mutants.md as well. Whoever builds one of these features brings its mutant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BUGS: Final[Mapping[str, str]] = {
    "B8": "the mutant of the fleets (the clock does not follow the stamps that it accepts) stands here under Clocks",
    "B11": "dots name nodes; no server writes for many clients",
    "B14": "text and lists do not exist yet",
    "B18": "states travel, not operations: none arrives before its parent",
    "B23": "what was taken in is told by vectors alone; the mutants of the join stand for it",
    "B27": "a log beyond 64 MiB takes more writes than a small world has: tests/chaos/test_resources.py",
    "B28": "backups are the user's, through SQLite; what comes of a bad one is B1",
    "B29": "one connection checkpoints; the bug is SQLite's",
    "B32": "one process opens a file: tests/engine/test_lock.py",
    "B34": "worlds have no reconnect storms: tests/chaos/test_reconnect.py",
    "B35": "the deadlines that matter are those of real links: tests/chaos/test_network.py",
    "B36": "worlds have no captive portals: tests/transport/test_http_link.py",
    "B37": "back-pressure belongs to real sockets: tests/chaos/test_resources.py",
    "B39": "a limit of one function: tests/engine/test_documents.py, tests/chaos/test_attacks.py",
    "B40": "handshakes over sockets: tests/chaos/test_attacks.py",
    "B41": "tokens are looked at by a hub's door: tests/transport/test_hub_app.py",
    "B42": "operations are not signed yet",
    "B44": "declaring a schema writes no operation: tests/engine/test_schemas.py",
}
"""Classes of bugs (faults.md) without a mutant here."""

EQUIVALENT: Final[Mapping[str, str]] = {
    "a batch carries the sender's own entry instead of its vector": (
        "the wire carries a batch's vector as a difference to that of the hello, which fills the rest"
    ),
    "a record that could not be joined takes the sender's context": (
        "only strangers send worlds what cannot be joined, each of them one new record"
    ),
    "an old state fills a newer hole": (
        "only strangers send worlds what cannot be joined, and nothing newer or older of it ever comes"
    ),
    "a hole goes with any completed session": (
        "only strangers send worlds what cannot be joined, and nobody was promised that it arrives"
    ),
    "a value that was left out counts as superseded": (
        "only what its node has given another name meanwhile can be lacking, and nobody is promised its old name"
    ),
    "of two values under one dot each side keeps its own": (
        "no plan leads there: two copies of a file would have to sync with two hubs (engine/reached.py)"
    ),
    "siblings reach a resolver in the order in which they came": (
        "a conflict asserts the order of its siblings: none can be made in another"
    ),
    "a merged batch gets an lsn for each record": (
        "who reads a part of it has not drained the feed, and is not called whole until it has"
    ),
    "what two nodes hold is never compared": (
        "only shows what another defect has done: tests/integration/test_vectors.py"
    ),
    "what a dead process left in its last commit is not made certain": (
        "a simulated process dies between two functions, never inside a commit: tests/chaos/test_kill_points.py"
    ),
    "a clock that a failed batch has advanced": "a clock that is ahead, within the drift bound, breaks no promise",
}
"""Mutants of fleets or of faults.md that no world can tell from the engine."""

OPEN: Final[Mapping[str, str]] = {}
"""Mutants that are planted and that no world has caught yet: holes of the harness, with what was searched."""
