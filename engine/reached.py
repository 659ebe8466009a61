"""Counts rare states, so that a campaign of simulations can prove that it has been in them.

Costs next to nothing while nobody counts. Invariant: every name that the engine gives is declared here, and counting
changes nothing that the engine does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RARE_STATES: Final = frozenset(
    {
        "apply: a batch behind a gap",
        "repair: a comparison stands in for a feed",
        "apply: a batch behind one that moved nothing",
        "apply: a value had to be asked for whole",
        "apply: a record that cannot be joined",
        "apply: the vector is taken in while records carry extra contexts",
        "contexts: every record was asked what it carries",
        "feed: one transaction larger than a batch",
        "holes: filled from elsewhere",
        "holes: void since their node has moved on",
        "identity: a new incarnation at opening",
        "identity: a peer's sign shows a copy",
        "identity: operations get new names",
        "inbox: a conflict grows",
        "inbox: a conflict that was reopened",
        "members: a later decision",
        "members: a silent member is left out",
        "members: one is sealed",
        "members: one who was left out counts again",
        "purge: a record comes back from who is behind the fence",
        "purge: an absence empties a record",
        "purge: deleted records are dropped",
        "purge: the fence rises",
        "session: a vector on a base that is not held",
        "session: a ticket that would arrive late",
        "session: cut after batches were applied",
        "session: marks of a peer that was not reached",
        "storage: SQLite has undone a transaction by itself",
    }
)
"""Every name, by part and state: a campaign must have been in each of them."""

OUT_OF_REACH: Final = {
    "apply: one dot with two values": (
        "two copies of a file write while each syncs with another hub; no plan may clone, or put back a snapshot, where"
        " there are two hubs, and one hub tells copies apart by their tickets before it takes anything from the second"
    ),
    "vectors: identities are the past": "worlds have fewer identities than go together, and are shorter",
    "log: stubs go": "worlds are too short for a log to be trimmed",
    "identity: names are given up that the log has let go": "as above",
    "erasures: an entry that says nothing": "no plan erases",
    "erasures: a file that an older version has written": "no plan erases",
}
"""States that no plan leads to, and why; each has a test of its own (test_join, test_retention, test_purging, ...)."""

_counters: list[Counter[str]] = []


def reached(name: str) -> None:
    """Count a rare state, if anybody counts."""
    for counter in _counters:
        assert name in RARE_STATES or name in OUT_OF_REACH, f"undeclared: {name}"
        counter[name] += 1


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Count from here to the end of the block."""
    counter: Counter[str] = Counter()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters.remove(counter)
