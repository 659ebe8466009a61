"""The checkers, one file per invariant of the fault matrix, and the order in which they are asked.

A fault often breaks several invariants; the sharper word comes first. Each holds what it has looked at of one world:
`all_checkers` makes new ones.
"""

from __future__ import annotations

from collections.abc import Collection

from .acknowledged import Acknowledged
from .agreement import Agreement
from .atomicity import Atomicity
from .bounds import Bounds, Limits
from .causality import Causality
from .clocks import Clocks
from .deletes import Deletes
from .dots import Dots
from .inbox import Inbox
from .purges import Purges
from .state import State
from .status import StatusTruth
from .vectors import Vectors
from .view import Checker, NodeView, WorldView
from .watches import Watches

__all__ = ["Checker", "Limits", "NodeView", "WorldView", "all_checkers", "checkers_named"]


def checkers_named(names: Collection[str]) -> tuple[Checker, ...]:
    """New checkers for one world: those that a plan asks for, by the names of their files."""
    return tuple(checker for checker in all_checkers() if type(checker).__module__.rpartition(".")[2] in names)


def all_checkers(limits: Limits | None = None) -> tuple[Checker, ...]:
    """New checkers for one world, in the order in which they are to be asked."""
    return (
        Dots(),
        Clocks(),
        Purges(),
        Deletes(),
        Causality(),
        Atomicity(),
        Acknowledged(),
        State(),
        Inbox(),
        Vectors(),
        Bounds(limits),
        StatusTruth(),
        Watches(),
        Agreement(),
    )
